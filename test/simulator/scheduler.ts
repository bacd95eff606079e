/**
 * Virtual time. Everything that waits in a simulated world waits here, and is run in the order of its time; what is
 * due at one moment, in the order in which it was asked for. Nothing of the real clock comes in.
 */
import type { Clock } from '../../lambdas/bus/ports.ts';
import { START } from '../support/world.ts';

export interface Timer {
  cancelled: boolean;
}

interface Entry extends Timer {
  readonly time: number;
  readonly order: number;
  readonly task: () => void;
}

export class Scheduler implements Clock {
  #now = START;
  #order = 0;
  readonly #heap: Entry[] = [];

  now(): number {
    return this.#now;
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.after(ms, resolve);
    });
  }

  after(ms: number, task: () => void): Timer {
    const entry = { time: this.#now + Math.max(0, ms), order: this.#order, task, cancelled: false };
    this.#order += 1;
    this.#push(entry);
    return entry;
  }

  /** Runs what falls due for so long. What a task sets off without waiting is done before the next task. */
  async run(ms: number): Promise<void> {
    const until = this.#now + ms;
    const { setTimeout, clearTimeout } = globalThis;
    Object.assign(globalThis, {
      setTimeout: (task: (...args: unknown[]) => void, wait: number, ...args: unknown[]) =>
        this.after(wait, () => task(...args)),
      clearTimeout: (timer: Timer | undefined) => {
        if (timer !== undefined) timer.cancelled = true;
      },
    });
    try {
      await this.#runUntil(until);
    } finally {
      Object.assign(globalThis, { setTimeout, clearTimeout });
    }
    this.#now = until;
  }

  #runUntil(until: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const step = (): void => {
        const entry = this.#next(until);
        if (entry === undefined) {
          resolve();
          return;
        }
        this.#now = entry.time;
        try {
          entry.task();
        } catch (error) {
          reject(error);
          return;
        }
        // Node empties the queue of microtasks before it takes the next tick: cheaper than a turn of the event loop.
        queueMicrotask(() => process.nextTick(step));
      };
      step();
    });
  }

  #next(until: number): Entry | undefined {
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined || first.time > until) return undefined;
      this.#pop();
      if (!first.cancelled) return first;
    }
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(entry);
    while (at > 0) {
      const up = (at - 1) >> 1;
      if (!isBefore(entry, heap[up]!)) break;
      heap[at] = heap[up]!;
      at = up;
    }
    heap[at] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (let down = 1; down < heap.length; down = 2 * at + 1) {
      if (down + 1 < heap.length && isBefore(heap[down + 1]!, heap[down]!)) down += 1;
      if (!isBefore(heap[down]!, last)) break;
      heap[at] = heap[down]!;
      at = down;
    }
    heap[at] = last;
  }
}

function isBefore(one: Entry, other: Entry): boolean {
  return one.time < other.time || (one.time === other.time && one.order < other.order);
}
