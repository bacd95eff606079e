/** What may happen how often. Pure: a level is what was left at a time, and nothing runs between two questions. */
import type { Millis } from './ports.ts';

export interface Rate {
  readonly perSecond: number;
  /** What may happen at once after a quiet time. */
  readonly burst: number;
}

export interface Level {
  /** From 0 to the burst. */
  readonly tokens: number;
  readonly at: Millis;
}

export function fullBucket({ burst }: Rate, now: Millis): Level {
  return { tokens: burst, at: now };
}

/**
 * What is left after taking, or nothing where there is not enough: then nothing is taken. A clock that was set back
 * gives nothing, and takes nothing away.
 * @param cost more than the burst is never there
 */
export function take(level: Level, rate: Rate, now: Millis, cost = 1): Level | undefined {
  const gained = (Math.max(0, now - level.at) * rate.perSecond) / 1_000;
  const tokens = Math.min(rate.burst, level.tokens + gained) - cost;
  return tokens < 0 ? undefined : { tokens, at: Math.max(now, level.at) };
}
