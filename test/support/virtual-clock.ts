import type { Clock } from '../../lambdas/bus/ports.ts';

/** Time that passes from one sleeper to the next, once nothing else is left to do. */
export class VirtualClock implements Clock {
  #now = 1_000_000;
  sleeps = 0;
  readonly #sleepers: { readonly at: number; readonly wake: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  sleep(ms: number): Promise<void> {
    this.sleeps += 1;
    return this.at(this.#now + ms);
  }

  /** Resolves at a time; does not count as a sleep. */
  at(at: number): Promise<void> {
    return new Promise((wake) => this.#sleepers.push({ at, wake }));
  }

  async until(done: Promise<unknown>): Promise<void> {
    let isDone = false;
    void done.then(() => {
      isDone = true;
    });
    for (;;) {
      await new Promise(setImmediate);
      if (isDone) return;
      const [next] = this.#sleepers.sort((a, b) => a.at - b.at).splice(0, 1);
      if (next === undefined) throw new Error('nothing will ever happen again');
      this.#now = Math.max(this.#now, next.at);
      next.wake();
    }
  }
}
