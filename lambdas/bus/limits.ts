/**
 * What one connection may send (design D12). Counted in the memory of each instance, so that an event costs no write. An
 * instance handles one event at a time, so a flood is spread over many, none of which sees much of it: who sends a lot at one
 * has that written in the connection's row, where all of them are added up. What goes beyond is refused, and a second of
 * that is a strike in the row; the third within a minute is the end.
 */
import { isIPv6 } from 'node:net';
import { type Limits, STRIKE_MS } from '../contract/limits.ts';
import { BusError } from './errors.ts';
import type { Clock, Millis, Random } from './ports.ts';
import { fullBucket, type Level, type Rate, take } from './token-bucket.ts';

/** Strikes within this time are counted together. */
export const STRIKES_WITHIN_MS = 60_000;
/** With this many strikes a connection is closed. */
export const MOST_STRIKES = 3;
/** Packets are added up over so long, in windows that all instances have in common. */
export const WINDOW_MS = 10_000;
/** An instance writes down what it has seen when it is such a part of what is allowed in a window. */
const PARTS = 20;
/**
 * How much more than allowed all of them may have told of before it counts as too much. Of the 600 packets of a connection that keeps to
 * its limit, spread over many instances, some 20 parts of 30 are told of, give or take 4.5: in nearly half of all windows more than it
 * sent. Twice as many is more than four times that deviation away.
 */
export const MARGIN = 2;
/** A CONNECT writes as much as many events together, and a client needs one for each of its namespaces: it counts as so many packets. */
export const CONNECT_PACKETS = 10;
/** At least so many may come at once: of a small bucket a CONNECT takes a part, so that something is left for what follows it. */
const CONNECTS_AT_ONCE = 10;
/**
 * How long a missing prerequisite is waited for before a handler refuses (design D13), in all waits of one event, or of one
 * request that brings many. Longer than the cold start of another instance, which is what usually holds the earlier message up.
 */
export const PREREQUISITE_MS = 1_500;
/** Connections that an instance remembers; whoever was silent for longest is forgotten, and has a full bucket again. */
const MOST_REMEMBERED = 10_000;

/** An IPv4 address as one of IPv6, in the one form in which a URL has it. */
const MAPPED = /^\[::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})\]$/;

/**
 * What an address is counted as. Whoever has one IPv6 address has the 2^64 of its network (RFC 4291, 2.5.4), so that is
 * what counts. An IPv4 address that is written as one of IPv6 (2.5.5.2) is counted as what it is: all of them are in one such network.
 */
export function countedAddress(address: string): string {
  if (!isIPv6(address)) return address;
  const bare = address.toLowerCase().split('%', 1).join('');
  const mapped = MAPPED.exec(new URL(`http://[${bare}]`).hostname);
  if (mapped !== null)
    return mapped
      .slice(1)
      .flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 0xff])
      .join('.');
  const [head = '', tail] = bare.split('::');
  const groups = head === '' ? [] : head.split(':');
  const rest = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - groups.length - rest.length);
  const all = [...groups, ...Array<string>(zeros).fill('0'), ...rest];
  return `${all
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':')}::/64`;
}

export const rateLimited = (message: string): BusError => new BusError('rate_limited', message);

/** What one instance has seen of a connection. */
export interface Share {
  /** Number of the window. */
  readonly window: number;
  readonly packets: number;
}

interface Remembered {
  events: Level;
  joins: Level;
  window: number;
  /** Of the window, and not in the row yet. */
  packets: number;
  /** Number of a window in which no more is let in. */
  full: number | undefined;
  struckAt: Millis | undefined;
  cut: boolean;
}

export class ConnectionLimits {
  readonly #limits: Limits;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #events: Rate;
  readonly #joins: Rate;
  readonly #random: Pick<Random, 'float'>;
  readonly #byConnection = new Map<string, Remembered>();

  constructor(limits: Limits, clock: Pick<Clock, 'now'>, random: Pick<Random, 'float'>) {
    this.#limits = limits;
    this.#clock = clock;
    this.#random = random;
    this.#events = { perSecond: limits.eventsPerSecond, burst: limits.eventBurst };
    // Whoever reconnects joins all its rooms again, in one breath.
    this.#joins = { perSecond: limits.joinsPerSecond, burst: limits.roomsPerSocket };
  }

