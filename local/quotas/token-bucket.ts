/** What may happen how often: so many a second, and so many at once after a quiet time. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** A token bucket that starts full. Nothing runs in it: what has come in since is counted when it is asked. */
export class TokenBucket {
  readonly #rate: Rate;
  readonly #now: () => number;
  #level: number;
  #countedAt: number;

  /** @param now milliseconds; going back is taken for standing still */
  constructor(rate: Rate, now: () => number) {
    this.#rate = rate;
    this.#now = now;
    this.#level = rate.burst;
    this.#countedAt = now();
  }

  get isFull(): boolean {
    return this.#current() >= this.#rate.burst;
  }

  /** Whether anything is left, be it less than the next thing costs. */
  get hasAny(): boolean {
    return this.#current() > 0;
  }

  /** Takes one token, if there is one. */
  take(): boolean {
    if (this.#current() < 1) return false;
    this.#level -= 1;
    return true;
  }

  /** Charges what something has cost, known only afterwards; the bucket may be left in debt. */
  spend(tokens: number): void {
    this.#level = this.#current() - tokens;
  }

  #current(): number {
    const now = this.#now();
    if (now > this.#countedAt) {
      const gained = ((now - this.#countedAt) / 1000) * this.#rate.perSecond;
      this.#level = Math.min(this.#rate.burst, this.#level + gained);
      this.#countedAt = now;
    }
    return this.#level;
  }
}
