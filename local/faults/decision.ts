/** What is decided about one call, and how it is carried out around the call's effect. */
import type { GatewayClock } from '../gateway/clock.ts';
import type { Latency } from './rules.ts';

/** What goes wrong with a call. */
export type CallFault =
  | { readonly kind: 'gone' | 'throttled' | 'error' | 'conflict' }
  /** A part of a batch, from this place on in [0, 1), is not done. */
  | { readonly kind: 'unprocessed'; readonly from: number }
  /** It happened, but the caller is told that it did not, or hears nothing. */
  | { readonly kind: 'lost'; readonly answer: 'error' | 'cut' }
  /** No answer for so long, then the connection is cut; without a time, until the caller gives up. */
  | { readonly kind: 'timeout'; readonly ms: number | undefined; readonly effect: 'before' | 'after' }
  /** The caller's instance ends when the call comes, or when it is done. */
  | { readonly kind: 'killed'; readonly effect: 'before' | 'after'; readonly kill: () => void };

export interface Decision {
  /** Pause before the call is looked at; ms. */
  readonly delayMs: number;
  readonly fault: CallFault | undefined;
}

/** What becomes of a new connection; milliseconds after its 101. */
export interface ConnectionFate {
  /** From then on nothing passes in either direction, and nobody notices; posts are answered with 200. */
  readonly halfOpenAfterMs?: number;
  /** From then on the client does not read: posts are answered with 429. */
  readonly slowAfterMs?: number;
}

/** How a service says what went wrong; `cut` ends the connection without an answer. */
export type Failure = 'gone' | 'throttled' | 'error' | 'cut';

export interface Effect<Answer> {
  /** Does what was called for. */
  act(): Answer | Promise<Answer>;
  fail(failure: Failure): Answer | Promise<Answer>;
}

/** Carries out a call as was decided; faults that only some services know (conflict, unprocessed) are left to them. */
export async function carryOut<Answer>(
  { delayMs, fault }: Decision,
  clock: GatewayClock,
  { act, fail }: Effect<Answer>,
): Promise<Answer> {
  if (delayMs > 0) await pause(delayMs, clock);
  switch (fault?.kind) {
    case 'gone':
    case 'throttled':
    case 'error':
      return fail(fault.kind);
    case 'lost':
      await act();
      return fail(fault.answer);
    case 'timeout':
      if (fault.effect === 'after') await act();
      await pause(fault.ms, clock);
      return fail('cut');
    case 'killed':
      if (fault.effect === 'after') await act();
      fault.kill();
      return fail('cut');
    default:
      return act();
  }
}

/** Undefined: for ever, or until the caller and everything that waits for this is gone. */
function pause(ms: number | undefined, clock: GatewayClock): Promise<void> {
  return new Promise((resolve) => {
    if (ms !== undefined) clock.setTimeout(resolve, ms);
  });
}

/** 99 of 100 are below this many standard deviations above the median. */
const Z99 = 2.326_347_874;

/** Milliseconds by two numbers in [0, 1); a log-normal one is what latencies of services look like. */
export function sampleLatency(latency: Latency, one: number, other: number): number {
  if ('fixed' in latency) return latency.fixed;
  if ('uniform' in latency) return between(latency.uniform, one);
  const sigma = Math.log(latency.p99 / latency.p50) / Z99;
  // Box and Muller; 1 − one is never 0.
  const normal = Math.sqrt(-2 * Math.log(1 - one)) * Math.cos(2 * Math.PI * other);
  return latency.p50 * Math.exp(sigma * normal);
}

export function between([least, most]: readonly [number, number], random: number): number {
  return least + (most - least) * random;
}
