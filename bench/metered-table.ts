/** The simulator's table with a meter of what reads and writes cost. */
import type { Step } from '../dev/cost/page.ts';
import { ModelTable, type TransactItem } from '../test/simulator/table.ts';

export type Units = Pick<Step, 'readUnits' | 'writeUnits'>;

/** Rows that a query of at most 4 KB, a read unit, gives at least: those that are queried have up to 200 bytes. */
const ROWS_IN_UNIT = 20;
const WRITES = new Set(['Put', 'Update', 'Delete']);

export class MeteredTable extends ModelTable {
  readonly #used: (units: Units) => void;

  /** @param used told what each call costs; a write costs it also where its condition fails */
  constructor(used: (units: Units) => void) {
    super();
    this.#used = used;
  }

  override perform(name: string, input: Record<string, unknown>): Record<string, unknown> {
    const written = writeUnits(name, input);
    if (written > 0) this.#used({ readUnits: 0, writeUnits: written });
    const answer = super.perform(name, input);
    const read = readUnits(name, input, answer);
    if (read > 0) this.#used({ readUnits: read, writeUnits: 0 });
    return answer;
  }
}

/** All rows are below 1 KB; in a transaction each is billed twice. */
function writeUnits(name: string, { TransactItems }: Record<string, unknown>): number {
  if (name === 'TransactWrite') return 2 * (TransactItems as readonly TransactItem[]).length;
  return WRITES.has(name) ? 1 : 0;
}

/** All reads are strongly consistent. */
function readUnits(name: string, input: Record<string, unknown>, answer: Record<string, unknown>): number {
  switch (name) {
    case 'Get':
      return 1;
    case 'BatchGet':
      return Object.values(
        input.RequestItems as Record<string, { readonly Keys: readonly unknown[] }>,
      ).reduce((sum, { Keys }) => sum + Keys.length, 0);
    case 'Query':
      return Math.max(1, Math.ceil((answer.Items as readonly unknown[]).length / ROWS_IN_UNIT));
    default:
      return 0;
  }
}
