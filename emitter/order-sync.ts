import { type NewChange, newChangeSchema } from '../lambdas/contract/changes.ts';
import { firstIssue } from '../lambdas/contract/issues.ts';
import type { Emitter } from './emitter.ts';
import { PayloadError } from './errors.ts';

export type { NewChange } from '../lambdas/contract/changes.ts';

export interface RecordedChange {
  readonly id: string;
  /** ISO 8601. */
  readonly createdAt: string;
}

/** The backend of `order-sync`. */
export interface OrderSync {
  /**
   * Records a change for the back office's machines, then tells those that are connected. Resolves once it is stored;
   * it stays pending until it is confirmed, or for 30 days. A failure may be tried again and may then be there twice.
   * @throws PayloadError at once where the type (1 to 128 characters), the id or the data (JSON of at most 100 KB)
   *   is none
   */
  recordChange(change: NewChange): Promise<RecordedChange>;
}

export function orderSync(emitter: Pick<Emitter, 'call'>): OrderSync {
  return {
    recordChange(change) {
      const parsed = newChangeSchema.safeParse(change);
      if (!parsed.success) {
        const { field, message } = firstIssue(parsed.error);
        throw new PayloadError(message, field);
      }
      return emitter.call('order-sync', 'recordChange', parsed.data) as Promise<RecordedChange>;
    },
  };
}
