/** Keeping posts under the account's quota, which everything in the account shares (design D7). */
import type { Clock, Millis, PostOutcome } from './ports.ts';

export interface PacerOptions {
  /** The share of the quota that may be used; it is never exceeded, and reached again after it could not be had. */
  readonly perSecond: number;
  /** How many may go at once after a pause. @default what 50 ms are worth, at least 1 */
  readonly burst?: number;
  readonly clock: Clock;
}

/** How often the rate is thought over. */
const WINDOW_MS = 100;
/** Share of `perSecond` that a second gives back in which few were throttled. */
const INCREASE = 0.7;
/** What is left of the rate at least after one window. */
const STRONGEST_DECREASE = 0.5;
/**
 * Share of a window that may be throttled while the rate grows all the same. Were it 0, 5 % that are throttled at any
 * rate, by slow readers or somebody else's burst, would leave a fifth of the rate; as it is they leave nearly all of it, since
 * what they take and what a window gives back balance (`npm run bench -- quota`).
 */
const FEW_SHARE = 0.15;
/** Share of `perSecond` that the rate never falls below, so that it can find out that things are better. */
const FLOOR = 0.02;
const DEFAULT_BURST_MS = 50;

/**
 * Gives leave to post, in the order in which it was asked for: in any span of t seconds at most `perSecond` × t +
 * `burst` times. The rate follows what the gateway lets through (AIMD): after a window of 100 ms in which posts were
 * throttled it falls by their share of the posts that were settled in it, since what was let through is what there is
 * room for; one slow reader, whose posts are throttled too, thus slows nobody. It grows evenly over all windows in which no
 * more than 15 % were throttled.
 */
export class Pacer {
  readonly #clock: Clock;
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #waiting: (() => void)[] = [];
  #isServing = false;
  #rate: number;
  #tokens: number;
  /** When `#tokens` was right. */
  #at: Millis;
  #window: { readonly from: Millis; settled: number; throttled: number };

  /** @throws RangeError for a rate or a burst with which nobody would ever get their turn */
  constructor({ perSecond, burst, clock }: PacerOptions) {
    if (!(perSecond > 0)) throw new RangeError(`perSecond must be above 0, not ${perSecond}`);
    this.#burst = burst ?? Math.max(1, (perSecond * DEFAULT_BURST_MS) / 1_000);
    if (!(this.#burst >= 1)) throw new RangeError(`burst must be at least 1, not ${burst}`);
    this.#clock = clock;
    this.#perSecond = perSecond;
    this.#rate = perSecond;
    this.#tokens = this.#burst;
    this.#at = clock.now();
    this.#window = { from: this.#at, settled: 0, throttled: 0 };
  }

  /** Posts per second as they are allowed now. */
  get rate(): number {
    this.#advance();
    return this.#rate;
  }

  /** Resolves when it is the caller's turn. */
  take(): Promise<void> {
    this.#advance();
    if (!this.#isServing && this.#tokens >= 1) {
      this.#tokens -= 1;
      return Promise.resolve();
    }
    const turn = new Promise<void>((resolve) => this.#waiting.push(resolve));
    if (!this.#isServing) void this.#serve();
    return turn;
  }

  /** What became of a post; every one is told, or the shares are wrong. */
  settled(outcome: PostOutcome): void {
    this.#advance();
    this.#window.settled += 1;
    // What is not answered in time is too much for somebody as well.
    if (outcome === 'throttled' || outcome === 'failed') this.#window.throttled += 1;
  }

  /** One timer for all that wait: each time it lets as many go as have come of age. */
  async #serve(): Promise<void> {
    this.#isServing = true;
    while (this.#waiting.length > 0) {
      await this.#clock.sleep(this.#pause());
      this.#advance();
      const turns = this.#waiting.splice(0, Math.floor(this.#tokens));
      this.#tokens -= turns.length;
      for (const go of turns) go();
    }
    this.#isServing = false;
  }

  /** Until there is something for all of them, or the bucket is half full: a full one would run over meanwhile. */
  #pause(): Millis {
    const wanted = Math.max(1, Math.min(this.#waiting.length, this.#burst / 2));
    const pause = Math.ceil(((wanted - this.#tokens) * 1_000) / this.#rate);
    // No longer than a window: the rate may have grown by then.
    return Math.min(Math.max(1, pause), WINDOW_MS);
  }

  #advance(): void {
    const now = this.#clock.now();
    // A clock that was set back gives nothing.
    const elapsed = Math.max(0, now - this.#at);
    this.#at = now;
    this.#tokens = Math.min(this.#burst, this.#tokens + (elapsed * this.#rate) / 1_000);
    const { from, settled, throttled } = this.#window;
    const age = now - from;
    if (age >= 0 && age < WINDOW_MS) return;
    this.#window = { from: now, settled: 0, throttled: 0 };
    const share = throttled === 0 ? 0 : throttled / settled;
    const left = this.#rate * Math.max(STRONGEST_DECREASE, 1 - share);
    const growth = share > FEW_SHARE ? 0 : (this.#perSecond * INCREASE * Math.max(age, 0)) / 1_000;
    this.#rate = Math.min(this.#perSecond, Math.max(this.#perSecond * FLOOR, left + growth));
  }
}
