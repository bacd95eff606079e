/** What a client's frame does. Nothing here throws: API Gateway's error frame would drop the client (design D3). */
import { decodeEnginePacket, type EnginePacket } from '../protocol/engine-packet.ts';
import { ProtocolError } from '../protocol/protocol-error.ts';
import {
  decodeSocketPacket,
  PacketAssembler,
  PacketType,
  type SocketPacket,
} from '../protocol/socket-packet.ts';
import { keepAnswer } from './acks.ts';
import type { Acknowledgement, Application, ClientEvent } from './application.ts';
import { appContext, type Bus } from './context.ts';
import { whoseIs } from './counting.ts';
import { deliver } from './delivery.ts';
import { asBusError, BusError } from './errors.ts';
import { slotOf } from './heartbeat.ts';
import type { Lifecycle } from './lifecycle.ts';
import {
  type Allowance,
  CONNECT_PACKETS,
  ConnectionLimits,
  MOST_STRIKES,
  Patience,
  rateLimited,
  STRIKES_WITHIN_MS,
} from './limits.ts';
import { ackFrames, connectErrorFrame, eventFrames } from './packets.ts';
import { parsePayload } from './payloads.ts';
import type { Connection, Json, SocketKey, SocketRecord } from './ports.ts';
import { reportFailure, runApplication, SocketSession } from './socket-session.ts';
import type { Upgrades } from './upgrade.ts';

/** Engine.IO's question over a WebSocket that wants to take over. */
const PROBE = 'probe';
/** How long a namespace counts as just left: frames sent before the DISCONNECT may be handled after it. */
const LEFT_GRACE_MS = 60_000;
/** So many packets of one polling request are refused; one more ends the connection. A request has room for thousands. */
const MOST_REFUSALS = 50;

/** So long the packets of one polling request are handled; then its connection is closed, before the gateway gives up on it. */
const REQUEST_MS = 12_000;

/** What the packets of one polling request have in common. */
interface Batch {
  /** What it was refused: told at its end, in one write. */
  refusals: number;
  readonly frames: string[];
  /** Its packets are handled in order: what one has waited for in vain, another one need not. */
  readonly patience: Patience;
}

export class Messages {
  readonly #bus: Bus;
  readonly #lifecycle: Lifecycle;
  readonly #upgrades: Upgrades;
  readonly #limits: ConnectionLimits;

  constructor(bus: Bus, lifecycle: Lifecycle, upgrades: Upgrades) {
    this.#bus = bus;
    this.#lifecycle = lifecycle;
    this.#upgrades = upgrades;
    this.#limits = new ConnectionLimits(bus.config.limits, bus.clock, bus.random);
  }

  /** Handles one frame of a connection; whoever calls it (design D13). Resolves always. */
  async handle(connectionId: string, frame: string): Promise<void> {
    try {
      this.#checkSize(Buffer.byteLength(frame));
      await this.#dispatch(connectionId, decodeEnginePacket(frame));
    } catch (error) {
      await this.#failed(connectionId, error);
    }
  }

  /**
   * Handles the frames of one request of a client that polls, one after the other. Resolves always, to the frames of a
   * packet whose attachments are to come: they belong before those of the next request.
   */
  async handleAll(connectionId: string, frames: readonly string[]): Promise<readonly string[]> {
    const assembler = new PacketAssembler();
    let parts: string[] = [];
    const batch: Batch = { refusals: 0, frames: [], patience: new Patience() };
    const deadline = this.#bus.clock.now() + REQUEST_MS;
    let ponged = false;
    const handle = async (frame: string): Promise<void> => {
      const packet = decodeEnginePacket(frame);
      // One is written down; a request has room for thousands.
      if (packet.type === 'pong' && ponged) return;
      ponged ||= packet.type === 'pong';
      if (packet.type !== 'message' && packet.type !== 'binary') return this.#dispatch(connectionId, packet);
      const whole = assembler.add(packet.data);
      parts = assembler.incomplete ? [...parts, frame] : [];
      if (whole !== undefined) await this.#message(connectionId, whole, batch);
    };
    const end = async (): Promise<void> => {
      this.#checkSize(parts.reduce((sum, part) => sum + Buffer.byteLength(part), 0));
      if (batch.frames.length > 0 && !this.#limits.isCut(connectionId))
        await deliver(this.#bus, connectionId, batch.frames);
    };
    for (const step of [...frames.map((frame) => () => handle(frame)), end]) {
      try {
        if (step !== end && this.#bus.clock.now() >= deadline) {
          await this.#cut(connectionId, 'the packets of its request take too long');
          return [];
        }
        await step();
      } catch (error) {
        await this.#failed(connectionId, error);
        // What fails takes nothing from what comes after it; what is against the protocol is the end.
        if (error instanceof ProtocolError) return [];
      }
    }
    return parts;
  }

  async #failed(connectionId: string, error: unknown): Promise<void> {
    if (error instanceof ProtocolError) await this.#violation(connectionId, error);
    else this.#bus.log.error('a frame could not be handled', { connectionId, error });
  }

  /** A frame, or a packet with its attachments. */
  #checkSize(bytes: number): void {
    const { payloadBytes } = this.#bus.config.limits;
    if (bytes > payloadBytes)
      throw new ProtocolError('parse error', `a packet has ${bytes} bytes, more than ${payloadBytes}`);
  }

