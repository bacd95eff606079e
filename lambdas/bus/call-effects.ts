import type { Bus } from './context.ts';
import { reapLater } from './reaping.ts';
import type { Effects } from './socket-session.ts';
import type { Found } from './union-reader.ts';

/** The effects of a call or a request that no socket made: in the order they were asked for. */
export class CallEffects implements Effects {
  readonly bus: Bus;
  readonly gone: Found[] = [];
  readonly #later: Promise<void>[] = [];
  #tail: Promise<unknown> = Promise.resolve();

  constructor(bus: Bus) {
    this.bus = bus;
  }

  enqueue<T>(effect: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(effect);
    this.#tail = result.catch((error: unknown) => this.bus.log.error('an effect failed', { error }));
    return result;
  }

  later(work: Promise<void>): void {
    this.#later.push(work);
  }

  /** Sees everything to its end, and has those who have gone cleaned up after. */
  async finish(): Promise<void> {
    await this.#tail;
    await Promise.all(this.#later);
    await reapLater(this.bus, this.gone);
  }
}
