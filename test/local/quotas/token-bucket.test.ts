import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TokenBucket } from '../../../local/quotas/token-bucket.ts';

function bucket(perSecond: number, burst: number) {
  let now = 1_000;
  return {
    one: new TokenBucket({ perSecond, burst }, () => now),
    wait: (ms: number) => {
      now += ms;
    },
  };
}

describe('a token bucket', () => {
  test('starts full, is empty after its burst, and fills at its rate up to the burst', () => {
    const { one, wait } = bucket(10, 3);
    expect([one.take(), one.take(), one.take(), one.take()]).toEqual([true, true, true, false]);
    wait(99);
    expect(one.take()).toBe(false);
    wait(1);
    expect([one.take(), one.take()]).toEqual([true, false]);
    wait(60_000);
    expect([one.take(), one.take(), one.take(), one.take()]).toEqual([true, true, true, false]);
  });

  test('lets nothing through where its burst is 0', () => {
    const { one, wait } = bucket(0, 0);
    wait(60_000);
    expect(one.take()).toBe(false);
  });

  test('may be left in debt by what was more than it had, and works it off', () => {
    const { one, wait } = bucket(100, 10);
    one.spend(30);
    expect(one.hasAny).toBe(false);
    wait(200);
    expect(one.hasAny).toBe(false);
    wait(10);
    expect(one.hasAny).toBe(true);
    expect(one.isFull).toBe(false);
    wait(90);
    expect(one.isFull).toBe(true);
  });

  test('stands still while the clock goes back', () => {
    const { one, wait } = bucket(10, 1);
    expect(one.take()).toBe(true);
    wait(-5_000);
    expect(one.take()).toBe(false);
    wait(5_100);
    expect(one.take()).toBe(true);
  });

  test('never lets through more than its burst and what came in', () => {
    const steps = fc.array(fc.record({ ms: fc.nat(500), calls: fc.nat(20) }), { maxLength: 50 });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 100 }),
        fc.integer({ min: 1, max: 20 }),
        steps,
        (rate, burst, all) => {
          const { one, wait } = bucket(rate, burst);
          let elapsed = 0;
          let passed = 0;
          for (const { ms, calls } of all) {
            wait(ms);
            elapsed += ms;
            for (let call = 0; call < calls; call += 1) if (one.take()) passed += 1;
            expect(passed).toBeLessThanOrEqual(burst + (elapsed * rate) / 1000 + 1e-6);
          }
        },
      ),
    );
  });
});