  async #dispatch(connectionId: string, packet: EnginePacket): Promise<void> {
    if (packet.type === 'message') return this.#message(connectionId, decodeSocketPacket(packet.data));
    // Of what it sent before it was closed, the rest is dropped without a look.
    if (this.#limits.isCut(connectionId)) return;
    if (packet.type === 'upgrade') return this.#upgrade(connectionId);
    // Engine.IO's own packets count as the others do, but nobody waits for an answer to one.
    if (!(await this.#admits(connectionId))) {
      if (this.#limits.strikes(connectionId)) await this.#strike(connectionId);
      return;
    }
    switch (packet.type) {
      case 'pong':
        return this.#pong(connectionId);
      case 'ping':
        if (packet.data === PROBE) return this.#upgrades.probe(connectionId);
        throw new ProtocolError('forced close', 'in Engine.IO v4 it is the server that pings');
      case 'binary':
        throw new ProtocolError('parse error', 'binary data without a packet that announces it');
      default:
        // A WebSocket says goodbye by closing: neither side acts on `close` or `noop` here.
        return;
    }
  }

  /** Who asks to take over polls no more: refused or failed and left open, it would be deaf and not know it. */
  async #upgrade(connectionId: string): Promise<void> {
    try {
      if (await this.#admits(connectionId)) return await this.#upgrades.complete(connectionId);
      await this.#cut(connectionId, 'it is over its limit');
    } catch (error) {
      if (error instanceof ProtocolError) throw error;
      this.#bus.log.error('an upgrade could not be completed', { connectionId, error });
      await this.#bus.wire.close(connectionId).catch(() => false);
    }
  }

  async #pong(connectionId: string): Promise<void> {
    const { clock, config, store } = this.#bus;
    if (!config.trackPongs) return;
    const slot = slotOf(connectionId, config.pingIntervalMinutes);
    if (await store.touchSlot(connectionId, slot, clock.now())) return;
    // The move from the slot of the polling connection was cut off.
    await this.#upgrades.settle(connectionId);
  }

  async #message(connectionId: string, packet: SocketPacket, batch?: Batch): Promise<void> {
    if (this.#limits.isCut(connectionId)) return;
    try {
      const packets = packet.type === PacketType.CONNECT ? CONNECT_PACKETS : 1;
      if (!(await this.#admits(connectionId, packets)))
        return await this.#refuse(connectionId, packet, batch);
      await this.#route(connectionId, packet, batch);
    } catch (error) {
      if (error instanceof ProtocolError) throw error;
      this.#bus.log.error('a packet could not be handled', { connectionId, type: packet.type, error });
      await this.#answerFailure(connectionId, packet);
    }
  }

  /** Counts a packet; false where it is one too many, for this instance or for all of them. */
  async #admits(connectionId: string, packets = 1): Promise<boolean> {
    if (this.#limits.admits(connectionId, packets) && (await this.#fitsWithOthers(connectionId))) return true;
    this.#bus.metrics.count('RateLimited', 1);
    return false;
  }

  /** Whether other instances have let in so much of the connection that this one must not. */
  async #fitsWithOthers(connectionId: string): Promise<boolean> {
    const share = this.#limits.share(connectionId);
    if (share === undefined) return true;
    return this.#limits.holds(connectionId, share, await this.#bus.store.tally(connectionId, share));
  }

  /**
   * One packet too many, refused before anything is read: who wants an answer gets one, who does not is told with the
   * strike. What cannot be refused ends the connection: it would believe that it has left, or has answered.
   * @param batch where to leave what the client is told, instead of telling it
   */
  async #refuse(connectionId: string, packet: SocketPacket, batch?: Batch): Promise<void> {
    const isStrike = this.#limits.strikes(connectionId);
    try {
      const told = this.#refusalFrames(packet, isStrike);
      if (told === undefined) return await this.#cut(connectionId, 'it is over its limit');
      if (batch === undefined) {
        if (told.length > 0) await deliver(this.#bus, connectionId, told);
      } else {
        batch.refusals += 1;
        batch.frames.push(...told);
        if (batch.refusals > MOST_REFUSALS)
          return await this.#cut(connectionId, 'too much of one request is over its limit');
      }
      if (isStrike) await this.#strike(connectionId);
    } catch (failure) {
      this.#bus.log.error('a packet could not be refused', { connectionId, error: failure });
    }
  }

  /** Undefined where a packet cannot be refused. */
  #refusalFrames({ type, namespace, id, data }: SocketPacket, isStrike: boolean): string[] | undefined {
    const error = rateLimited('too many events');
    if (type === PacketType.CONNECT)
      return [connectErrorFrame(namespace, error.message, { code: error.code })];
    if (type !== PacketType.EVENT && type !== PacketType.BINARY_EVENT) return undefined;
    if (id !== undefined) return ackFrames(namespace, id, [refusal(error)]);
    return isStrike ? this.#errorFrames(namespace, data, error) : [];
  }

  /** As an application without `onError` is told of (the contract's general rules). */
  #errorFrames(namespace: string, data: unknown, { message, code }: BusError): string[] {
    const timestamp = new Date(this.#bus.clock.now()).toISOString();
    return eventFrames(namespace, 'error', [{ message, code, event: eventName(data), timestamp }]);
  }

  async #strike(connectionId: string): Promise<void> {
    const { clock, store } = this.#bus;
    const strikes = await store.strike(connectionId, clock.now(), STRIKES_WITHIN_MS);
    this.#bus.log.info('a connection is over its limit', { connectionId, strikes });
    if (strikes >= MOST_STRIKES) await this.#cut(connectionId, 'it was over its limit too often');
  }