  /**
   * Counts a packet; false where it is one too many.
   * @param packets as how many it counts; a tenth of what the bucket holds where that is less
   */
  admits(connectionId: string, packets = 1): boolean {
    const its = this.#of(connectionId);
    const now = this.#clock.now();
    if (its.full === windowAt(now)) return false;
    const cost = Math.min(packets, Math.max(1, Math.floor(this.#events.burst / CONNECTS_AT_ONCE)));
    const left = take(its.events, this.#events, now, cost);
    if (left === undefined) return false;
    its.events = left;
    // As if some had been seen already, by chance: so all is told on average, however few of them each instance sees. From 0,
    // a flood that is spread over a hundred would reach a part that is told at none.
    if (its.window !== windowAt(now)) its.packets = Math.floor(this.#random.float() * this.#part);
    its.window = windowAt(now);
    its.packets += cost;
    return true;
  }

  /** A handler waited as long as it may for what did not come, which costs as much as many packets; 20 of them fill a window. */
  waitedInVain(connectionId: string): void {
    this.#of(connectionId).packets += MARGIN * this.#part;
  }

  /** What is to be added to the connection's row now, if anything; after a packet was let in. */
  share(connectionId: string): Share | undefined {
    const its = this.#of(connectionId);
    const packets = its.packets - (its.packets % this.#part);
    if (packets === 0) return undefined;
    its.packets -= packets;
    return { window: its.window, packets };
  }

  /** Told what all instances together have seen in a window; false where that is too much. */
  holds(connectionId: string, { window }: Share, total: number): boolean {
    if (total <= MARGIN * this.#perWindow) return true;
    this.#of(connectionId).full = window;
    return false;
  }

  get #part(): number {
    return Math.ceil(this.#perWindow / PARTS);
  }

  get #perWindow(): number {
    const { perSecond, burst } = this.#events;
    return burst + (perSecond * WINDOW_MS) / 1_000;
  }

  /**
   * What the handler of one event of a connection may cause.
   * @param patience what it shares with the other events of its request
   */
  allowance(connectionId: string, patience = new Patience()): Allowance {
    const takeJoins = (rooms: number): boolean => {
      const its = this.#of(connectionId);
      const left = take(its.joins, this.#joins, this.#clock.now(), rooms);
      if (left !== undefined) its.joins = left;
      return left !== undefined;
    };
    return new Allowance(this.#limits, takeJoins, patience);
  }

  /** Whether having gone beyond a limit now is to be written down: once a second. */
  strikes(connectionId: string): boolean {
    const its = this.#of(connectionId);
    const now = this.#clock.now();
    if (its.struckAt !== undefined && now - its.struckAt < STRIKE_MS) return false;
    its.struckAt = now;
    return true;
  }

  /** It has been closed for it: what it had sent before is still coming. */
  cut(connectionId: string): void {
    this.#of(connectionId).cut = true;
  }

  isCut(connectionId: string): boolean {
    return this.#byConnection.get(connectionId)?.cut === true;
  }

  #of(connectionId: string): Remembered {
    const now = this.#clock.now();
    const its = this.#byConnection.get(connectionId) ?? {
      events: fullBucket(this.#events, now),
      joins: fullBucket(this.#joins, now),
      // Of none yet: the first packet begins one.
      window: -1,
      packets: 0,
      full: undefined,
      struckAt: undefined,
      cut: false,
    };
    // A map keeps the order of insertion: the first one is the one that was silent for longest.
    this.#byConnection.delete(connectionId);
    this.#byConnection.set(connectionId, its);
    const [oldest] = this.#byConnection.keys();
    if (this.#byConnection.size > MOST_REMEMBERED && oldest !== undefined) this.#byConnection.delete(oldest);
    return its;
  }
}

/** Number of the window that a moment is in. */
export function windowAt(at: Millis): number {
  return Math.floor(at / WINDOW_MS);
}

/** What is left of the time that the handlers of one event, or of one request with many, may wait for earlier messages. */
export class Patience {
  #leftMs = PREREQUISITE_MS;

  get leftMs(): Millis {
    return this.#leftMs;
  }

  take(ms: Millis): void {
    this.#leftMs = Math.max(0, this.#leftMs - ms);
  }
}

/** What is left of what one event of a client may cause. */
export class Allowance {
  readonly patience: Patience;
  readonly #limits: Limits;
  readonly #takeJoins: (rooms: number) => boolean;
  #posts: number;
  #joinsRefused = false;
  #waitedInVain = false;

  constructor(limits: Limits, takeJoins: (rooms: number) => boolean, patience = new Patience()) {
    this.#limits = limits;
    this.patience = patience;
    this.#takeJoins = takeJoins;
    this.#posts = limits.postsPerEvent;
  }

  /** Whether it wanted to join too much. */
  get joinsRefused(): boolean {
    return this.#joinsRefused;
  }

  /** Whether it waited for what did not come. */
  get waitedInVain(): boolean {
    return this.#waitedInVain;
  }

  noteWait(): void {
    this.#waitedInVain = true;
  }

  /** @throws BusError `rate_limited`; nothing is taken then */
  takeJoins(rooms: number): void {
    if (rooms === 0 || this.#takeJoins(rooms)) return;
    this.#joinsRefused = true;
    const { joinsPerSecond } = this.#limits;
    throw rateLimited(`a client may join ${joinsPerSecond} rooms a second`);
  }

  /**
   * @param count recipients times frames; an estimate where an audience is divided
   * @throws BusError `rate_limited`; nothing is taken then
   */
  takePosts(count: number): void {
    if (count > this.#posts) {
      const { postsPerEvent } = this.#limits;
      throw new BusError('rate_limited', `an event of a client may cause at most ${postsPerEvent} posts`, {
        retryable: false,
      });
    }
    this.#posts -= count;
  }
}
