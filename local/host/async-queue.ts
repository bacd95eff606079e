/**
 * Asynchronous invocations of one function: accepted at once, retried on an error, dropped in the end.
 * Source: Lambda guide, "How Lambda handles errors and retries with asynchronous invocation": two retries after a
 * function error, and for as long as the event may be old when the function is throttled.
 */
import type { DroppedEvent, Outcome } from './invocation.ts';

export interface AsyncQueueOptions {
  readonly functionName: string;
  readonly retries: number;
  readonly maxAgeSeconds: number;
  /** Pause before the n-th retry, in ms; the last one repeats. */
  readonly retryDelaysMs: readonly number[];
  readonly invoke: (requestId: string, payload: string) => Promise<Outcome>;
  readonly dropped: (event: DroppedEvent) => void;
}

export class AsyncQueue {
  readonly #options: AsyncQueueOptions;
  readonly #events = new Set<Promise<void>>();
  readonly #pauses = new Map<NodeJS.Timeout, () => void>();
  #closed = false;

  constructor(options: AsyncQueueOptions) {
    this.#options = options;
  }

  /** Events accepted and neither handled nor dropped yet. */
  get pending(): number {
    return this.#events.size;
  }

  /** Accepts an event; the promise resolves when it is handled or dropped. */
  add(requestId: string, payload: string): Promise<void> {
    const event = this.#handle(requestId, payload).finally(() => this.#events.delete(event));
    this.#events.add(event);
    return event;
  }

  /** Resolves when the events accepted until now are handled or dropped. */
  async settled(): Promise<void> {
    await Promise.all(this.#events);
  }

  /** Ends every pause; there are no more attempts. */
  close(): void {
    this.#closed = true;
    for (const [timer, resume] of this.#pauses) {
      clearTimeout(timer);
      resume();
    }
  }

  async #handle(requestId: string, payload: string): Promise<void> {
    const { functionName, retries, maxAgeSeconds, invoke, dropped } = this.#options;
    const expires = Date.now() + maxAgeSeconds * 1000;
    let failures = 0;
    for (let attempts = 1; ; attempts += 1) {
      const outcome = await invoke(requestId, payload);
      if (outcome.kind === 'result' || this.#closed) return;
      if (outcome.kind !== 'throttled') failures += 1;
      const pauseMs = this.#pauseMs(attempts);
      const old = Date.now() + pauseMs >= expires;
      if (failures > retries || old) {
        const reason = failures > retries ? 'RetriesExhausted' : 'EventAgeExceeded';
        return dropped({ functionName, requestId, payload, reason, attempts, error: outcome.error });
      }
      await this.#pause(pauseMs);
      if (this.#closed) return;
    }
  }

  #pauseMs(attempt: number): number {
    const { retryDelaysMs } = this.#options;
    return retryDelaysMs[Math.min(attempt, retryDelaysMs.length) - 1] ?? 0;
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#pauses.delete(timer);
        resolve();
      }, ms);
      this.#pauses.set(timer, resolve);
    });
  }
}