  async #cut(connectionId: string, because: string): Promise<void> {
    this.#limits.cut(connectionId);
    this.#bus.metrics.count('LimitCloses', 1);
    const whose = await whoseIs(this.#bus.store, connectionId);
    this.#bus.log.warn('closing a connection', { connectionId, because, ...whose });
    await this.#lifecycle.close(connectionId);
  }

  /** What failed before an application could answer for it: nobody is left waiting (design D3). */
  async #answerFailure(connectionId: string, packet: SocketPacket): Promise<void> {
    // Without a reply the client would wait until it is closed as silent; closed now, it comes back at once. Who leaves
    // believes that it has left.
    if (packet.type === PacketType.CONNECT || packet.type === PacketType.DISCONNECT)
      return this.#lifecycle.close(connectionId);
    if (packet.type !== PacketType.EVENT || packet.id === undefined) return;
    await deliver(this.#bus, connectionId, ackFrames(packet.namespace, packet.id, [INTERNAL]));
  }

  async #route(connectionId: string, packet: SocketPacket, batch?: Batch): Promise<void> {
    const connection =
      (await this.#bus.store.connection(connectionId)) ?? (await this.#upgrades.awaited(connectionId));
    if (connection === undefined || !connection.open) return;
    if (packet.type === PacketType.CONNECT) return this.#connect(connection, packet);
    const socketId = Object.hasOwn(connection.namespaces, packet.namespace)
      ? connection.namespaces[packet.namespace]
      : undefined;
    if (socketId === undefined) {
      if (this.#justLeft(connection, packet.namespace)) return;
      throw new ProtocolError('forced close', 'a packet for a namespace that the connection has not joined');
    }
    const ref = {
      namespace: packet.namespace,
      id: socketId,
      connectionId: connection.id,
      connectedAt: connection.connectedAt,
    };
    switch (packet.type) {
      case PacketType.DISCONNECT:
        return this.#lifecycle.leaveNamespace(ref);
      case PacketType.EVENT:
      case PacketType.BINARY_EVENT:
        return this.#event(connection, ref, packet, batch);
      case PacketType.ACK:
      case PacketType.BINARY_ACK:
        return keepAnswer(this.#bus, socketId, packet);
      default:
        throw new ProtocolError('forced close', 'a packet type that only a server sends');
    }
  }

  async #connect(connection: Connection, packet: SocketPacket): Promise<void> {
    const outcome = await this.#lifecycle.connectNamespace(connection, packet.namespace, packet.data);
    if (outcome === 'violation')
      throw new ProtocolError('forced close', 'a second CONNECT to a joined namespace');
  }

  #justLeft(connection: Connection, namespace: string): boolean {
    const left = Object.hasOwn(connection.left, namespace) ? connection.left[namespace] : undefined;
    return left !== undefined && this.#bus.clock.now() - left < LEFT_GRACE_MS;
  }

