/** A socket while one invocation works with it: what applications call `socket`. */

import { historyQuerySchema } from '../contract/history.ts';
import { withAttachments } from '../protocol/socket-packet.ts';
import { checkHandlerTimeout, everyAnswer, onlyAnswer, Question, unlessIgnored } from './acks.ts';
import { activeRooms } from './active-rooms.ts';
import type {
  AnyBroadcast,
  AnyNamespace,
  AnySelf,
  AnySocket,
  Application,
  HistoryOptions,
  RemoteSocket,
  RoomHistory,
  RoomPresence,
} from './application.ts';
import { openSockets } from './audience.ts';
import { appContext, type Bus } from './context.ts';
import { countSockets, hasTooMany, roomPresence } from './counting.ts';
import { deliver } from './delivery.ts';
import { BusError, invalidPayload } from './errors.ts';
import type { Allow } from './fan-out.ts';
import { MAX_CONNECTION_MS } from './heartbeat.ts';
import { roomHistory } from './history.ts';
import { postLastEvents } from './last-on-join.ts';
import { type Allowance, PREREQUISITE_MS, rateLimited } from './limits.ts';
import { markDone } from './message.ts';
import { checkRoomName, looksLikeSocketId } from './names.ts';
import { eventFrames } from './packets.ts';
import { checkServerEvent, parsePayload } from './payloads.ts';
import type { Json, Millis, SocketRecord, SocketRef, Store, Who } from './ports.ts';
import { isDone, publish, publishToSocket } from './publication.ts';
import { reapLater } from './reaping.ts';
import type { Found } from './union-reader.ts';

/** The first pause between two looks; each is twice as long as the one before, up to the longest. */
const PREREQUISITE_STEP_MS = 25;
const LONGEST_STEP_MS = 200;

/** How a session ends a socket; given by the lifecycle, which knows the write order. */
export interface SocketEnder {
  readonly presences: RoomPresences;
  disconnectSocket(socket: SocketRef, close: boolean): Promise<void>;
}

/** How a session joins and leaves rooms: with who is in them, where their kind keeps that. */
export interface RoomPresences {
  /** Whom the socket counts as in those of the rooms whose kind keeps it. */
  whos(session: SocketSession, rooms: readonly string[], socket?: AnySocket): Readonly<Record<string, Who>>;
  join(
    socket: SocketRef,
    rooms: readonly string[],
    at: Millis,
    whos: Readonly<Record<string, Who>>,
  ): ReturnType<Store['join']>;
  leave(
    socket: SocketRef,
    rooms: readonly string[],
    whos: Readonly<Record<string, Who>>,
  ): ReturnType<Store['leave']>;
}

/**
 * The effects of one invocation on one socket, in the order the handlers asked for them: an emit that was not
 * awaited still goes out before the next one and before the acknowledgement.
 */
export class SocketSession {
  readonly bus: Bus;
  readonly gone: Found[] = [];
  /** Of the client whose event is handled; what the server does of its own accord has no bound. */
  readonly allowance: Allowance | undefined;
  readonly #later: Promise<void>[] = [];
  readonly #ender: SocketEnder;
  #record: SocketRecord;
  #tail: Promise<unknown> = Promise.resolve();
  #ended: boolean;

  constructor(bus: Bus, record: SocketRecord, ender: SocketEnder, allowance?: Allowance) {
    this.bus = bus;
    this.allowance = allowance;
    this.#record = record;
    this.#ender = ender;
    // What a disconnect hook works with is over already.
    this.#ended = record.state === 'closed';
  }

  get record(): SocketRecord {
    return this.#record;
  }

  get ref(): SocketRef {
    const { namespace, id, connectionId, address, connectedAt } = this.#record;
    // What is joined after an upgrade names the WebSocket, so that posts need not ask for it.
    return { namespace, id, connectionId, connectedAt, ...(address === undefined ? {} : { address }) };
  }

  get sender(): string {
    return this.#record.connectionId;
  }

