/**
 * Events that clients answer, as Socket.IO's `emitWithAck`: every recipient is sent the same packet with the same
 * acknowledgement id, and whoever asked reads the answers from rows, since they reach other invocations.
 */
import pMap from 'p-map';
import { isPollingId } from '../contract/ids.ts';
import { PacketAssembler, PacketType, type SocketPacket, socketFrames } from '../protocol/socket-packet.ts';
import { audience, type Target } from './audience.ts';
import type { Bus } from './context.ts';
import { type DeliveryReport, deliver } from './delivery.ts';
import { AckTimeoutError, invalidPayload } from './errors.ts';
import { type Allow, countPosts } from './fan-out.ts';
import { askFrames } from './packets.ts';
import type { AckKey, Log, Millis, Random } from './ports.ts';
import type { Found } from './union-reader.ts';

/** Where no timeout is asked for; ms. */
const DEFAULT_ACK_TIMEOUT_MS = 10_000;
/** From a handler: `message` has 25 s for everything (lib/functions.ts); ms. */
const MAX_HANDLER_TIMEOUT_MS = 20_000;
/** Recipients of one question: all their answers are held at once, and looked for again and again. */
const MAX_ASKED = 1_000;
/** An id is guessed by nobody, and exact as a number in every client. */
const ID_BYTES = 6;
const MAX_ID = 2 ** (8 * ID_BYTES) - 1;
/**
 * Longest answer as it is kept, in UTF-8 bytes. A client's frame has 32 KB, and numbers that it abbreviates (`1e20`)
 * take at most five times as much written out; a row may have 400 KB (DynamoDB quotas page).
 */
const MAX_ANSWER_BYTES = 256 * 1_024;
/** Whoever asked looks for answers after pauses that double from the first to the last; ms. */
const FIRST_LOOK_MS = 25;
const LAST_LOOK_MS = 250;
/** Posts in flight at once from one invocation. */
const CONCURRENCY = 64;

export interface QuestionOptions {
  /** The answers' time is up this long after the question was made; ms. @default 10000 */
  readonly timeoutMs?: number | undefined;
  /** One try per recipient; whom it does not reach is missing. */
  readonly volatile?: boolean;
}

export interface Answers {
  /** The first argument of each answer, in no order; undefined where a client answered with nothing. */
  readonly responses: readonly unknown[];
  /** Recipients that have not answered. */
  readonly missing: number;
}

/**
 * What a handler may ask for.
 * @throws BusError `invalid_payload` that names the field `timeout`
 */
export function checkHandlerTimeout(ms: number): number {
  if (Number.isInteger(ms) && ms >= 1 && ms <= MAX_HANDLER_TIMEOUT_MS) return ms;
  throw invalidPayload(`timeout: must be 1 to ${MAX_HANDLER_TIMEOUT_MS} whole milliseconds`, 'timeout');
}

/** One event that is to be answered. Posting it and waiting are apart, so that what is emitted next need not wait. */
export class Question {
  readonly #bus: Bus;
  readonly #key: AckKey;
  readonly #frames: readonly string[];
  readonly #volatile: boolean;
  readonly #until: Millis;

  /** @throws BusError `invalid_payload` where the packet is too large */
  constructor(
    bus: Bus,
    namespace: string,
    event: string,
    args: readonly unknown[],
    { timeoutMs = DEFAULT_ACK_TIMEOUT_MS, volatile = false }: QuestionOptions,
  ) {
    this.#bus = bus;
    this.#key = { namespace, id: newAckId(bus.random) };
    this.#frames = askFrames(namespace, this.#key.id, event, args);
    this.#volatile = volatile;
    this.#until = bus.clock.now() + timeoutMs;
  }

