/**
 * Calls of DynamoDB that are worth repeating: two transactions on one row refuse each other (design D5), and one for
 * which there was no capacity is not repeated by the SDK, which takes a cancelled transaction for final.
 */
import { TransactionCanceledException } from '@aws-sdk/client-dynamodb';
import { UnavailableError } from '../bus/errors.ts';
import type { Clock, Random } from '../bus/ports.ts';

/** How long a call is repeated that DynamoDB put off: a conflict of transactions, keys it did not get to. */
const PATIENCE_MS = 2_000;
const FIRST_PAUSE_MS = 10;
const LAST_PAUSE_MS = 250;

export class Patience {
  readonly #clock: Clock;
  readonly #random: Random;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** Repeats a call with jitter while it is put off. @throws UnavailableError after 2 s of that */
  async call<T>(attempt: () => Promise<T>): Promise<T> {
    const pause = this.pauses();
    for (;;) {
      try {
        return await attempt();
      } catch (error) {
        if (!isPutOff(error)) throw error;
        if (!(await pause())) {
          throw new UnavailableError('rows stayed in conflict with other transactions, or had no capacity', {
            cause: error,
          });
        }
      }
    }
  }

  /** Pauses of growing length; the function it gives resolves to false where there is no time for another one. */
  pauses(): () => Promise<boolean> {
    const deadline = this.#clock.now() + PATIENCE_MS;
    let length = FIRST_PAUSE_MS;
    return async () => {
      const wait = length * (0.5 + this.#random.float());
      length = Math.min(length * 2, LAST_PAUSE_MS);
      if (this.#clock.now() + wait > deadline) return false;
      await this.#clock.sleep(wait);
      return true;
    };
  }
}

export function errorName(error: unknown): string | undefined {
  return error instanceof Error ? error.name : undefined;
}

export type Reasons = NonNullable<TransactionCanceledException['CancellationReasons']>;

/** Why a transaction's conditions refused it. @throws anything that is not such a refusal, as it is */
export function refusalOf(error: unknown): Reasons {
  if (!(error instanceof TransactionCanceledException)) throw error;
  const reasons = error.CancellationReasons ?? [];
  if (reasons.some((reason) => reason.Code === 'ConditionalCheckFailed')) return reasons;
  throw error;
}

/** Reasons of a cancelled transaction that pass by themselves (API reference, TransactWriteItems). */
const PASSING: ReadonlySet<string | undefined> = new Set([
  'TransactionConflict',
  'ThrottlingError',
  'ProvisionedThroughputExceeded',
]);

function isPutOff(error: unknown): boolean {
  if (errorName(error) === 'TransactionConflictException') return true;
  if (!(error instanceof TransactionCanceledException)) return false;
  return (error.CancellationReasons ?? []).some(({ Code }) => PASSING.has(Code));
}
