import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import type { ConnectionFate } from '../faults/decision.ts';
import type { GatewayClock } from './clock.ts';
import type { ConnectionContext } from './event.ts';
import { FrameGauge } from './frame-gauge.ts';

/** Limits of API Gateway; none is adjustable (WebSocket quotas page). */
const MAX_FRAME_BYTES = 32_768;
export const MAX_MESSAGE_BYTES = 131_072;
const IDLE_TIMEOUT_MS = 10 * 60_000;
const MAX_AGE_MS = 2 * 60 * 60_000;

/** Why a connection ended, as `$disconnect` is told. */
export interface Closing {
  readonly code: number;
  readonly reason: string;
}

const GOING_AWAY: Closing = { code: 1001, reason: 'Going away' };
export const CLOSED_NORMALLY: Closing = { code: 1000, reason: 'Connection Closed Normally' };
/** No text was ever observed for these two. */
const UNSUPPORTED_DATA: Closing = { code: 1003, reason: '' };
const TOO_BIG: Closing = { code: 1009, reason: '' };

/** Reasons where the peer gave none; the first is captured, the second remembered only. */
const REASONS: ReadonlyMap<number, string> = new Map([
  [1005, 'Client-side close frame status not set'],
  [1006, 'Connection closed abnormally'],
]);

/** What a connection tells its gateway. */
export interface ConnectionEvents {
  message(body: string): void;
  /** Once, whoever closed. */
  closed(closing: Closing): void;
}

/**
 * An open WebSocket under API Gateway's rules: text only, bounded frames and messages, ten minutes of silence, two hours
 * of life. Pings of the client are answered by `ws` and count for nothing; the gateway sends none.
 */
export class Connection {
  readonly context: ConnectionContext;
  /** When the 101 was sent; milliseconds since the epoch. */
  readonly openedAt: number;
  /** When the last message passed, in either direction. */
  lastActiveAt: number;
  readonly #ws: WebSocket;
  readonly #clock: GatewayClock;
  readonly #events: ConnectionEvents;
  readonly #finished: Promise<void>;
  readonly #fate: ConnectionFate;
  #timer: unknown;
  #closed = false;

  constructor(
    context: ConnectionContext,
    ws: WebSocket,
    socket: Duplex,
    clock: GatewayClock,
    events: ConnectionEvents,
    fate: ConnectionFate = {},
  ) {
    this.context = context;
    this.#ws = ws;
    this.#clock = clock;
    this.#events = events;
    this.#fate = fate;
    this.openedAt = clock.now();
    this.lastActiveAt = this.openedAt;
    this.#finished = new Promise((resolve) => ws.once('close', () => resolve()));
    this.#watchFrames(socket);
    this.#listen();
    this.#arm();
  }

  /** False as soon as either side has begun to close. */
  get isOpen(): boolean {
    return !this.#closed && (this.#isHalfOpen || this.#ws.readyState === this.#ws.OPEN);
  }

  /** Whether the client has stopped to read what is sent to it, on purpose of a test. */
  get isSlow(): boolean {
    return this.#isPast(this.#fate.slowAfterMs);
  }

  /** Whether the client has vanished without a word: this side takes the connection for open until a limit ends it. */
  get #isHalfOpen(): boolean {
    return this.#isPast(this.#fate.halfOpenAfterMs);
  }

  /** Bytes accepted for the client and not yet handed to the operating system. */
  get backlogBytes(): number {
    return this.#ws.bufferedAmount;
  }

  /** Resolves when the TCP connection is gone. */
  get finished(): Promise<void> {
    return this.#finished;
  }

  /**
   * Sends one text message, whatever the bytes are: API Gateway has no outbound binary frames. Over 32 KB it goes out
   * in several frames of one message.
   */
  send(data: Buffer | string): void {
    if (!this.isOpen) return;
    this.lastActiveAt = this.#clock.now();
    if (this.#isHalfOpen) return;
    const bytes = typeof data === 'string' ? Buffer.from(data) : data;
    for (let at = 0; at === 0 || at < bytes.length; at += MAX_FRAME_BYTES) {
      const end = at + MAX_FRAME_BYTES;
      // `ws` reports a broken socket by closing; there is nobody else to tell.
      this.#ws.send(bytes.subarray(at, end), { binary: false, fin: end >= bytes.length }, ignore);
    }
  }

  /** Closes from this side. The connection is over at once; the client's answer to the close frame is not awaited. */
  close(closing: Closing): void {
    if (this.#closed) return;
    this.#ws.close(closing.code, closing.reason);
    this.#end(closing);
  }

  /** Closes as API Gateway does with a connection it no longer wants. */
  goAway(): void {
    this.close(GOING_AWAY);
  }

  #listen(): void {
    this.#ws.on('message', (data: Buffer, isBinary: boolean) => this.#receive(data, isBinary));
    this.#ws.on('error', (error: Error & { code?: string }) => this.#fail(error.code));
    this.#ws.on('close', (code: number, reason: Buffer) => {
      if (!this.#isHalfOpen) this.#end({ code, reason: REASONS.get(code) ?? reason.toString('utf8') });
    });
  }

  /** `ws` sees the same chunks right after; by then an oversized frame has closed the connection. */
  #watchFrames(socket: Duplex): void {
    const gauge = new FrameGauge(MAX_FRAME_BYTES);
    const watch = (chunk: Buffer): void => {
      if (this.#isHalfOpen || !gauge.exceeds(chunk)) return;
      socket.off('data', watch);
      this.close(TOO_BIG);
    };
    socket.prependListener('data', watch);
  }

  #receive(data: Buffer, isBinary: boolean): void {
    if (this.#closed || this.#isHalfOpen) return;
    if (isBinary) {
      this.close(UNSUPPORTED_DATA);
      return;
    }
    this.lastActiveAt = this.#clock.now();
    this.#events.message(data.toString('utf8'));
  }

  /** A fault of the client's protocol, for which `ws` has already sent the close frame; or a broken socket. */
  #fail(code: string | undefined): void {
    if (this.#isHalfOpen) return;
    if (code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH') this.#end(TOO_BIG);
    else if (code === 'WS_ERR_INVALID_UTF8') this.#end({ code: 1007, reason: '' });
    else if (code === 'WS_ERR_TOO_MANY_BUFFERED_PARTS') this.#end({ code: 1008, reason: '' });
    else if (code?.startsWith('WS_ERR_')) this.#end({ code: 1002, reason: '' });
  }

  #end(closing: Closing): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#clock.clearTimeout(this.#timer);
    this.#events.closed(closing);
  }

  #isPast(ageMs: number | undefined): boolean {
    return ageMs !== undefined && this.#clock.now() - this.openedAt >= ageMs;
  }

  /** One timer for both limits. Messages only note the time: at thousands a second, moving a timer would cost more. */
  #arm(): void {
    const deadline = Math.min(this.lastActiveAt + IDLE_TIMEOUT_MS, this.openedAt + MAX_AGE_MS);
    const left = deadline - this.#clock.now();
    if (left <= 0) this.goAway();
    else this.#timer = this.#clock.setTimeout(() => this.#arm(), left);
  }
}

/** The address of a client as an event shows it: IPv4 in its own notation. */
export function sourceIpOf(socket: Duplex): string {
  const address = (socket as Partial<Socket>).remoteAddress ?? '127.0.0.1';
  return address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address;
}

function ignore(): void {}
