/** All instances of one function: grown on demand up to a limit, with a queue beyond it. */
import type { ConcurrencyLimit } from './concurrency.ts';
import type { FunctionInstance } from './function-instance.ts';
import { InstanceStartError } from './instance-errors.ts';
import type { FunctionError, Outcome, ThrottleReason } from './invocation.ts';
import { withinAnswerLimit } from './payload-limits.ts';

export interface PoolOptions {
  /** Makes an instance, which is not started. */
  readonly create: () => FunctionInstance;
  /** Most instances at a time; 0 for a function that may not run. */
  readonly maxInstances: number;
  /** Places for events, running or waiting. Beyond them every event is throttled, as on AWS. */
  readonly concurrency: ConcurrencyLimit;
  /** What an event meets that has a place, while every instance is busy: a queue, or 429 as well. */
  readonly whenFull: 'queue' | 'throttle';
}

interface Pending {
  readonly requestId: string;
  readonly payload: string;
  readonly settle: (outcome: Outcome) => void;
}

const THROTTLED: FunctionError = { errorType: 'TooManyRequestsException', errorMessage: 'Rate Exceeded.' };
const CLOSED: FunctionError = {
  errorType: 'Runtime.ExitError',
  errorMessage: 'Error: the local stack is closing',
};

export class FunctionPool {
  readonly #options: PoolOptions;
  /** Last in, first out: a small load stays on few, warm instances. */
  readonly #idle: FunctionInstance[] = [];
  readonly #all = new Set<FunctionInstance>();
  readonly #queue: Pending[] = [];
  readonly #open = new Set<Promise<Outcome>>();
  #starting = 0;
  #closed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /** Instances that exist or are being started. */
  get size(): number {
    return this.#all.size;
  }

  /** Events being handled or waiting for an instance. */
  get pending(): number {
    return this.#open.size;
  }

  /** Runs one event on a free instance; always resolves. */
  invoke(requestId: string, payload: string): Promise<Outcome> {
    if (this.#closed) return Promise.resolve({ kind: 'error', requestId, error: CLOSED });
    const reason = this.#enter();
    if (reason !== undefined)
      return Promise.resolve({ kind: 'throttled', requestId, error: THROTTLED, reason });
    const outcome = new Promise<Outcome>((settle) => {
      this.#queue.push({ requestId, payload, settle });
    }).finally(() => {
      this.#open.delete(outcome);
      this.#options.concurrency.release();
    });
    this.#open.add(outcome);
    this.#pump();
    return outcome;
  }

  /** Starts one instance ahead of the first event; a failure shows at the first invocation. */
  async warm(): Promise<void> {
    if (!this.#closed && this.size === 0 && this.#options.maxInstances > 0) await this.#grow();
  }

  /** Ends an instance at once, as a crash would; false where it is not one of these. */
  kill(id: string): boolean {
    for (const instance of this.#all) {
      if (instance.id !== id) continue;
      const at = this.#idle.indexOf(instance);
      if (at >= 0) this.#idle.splice(at, 1);
      this.#all.delete(instance);
      instance.kill();
      return true;
    }
    return false;
  }

  /** Resolves when the events accepted until now have ended. */
  async settled(): Promise<void> {
    await Promise.all(this.#open);
  }

  /** Ends every instance at once; what they were doing ends as an error. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const { requestId, settle } of this.#queue.splice(0))
      settle({ kind: 'error', requestId, error: CLOSED });
    await Promise.all([...this.#all].map((instance) => instance.stop()));
    await this.settled();
  }

  /** Takes a place for an event, or tells why there is none. */
  #enter(): ThrottleReason | undefined {
    const { maxInstances, whenFull, concurrency } = this.#options;
    const busy = this.#idle.length === 0 && this.pending >= maxInstances;
    if (whenFull === 'throttle' && busy) return 'ConcurrentInvocationLimitExceeded';
    return concurrency.take() ? undefined : concurrency.reason;
  }

  #pump(): void {
    while (this.#queue.length > 0) {
      const instance = this.#idle.pop();
      if (instance === undefined) break;
      if (!instance.alive) this.#all.delete(instance);
      else this.#occupy(instance);
    }
    // One starting instance per waiting event; whichever is free first takes it.
    while (!this.#closed && this.#queue.length > this.#starting && this.size < this.#options.maxInstances)
      void this.#grow();
  }

  #occupy(instance: FunctionInstance): void {
    const pending = this.#queue.shift();
    if (pending === undefined) return;
    void this.#run(instance, pending);
  }

  async #run(instance: FunctionInstance, { requestId, payload, settle }: Pending): Promise<void> {
    const outcome = await instance.run(requestId, payload);
    if (instance.alive) this.#idle.push(instance);
    else this.#all.delete(instance);
    settle(withinAnswerLimit(outcome));
    this.#pump();
  }

  async #grow(): Promise<void> {
    const instance = this.#options.create();
    this.#all.add(instance);
    this.#starting += 1;
    try {
      await instance.start();
      this.#idle.push(instance);
    } catch (error) {
      this.#all.delete(instance);
      this.#refuseOne(error);
      await instance.stop();
    } finally {
      this.#starting -= 1;
      this.#pump();
    }
  }

  /** A failed start is the answer to the event that caused it. */
  #refuseOne(error: unknown): void {
    const pending = this.#queue.shift();
    if (pending === undefined) return;
    const failure =
      error instanceof InstanceStartError
        ? error.error
        : {
            errorType: 'Runtime.ExitError',
            errorMessage: error instanceof Error ? error.message : String(error),
          };
    pending.settle({ kind: 'error', requestId: pending.requestId, error: failure });
  }
}
