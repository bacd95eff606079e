import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Pacer } from '../../lambdas/bus/pacing.ts';
import type { Clock, PostOutcome } from '../../lambdas/bus/ports.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

/** Asks at the given times and notes in which order, and when, it was somebody's turn. */
async function turns(
  clock: VirtualClock,
  pacer: Pacer,
  arrivals: readonly number[],
  answer: (at: number, n: number) => PostOutcome = () => 'ok',
): Promise<{ n: number; at: number }[]> {
  const start = clock.now();
  const granted: { n: number; at: number }[] = [];
  const all = arrivals.map(async (arrival, n) => {
    if (arrival > 0) await clock.at(start + arrival);
    await pacer.take();
    const at = clock.now() - start;
    granted.push({ n, at });
    pacer.settled(answer(at, n));
  });
  await clock.until(Promise.all(all));
  return granted;
}

/** The most that were granted above `perSecond` × t, over all spans that begin and end with a grant. */
function excess(times: readonly number[], perSecond: number): number {
  // Kadane's way: the best span that ends here either goes on from the one before or begins here.
  let best = 0;
  let here = 0;
  times.forEach((at, index) => {
    const before = times[index - 1] ?? at;
    here = Math.max(0, here - ((at - before) * perSecond) / 1_000) + 1;
    best = Math.max(best, here);
  });
  return best;
}

/** Crowds with pauses of any length between them. */
const arrivals = fc
  .array(fc.tuple(fc.nat({ max: 600 }), fc.integer({ min: 1, max: 60 })), { minLength: 1, maxLength: 12 })
  .map((crowds) => {
    let at = 0;
    return crowds.flatMap(([pause, size]) => {
      at += pause;
      return new Array<number>(size).fill(at);
    });
  });
const rates = fc.integer({ min: 20, max: 5_000 });
const bursts = fc.option(fc.integer({ min: 1, max: 100 }), { nil: undefined });
const outcomes = fc.constantFrom<PostOutcome>('ok', 'throttled', 'gone', 'failed', 'refused');

function pacerOf(clock: Clock, perSecond: number, burst: number | undefined): Pacer {
  return new Pacer({ perSecond, clock, ...(burst === undefined ? {} : { burst }) });
}

describe('a pacer', () => {
  test('never lets more go than the rate and the burst allow, gives everybody their turn, and in order', async () => {
    await fc.assert(
      fc.asyncProperty(
        arrivals,
        rates,
        bursts,
        fc.infiniteStream(outcomes),
        async (times, perSecond, burst, answers) => {
          const clock = new VirtualClock();
          const granted = await turns(
            clock,
            pacerOf(clock, perSecond, burst),
            times,
            () => answers.next().value as PostOutcome,
          );
          expect(granted.map(({ n }) => n)).toEqual(times.map((_, n) => n));
          const allowed = burst ?? Math.max(1, perSecond * 0.05);
          expect(
            excess(
              granted.map(({ at }) => at),
              perSecond,
            ),
          ).toBeLessThanOrEqual(allowed + 1e-6);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('lets go at the full rate while nothing is throttled, with few timers', async () => {
    const clock = new VirtualClock();
    const pacer = new Pacer({ perSecond: 10_000, clock });
    const granted = await turns(clock, pacer, new Array(20_000).fill(0));
    // Less the burst of 500, which went at once.
    expect(granted.at(-1)?.at).toBeGreaterThanOrEqual(1_950);
    expect(granted.at(-1)?.at).toBeLessThanOrEqual(2_000);
    expect(clock.sleeps).toBeLessThanOrEqual(100);
  });

  test('makes nobody wait who is alone', async () => {
    const clock = new VirtualClock();
    const pacer = new Pacer({ perSecond: 10, clock });
    expect(await turns(clock, pacer, [0, 500, 900])).toEqual([
      { n: 0, at: 0 },
      { n: 1, at: 500 },
      { n: 2, at: 900 },
    ]);
    expect(clock.sleeps).toBe(0);
  });

  test('settles about what is let through, and is back at the full rate soon after it is all let through', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 100, max: 900 }), async (quota) => {
        const clock = new VirtualClock();
        const pacer = new Pacer({ perSecond: 1_000, burst: 10, clock });
        let room = quota / 10;
        let filled = 0;
        const answer = (at: number): PostOutcome => {
          if (at > 5_000) return 'ok';
          room = Math.min(quota / 10, room + ((at - filled) * quota) / 1_000);
          filled = at;
          if (room < 1) return 'throttled';
          room -= 1;
          return 'ok';
        };
        const granted = await turns(clock, pacer, new Array(9_000).fill(0), answer);
        const between = (from: number, to: number) =>
          granted.filter(({ at }) => at >= from && at < to).length / ((to - from) / 1_000);
        expect(between(1_000, 5_000)).toBeGreaterThan(quota * 0.8);
        expect(between(1_000, 5_000)).toBeLessThan(quota * 1.25 + 30);
        expect(pacer.rate).toBe(1_000);
        const end = granted.at(-1)?.at ?? 0;
        expect(between(7_100, end)).toBeGreaterThan(950);
      }),
      { numRuns: 8 },
    );
  });

  test('is hardly slowed by one client that reads too slowly among many', async () => {
    const clock = new VirtualClock();
    const pacer = new Pacer({ perSecond: 1_000, clock });
    const granted = await turns(clock, pacer, new Array(5_000).fill(0), (_, n) =>
      n % 200 === 0 ? 'throttled' : 'ok',
    );
    expect(granted.at(-1)?.at).toBeLessThan(5_400);
  });

  test('is hardly slowed by a few per cent that are throttled at any rate', async () => {
    const clock = new VirtualClock();
    const pacer = new Pacer({ perSecond: 1_000, clock });
    const granted = await turns(clock, pacer, new Array(10_000).fill(0), (_, n) =>
      n % 20 === 0 ? 'throttled' : 'ok',
    );
    expect(granted.at(-1)?.at).toBeLessThan(11_000);
  });

  test('falls at most once in a window, never below its floor, and goes on', async () => {
    const clock = new VirtualClock();
    const pacer = new Pacer({ perSecond: 1_000, clock });
    for (let n = 0; n < 50; n += 1) pacer.settled('throttled');
    expect(pacer.rate).toBe(1_000);
    await clock.until(clock.sleep(100));
    expect(pacer.rate).toBe(500);
    const granted = await turns(clock, pacer, new Array(400).fill(0), () => 'throttled');
    expect(granted).toHaveLength(400);
    expect(pacer.rate).toBe(20);
  });

  test('gives nothing for a clock that is set back', async () => {
    let now = 1_000;
    const pacer = new Pacer({
      perSecond: 1_000,
      burst: 1,
      clock: {
        now: () => now,
        sleep: async (ms) => {
          now += ms;
        },
      },
    });
    await pacer.take();
    now = 0;
    await pacer.take();
    expect(now).toBeGreaterThanOrEqual(1);
    expect(pacer.rate).toBe(1_000);
  });

  test.each([[{ perSecond: 0 }], [{ perSecond: Number.NaN }], [{ perSecond: 10, burst: 0.5 }]])(
    'refuses %o, with which nobody would get their turn',
    (options) => {
      expect(() => new Pacer({ ...options, clock: new VirtualClock() })).toThrow(RangeError);
    },
  );
});
