import type { GatewayClock } from '../../../local/gateway/clock.ts';

/** Time that passes when a test says so. */
export class ManualClock implements GatewayClock {
  readonly #timers = new Set<{ readonly task: () => void; readonly dueMs: number }>();
  #nowMs = Date.now();

  get pending(): number {
    return this.#timers.size;
  }

  now(): number {
    return this.#nowMs;
  }

  setTimeout(task: () => void, delayMs: number): unknown {
    const timer = { task, dueMs: this.#nowMs + delayMs };
    this.#timers.add(timer);
    return timer;
  }

  clearTimeout(timer: unknown): void {
    this.#timers.delete(timer as never);
  }

  /** Moves on by `ms` and runs what came due, in order. */
  pass(ms: number): void {
    const end = this.#nowMs + ms;
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      this.#timers.delete(next);
      this.#nowMs = next.dueMs;
      next.task();
    }
    this.#nowMs = end;
  }

  #next(end: number) {
    const due = [...this.#timers].filter(({ dueMs }) => dueMs <= end);
    return due.sort((a, b) => a.dueMs - b.dueMs)[0];
  }
}