  /** Whether the server disconnected the socket in this session. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Runs an effect after those before it. Its failure is the caller's; it never becomes an unhandled rejection. */
  enqueue<T>(effect: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(effect);
    this.#tail = result.catch((error: unknown) => {
      if (!(error instanceof BusError)) this.bus.log.error('an effect failed', { error });
    });
    return result;
  }

  /** Work that nobody need wait for before the invocation ends. It must not fail. */
  later(work: Promise<void>): void {
    this.#later.push(work);
  }

  /** Sees everything to its end, and has those who have gone cleaned up after. */
  async finish(): Promise<void> {
    await this.settled();
    await Promise.all(this.#later);
    await reapLater(this.bus, this.gone);
  }

  async settled(): Promise<void> {
    let tail: Promise<unknown>;
    do {
      tail = this.#tail;
      await tail;
    } while (tail !== this.#tail);
  }

  /** Posts what is no event: an acknowledgement. */
  async answer(frames: readonly string[]): Promise<void> {
    const outcome = await deliver(this.bus, this.#record.connectionId, frames);
    if (outcome !== 'posted')
      this.bus.log.debug('an answer did not reach its socket', { socketId: this.#record.id, outcome });
  }

  /** @throws BusError `rate_limited` */
  async emitSelf(event: string, frames: readonly string[], volatile = false): Promise<void> {
    this.allowance?.takePosts(frames.length);
    const { outcome, message } = await publishToSocket(this.bus, this.#record, { event, frames, volatile });
    if (outcome === 'posted') this.later(markDone(this.bus, message));
    if (outcome !== 'posted')
      this.bus.log.debug('an event did not reach its socket', { socketId: this.#record.id, outcome });
  }

  /** @param socket what its application has of it now, where an application joins it */
  async join(rooms: readonly string[], socket?: AnySocket): Promise<void> {
    const fresh = [...new Set(rooms)].filter((room) => !Object.hasOwn(this.#record.rooms, room));
    if (fresh.length === 0) return;
    const { clock, store } = this.bus;
    const at = clock.now();
    // Before the join, so that a room with members is never missing from the directory.
    for (const room of fresh) await store.noteRoom(this.#record.namespace, room, this.#record.id, at);
    const { presences } = this.#ender;
    const whos = presences.whos(this, fresh, socket);
    const outcome = await presences.join(this.ref, fresh, at, whos);
    // Another invocation has joined it as somebody else: it stays who it is.
    if (outcome === 'changed' && (await this.refresh())) return this.join(rooms, socket);
    if (outcome === 'full')
      throw new BusError('rate_limited', 'the socket is in too many rooms', { retryable: false });
    if (outcome !== 'joined') throw new BusError('not_found', 'the socket is closed');
    const joined = Object.fromEntries(fresh.map((room) => [room, at]));
    this.#record = {
      ...this.#record,
      rooms: { ...this.#record.rooms, ...joined },
      presences: { ...this.#record.presences, ...whos },
    };
    try {
      await postLastEvents(this.bus, this.#record, fresh);
    } catch (error) {
      // Who joins again is told then; a member would not be.
      await this.leave(fresh);
      throw error;
    }
  }

  async leave(rooms: readonly string[]): Promise<void> {
    const left = [...new Set(rooms)].filter((room) => Object.hasOwn(this.#record.rooms, room));
    if (left.length === 0) return;
    const whos = Object.fromEntries(
      Object.entries(this.#record.presences ?? {}).filter(([room]) => left.includes(room)),
    );
    const outcome = await this.#ender.presences.leave(this.ref, left, whos);
    if (outcome === 'changed' && (await this.refresh())) return this.leave(rooms);
    const stayed = Object.entries(this.#record.rooms).filter(([room]) => !left.includes(room));
    this.#record = { ...this.#record, rooms: Object.fromEntries(stayed) };
  }

  /**
   * Also where nobody is counted, or the user is the same, it is written that the connection has shown a proof: a recovery asks.
   * @throws BusError `rate_limited` where the user has as many connections as there may be; it is counted as before then
   */
  async countAs(user: string): Promise<void> {
    const { namespace, id, countedAs } = this.#record;
    if (this.bus.config.limits.connectionsPerUser === 0 || countedAs === user) return this.#noteProof();
    if (await hasTooMany(this.bus, namespace, user, id))
      throw rateLimited('too many connections of one user');
    const outcome = await this.bus.store.recount(this.#record, user);
    if (outcome === 'changed' && (await this.refresh())) return this.countAs(user);
    if (outcome !== 'counted') throw new BusError('not_found', 'the socket is closed');
    this.#record = { ...this.#record, countedAs: user, provenOn: this.#record.connectionId };
  }

  async #noteProof(): Promise<void> {
    const { connectionId, provenOn } = this.#record;
    if (provenOn === connectionId) return;
    if (!(await this.bus.store.noteProof(this.ref))) throw new BusError('not_found', 'the socket is closed');
    this.#record = { ...this.#record, provenOn: connectionId };
  }

  async disconnect(close: boolean): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    await this.#ender.disconnectSocket(this.ref, close);
  }

  /** Reads the socket again; false where it is gone. */
  async refresh(): Promise<boolean> {
    const record = await this.bus.store.socket(this.#record);
    if (record === undefined || record.state === 'closed') return false;
    this.#record = record;
    return true;
  }
}

/** The `socket` of one application. */
export class ApplicationSocket implements AnySocket {
  readonly #session: SocketSession;
  readonly #application: Application;
  /** The application's data as it was read, for finding out what changed. */
  #saved: Record<string, string>;
  readonly data: Record<string, Json>;
  readonly nsp: AnyNamespace;

  constructor(session: SocketSession, application: Application) {
    this.#session = session;
    this.#application = application;
    this.data = dataOf(application, session.record.data);
    this.#saved = serialised(this.data);
    this.nsp = new NamespaceBroadcast(session, application, { rooms: [], except: [], volatile: false });
  }

  get id(): string {
    return this.#session.record.id;
  }

  get handshake(): SocketRecord['handshake'] {
    return this.#session.record.handshake;
  }

  get identity(): Json | undefined {
    return this.#session.record.identities[this.#application.name];
  }

  get rooms(): ReadonlySet<string> {
    return new Set([this.id, ...Object.keys(this.#session.record.rooms)]);
  }

  get recovered(): boolean {
    return this.#session.record.recovered === true;
  }

  get broadcast(): AnyBroadcast {
    return this.#others([], []);
  }

  get volatile(): AnySelf {
    return this.#self({ volatile: true });
  }

  /** @throws BusError `invalid_payload` */
  timeout(ms: number): AnySelf {
    return this.#self({ volatile: false, timeoutMs: checkHandlerTimeout(ms) });
  }

  to(room: string | readonly string[]): AnyBroadcast {
    return this.#others(list(room), []);
  }

  in(room: string | readonly string[]): AnyBroadcast {
    return this.to(room);
  }

  except(room: string | readonly string[]): AnyBroadcast {
    return this.#others([], list(room));
  }

  emit(event: string, ...args: readonly unknown[]): Promise<void> {
    return this.#emitSelf(event, args, false);
  }

  emitWithAck(event: string, ...args: readonly unknown[]): Promise<unknown> {
    return this.#askSelf(event, args, { volatile: false });
  }

  /**
   * @throws BusError `forbidden` for a room of another application, or one that the room kind refuses; `rate_limited`
   *   where the client joins too many, or too often.
   */
  join(room: string | readonly string[]): Promise<void> {
    return this.#session.enqueue(async () => {
      const rooms = list(room);
      for (const name of rooms) await this.#checkJoin(name);
      this.#session.allowance?.takeJoins(rooms.filter((name) => !this.rooms.has(name)).length);
      await this.#session.join(rooms, this);
    });
  }

  leave(room: string): Promise<void> {
    ownedRoom(this.#session.bus, this.#application, room);
    return this.#session.enqueue(() => this.#session.leave([room]));
  }

  disconnect(close = false): Promise<void> {
    return this.#session.enqueue(async () => {
      // The disconnect hooks see what was changed before.
      await this.save();
      await this.#session.disconnect(close);
    });
  }

  countAs(id: Who): Promise<void> {
    return this.#session.enqueue(() => this.#session.countAs(String(id)));
  }

  expireAt(at: number): Promise<void> {
    const { bus, ref } = this.#session;
    return this.#session.enqueue(async () => {
      // The session may outlive its connection, and is held to it.
      await bus.store.saveExpiry(ref, at);
      // No connection outlives two hours: what expires later needs no row.
      if (at > ref.connectedAt + MAX_CONNECTION_MS) return;
      const { connectionId, namespace, id } = ref;
      await bus.store.addDue({ kind: 'expiry', at, connectionId, socket: { namespace, id } });
    });
  }

  refresh(): Promise<void> {
    return this.#session.enqueue(async () => {
      await this.save();
      if (!(await this.#session.refresh())) throw new BusError('not_found', 'the socket is closed');
      this.#takeFresh();
    });
  }

  async eventually(predicate: () => boolean): Promise<boolean> {
    const { allowance, bus } = this.#session;
    const began = bus.clock.now();
    const deadline = began + (allowance?.patience.leftMs ?? PREREQUISITE_MS);
    const outcome = await this.#waitFor(predicate, deadline);
    const waited = bus.clock.now() - began;
    allowance?.patience.take(waited);
    if (outcome === 'in vain' && waited > 0) allowance?.noteWait();
    return outcome === 'true';
  }

  async #waitFor(predicate: () => boolean, deadline: number): Promise<'true' | 'in vain' | 'closed'> {
    const { clock } = this.#session.bus;
    for (let step = PREREQUISITE_STEP_MS; ; step = Math.min(2 * step, LONGEST_STEP_MS)) {
      if (predicate()) return 'true';
      if (clock.now() >= deadline) return 'in vain';
      await clock.sleep(Math.min(step, deadline - clock.now()));
      if (!(await this.#session.refresh())) return 'closed';
      this.#takeFresh();
    }
  }

  /** Writes what the handler changed. */
  async save(): Promise<void> {
    const now = serialised(this.data);
    const key = (name: string): string => `${this.#application.name}:${name}`;
    const changed = Object.keys(now).filter((name) => now[name] !== this.#saved[name]);
    const removed = Object.keys(this.#saved).filter((name) => now[name] === undefined);
    if (changed.length === 0 && removed.length === 0) return;
    this.#saved = now;
    await this.#session.bus.store.saveData(
      this.#session.ref,
      Object.fromEntries(changed.map((name) => [key(name), this.data[name] ?? null])),
      removed.map(key),
    );
  }

  #emitSelf(event: string, args: readonly unknown[], volatile: boolean): Promise<void> {
    const frames = checkedFrames(this.#application, event, args);
    return this.#session.enqueue(() => this.#session.emitSelf(event, frames, volatile));
  }

  /** The post has its place among the effects; the answer is waited for beside them. */
  #askSelf(event: string, args: readonly unknown[], flags: Flags): Promise<unknown> {
    checkServerEvent(this.#application, event, args);
    const { bus, record, sender } = this.#session;
    const question = new Question(bus, record.namespace, event, args, flags);
    const asked = this.#session.enqueue(() =>
      question.ask(this.#session.ended ? [] : [record], sender, allowedTo(this.#session)),
    );
    return unlessIgnored(asked.then((out) => question.answers(out)).then(onlyAnswer));
  }

  #self(flags: Flags): AnySelf {
    const effects = {
      emit: (event: string, args: readonly unknown[], { volatile }: Flags) =>
        this.#emitSelf(event, args, volatile),
      ask: (event: string, args: readonly unknown[], by: Flags) => this.#askSelf(event, args, by),
    };
    return new SelfBroadcast(effects, this, flags);
  }

  #others(rooms: readonly string[], except: readonly string[]): AnyBroadcast {
    for (const room of rooms) addressableRoom(this.#session.bus, this.#application, room);
    return new NamespaceBroadcast(this.#session, this.#application, {
      rooms,
      except: [this.id, ...except],
      volatile: false,
    });
  }

  async #checkJoin(room: string): Promise<void> {
    const owner = ownedRoom(this.#session.bus, this.#application, room);
    const context = appContext(this.#session.bus, this.#application);
    const allowed = await owner.kind.canJoin?.(this, room.slice(owner.prefix.length), context);
    if (allowed !== true) throw new BusError('forbidden', `the room ${room} is not open to this socket`);
  }

  /** Takes over keys that another invocation saved or removed meanwhile, except those changed here. */
  #takeFresh(): void {
    const fresh = dataOf(this.#application, this.#session.record.data);
    for (const name of new Set([...Object.keys(fresh), ...Object.keys(this.#saved)])) {
      const mine = Object.hasOwn(this.data, name) ? JSON.stringify(this.data[name]) : undefined;
      if (mine !== this.#saved[name]) continue;
      const value = fresh[name];
      if (value === undefined) {
        delete this.data[name];
        delete this.#saved[name];
      } else {
        this.data[name] = value;
        this.#saved[name] = JSON.stringify(value);
      }
    }
  }
}

/** How something is emitted. */
interface Flags {
  readonly volatile: boolean;
  /** How long answers are waited for; ms. */
  readonly timeoutMs?: number;
}

interface BroadcastState extends Flags {
  readonly rooms: readonly string[];
  readonly except: readonly string[];
}

/** Emits to many sockets of one namespace on behalf of one application. */
export class NamespaceBroadcast implements AnyNamespace {
  readonly #effects: Effects;
  readonly #application: Application;
  readonly #state: BroadcastState;

  constructor(effects: Effects, application: Application, state: BroadcastState) {
    this.#effects = effects;
    this.#application = application;
    this.#state = state;
  }

  get name(): string {
    return this.#application.namespace;
  }

  get volatile(): AnyBroadcast {
    return this.#with({ volatile: true });
  }

  /** @throws BusError `invalid_payload` */
  timeout(ms: number): AnyBroadcast {
    return this.#with({ timeoutMs: checkHandlerTimeout(ms) });
  }

  /** @throws BusError `forbidden` for a room of another application. */
  to(room: string | readonly string[]): AnyBroadcast {
    for (const name of list(room)) addressableRoom(this.#effects.bus, this.#application, name);
    return this.#with({ rooms: [...this.#state.rooms, ...list(room)] });
  }

  in(room: string | readonly string[]): AnyBroadcast {
    return this.to(room);
  }

  except(room: string | readonly string[]): AnyBroadcast {
    return this.#with({ except: [...this.#state.except, ...list(room)] });
  }

  emit(event: string, ...args: readonly unknown[]): Promise<void> {
    const frames = checkedFrames(this.#application, event, args);
    const { bus, gone } = this.#effects;
    const later = (work: Promise<void>) => this.#effects.later(work);
    return this.#effects.enqueue(async () => {
      const target = { namespace: this.name, rooms: this.#state.rooms, except: this.#state.except };
      const publication = { event, frames, volatile: this.#state.volatile };
      const { message, ...report } = await publish(bus, target, publication, allowedTo(this.#effects));
      if (isDone(report)) later(markDone(bus, message));
      gone.push(...report.gone);
    });
  }

  emitWithAck(event: string, ...args: readonly unknown[]): Promise<unknown[]> {
    checkServerEvent(this.#application, event, args);
    const { bus, gone, sender } = this.#effects;
    const { rooms, except } = this.#state;
    const question = new Question(bus, this.name, event, args, this.#state);
    const asked = this.#effects.enqueue(async () => {
      const out = await question.askAll(
        { namespace: this.name, rooms, except },
        sender,
        allowedTo(this.#effects),
      );
      gone.push(...out.report.gone);
      return out;
    });
    return unlessIgnored(asked.then((out) => question.answers(out)).then(everyAnswer));
  }

  async fetchSockets(room?: string): Promise<RemoteSocket[]> {
    const { bus } = this.#effects;
    const rooms = room === undefined ? this.#state.rooms : [room];
    const records = await openSockets(bus, { namespace: this.name, rooms, except: this.#state.except });
    return records.map((record) => ({
      id: record.id,
      handshake: record.handshake,
      rooms: new Set([record.id, ...Object.keys(record.rooms)]),
      data: dataOf(this.#application, record.data),
      identity: record.identities[this.#application.name],
    }));
  }

  async countSockets(): Promise<number> {
    const { rooms, except } = this.#state;
    return countSockets(this.#effects.bus, { namespace: this.name, rooms, except });
  }

  async presence(room: string): Promise<RoomPresence> {
    addressableRoom(this.#effects.bus, this.#application, room);
    return roomPresence(this.#effects.bus, this.name, room);
  }

  async activeRooms(
    limit: number,
    matches: (room: string) => boolean,
  ): Promise<{ readonly rooms: string[]; readonly truncated: boolean }> {
    return activeRooms(this.#effects.bus, this.name, limit, matches);
  }

  async history(room: string, options: HistoryOptions = {}): Promise<RoomHistory> {
    const { bus } = this.#effects;
    ownedRoom(bus, this.#application, room);
    const query = parsePayload(historyQuerySchema, options);
    const { events, more } = await roomHistory(bus, { namespace: this.name, room }, query);
    const decoded = events.map(({ attachments = [], args, ...event }) => ({
      ...event,
      args: withAttachments(
        args,
        attachments.map((text) => Buffer.from(text, 'base64')),
      ),
    }));
    return { events: decoded, more };
  }

  #with(change: Partial<BroadcastState>): NamespaceBroadcast {
    return new NamespaceBroadcast(this.#effects, this.#application, { ...this.#state, ...change });
  }
}

/** Where broadcasts run: a socket's session, or a backend call that has no socket. */
export interface Effects {
  readonly bus: Bus;
  readonly gone: Found[];
  /** The connection whose frame is handled. */
  readonly sender?: string;
  readonly allowance?: Allowance | undefined;
  enqueue<T>(effect: () => Promise<T>): Promise<T>;
  /** Work that nobody need wait for before the invocation ends. It must not fail. */
  later(work: Promise<void>): void;
}

/** What `SelfBroadcast` has of its socket. */
interface SelfEffects {
  emit(event: string, args: readonly unknown[], flags: Flags): Promise<void>;
  ask(event: string, args: readonly unknown[], flags: Flags): Promise<unknown>;
}

/** `socket.volatile.emit(…)`, `socket.timeout(…).emitWithAck(…)`: to the socket itself, or with the same flags to others. */
class SelfBroadcast implements AnySelf {
  readonly #effects: SelfEffects;
  readonly #socket: ApplicationSocket;
  readonly #flags: Flags;

  constructor(effects: SelfEffects, socket: ApplicationSocket, flags: Flags) {
    this.#effects = effects;
    this.#socket = socket;
    this.#flags = flags;
  }

  get volatile(): AnySelf {
    return new SelfBroadcast(this.#effects, this.#socket, { ...this.#flags, volatile: true });
  }

  timeout(ms: number): AnySelf {
    const flags = { ...this.#flags, timeoutMs: checkHandlerTimeout(ms) };
    return new SelfBroadcast(this.#effects, this.#socket, flags);
  }

  to(room: string | readonly string[]): AnyBroadcast {
    return this.#flagged(this.#socket.to(room));
  }

  in(room: string | readonly string[]): AnyBroadcast {
    return this.to(room);
  }

  except(room: string | readonly string[]): AnyBroadcast {
    return this.#flagged(this.#socket.except(room));
  }

  emit(event: string, ...args: readonly unknown[]): Promise<void> {
    return this.#effects.emit(event, args, this.#flags);
  }

  emitWithAck(event: string, ...args: readonly unknown[]): Promise<unknown> {
    return this.#effects.ask(event, args, this.#flags);
  }

  #flagged(others: AnyBroadcast): AnyBroadcast {
    const { volatile, timeoutMs } = this.#flags;
    const tried = volatile ? others.volatile : others;
    return timeoutMs === undefined ? tried : tried.timeout(timeoutMs);
  }
}

/**
 * Runs what an application does with a socket, then everything it left under way, then saves its data.
 * The application's own failure comes out after that.
 */
export async function runApplication<T>(
  session: SocketSession,
  application: Application,
  run: (socket: ApplicationSocket) => Promise<T> | T,
): Promise<T> {
  const socket = new ApplicationSocket(session, application);
  let result: T;
  try {
    result = await run(socket);
  } catch (failure) {
    // The application's own failure is the one to report, whatever else goes wrong after it.
    await session.settled();
    await socket
      .save()
      .catch((error: unknown) => session.bus.log.error('data could not be saved', { error }));
    throw failure;
  }
  await session.settled();
  await socket.save();
  return result;
}

/** The default way to tell a client of a failure (the contract's general rules). */
export async function reportFailure(
  session: SocketSession,
  application: Application,
  failure: { readonly event: string; readonly payload: unknown; readonly error: BusError },
): Promise<void> {
  const { bus } = session;
  await runApplication(session, application, async (socket) => {
    if (application.onError !== undefined) {
      await application.onError(socket, failure, appContext(bus, application));
      return;
    }
    const { message, code } = failure.error;
    const timestamp = new Date(bus.clock.now()).toISOString();
    const body = { message, code, event: failure.event, timestamp };
    const frames = eventFrames(application.namespace, 'error', [body]);
    await session.enqueue(() => session.emitSelf('error', frames));
  });
}

function allowedTo({ allowance }: Pick<Effects, 'allowance'>): Allow {
  return (posts) => allowance?.takePosts(posts);
}

function checkedFrames(application: Application, event: string, args: readonly unknown[]): string[] {
  checkServerEvent(application, event, args);
  return eventFrames(application.namespace, event, args);
}

/** @throws BusError where the room belongs to nobody, or to another application of the namespace. */
function ownedRoom(bus: Bus, application: Application, room: string) {
  checkRoomName(room);
  const owner = bus.registry.roomOwner(application.namespace, room);
  if (owner === undefined || owner.application !== application) {
    throw new BusError('forbidden', `the room ${room} does not belong to ${application.name}`);
  }
  return owner;
}

/** Own rooms, and any socket's own room, may be emitted to. */
function addressableRoom(bus: Bus, application: Application, room: string): void {
  checkRoomName(room);
  const owner = bus.registry.roomOwner(application.namespace, room);
  if (owner === undefined && looksLikeSocketId(room)) return;
  if (owner?.application !== application) {
    throw new BusError('forbidden', `the room ${room} does not belong to ${application.name}`);
  }
}

function list(room: string | readonly string[]): readonly string[] {
  return typeof room === 'string' ? [room] : room;
}

function dataOf(application: Application, data: SocketRecord['data']): Record<string, Json> {
  const prefix = `${application.name}:`;
  return Object.fromEntries(
    Object.entries(data).flatMap(([key, value]) =>
      key.startsWith(prefix) ? [[key.slice(prefix.length), value]] : [],
    ),
  );
}

function serialised(data: Readonly<Record<string, Json>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(data).flatMap(([key, value]) =>
      value === undefined ? [] : [[key, jsonText(key, value)]],
    ),
  );
}

function jsonText(key: string, value: unknown): string {
  const text: string | undefined = JSON.stringify(value);
  if (text === undefined) throw invalidPayload('socket.data holds JSON values only', `data.${key}`);
  return text;
}
