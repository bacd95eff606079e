import { describe, expect, test } from 'vitest';
import { StackClock } from '../../../local/clock.ts';

const HOUR = 3_600_000;

describe('the clock of a stack', () => {
  test('is the machine’s until it is moved', async () => {
    const clock = new StackClock();
    expect(Math.abs(clock.now() - Date.now())).toBeLessThan(50);
    await new Promise<void>((resolve) => clock.setTimeout(resolve, 1));
    expect(clock.pending).toBe(0);
  });

  test('goes from due timer to due timer, in order, and settles before the first and after each', async () => {
    const clock = new StackClock();
    const start = clock.now();
    const seen: (string | number)[] = [];
    const fire = (name: string) => () => seen.push(name, Math.round((clock.now() - start) / HOUR));
    clock.setTimeout(fire('second'), 2 * HOUR);
    clock.setTimeout(fire('late'), 9 * HOUR);
    clock.setTimeout(() => {
      fire('first')();
      clock.setTimeout(fire('nested'), 0.5 * HOUR + 1);
    }, HOUR);
    clock.setTimeout(fire('as late as the second'), 2 * HOUR);
    clock.clearTimeout(clock.setTimeout(fire('never'), HOUR));
    await clock.advance(3 * HOUR, async () => void seen.push('settled'));
    const settled = 'settled';
    const expected = [settled, 'first', 1, settled, 'nested', 2, settled, 'second', 2, settled];
    expect(seen).toEqual([...expected, 'as late as the second', 2, settled]);
    expect(clock.now() - start).toBeGreaterThanOrEqual(3 * HOUR);
    expect(clock.now() - start).toBeLessThan(3 * HOUR + 1_000);
    expect(clock.pending).toBe(1);
  });

  test('lets a timer that is not due yet fire by itself as much earlier as time was moved', async () => {
    const clock = new StackClock();
    const fired = new Promise<void>((resolve) => clock.setTimeout(resolve, HOUR + 5));
    await clock.advance(HOUR);
    await fired;
  });

  test('does not fire a timer at once whose delay is longer than a real timer takes', async () => {
    const clock = new StackClock();
    let fired = false;
    clock.setTimeout(() => {
      fired = true;
    }, 1_000 * HOUR);
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(fired).toBe(false);
    await clock.advance(1_000 * HOUR);
    expect(fired).toBe(true);
  });

  test('takes one move after the other, also after one that failed', async () => {
    const clock = new StackClock();
    const start = clock.now();
    const failed = clock.advance(HOUR, () => Promise.reject(new Error('never quiet')));
    const second = clock.advance(2 * HOUR);
    await expect(failed).rejects.toThrow('never quiet');
    await second;
    expect(Math.round((clock.now() - start) / HOUR)).toBe(2);
  });
});
