import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Grants } from '../../lambdas/bus/grants.ts';
import type { Rows } from '../../lambdas/bus/ports.ts';
import { hostileName } from '../support/hostile.ts';
import { memoryRows } from '../support/memory-rows.ts';

/** Refuses the keys that DynamoDB refuses: sorts over 1,024 bytes, or empty ones. */
function strictRows(): Rows {
  const rows = memoryRows();
  const checked = (sort: string) => {
    if (sort === '' || Buffer.byteLength(sort) > 1_024) throw new Error('ValidationException');
    return sort;
  };
  return {
    ...rows,
    put: async (partition, sort, value) => rows.put(partition, checked(sort), value),
    get: async (partition, sort) => rows.get(partition, checked(sort)),
    delete: async (partition, sorts) => rows.delete(partition, sorts.map(checked)),
  };
}

const room = hostileName.filter((name) => name !== '' && name.isWellFormed());

describe('a grant', () => {
  test('opens one room, of any name, to one identity of one namespace, until it is taken back', async () => {
    await fc.assert(
      fc.asyncProperty(room, room, fc.oneof(room, fc.integer()), async (granted, other, identity) => {
        const rows = strictRows();
        const grants = new Grants(rows, '/');
        await grants.add(identity, granted);
        expect(await grants.has(String(identity), granted)).toBe(true);
        expect(await grants.has(identity, other)).toBe(other === granted);
        expect(await grants.has(`${identity}#`, granted)).toBe(false);
        expect(await new Grants(rows, '/other').has(identity, granted)).toBe(false);
        await grants.remove(identity, granted);
        expect(await grants.has(identity, granted)).toBe(false);
      }),
      { numRuns: 300 },
    );
  });
});
