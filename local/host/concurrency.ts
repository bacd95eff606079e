/**
 * How many events may run at a time (Lambda guide, "Lambda function scaling"). A function with reserved concurrency
 * has that and no more; all others share what the account has left.
 */
import type { FunctionDefinition } from '../template/deployment.ts';
import type { ThrottleReason } from './invocation.ts';

export class ConcurrencyLimit {
  readonly reason: ThrottleReason;
  readonly #limit: number;
  #taken = 0;

  constructor(limit: number, reason: ThrottleReason) {
    this.#limit = limit;
    this.reason = reason;
  }

  /** Takes one place; false where there is none. */
  take(): boolean {
    if (this.#taken >= this.#limit) return false;
    this.#taken += 1;
    return true;
  }

  release(): void {
    this.#taken -= 1;
  }
}

/** The limit of each function of an account with `accountConcurrency` places. */
export function concurrencyLimits(
  functions: Iterable<FunctionDefinition>,
  accountConcurrency: number,
): (definition: FunctionDefinition) => ConcurrencyLimit {
  let unreserved = accountConcurrency;
  for (const { reservedConcurrency = 0 } of functions) unreserved -= reservedConcurrency;
  const shared = new ConcurrencyLimit(unreserved, 'ConcurrentInvocationLimitExceeded');
  return ({ reservedConcurrency }) =>
    reservedConcurrency === undefined
      ? shared
      : new ConcurrencyLimit(reservedConcurrency, 'ReservedFunctionConcurrentInvocationLimitExceeded');
}
