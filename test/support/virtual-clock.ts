import type { Clock } from '../../lambdas/bus/ports.ts';

interface Sleeper {
  readonly at: number;
  /** Who came first is woken first where two are due at the same time. */
  readonly turn: number;
  readonly wake: () => void;
}

/** Time that passes from one sleeper to the next, once nothing else is left to do. */
export class VirtualClock implements Clock {
  #now = 1_000_000;
  #turns = 0;
  sleeps = 0;
  /** A binary heap: benches have a hundred thousand sleepers at a time. */
  readonly #sleepers: Sleeper[] = [];

  now(): number {
    return this.#now;
  }

  sleep(ms: number): Promise<void> {
    this.sleeps += 1;
    return this.at(this.#now + ms);
  }

  /** Resolves at a time; does not count as a sleep. */
  at(at: number): Promise<void> {
    return new Promise((wake) => {
      this.#turns += 1;
      this.#add({ at, turn: this.#turns, wake });
    });
  }

  async until(done: Promise<unknown>): Promise<void> {
    let isDone = false;
    void done.then(() => {
      isDone = true;
    });
    for (;;) {
      await new Promise(setImmediate);
      if (isDone) return;
      const next = this.#takeFirst();
      if (next === undefined) throw new Error('nothing will ever happen again');
      this.#now = Math.max(this.#now, next.at);
      next.wake();
    }
  }

  #add(sleeper: Sleeper): void {
    const heap = this.#sleepers;
    let place = heap.length;
    for (;;) {
      const above = (place - 1) >> 1;
      const parent = heap[above];
      if (place === 0 || parent === undefined || !isBefore(sleeper, parent)) break;
      heap[place] = parent;
      place = above;
    }
    heap[place] = sleeper;
  }

  #takeFirst(): Sleeper | undefined {
    const heap = this.#sleepers;
    const [first] = heap;
    const last = heap.pop();
    if (first === undefined || last === undefined || first === last) return first;
    let place = 0;
    for (;;) {
      const left = 2 * place + 1;
      const [one, other] = [heap[left], heap[left + 1]];
      const below = other !== undefined && one !== undefined && isBefore(other, one) ? other : one;
      if (below === undefined || !isBefore(below, last)) break;
      heap[place] = below;
      place = below === one ? left : left + 1;
    }
    heap[place] = last;
    return first;
  }
}

function isBefore(one: Sleeper, other: Sleeper): boolean {
  return one.at < other.at || (one.at === other.at && one.turn < other.turn);
}
