/**
 * Capacity units, as on-demand tables are billed.
 * https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html
 */
import { type Item, itemBytes } from './attribute-value.ts';

const READ_UNIT_BYTES = 4096;
const WRITE_UNIT_BYTES = 1024;

/** Read units for so many bytes read together; reading nothing costs the minimum. */
export function readUnits(bytes: number, consistent: boolean): number {
  return Math.max(1, Math.ceil(bytes / READ_UNIT_BYTES)) * (consistent ? 1 : 0.5);
}

/** Write units for changing an item: the larger of what was and what will be, and at least one. */
export function writeUnits(before: Item | undefined, after: Item | undefined): number {
  const bytes = Math.max(
    before === undefined ? 0 : itemBytes(before),
    after === undefined ? 0 : itemBytes(after),
  );
  return Math.max(1, Math.ceil(bytes / WRITE_UNIT_BYTES));
}

/** A transaction prepares and commits: every unit counts twice. */
export const TRANSACTION_FACTOR = 2;
