/** All instances of one function: grown on demand up to a limit, with a queue beyond it. */
import { FunctionInstance, type InstanceOptions, InstanceStartError } from './function-instance.ts';
import type { FunctionError, Outcome } from './invocation.ts';

export interface PoolOptions {
  readonly instance: InstanceOptions;
  /** Most instances at a time. 0 throttles every invocation, as a reserved concurrency of 0 does. */
  readonly limit: number;
  /** What an event meets when every instance is busy: a place in the queue, or 429 as on AWS. */
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
    if (this.#full()) return Promise.resolve({ kind: 'throttled', requestId, error: THROTTLED });
    const outcome = new Promise<Outcome>((settle) => {
      this.#queue.push({ requestId, payload, settle });
    }).finally(() => this.#open.delete(outcome));
    this.#open.add(outcome);
    this.#pump();
    return outcome;
  }

  /** Starts one instance ahead of the first event; a failure shows at the first invocation. */
  async warm(): Promise<void> {
    if (!this.#closed && this.size === 0 && this.#options.limit > 0) await this.#grow();
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

  #full(): boolean {
    const { limit, whenFull } = this.#options;
    if (limit === 0) return true;
    return whenFull === 'throttle' && this.#idle.length === 0 && this.pending >= limit;
  }

  #pump(): void {
    while (this.#queue.length > 0) {
      const instance = this.#idle.pop();
      if (instance === undefined) break;
      if (!instance.alive) this.#all.delete(instance);
      else this.#occupy(instance);
    }
    // One starting instance per waiting event; whichever is free first takes it.
    while (!this.#closed && this.#queue.length > this.#starting && this.size < this.#options.limit)
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
    settle(outcome);
    this.#pump();
  }

  async #grow(): Promise<void> {
    const instance = new FunctionInstance(this.#options.instance);
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
