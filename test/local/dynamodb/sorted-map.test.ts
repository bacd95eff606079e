import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Range, SortedMap } from '../../../local/dynamodb/sorted-map.ts';

const key = fc.string({ unit: fc.constantFrom('0', '1', 'f', '/', '~'), minLength: 1, maxLength: 4 });
const change = fc.record({ key, deletes: fc.boolean() });
const bound = fc.option(key, { nil: undefined });
const range = fc.record({
  low: bound,
  lowOpen: fc.boolean(),
  high: bound,
  highOpen: fc.boolean(),
  reverse: fc.boolean(),
});

describe('a sorted map', () => {
  it('walks any range as a sorted list would', () => {
    const property = fc.property(fc.array(change, { maxLength: 200 }), range, (changes, bounds) => {
      const map = new SortedMap<string>();
      const model = new Map<string, string>();
      for (const { key: k, deletes } of changes) {
        if (deletes) map.delete(k);
        else map.set(k, `value of ${k}`);
        if (deletes) model.delete(k);
        else model.set(k, `value of ${k}`);
      }
      expect(map.size).toBe(model.size);
      expect([...map.values(toRange(bounds))]).toEqual(walked(model, bounds));
    });
    fc.assert(property, { numRuns: 500 });
  });

  it('stays in order over many thousand keys, put in any order and taken out again', () => {
    const map = new SortedMap<number>();
    const keys = Array.from({ length: 5000 }, (_, i) => String((i * 7919) % 5000).padStart(4, '0'));
    for (const [index, k] of keys.entries()) map.set(k, index);
    expect([...map.keys()]).toEqual([...keys].sort());
    expect([...map.keys({ gte: '1234', lt: '1237' })]).toEqual(['1234', '1235', '1236']);
    expect([...map.keys({ gt: '1234', lte: '1237', reverse: true })]).toEqual(['1237', '1236', '1235']);
    for (const k of keys) map.delete(k);
    expect([...map.keys()]).toEqual([]);
  });
});

interface Bounds {
  readonly low: string | undefined;
  readonly lowOpen: boolean;
  readonly high: string | undefined;
  readonly highOpen: boolean;
  readonly reverse: boolean;
}

function toRange({ low, lowOpen, high, highOpen, reverse }: Bounds): Range {
  return {
    ...(low === undefined ? {} : lowOpen ? { gt: low } : { gte: low }),
    ...(high === undefined ? {} : highOpen ? { lt: high } : { lte: high }),
    reverse,
  };
}

function walked(
  model: ReadonlyMap<string, string>,
  { low, lowOpen, high, highOpen, reverse }: Bounds,
): string[] {
  const kept = [...model]
    .filter(([k]) => low === undefined || (lowOpen ? k > low : k >= low))
    .filter(([k]) => high === undefined || (highOpen ? k < high : k <= high))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, value]) => value);
  return reverse ? kept.reverse() : kept;
}
