/**
 * Asynchronous invocations of one function: accepted at once, retried on an error, dropped in the end.
 * Source: Lambda guide, "How Lambda handles errors and retries with asynchronous invocation": two retries after an
 * error of the function, one and two minutes later; a throttled event is tried again after one second, then twice as
 * long each time up to five minutes, until it is too old; with a reserved concurrency of 0 it is dropped at once.
 */
import type { GatewayClock } from '../gateway/clock.ts';
import type { DroppedEvent, FunctionError, Outcome } from './invocation.ts';

export interface AsyncQueueOptions {
  readonly functionName: string;
  readonly retries: number;
  readonly maxAgeSeconds: number;
  /** Pause before the n-th retry after an error, in ms; the last one repeats. */
  readonly retryDelaysMs: readonly number[];
  /** Whether the function may never run: its reserved concurrency is 0. */
  readonly disabled: boolean;
  readonly clock: GatewayClock;
  /** After how many ms each copy of an accepted event starts; one copy at once is the rule. */
  readonly delivery: () => readonly number[];
  readonly invoke: (requestId: string, payload: string) => Promise<Outcome>;
  readonly dropped: (event: DroppedEvent) => void;
}

/** What becomes of an accepted event. */
export interface AcceptedEvent {
  /** Resolves when each copy was tried once. */
  readonly attempted: Promise<void>;
  /** Resolves when each copy is handled or dropped. */
  readonly handled: Promise<void>;
}

interface Pause {
  readonly timer: unknown;
  readonly dueMs: number;
  readonly resume: () => void;
}

const THROTTLE_PAUSE_MS = 1_000;
const MAX_THROTTLE_PAUSE_MS = 300_000;

export class AsyncQueue {
  readonly #options: AsyncQueueOptions;
  readonly #pauses = new Set<Pause>();
  #closed = false;

  constructor(options: AsyncQueueOptions) {
    this.#options = options;
  }

  /** When the next paused event goes on, in ms since the epoch; Infinity where none waits. */
  get nextDueMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { dueMs } of this.#pauses) next = Math.min(next, dueMs);
    return next;
  }

  /** Accepts an event. */
  add(requestId: string, payload: string): AcceptedEvent {
    const attempts: Promise<void>[] = [];
    const copies = this.#options.delivery().map((delayMs) => {
      const { promise, resolve } = withResolve();
      attempts.push(promise);
      return this.#handle(requestId, payload, delayMs, resolve).finally(resolve);
    });
    return {
      attempted: Promise.all(attempts).then(() => {}),
      handled: Promise.all(copies).then(() => {}),
    };
  }

  /** Ends every pause; there are no more attempts. */
  close(): void {
    this.#closed = true;
    for (const { timer, resume } of this.#pauses) {
      this.#options.clock.clearTimeout(timer);
      resume();
    }
    this.#pauses.clear();
  }

  async #handle(requestId: string, payload: string, delayMs: number, tried: () => void): Promise<void> {
    const { clock, functionName, maxAgeSeconds, invoke, dropped } = this.#options;
    const expires = clock.now() + maxAgeSeconds * 1000;
    if (delayMs > 0) await this.#pause(delayMs);
    let failures = 0;
    let failure: FunctionError | undefined;
    for (let attempts = 1; !this.#closed; attempts += 1) {
      const outcome = await invoke(requestId, payload);
      tried();
      if (outcome.kind === 'result' || this.#closed) return;
      if (outcome.kind !== 'throttled') {
        failures += 1;
        failure = outcome.error;
      }
      const pauseMs =
        outcome.kind === 'throttled' ? throttlePauseMs(attempts - failures) : this.#retryPauseMs(failures);
      const reason = this.#end(outcome, failures, clock.now() + pauseMs >= expires);
      if (reason !== undefined) {
        const { error } = outcome;
        return dropped({ functionName, requestId, payload, reason, attempts, error, failure });
      }
      await this.#pause(pauseMs);
    }
  }

  /** Why there is no other attempt, if there is none. */
  #end(outcome: Outcome, failures: number, tooOld: boolean): DroppedEvent['reason'] | undefined {
    if (outcome.kind === 'throttled' && this.#options.disabled) return 'ZeroReservedConcurrency';
    if (failures > this.#options.retries) return 'RetriesExhausted';
    return tooOld ? 'EventAgeExceeded' : undefined;
  }

  #retryPauseMs(failures: number): number {
    const { retryDelaysMs } = this.#options;
    return retryDelaysMs[Math.min(failures, retryDelaysMs.length) - 1] ?? 0;
  }

  #pause(ms: number): Promise<void> {
    if (this.#closed) return Promise.resolve();
    const { clock } = this.#options;
    return new Promise((resume) => {
      const go = () => {
        this.#pauses.delete(pause);
        resume();
      };
      const pause = { timer: clock.setTimeout(go, ms), dueMs: clock.now() + ms, resume };
      this.#pauses.add(pause);
    });
  }
}

function throttlePauseMs(throttles: number): number {
  return Math.min(MAX_THROTTLE_PAUSE_MS, THROTTLE_PAUSE_MS * 2 ** (throttles - 1));
}

function withResolve(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
