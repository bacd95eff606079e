import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sampleLatency } from '../../../local/faults/decision.ts';
import { FaultEngine, type InjectedFault } from '../../../local/faults/engine.ts';
import { type FaultRules, parseFaultRules } from '../../../local/faults/rules.ts';

function engine(rules: FaultRules, seed: number | string = 1, injected: InjectedFault[] = []) {
  return new FaultEngine({ seed, rules: parseFaultRules(rules), injected: (fault) => injected.push(fault) });
}

const times = <T>(count: number, ask: () => T): T[] => Array.from({ length: count }, ask);

const POSTS: FaultRules = {
  calls: {
    'connections.POST': { gone: 0.1, throttled: 0.2, error: 0.1, lost: 0.1, latency: { uniform: [1, 9] } },
    'dynamodb.*': { conflict: 0.3, unprocessed: 0.3, timeout: { probability: 0.1, ms: 5 } },
  },
};

describe('the engine', () => {
  test('decides nothing without rules, nor about calls that the rules do not name', () => {
    const quiet = engine({});
    expect(quiet.call('connections.POST')).toBeUndefined();
    expect(engine(POSTS).call('connections.GET')).toBeUndefined();
    expect(engine(POSTS).call('dynamodb.CreateTable')).toBeUndefined();
    expect([quiet.connection(), quiet.disconnect(), quiet.event('open'), quiet.kill('message')]).toEqual([
      {},
      [0],
      [0],
      undefined,
    ]);
  });

  test('decides the nth call of a type the same for a seed, whatever other calls come between', () => {
    fc.assert(
      fc.property(
        fc.integer(),
        fc.array(fc.constantFrom('dynamodb.PutItem', 'dynamodb.Query')),
        (seed, between) => {
          const alone = engine(POSTS, seed);
          const busy = engine(POSTS, seed);
          const expected = times(20, () => alone.call('connections.POST'));
          const found = times(20, () => {
            for (const other of between) busy.call(other);
            return busy.call('connections.POST');
          });
          expect(found).toEqual(expected);
        },
      ),
      { numRuns: 30 },
    );
  });

  test('decides otherwise for another seed', () => {
    const decisions = (seed: number) => times(50, () => engine(POSTS, seed).call('connections.POST'));
    expect(decisions(1)).not.toEqual(decisions(2));
  });

  test('starts anew with new rules, and nothing goes wrong once they are cleared', () => {
    const one = engine(POSTS, 7);
    const first = times(30, () => one.call('connections.POST'));
    one.replace(POSTS);
    expect(times(30, () => one.call('connections.POST'))).toEqual(first);
    const before = one.count('throttled');
    one.clear();
    expect(one.call('connections.POST')).toBeUndefined();
    expect(one.count('throttled')).toBe(before);
    one.replace({});
    expect(one.count('throttled')).toBe(0);
  });

  test('injects about as often as the rules say, counts and tells each', () => {
    const injected: InjectedFault[] = [];
    const one = engine(POSTS, 3, injected);
    const decisions = times(5_000, () => one.call('connections.POST'));
    for (const [kind, share] of [
      ['gone', 0.1],
      ['throttled', 0.2],
      ['lost', 0.1],
    ] as const) {
      const count = decisions.filter((decision) => decision?.fault?.kind === kind).length;
      expect(Math.abs(count / 5_000 - share)).toBeLessThan(0.03);
      expect(one.count(kind)).toBe(count);
      expect(one.count(kind, 'connections.POST')).toBe(count);
      expect(one.count(kind, 'connections.GET')).toBe(0);
      expect(injected.filter((fault) => fault.kind === kind)).toHaveLength(count);
    }
    expect(injected.at(-1)).toMatchObject({ where: 'connections.POST', nth: 5_000 });
  });

  test('has conflicts for writes and transactions only, and unprocessed parts for batches only', () => {
    const kinds = (operation: string) => {
      const one = engine({ calls: { 'dynamodb.*': { conflict: 0.5, unprocessed: 0.5 } } });
      return new Set(times(100, () => one.call(`dynamodb.${operation}`)?.fault?.kind));
    };
    expect(kinds('PutItem')).toEqual(new Set(['conflict', undefined]));
    expect(kinds('TransactGetItems')).toEqual(new Set(['conflict', undefined]));
    expect(kinds('BatchGetItem')).toEqual(new Set(['unprocessed', undefined]));
    expect(kinds('Query')).toEqual(new Set([undefined]));
  });

  test('takes the rules of an operation before those of all operations', () => {
    const one = engine({ calls: { 'dynamodb.*': { error: 1 }, 'dynamodb.GetItem': {} } });
    expect(one.call('dynamodb.GetItem')).toBeUndefined();
    expect(one.call('dynamodb.PutItem')?.fault).toEqual({ kind: 'error' });
  });

  test('gives connections their fate within the times of the rules', () => {
    const one = engine({
      connections: { halfOpen: 0.5, halfOpenAfterMs: [10, 20], slow: 0.5, slowAfterMs: [3, 3] },
    });
    const fates = times(200, () => one.connection());
    const half = fates.flatMap(({ halfOpenAfterMs: ms }) => (ms === undefined ? [] : [ms]));
    expect(half.length).toBeGreaterThan(60);
    expect(half.every((ms) => ms >= 10 && ms <= 20)).toBe(true);
    expect(one.count('half-open')).toBe(half.length);
    expect(new Set(fates.map(({ slowAfterMs }) => slowAfterMs))).toEqual(new Set([undefined, 3]));
  });

  test('loses, doubles and delays disconnects and events', () => {
    expect(engine({ disconnect: { lost: 1 } }).disconnect()).toEqual([]);
    const rest = { doubled: 1, late: { probability: 1, ms: [5, 6] as [number, number] } };
    const delays = engine({ disconnect: rest }).disconnect();
    expect(delays).toHaveLength(2);
    expect(delays.every((ms) => ms >= 5 && ms <= 6)).toBe(true);
    const one = engine({ asynchronous: { duplicated: 1, late: rest.late } });
    expect(one.event('open')).toHaveLength(2);
    expect([one.count('event-duplicated', 'open'), one.count('event-late', 'open')]).toEqual([1, 1]);
  });

  test('plans a kill at a call of the range', () => {
    const one = engine({ kills: [{ function: 'message', probability: 1, calls: [2, 4] }] });
    const plans = times(100, () => one.kill('message'));
    expect(new Set(plans.map((plan) => plan?.call))).toEqual(new Set([2, 3, 4]));
    expect(new Set(plans.map((plan) => plan?.effect))).toEqual(new Set(['before', 'after']));
    expect(one.kill('open')).toBeUndefined();
  });
});

describe('a latency', () => {
  const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

  test('is fixed, or between two values', () => {
    fc.assert(
      fc.property(random, random, (one, other) => {
        expect(sampleLatency({ fixed: 7 }, one, other)).toBe(7);
        const ms = sampleLatency({ uniform: [2, 5] }, one, other);
        expect(ms >= 2 && ms <= 5).toBe(true);
        expect(sampleLatency({ p50: 5, p99: 50 }, one, other)).toBeGreaterThan(0);
      }),
    );
  });

  test('is log-normal with the median and the 99th percentile that are asked for', () => {
    const one = engine({ calls: { 'connections.GET': { latency: { p50: 10, p99: 100 } } } });
    const sorted = times(20_000, () => one.call('connections.GET')?.delayMs ?? 0).sort((a, b) => a - b);
    expect(sorted[10_000]).toBeGreaterThan(9);
    expect(sorted[10_000]).toBeLessThan(11);
    expect(sorted[19_800]).toBeGreaterThan(80);
    expect(sorted[19_800]).toBeLessThan(125);
  });
});
