import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  cheaperByKey,
  cut,
  estimateRest,
  idAt,
  MOST_RANGES,
  orderOf,
  placeOf,
  planRanges,
  RANGE_PER_SECOND,
} from '../../lambdas/bus/plan.ts';
import type { IdRange } from '../../lambdas/bus/ports.ts';
import { UnionReader } from '../../lambdas/bus/union-reader.ts';
import { MemoryGroups } from '../support/memory-groups.ts';
import { SeededRandom } from '../support/world.ts';

const idOf = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url');
const ids = fc.uint8Array({ minLength: 15, maxLength: 15 }).map(idOf);
/** Ids that have most bytes in common, so that places of six bytes do not tell them apart. */
const closeIds = fc
  .tuple(fc.integer({ min: 0, max: 2 }), fc.integer({ min: 0, max: 3 }))
  .map(([one, other]) =>
    idOf(Uint8Array.from({ length: 15 }, (_, n) => (n === 6 ? one : n === 14 ? other : 7))),
  );
const anyIds = fc.oneof(ids, closeIds);
const byBytes = (one: string, other: string) =>
  Buffer.compare(Buffer.from(one, 'base64url'), Buffer.from(other, 'base64url'));
const holds = ({ after, through }: IdRange, id: string) =>
  (after === undefined || byBytes(id, after) > 0) && (through === undefined || byBytes(id, through) <= 0);

describe('an id', () => {
  test('is ordered as its bytes are, and so is its place', () => {
    fc.assert(
      fc.property(anyIds, anyIds, (one, other) => {
        const order = byBytes(one, other);
        expect(orderOf(one) < orderOf(other)).toBe(order < 0);
        expect(orderOf(one) === orderOf(other)).toBe(order === 0);
        if (order < 0) expect(placeOf(one)).toBeLessThanOrEqual(placeOf(other));
      }),
    );
  });

  test('is found at its place', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (place) => {
        expect(placeOf(idAt(place))).toBeCloseTo(place, 12);
        expect(Buffer.from(idAt(place), 'base64url')).toHaveLength(15);
      }),
    );
  });
});

describe('a range that is cut', () => {
  const range = fc
    .tuple(fc.option(anyIds, { nil: undefined }), fc.option(anyIds, { nil: undefined }))
    .map(([one, other]): IdRange => {
      const [after, through] =
        one !== undefined && other !== undefined && byBytes(one, other) > 0 ? [other, one] : [one, other];
      return { ...(after === undefined ? {} : { after }), ...(through === undefined ? {} : { through }) };
    });

  test('holds every id of the whole in exactly one of its parts, and no other', () => {
    fc.assert(
      fc.property(
        range,
        fc.integer({ min: 1, max: 70 }),
        fc.array(anyIds, { maxLength: 40 }),
        (whole, count, some) => {
          const parts = cut(whole, count);
          expect(parts.length).toBeGreaterThan(0);
          expect(parts.length).toBeLessThanOrEqual(count);
          for (const id of [...some, ...Object.values(whole)]) {
            expect(parts.filter((part) => holds(part, id))).toHaveLength(holds(whole, id) ? 1 : 0);
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  test('has as many parts as were asked for, where there is room', () => {
    expect(cut({}, 64)).toHaveLength(64);
    expect(cut({ after: idAt(0.3), through: idAt(0.31) }, 20)).toHaveLength(20);
  });
});

describe('the size of an audience', () => {
  const random = new SeededRandom(11);
  const crowd = (count: number) => Array.from({ length: count }, () => idOf(random.bytes(15)));

  test.each([
    [500, 1],
    [800, 16],
    [1_000, 1],
    [5_000, 16],
    [10_000, 1],
    [100_000, 1],
    [100_000, 16],
  ])('is told within a factor of two from its first rows: %i members in %i shards', async (count, shards) => {
    for (let attempt = 0; attempt < (count > 10_000 ? 3 : 20); attempt += 1) {
      const groups = new MemoryGroups();
      groups.set('room', crowd(count), shards);
      const reader = new UnionReader(groups as never, [{ kind: 'room', namespace: '/', room: 'room' }], {
        pageRows: 301,
      });
      const { members, through } = await reader.next();
      const estimate = members.length + estimateRest({}, through!, members.length);
      expect(estimate).toBeGreaterThan(count / 2);
      expect(estimate).toBeLessThan(count * 2);
    }
  });

  test('of rooms that share members is that of their union', async () => {
    const groups = new MemoryGroups();
    const all = crowd(6_000);
    groups.set('a', all.slice(0, 4_000));
    groups.set('b', all.slice(2_000));
    const rooms = ['a', 'b'].map((room) => ({ kind: 'room' as const, namespace: '/', room }));
    const { members, through } = await new UnionReader(groups as never, rooms, { pageRows: 501 }).next();
    const estimate = members.length + estimateRest({}, through!, members.length);
    expect(estimate / 6_000).toBeGreaterThan(0.5);
    expect(estimate / 6_000).toBeLessThan(2);
  });
});

describe('the parts of a fan-out', () => {
  test('share the quota, and are no more than it takes to use it up', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 2_000_000 }),
        fc.integer({ min: 50, max: 100_000 }),
        (remaining, perSecond) => {
          const plan = planRanges({ after: idAt(0.001) }, remaining, perSecond);
          expect(plan.ranges.length).toBeLessThanOrEqual(MOST_RANGES);
          expect(plan.perSecond * plan.ranges.length).toBeCloseTo(perSecond, 6);
          if (plan.ranges.length > 1) expect(remaining / plan.ranges.length).toBeGreaterThanOrEqual(50);
        },
      ),
    );
  });

  test('are one for a few, and hardly more for ten thousand than for a hundred thousand', () => {
    expect(planRanges({}, 90, 9_000).ranges).toHaveLength(1);
    const needed = Math.ceil(9_000 / RANGE_PER_SECOND);
    for (const remaining of [10_000, 100_000]) {
      const { length } = planRanges({}, remaining, 9_000).ranges;
      expect(length).toBeGreaterThanOrEqual(needed);
      expect(length).toBeLessThanOrEqual(needed + 1);
    }
  });
});

describe('an excepted room', () => {
  test('is looked up by key only where it is far larger than the audience', () => {
    expect(cheaperByKey(3, 100)).toBe(false);
    expect(cheaperByKey(3, 10_000)).toBe(true);
    expect(cheaperByKey(500, 10_000)).toBe(false);
  });
});