  /**
   * Asks everybody in a target.
   * @param sender the connection whose request is being handled
   * @param allow told how many posts it takes, before the first; what it throws keeps it from all of them
   * @throws BusError `invalid_payload` where those are more than 1,000; nothing was posted
   */
  async askAll(target: Target, sender?: string, allow?: Allow): Promise<Asked> {
    const found = await audience(this.#bus, target, MAX_ASKED);
    if (found.length > MAX_ASKED) {
      throw invalidPayload(
        `rooms: more than ${MAX_ASKED} sockets, which is the most that can be asked to answer`,
        'rooms',
      );
    }
    const asked = await this.ask(found, sender, allow);
    countPosts(this.#bus.metrics, { ...asked.report, gone: asked.report.gone.length });
    this.#bus.metrics.count('Published', 1);
    return asked;
  }

  /** Posts to these; who is not reached is not waited for. */
  async ask<R extends Asking>(recipients: readonly R[], sender?: string, allow?: Allow): Promise<Asked<R>> {
    allow?.(recipients.length * this.#frames.length);
    const gone: R[] = [];
    const waiting = new Set<string>();
    // Before the first post: an answer is kept only where it is awaited.
    if (recipients.length > 0) await this.#bus.acks.await(this.#key, this.#until);
    let posted = 0;
    await pMap(
      recipients,
      async (recipient) => {
        const options = { volatile: this.#volatile };
        const outcome = await deliver(this.#bus, recipient.connectionId, this.#frames, options);
        if (outcome === 'gone') gone.push(recipient);
        if (outcome !== 'posted') return;
        posted += 1;
        waiting.add(recipient.id);
      },
      { concurrency: CONCURRENCY },
    );
    await this.#forgetMute(recipients, waiting, sender);
    const failed = recipients.length - posted - gone.length;
    return { recipients: recipients.length, waiting, report: { posted, gone, failed } };
  }

  /** Waits until everybody has answered, or the time is up. */
  async answers({ recipients, waiting }: Asked<Asking>): Promise<Answers> {
    const { acks, clock } = this.#bus;
    const left = new Set(waiting);
    const responses: unknown[] = [];
    for (let pause = FIRST_LOOK_MS; left.size > 0; pause = Math.min(pause * 2, LAST_LOOK_MS)) {
      const remaining = this.#until - clock.now();
      for (const { socketId, frames } of await acks.answers(this.#key, [...left])) {
        left.delete(socketId);
        responses.push(readAnswer(frames));
      }
      if (left.size === 0 || remaining <= 0) break;
      await clock.sleep(Math.min(pause, remaining));
    }
    return { responses, missing: recipients - responses.length };
  }

  /**
   * A client that polls sends nothing before its request is answered, and that is after the handler that asks: its
   * answer cannot come in time.
   */
  async #forgetMute(
    recipients: readonly Asking[],
    waiting: Set<string>,
    sender: string | undefined,
  ): Promise<void> {
    if (sender === undefined || !isPollingId(sender)) return;
    const own = recipients.filter(({ connectionId, id }) => connectionId === sender && waiting.has(id));
    if (own.length === 0 || (await this.#bus.outbox.session(sender))?.address !== undefined) return;
    for (const { id } of own) waiting.delete(id);
    this.#bus.log.warn('a client that polls cannot answer while its own request is handled', {
      connectionId: sender,
    });
  }
}

interface Asking {
  /** Of the socket. */
  readonly id: string;
  readonly connectionId: string;
}

/** A question that is out. */
export interface Asked<R extends Asking = Found> {
  readonly recipients: number;
  /** Sockets whose answers may come. */
  readonly waiting: ReadonlySet<string>;
  readonly report: Pick<DeliveryReport<R>, 'posted' | 'gone' | 'failed'>;
}

/** As a broadcast answers in Socket.IO. @throws AckTimeoutError where somebody has not answered in time */
export function everyAnswer({ responses, missing }: Answers): unknown[] {
  if (missing > 0) throw new AckTimeoutError(responses);
  return [...responses];
}

/** As one socket answers in Socket.IO. @throws AckTimeoutError where it has not in time */
export function onlyAnswer({ responses }: Answers): unknown {
  if (responses.length === 0) throw new AckTimeoutError([]);
  return responses[0];
}

/** The promise of an application's; one that nobody awaits ends no process. */
export function unlessIgnored<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

/**
 * A client's answer: kept where it is the socket's first one and somebody waits for it. What is late, repeated or
 * made up changes nothing.
 */
export async function keepAnswer(
  { acks, log }: Pick<Bus, 'acks'> & { readonly log: Log },
  socketId: string,
  { namespace, id, data }: SocketPacket,
): Promise<void> {
  // Ids that were never given out are known without a call.
  if (id === undefined || id > MAX_ID || !Array.isArray(data)) return;
  // Socket.IO's broadcasts read no more of an answer either.
  const frames = socketFrames({ type: PacketType.ACK, namespace: '/', id: 0, data: data.slice(0, 1) });
  const bytes = frames.reduce((sum, frame) => sum + Buffer.byteLength(frame), 0);
  if (bytes > MAX_ANSWER_BYTES) {
    log.warn('an answer is too large to be kept', { socketId, bytes });
    return;
  }
  await acks.answer({ namespace, id }, { socketId, frames });
}

function readAnswer(frames: readonly string[]): unknown {
  const assembler = new PacketAssembler();
  let packet: SocketPacket | undefined;
  for (const frame of frames) {
    packet = assembler.add(frame.startsWith('b') ? Buffer.from(frame.slice(1), 'base64') : frame.slice(1));
  }
  return (packet?.data as readonly unknown[] | undefined)?.[0];
}

function newAckId(random: Random): number {
  return Buffer.from(random.bytes(ID_BYTES)).readUIntBE(0, ID_BYTES);
}
