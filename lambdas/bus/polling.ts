/** Engine.IO's long polling: one request to receive, one to send, each answered whole (design D14). */
import { decodePayload, encodePayload } from '../protocol/payload.ts';
import { ProtocolError } from '../protocol/protocol-error.ts';
import type { Bus } from './context.ts';
import {
  ENGINE_ERRORS,
  type EngineError,
  headerCredentials,
  keptHandshake,
  noteRefusal,
  type OpeningRequest,
  originAllowed,
  refuseHandshake,
} from './handshake.ts';
import { corsHeaders } from './http-router.ts';
import type { Lifecycle } from './lifecycle.ts';
import type { Messages } from './messages.ts';
import { newId, pollingId } from './names.ts';
import { greetingFrame } from './packets.ts';
import type { PollSession } from './ports.ts';
import { PROBE_MS } from './upgrade.ts';

const CLOSE_FRAME = '1';
const NOOP_FRAME = '6';
/** A request that waits looks again after pauses that double from the first to the last; ms. */
const FIRST_LOOK_MS = 50;
const LAST_LOOK_MS = 500;
/**
 * While a WebSocket tries to take over, nobody waits long: the client pauses polling once a request is answered. One
 * that has been trying for a while may never get there, and its client asks again after every answer: a sixtieth of
 * that time, between these; ms.
 */
const FIRST_PROBED_HOLD_MS = 100;
const LAST_PROBED_HOLD_MS = 250;
const PROBED_HOLD_SHARE = 1 / 60;
/** How much longer than its work a request is taken to be under way, for an instance that was lost. */
const LEASE_MARGIN_MS = 2_000;
/** The longest an HTTP API waits for an answer is 30 s. */
const SEND_MS = 28_000;
const PREFLIGHT_SECONDS = '7200';

export interface PollRequest extends OpeningRequest {
  readonly method: string;
  readonly body: string | undefined;
}

export interface PollAnswer {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export class Polling {
  readonly #bus: Bus;
  readonly #lifecycle: Lifecycle;
  readonly #messages: Messages;

  constructor(bus: Bus, lifecycle: Lifecycle, messages: Messages) {
    this.#bus = bus;
    this.#lifecycle = lifecycle;
    this.#messages = messages;
  }

  /** Answers one request for the Engine.IO path. */
  async handle(request: PollRequest): Promise<PollAnswer> {
    const cors = corsHeaders(this.#bus, request.headers.origin);
    const answer =
      request.method === 'OPTIONS' ? this.#preflight(request, cors) : await this.#answer(request);
    return { ...answer, headers: { ...answer.headers, ...cors } };
  }

  async #answer(request: PollRequest): Promise<PollAnswer> {
    const refusal = this.#refusal(request);
    const { sid } = request.query;
    if (refusal !== undefined) {
      if (sid === undefined) noteRefusal(this.#bus, request, refusal);
      return refused(refusal);
    }
    if (sid === undefined) return this.#open(request);
    const id = pollingId(sid);
    return request.method === 'GET' ? this.#receive(id, request.query.t) : this.#send(id, request);
  }

  /** Of a page that is not listed it is refused, as on the applications' routes; Engine.IO leaves that to the browser. */
  #preflight({ headers }: PollRequest, cors: Readonly<Record<string, string>>): PollAnswer {
    if (!originAllowed(this.#bus, headers.origin)) return refused(ENGINE_ERRORS.forbidden);
    const asked = headers['access-control-request-headers'];
    const allowed = {
      'access-control-allow-methods': 'GET, POST',
      ...(asked === undefined ? {} : { 'access-control-allow-headers': asked }),
      'access-control-max-age': PREFLIGHT_SECONDS,
    };
    // Without an Origin it is nobody's preflight.
    return { statusCode: 204, headers: Object.keys(cors).length === 0 ? {} : allowed, body: '' };
  }

  /** Engine.IO's checks in its order; the version before all, which tells a client of Socket.IO 2 what is wrong. */
  #refusal({ headers, method, query }: PollRequest): EngineError | undefined {
    const { transports } = this.#bus.config;
    if (query.sid === undefined && query.EIO !== undefined && query.EIO !== '4') {
      return ENGINE_ERRORS.unsupportedVersion;
    }
    if (!transports.some((transport) => transport === query.transport)) {
      this.#bus.log.info('a transport that is not served', {
        transport: query.transport,
        served: transports,
      });
      return ENGINE_ERRORS.unknownTransport;
    }
    if (!originAllowed(this.#bus, headers.origin)) return ENGINE_ERRORS.forbidden;
    if (query.sid === undefined && method !== 'GET') return ENGINE_ERRORS.badMethod;
    // A WebSocket handshake without an upgrade; real ones never come this way.
    if (query.transport === 'websocket') return ENGINE_ERRORS.badRequest;
    if (method !== 'GET' && method !== 'POST') return ENGINE_ERRORS.badRequest;
    return query.sid === undefined ? refuseHandshake(this.#bus, { headers, query }, 'polling') : undefined;
  }

  async #open(request: PollRequest): Promise<PollAnswer> {
    const { config, random } = this.#bus;
    if (await this.#lifecycle.isFull(request.address)) {
      noteRefusal(this.#bus, request, ENGINE_ERRORS.tooMany);
      return refused(ENGINE_ERRORS.tooMany);
    }
    const sid = newId(random);
    const credentials = await headerCredentials(this.#bus, request);
    await this.#lifecycle.acceptPolling({
      id: pollingId(sid),
      connectedAt: request.at,
      handshake: keptHandshake(request),
      credentials,
    });
    return frames([greetingFrame(config, sid, config.transports.includes('websocket') ? ['websocket'] : [])]);
  }

  /** @param mark the request's `t`, which a front door's repeated request has again */
  async #receive(id: string, mark: string | undefined): Promise<PollAnswer> {
    const { clock, config, outbox, random } = this.#bus;
    const lease = newId(random);
    const deadline = clock.now() + config.pollHoldMs;
    const begun = await outbox.beginPoll(id, { lease, mark, until: deadline + LEASE_MARGIN_MS });
    if (begun === 'unknown') return refused(ENGINE_ERRORS.unknownSid);
    // A copy that a front door made arrives late: its client has long had an answer, and reads none of this.
    if (begun === 'late') return refused(ENGINE_ERRORS.badRequest);
    if (begun === 'overlap') return this.#overlap(id);
    if (begun.address !== undefined) return refused(ENGINE_ERRORS.badRequest);
    if (!begun.open && begun.told) return refused(ENGINE_ERRORS.unknownSid);
    const session = await this.#wait(begun, deadline);
    const told = session === undefined || !session.open;
    const found = session?.frames ?? [];
    const count = session === undefined ? 0 : found.length;
    if (!(await outbox.endPoll(id, { lease, mark, count, told }))) return refused(ENGINE_ERRORS.badRequest);
    if (session === undefined) return frames([CLOSE_FRAME]);
    if (told) return frames(session.told ? [NOOP_FRAME] : [...found, CLOSE_FRAME]);
    return frames(found.length === 0 ? [NOOP_FRAME] : found);
  }

