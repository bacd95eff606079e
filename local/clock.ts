/**
 * The time of the whole stack: the machine's, plus what a test moved it forward. One clock for the gateway, the
 * schedules, retries, ages, timeouts, expiry and signatures, and for the functions, which see the offset through
 * shared memory (host/instance-clock.ts). It never goes back.
 *
 * What it does not move: timers inside functions and inside clients. They are real, as are sockets.
 */
import type { GatewayClock } from './gateway/clock.ts';

/** Time as the host of functions needs it. */
export interface SharedClock extends GatewayClock {
  /** One BigInt64: milliseconds to add to the machine's time. For reading only. */
  readonly offset: SharedArrayBuffer;
}

interface Timer {
  readonly task: () => void;
  readonly dueMs: number;
  real: NodeJS.Timeout | undefined;
}

/** Longest delay of a real timer; a longer one would fire at once. */
const MAX_DELAY_MS = 2 ** 31 - 1;

export class StackClock implements SharedClock {
  readonly offset = new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT);
  readonly #shared = new BigInt64Array(this.offset);
  /** In the order they were set, which is the order of those that are due together. */
  readonly #timers = new Set<Timer>();
  #offsetMs = 0;
  #advancing: Promise<unknown> = Promise.resolve();

  /** Milliseconds since the epoch, whole. */
  now(): number {
    return Date.now() + this.#offsetMs;
  }

  /** Runs `task` once, `delayMs` from now; the timer does not keep the process alive. */
  setTimeout(task: () => void, delayMs: number): unknown {
    const timer: Timer = { task, dueMs: this.now() + Math.max(0, delayMs), real: undefined };
    this.#timers.add(timer);
    this.#arm(timer);
    return timer;
  }

  clearTimeout(handle: unknown): void {
    const timer = handle as Timer | undefined;
    if (timer !== undefined && this.#timers.delete(timer)) clearTimeout(timer.real);
  }

  /** Timers that wait. */
  get pending(): number {
    return this.#timers.size;
  }

  /**
   * Moves on by `ms`: from due timer to due timer, in order. `settle` is awaited before the first and after each; it
   * should resolve when nothing runs, or time passes over what is not done. Calls at the same time take turns.
   */
  advance(ms: number, settle: () => Promise<void> = async () => {}): Promise<void> {
    const turn = this.#advancing.then(() => this.#advance(ms, settle));
    this.#advancing = turn.catch(() => {});
    return turn;
  }

  async #advance(ms: number, settle: () => Promise<void>): Promise<void> {
    const target = this.now() + ms;
    try {
      await settle();
      for (let timer = this.#next(target); timer !== undefined; timer = this.#next(target)) {
        this.#moveTo(timer.dueMs);
        this.#fire(timer);
        await settle();
      }
      this.#moveTo(target);
    } finally {
      // The real timers were set for the time before.
      for (const timer of this.#timers) this.#arm(timer);
    }
  }

  #moveTo(ms: number): void {
    this.#offsetMs += Math.max(0, Math.ceil(ms - this.now()));
    Atomics.store(this.#shared, 0, BigInt(this.#offsetMs));
  }

  #next(targetMs: number): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.dueMs <= targetMs && (next === undefined || timer.dueMs < next.dueMs)) next = timer;
    }
    return next;
  }

  #fire(timer: Timer): void {
    this.clearTimeout(timer);
    timer.task();
  }

  #arm(timer: Timer): void {
    clearTimeout(timer.real);
    const delayMs = timer.dueMs - this.now();
    const due = () => (timer.dueMs - this.now() > MAX_DELAY_MS ? this.#arm(timer) : this.#fire(timer));
    timer.real = setTimeout(due, Math.min(delayMs, MAX_DELAY_MS)).unref();
  }
}
