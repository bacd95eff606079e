/** Everything that a seed decides: how long things take, and what goes wrong how often. */
import { SeededRandom } from '../support/world.ts';

export class Chance extends SeededRandom {
  hits(rate: number): boolean {
    return rate > 0 && this.float() < rate;
  }

  between(from: number, to: number): number {
    return from + this.float() * (to - from);
  }

  below(count: number): number {
    return Math.floor(this.float() * count);
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }

  /** Picks by weight. */
  weighted<T>(choices: readonly (readonly [weight: number, choice: T])[]): T {
    let left = this.float() * choices.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, choice] of choices) {
      left -= weight;
      if (left < 0) return choice;
    }
    return choices.at(-1)![1];
  }

  /** How long a call takes: mostly milliseconds, now and then much longer. */
  latency(usual: number): number {
    if (this.hits(0.01)) return usual * this.between(10, 60);
    return usual * this.between(0.2, 2);
  }
}

/** The most a seed may choose for the rate of each fault. */
const WORST = {
  /** One attempt of a DynamoDB call fails, without or with its effect; the SDK tries again. */
  attemptLost: 0.1,
  attemptUnanswered: 0.1,
  /** Every attempt of a call fails; each of them may have had its effect. */
  callLost: 0.03,
  conflict: 0.1,
  unprocessed: 0.3,
  postLost: 0.1,
  postUnanswered: 0.1,
  postThrottled: 0.1,
  closeLost: 0.2,
  /** An invocation ends at one of its calls. */
  killed: 0.04,
  workLate: 0.1,
  workTwice: 0.2,
  workLost: 0.05,
  disconnectLost: 0.5,
  disconnectLate: 0.3,
  disconnectTwice: 0.3,
  tickMissed: 0.3,
  tickLate: 0.3,
  tickTwice: 0.2,
  messageThrottled: 0.01,
  /** Of long polling: a request that never arrives, an answer that does not, a GET that the front door repeats. */
  requestLost: 0.02,
  answerLost: 0.02,
  requestRepeated: 0.1,
  requestThrottled: 0.01,
  /** Clients that vanish do so without a word to the gateway. */
  vanished: 0.9,
  slowConsumer: 0.05,
} as const;

export type Faults = { readonly [F in keyof typeof WORST]: number };

export const NO_FAULTS = Object.fromEntries(Object.keys(WORST).map((name) => [name, 0])) as unknown as Faults;

/** One seed in four has no faults at all; in the others, each kind is there or not. */
export function drawFaults(chance: Chance): Faults {
  if (chance.hits(0.25)) return NO_FAULTS;
  return Object.fromEntries(
    Object.entries(WORST).map(([name, worst]) => [name, chance.hits(0.6) ? chance.float() * worst : 0]),
  ) as unknown as Faults;
}
