/** What the benches of an attack have in common: who does what, and how it is shown. */
import { percentile, type Row } from './result.ts';

/**
 * `flood` enters and sends as many events as it can, `garbage` sends what is no packet, `silent` never asks for a namespace;
 * each until it is closed.
 */
export const MALICES = ['flood', 'garbage', 'silent'] as const;
export type Malice = (typeof MALICES)[number];

/** How often an honest client relays an event; ms. */
export const EVERY_MS = 4_000;
/** Of the quiet run, and of the attack. */
export const SECONDS = 60;
/** Events a second of one that floods. */
export const PER_SECOND = 250;
/** One that is not closed after so many frames is not held by any bound. */
export const MOST_FRAMES = 5_000;

/** What the n-th of them does. @param flooding how many of a hundred flood; every fifth of the others is garbage */
export function maliceOf(n: number, flooding: number): Malice {
  // Spread: each hundredth of the attack is like all of it.
  if ((n * flooding) % 100 < flooding) return 'flood';
  return n % 5 === 4 ? 'garbage' : 'silent';
}

/** One hostile connection, from its begin to its end. */
export interface Assault {
  readonly malice: Malice;
  readonly sent: number;
  readonly accepted: number;
  readonly closed: boolean;
  /** From its begin to its end, or to the end of the patience. */
  readonly seconds: number;
}

/** Of one kind. */
export function account(malice: Malice, all: readonly Assault[]): Row {
  const its = all.filter((each) => each.malice === malice);
  const sum = (count: (one: Assault) => number) => its.reduce((total, one) => total + count(one), 0);
  const times = its.map(({ seconds }) => seconds);
  return {
    connections: its.length,
    'hostile events': sum(({ sent }) => sent),
    accepted: sum(({ accepted }) => accepted),
    'most accepted of one': Math.max(0, ...its.map(({ accepted }) => accepted)),
    'closed after, p50 (s)': percentile(times, 0.5),
    'closed after, at most (s)': Math.max(0, ...times),
  };
}

/** Of honest clients. @param latencies from their events to the acknowledgements; ms */
export function figures(latencies: readonly number[]): Row {
  return {
    'honest events': latencies.length,
    'p50 (ms)': percentile(latencies, 0.5),
    'p99 (ms)': percentile(latencies, 0.99),
  };
}
