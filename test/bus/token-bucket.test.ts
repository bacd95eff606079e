import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fullBucket, type Level, type Rate, take } from '../../lambdas/bus/token-bucket.ts';

const rates = fc.record({
  perSecond: fc.integer({ min: 1, max: 1_000 }),
  burst: fc.integer({ min: 1, max: 1_000 }),
});
/** Pauses between events; ms. Clocks are set back now and then. */
const pauses = fc.array(fc.integer({ min: -200, max: 2_000 }), { maxLength: 400 });

/** When events were let through, of those that come after each pause. */
function admitted(rate: Rate, times: readonly number[]): number[] {
  let level: Level = fullBucket(rate, 0);
  return times.filter((at) => {
    const left = take(level, rate, at);
    if (left !== undefined) level = left;
    return left !== undefined;
  });
}

function timesOf(steps: readonly number[]): number[] {
  let now = 0;
  return steps.map((step) => {
    now += step;
    return now;
  });
}

describe('a token bucket', () => {
  test('lets no more through in any time than its burst and its rate', () => {
    fc.assert(
      fc.property(rates, pauses, (rate, steps) => {
        const through = admitted(rate, timesOf(steps.map((step) => Math.max(0, step))));
        for (const [n, begin] of through.entries()) {
          for (const [m, end] of through.slice(n).entries()) {
            const most = rate.burst + ((end - begin) * rate.perSecond) / 1_000;
            expect(m + 1).toBeLessThanOrEqual(most + 1e-6);
          }
        }
      }),
      { numRuns: 50 },
    );
  });

  test('refuses nobody who keeps to the rate', () => {
    fc.assert(
      fc.property(rates, fc.integer({ min: 1, max: 500 }), (rate, count) => {
        const times = Array.from({ length: count }, (_, n) => n * Math.ceil(1_000 / rate.perSecond));
        expect(admitted(rate, times)).toEqual(times);
      }),
    );
  });

  test('lets as many through at once as its burst, and never more than that after a quiet time', () => {
    fc.assert(
      fc.property(rates, fc.nat(10_000_000), (rate, quiet) => {
        const crowd = Array.from({ length: rate.burst + 5 }, () => quiet);
        expect(admitted(rate, crowd)).toHaveLength(rate.burst);
      }),
    );
  });

  test('takes nothing where there is not enough, and gives nothing for a clock that is set back', () => {
    fc.assert(
      fc.property(rates, pauses, (rate, steps) => {
        let level: Level = fullBucket(rate, 0);
        for (const at of timesOf(steps)) {
          expect(take(level, rate, at, rate.burst + 1)).toBeUndefined();
          const left = take(level, rate, at);
          if (left === undefined) continue;
          expect(left.at).toBeGreaterThanOrEqual(level.at);
          expect(left.tokens).toBeGreaterThanOrEqual(0);
          expect(left.tokens).toBeLessThan(rate.burst);
          level = left;
        }
      }),
    );
  });
});