  async #event(
    connection: Connection,
    ref: { readonly namespace: string; readonly id: string },
    packet: SocketPacket,
    batch?: Batch,
  ): Promise<void> {
    const record = await this.#openSocket(connection, ref);
    if (record === undefined) return;
    this.#bus.metrics.count('Events', 1);
    const allowance = this.#limits.allowance(connection.id, batch?.patience);
    const session = new SocketSession(this.#bus, record, this.#lifecycle, allowance);
    const [event, payload] = eventArguments(packet);
    await this.#run(session, event, payload, async (answer) => {
      if (packet.id === undefined || session.ended) return;
      await session.answer(this.#acknowledgement(packet.namespace, packet.id, event, answer));
    });
    try {
      await session.finish();
      await this.#settle(connection.id, allowance);
    } catch (error) {
      // The client has its answer; a second one would say something else.
      this.#bus.log.error('what follows an event failed', { connectionId: connection.id, event, error });
    }
  }

  /** Writes down what the event has cost beyond itself. */
  async #settle(connectionId: string, allowance: Allowance): Promise<void> {
    if (allowance.waitedInVain) {
      this.#limits.waitedInVain(connectionId);
      await this.#fitsWithOthers(connectionId);
    }
    if (allowance.joinsRefused && this.#limits.strikes(connectionId)) await this.#strike(connectionId);
  }

  /** An answer that is no JSON, or too large to be posted, is the application's failure. */
  #acknowledgement(namespace: string, id: number, event: string, answer: Acknowledgement): string[] {
    try {
      return ackFrames(namespace, id, [answer]);
    } catch (error) {
      this.#bus.log.error('an acknowledgement could not be encoded', { event, error });
      return ackFrames(namespace, id, [INTERNAL]);
    }
  }

  /** The socket of an event. A frame on a pending socket proves that its CONNECT reply arrived. */
  async #openSocket(connection: Connection, key: SocketKey): Promise<SocketRecord | undefined> {
    const { store } = this.#bus;
    let record = await store.socket(key);
    if (record?.state === 'pending') {
      await this.#lifecycle.opened(record);
      record = await store.socket(key);
    }
    return record?.state === 'open' && record.connectionId === connection.id ? record : undefined;
  }

  /** Runs the event's handler; what it returns, or how it failed, is the acknowledgement. */
  async #run(
    session: SocketSession,
    event: string,
    payload: unknown,
    acknowledge: (answer: Acknowledgement) => Promise<void>,
  ): Promise<void> {
    const found = this.#bus.registry.clientEvent(session.record.namespace, event);
    if (found === undefined) {
      // Socket.IO ignores an event nobody listens to; who asked for an acknowledgement is told.
      return acknowledge(refusal(new BusError('not_found', `no application handles the event ${event}`)));
    }
    let answer: Acknowledgement;
    try {
      answer = await this.#runHandler(session, found.application, event, found.definition, payload);
    } catch (cause) {
      const error = asBusError(cause);
      if (error.code === 'internal') this.#bus.log.error('a handler failed', { event, error: cause });
      if (error.code === 'rate_limited') this.#bus.metrics.count('RateLimited', 1);
      // Before the error event, whose handler may end the socket.
      await acknowledge(refusal(error));
      await reportFailure(session, found.application, { event, payload, error }).catch((failure: unknown) =>
        this.#bus.log.error('a failure could not be reported', { event, error: failure }),
      );
      return;
    }
    await acknowledge(answer);
  }

  async #runHandler(
    session: SocketSession,
    application: Application,
    event: string,
    definition: ClientEvent,
    payload: unknown,
  ): Promise<Acknowledgement> {
    const parsed = definition.payload === undefined ? payload : parsePayload(definition.payload, payload);
    const context = appContext(this.#bus, application);
    const answer = await runApplication(session, application, (socket) =>
      definition.handle(socket, parsed, context),
    );
    if (definition.forward === true) await this.#forward(session, application, event, parsed);
    return answer ?? { ok: true };
  }

  /** Before the acknowledgement: who is told `ok` may rely on the event bus having it. */
  #forward(session: SocketSession, application: Application, event: string, payload: unknown): Promise<void> {
    const { id, identities } = session.record;
    return this.#bus.forwarder.forward({
      app: application.name,
      namespace: application.namespace,
      event,
      payload: payload === undefined ? null : (payload as Json),
      socketId: id,
      identity: identities[application.name] ?? null,
      timestamp: new Date(this.#bus.clock.now()).toISOString(),
    });
  }

  async #violation(connectionId: string, error: ProtocolError): Promise<void> {
    try {
      await this.#lifecycle.closeViolator(connectionId, error);
    } catch (failure) {
      this.#bus.log.error('a connection could not be cleaned up', { connectionId, error: failure });
    }
  }
}

const INTERNAL = refusal(asBusError(undefined));

function refusal(error: BusError): Acknowledgement {
  const { code, message, field } = error;
  return { ok: false, error: field === undefined ? { code, message } : { code, message, field } };
}

function eventName(data: unknown): string {
  return String(Array.isArray(data) ? data[0] : '');
}

/** The parser has checked that an event's data is an array that begins with its name. */
function eventArguments(packet: SocketPacket): [event: string, payload: unknown] {
  const [event, payload] = packet.data as [unknown, unknown];
  return [String(event), payload];
}