  /** Until there is something to say or the time is up. */
  async #wait(begun: PollSession, deadline: number): Promise<PollSession | undefined> {
    const { clock, outbox } = this.#bus;
    const began = clock.now();
    let session: PollSession | undefined = begun;
    for (let pause = FIRST_LOOK_MS; ; pause = Math.min(pause * 2, LAST_LOOK_MS)) {
      if (session === undefined || !session.open) return session;
      if (session.probe !== undefined) await this.#endLateProbe(session);
      if (session.frames.length > 0) return session;
      const until =
        session.probe === undefined
          ? deadline
          : Math.min(deadline, began + probedHold(began - session.probe.at));
      const left = until - clock.now();
      if (left <= 0) return session;
      await clock.sleep(Math.min(pause, left));
      session = await outbox.session(begun.id);
    }
  }

  /** A WebSocket that does not finish: polling goes on without it. */
  async #endLateProbe({ id, probe }: PollSession): Promise<void> {
    const { clock, outbox, wire } = this.#bus;
    if (probe === undefined || clock.now() < probe.at + PROBE_MS) return;
    await outbox.endProbe(id, probe.address);
    await wire.close(probe.address);
  }

  async #send(id: string, request: PollRequest): Promise<PollAnswer> {
    const { clock, outbox, random } = this.#bus;
    const fault = bodyFault(request, this.#bus.config.limits.payloadBytes);
    if (fault !== undefined) return fault;
    const lease = newId(random);
    const begun = await outbox.beginSend(id, { lease, until: clock.now() + SEND_MS + LEASE_MARGIN_MS });
    if (begun === 'unknown') return refused(ENGINE_ERRORS.unknownSid);
    if (begun === 'overlap') return this.#overlap(id);
    let partial: readonly string[] = [];
    try {
      if (begun.address !== undefined) return refused(ENGINE_ERRORS.badRequest);
      if (!begun.open) return refused(ENGINE_ERRORS.unknownSid);
      partial = await this.#packets(id, [...begun.partial, ...decodePayload(request.body ?? '')]);
      return text(200, 'ok', 'text/html');
    } finally {
      await outbox.endSend(id, lease, partial);
    }
  }

  /** @returns the frames of a packet that is not whole yet */
  async #packets(id: string, received: readonly string[]): Promise<readonly string[]> {
    const end = received.indexOf(CLOSE_FRAME);
    if (end < 0) return this.#messages.handleAll(id, received);
    await this.#messages.handleAll(id, received.slice(0, end));
    await this.#bus.outbox.close(id, true);
    await this.#lifecycle.disconnected(id);
    return [];
  }

  /** Two requests of one kind at a time: the client is broken, or it is two. */
  async #overlap(id: string): Promise<PollAnswer> {
    await this.#lifecycle.closeViolator(id, new ProtocolError('forced close', 'two requests at a time'));
    return text(400, '', 'text/plain; charset=UTF-8');
  }
}

/** @param age of the attempt; ms */
function probedHold(age: number): number {
  return Math.min(LAST_PROBED_HOLD_MS, Math.max(FIRST_PROBED_HOLD_MS, age * PROBED_HOLD_SHARE));
}

function bodyFault({ headers, body }: PollRequest, most: number): PollAnswer | undefined {
  // Binary values travel as base64 text; a binary body was Engine.IO 3.
  if (headers['content-type']?.startsWith('application/octet-stream'))
    return refused(ENGINE_ERRORS.badRequest);
  if (Buffer.byteLength(body ?? '') > most) return text(413, '', 'text/plain; charset=UTF-8');
  return undefined;
}

function frames(list: readonly string[]): PollAnswer {
  return text(200, encodePayload(list), 'text/plain; charset=UTF-8');
}

function refused({ code, message, status }: EngineError): PollAnswer {
  return text(status, JSON.stringify({ code, message }), 'application/json');
}

/** Nothing here may be kept by anybody in between. */
function text(statusCode: number, body: string, type: string): PollAnswer {
  return { statusCode, headers: { 'content-type': type, 'cache-control': 'no-store' }, body };
}
