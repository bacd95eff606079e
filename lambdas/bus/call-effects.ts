import type { Bus } from './context.ts';
import { BusError } from './errors.ts';
import type { Allowance } from './limits.ts';
import { reapLater } from './reaping.ts';
import type { Effects } from './socket-session.ts';
import type { Found } from './union-reader.ts';

/** The effects of a call or a request that no socket made: in the order they were asked for. */
export class CallEffects implements Effects {
  readonly bus: Bus;
  readonly gone: Found[] = [];
  /** Of a client's request; what a backend asks for has no bound. */
  readonly allowance: Allowance | undefined;
  readonly #later: Promise<void>[] = [];
  #tail: Promise<unknown> = Promise.resolve();

  constructor(bus: Bus, allowance?: Allowance) {
    this.bus = bus;
    this.allowance = allowance;
  }

  enqueue<T>(effect: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(effect);
    this.#tail = result.catch((error: unknown) => {
      if (!(error instanceof BusError)) this.bus.log.error('an effect failed', { error });
    });
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
