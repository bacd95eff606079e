import type { Bus } from './context.ts';
import type { Effects } from './socket-session.ts';
import type { Found } from './union-reader.ts';

/** The effects of a call or a request that no socket made: in the order they were asked for. */
export class CallEffects implements Effects {
  readonly bus: Bus;
  readonly gone: Found[] = [];
  #tail: Promise<unknown> = Promise.resolve();

  constructor(bus: Bus) {
    this.bus = bus;
  }

  enqueue<T>(effect: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(effect);
    this.#tail = result.catch((error: unknown) => this.bus.log.error('an effect failed', { error }));
    return result;
  }

  async settled(): Promise<void> {
    await this.#tail;
  }
}
