/** Posting frames to connections: retries, deadlines and what a failure means (design D7). */
import pMap from 'p-map';
import type { Clock, Log, PostOutcome, Random, Wire } from './ports.ts';

/** How long a message is tried: posts of a message end this long after it was published (design D9). */
export const DELIVERY_DEADLINE_MS = 5_000;
/** Posts in flight at once from one invocation. */
const CONCURRENCY = 64;
const FIRST_BACKOFF_MS = 25;
/** A connection that is just opening is addressable within milliseconds (design D2). */
export const OPENING_BACKOFF_MS = 4;
const LAST_BACKOFF_MS = 800;

export interface DeliveryParts {
  readonly wire: Wire;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** `uncut`: it failed, and the connection, which is to be closed for it, may still be there. */
export type DeliveryOutcome = 'posted' | 'gone' | 'failed' | 'uncut';

export interface DeliveryOptions {
  readonly volatile?: boolean;
  /** When the last try may begin; milliseconds since the epoch. @default 5 s from now */
  readonly deadline?: number;
  /** For the log: what could not be posted. */
  readonly messageId?: string;
}

/** Which outcomes of a post are worth another try. */
export type RetryRule = (outcome: PostOutcome | 'singly') => boolean;

/** An event may be repeated: a post that timed out may have arrived. */
export const retryEvents: RetryRule = (outcome) => outcome === 'throttled' || outcome === 'failed';
/** A volatile event gets one try. */
export const retryNever: RetryRule = () => false;
/** What must not be repeated, or goes to a connection that is just opening: only after a certain non-delivery. */
export const retryUndelivered: RetryRule = (outcome) => outcome === 'throttled' || outcome === 'gone';

/** What must not be repeated, for a connection that is open: a 410 is its end. */
export const retryThrottled: RetryRule = (outcome) => outcome === 'throttled';

/** Tries one post until it is settled by the rule or the deadline (milliseconds since the epoch) has passed. */
export async function postUntil(
  parts: DeliveryParts,
  connectionId: string,
  frame: string,
  rule: RetryRule,
  deadline: number,
  firstBackoffMs = FIRST_BACKOFF_MS,
): Promise<PostOutcome> {
  return tryUntil(parts, () => parts.wire.post(connectionId, frame), rule, deadline, firstBackoffMs);
}

async function tryUntil<Outcome extends PostOutcome | 'singly'>(
  parts: DeliveryParts,
  post: () => Promise<Outcome>,
  rule: RetryRule,
  deadline: number,
  firstBackoffMs = FIRST_BACKOFF_MS,
): Promise<Outcome> {
  for (let backoff = firstBackoffMs; ; backoff = Math.min(backoff * 2, LAST_BACKOFF_MS)) {
    const outcome = await post();
    if (!rule(outcome)) return outcome;
    const pause = backoff * (0.5 + parts.random.float());
    if (parts.clock.now() + pause > deadline) return outcome;
    await parts.clock.sleep(pause);
  }
}

/** What became of a packet. */
export interface PacketOutcome {
  /** Of the frame that was tried last. */
  readonly outcome: PostOutcome;
  /** Some of its frames are out. */
  readonly begun: boolean;
}

/**
 * Tries one packet until it is settled or the deadline (milliseconds since the epoch) has passed: at once where the
 * client's transport can, else frame by frame, in order, up to the first that fails. Frame by frame, another
 * invocation's frames may come between them, and nothing can be done about it (README, "What managed WebSockets cannot do").
 * @param rules `first` until something is out, `rest` from then on
 */
export async function postPacketUntil(
  parts: DeliveryParts,
  connectionId: string,
  frames: readonly string[],
  rules: { readonly first: RetryRule; readonly rest: RetryRule },
  deadline: number,
): Promise<PacketOutcome> {
  if (frames.length > 1) {
    const whole = () => parts.wire.postPacket(connectionId, frames);
    const outcome = await tryUntil(parts, whole, rules.first, deadline);
    if (outcome !== 'singly') return { outcome, begun: outcome === 'ok' };
  }
  for (const [sent, frame] of frames.entries()) {
    const rule = sent === 0 ? rules.first : rules.rest;
    const outcome = await postUntil(parts, connectionId, frame, rule, deadline);
    if (outcome !== 'ok') return { outcome, begun: sent > 0 };
  }
  return { outcome: 'ok', begun: true };
}

/**
 * Posts one packet. A live connection whose last try failed is closed, so that the client
 * comes back and is told what it missed; a volatile packet is simply lost. Once its first frame is out a packet must
 * come whole, volatile or not: to a client that waits for attachments any other frame is a protocol violation.
 */
export async function deliver(
  parts: DeliveryParts,
  connectionId: string,
  frames: readonly string[],
  options: DeliveryOptions = {},
): Promise<DeliveryOutcome> {
  const deadline = options.deadline ?? parts.clock.now() + DELIVERY_DEADLINE_MS;
  const isVolatile = options.volatile === true;
  const rules = { first: isVolatile ? retryNever : retryEvents, rest: retryEvents };
  const { outcome, begun } = await postPacketUntil(parts, connectionId, frames, rules, deadline);
  if (outcome === 'ok') return 'posted';
  if (outcome === 'gone') return 'gone';
  if (begun || (!isVolatile && outcome !== 'refused')) {
    const { messageId } = options;
    parts.log.warn('a post failed for good, closing the connection', { connectionId, messageId, outcome });
    if (!(await parts.wire.close(connectionId))) return 'uncut';
  }
  return 'failed';
}

export interface Recipient {
  readonly connectionId: string;
}

export interface DeliveryReport<R extends Recipient> {
  readonly posted: number;
  readonly failed: number;
  readonly gone: readonly R[];
  /** Of the failed ones, those whose connection may still be there. */
  readonly uncut: readonly R[];
}

/** Delivers one packet to many, a bounded number at a time; one failing recipient never fails the rest. */
export async function deliverToAll<R extends Recipient>(
  parts: DeliveryParts,
  recipients: readonly R[],
  frames: readonly string[],
  options: DeliveryOptions = {},
): Promise<DeliveryReport<R>> {
  const gone: R[] = [];
  const uncut: R[] = [];
  let posted = 0;
  let failed = 0;
  await pMap(
    recipients,
    async (recipient) => {
      const outcome = await deliver(parts, recipient.connectionId, frames, options);
      if (outcome === 'posted') posted += 1;
      else if (outcome === 'gone') gone.push(recipient);
      else failed += 1;
      if (outcome === 'uncut') uncut.push(recipient);
    },
    { concurrency: CONCURRENCY },
  );
  return { posted, failed, gone, uncut };
}
