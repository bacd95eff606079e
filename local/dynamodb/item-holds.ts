/**
 * The items of ongoing transactions. On AWS a transaction takes time, and who touches one of its items meanwhile is
 * refused; here it is done in no time, so its items are held, and its answer held back, for as long as it would have
 * taken. So nobody who waits for the answer runs into his own transaction.
 * Source: developer guide, "Transaction conflict handling in DynamoDB".
 */
import type { Item } from './attribute-value.ts';
import { db, type TableDescription } from './dynalite.ts';
import { DynamoDbError, type Reason } from './errors.ts';

const MESSAGE = 'Transaction is ongoing for the item';

/** Why a transaction is cancelled that touches such an item (API reference, TransactWriteItems). */
export const ONGOING: Reason = { Code: 'TransactionConflict', Message: MESSAGE };

/** What a single write of such an item is refused with. */
export function transactionConflict(): DynamoDbError {
  return new DynamoDbError('TransactionConflictException', MESSAGE);
}

/** An item among all items; the key must be valid for the table. */
export function itemId(table: TableDescription, key: Item): string {
  return `${table.TableName}/${db.createKey(key, table)}`;
}

export class ItemHolds {
  readonly #durationMs: () => number;
  readonly #held = new Set<string>();

  /** @param durationMs how long a transaction takes from now on; 0: no time */
  constructor(durationMs: () => number) {
    this.#durationMs = durationMs;
  }

  get isEmpty(): boolean {
    return this.#held.size === 0;
  }

  has(id: string): boolean {
    return this.#held.has(id);
  }

  /** Holds items that nobody holds; resolves when they are free again, at once where it takes no time (undefined). */
  hold(ids: readonly string[]): Promise<void> | undefined {
    const durationMs = this.#durationMs();
    if (durationMs <= 0) return undefined;
    for (const id of ids) this.#held.add(id);
    return new Promise((resolve) => {
      setTimeout(() => {
        for (const id of ids) this.#held.delete(id);
        resolve();
      }, durationMs);
    });
  }
}
