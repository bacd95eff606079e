/**
 * Out-of-order messages on purpose (design D13). API Gateway runs the messages of one client concurrently, so two sent
 * back to back can be handled in either order; a laptop is usually too quick to show it. Given to the gateway, this
 * makes the other order happen, and the same one again for the same seed.
 */
import { type Random, seededRandom } from '../random.ts';
import { type GatewayClock, systemClock } from './clock.ts';

export interface ShuffleOptions {
  /** Messages of one connection that arrive within this time of the first one are shuffled together; ms. @default 10 */
  readonly windowMs?: number;
  /**
   * Longest pause between two starts of one window; ms. Long enough for the first one to get ahead, and short enough
   * for a handler that waits 500 ms for its prerequisite to live through a whole window. @default 40
   */
  readonly gapMs?: number;
  /** @default the machine's time */
  readonly clock?: GatewayClock;
}

/** As the gateway takes it: called with each message of a connection, calls `start` once, sooner or later. */
export type Shuffle = (connectionId: string, start: () => void) => void;

/** Connections whose sequence is remembered; the gateway does not say when one is over, so the oldest goes. */
const REMEMBERED_CONNECTIONS = 10_000;

/**
 * Starts the messages of each connection in a random order. Every message is started exactly once, at most
 * `windowMs + n × gapMs` after it came, where n messages came in its window; no connection waits for another.
 *
 * @param seed the same seed shuffles the nth connection that speaks in the same way, whatever its id
 */
export function seededShuffle(seed: number | string, options: ShuffleOptions = {}): Shuffle {
  const { windowMs = 10, gapMs = 40, clock = systemClock } = options;
  const randomOf = perConnection(seed);
  const windows = new Map<string, (() => void)[]>();
  return (connectionId, start) => {
    const open = windows.get(connectionId);
    if (open !== undefined) {
      open.push(start);
      return;
    }
    const starts = [start];
    windows.set(connectionId, starts);
    clock.setTimeout(() => {
      windows.delete(connectionId);
      const random = randomOf(connectionId);
      spread(shuffled(starts, random), random, gapMs, clock);
    }, windowMs);
  };
}

/** One sequence of numbers per connection, numbered as they come, because their ids differ from run to run. */
function perConnection(seed: number | string): (connectionId: string) => Random {
  const randoms = new Map<string, Random>();
  let connections = 0;
  return (connectionId) => {
    const known = randoms.get(connectionId);
    if (known !== undefined) return known;
    const [oldest] = randoms.keys();
    if (oldest !== undefined && randoms.size >= REMEMBERED_CONNECTIONS) randoms.delete(oldest);
    const random = seededRandom(seed, connections);
    connections += 1;
    randoms.set(connectionId, random);
    return random;
  };
}

/** The first starts at once, each next one after a random pause. */
function spread(starts: readonly (() => void)[], random: Random, gapMs: number, clock: GatewayClock): void {
  let at = 0;
  for (const start of starts) {
    if (at === 0) start();
    else clock.setTimeout(start, at);
    at += 1 + Math.floor(random() * gapMs);
  }
}

/** Fisher and Yates: every order is equally likely. */
function shuffled<T>(items: readonly T[], random: Random): T[] {
  const rest = [...items];
  return items.flatMap(() => rest.splice(Math.floor(random() * rest.length), 1));
}
