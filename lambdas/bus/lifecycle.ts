/**
 * The life of connections and sockets: how they open, join a namespace and end. The write orders here and in the
 * store are the ones the design's models hold (D5): nobody is left believed-joined-but-deaf, and no ghost stays.
 */

import pMap from 'p-map';
import { isPollingId } from '../contract/ids.ts';
import type { ProtocolError } from '../protocol/protocol-error.ts';
import type { Application, AuthOutcome } from './application.ts';
import { appContext, type Bus } from './context.ts';
import { hasTooMany } from './counting.ts';
import {
  OPENING_BACKOFF_MS,
  postPacketUntil,
  postUntil,
  retryThrottled,
  retryUndelivered,
} from './delivery.ts';
import { asBusError, BusError, UnavailableError } from './errors.ts';
import {
  CONNECT_TIMEOUT_MS,
  MAX_CONNECTION_MS,
  OPENING_MS,
  RECYCLE_FROM_MS,
  RECYCLE_TO_MS,
  slotOf,
} from './heartbeat.ts';
import { countedAddress, rateLimited } from './limits.ts';
import { newId } from './names.ts';
import { connectErrorFrame, connectFrame, disconnectFrame, eventFrames, greetingFrame } from './packets.ts';
import type {
  Connection,
  Due,
  Handshake,
  Json,
  OpenWork,
  PostOutcome,
  ReapWork,
  SocketRecord,
  SocketRef,
} from './ports.ts';
import { Presences } from './presence.ts';
import { newSession, Recovery, type Shown, shownSession } from './recovery.ts';
import { reportFailure, runApplication, type SocketEnder, SocketSession } from './socket-session.ts';
import { userOf } from './who.ts';

/** How long a post to a connection that is just opening is tried: `$connect` returns within milliseconds of it. */
const OPENING_POST_MS = 3_000;
/** After this long without an answer but 410 it is asked whether the connection still exists. */
const OPENING_CHECK_MS = 250;
/** How long a reply is tried: its connection has sent a frame, so a 410 that lasts means that it has gone. */
const REPLY_POST_MS = 1_000;
/** How long CONNECT waits for a DISCONNECT that was sent before it and is handled after it (design D13). */
const REORDER_MS = 500;
const REORDER_STEP_MS = 25;
/** Gone connections that are cleaned up at the same time. */
const REAP_CONCURRENCY = 8;

export interface NewConnection {
  readonly id: string;
  readonly connectedAt: number;
  readonly handshake: Handshake;
  readonly credentials: Readonly<Record<string, Json>>;
}

export class Lifecycle implements SocketEnder {
  readonly presences: Presences;
  readonly #bus: Bus;
  readonly #recovery: Recovery;

  constructor(bus: Bus) {
    this.#bus = bus;
    this.#recovery = new Recovery(bus);
    this.presences = new Presences(bus);
  }

  /** `$connect`: the connection is durable before the client is let in, and `open` has been asked to greet it. */
  async accept(connection: NewConnection): Promise<void> {
    const { random, workers } = this.#bus;
    const { id, connectedAt } = connection;
    await this.#create(connection);
    await workers.open({ v: 1, connectionId: id, sid: newId(random), connectedAt });
  }

  /** A client that polls: its open packet is the answer to the request that brought it. */
  async acceptPolling(connection: NewConnection): Promise<void> {
    const { clock, config, store } = this.#bus;
    const { id, connectedAt } = connection;
    await this.#create(connection);
    await store.joinSlot(id, slotOf(id, config.pingIntervalMinutes), connectedAt, clock.now());
  }

  /**
   * Whether there are as many connections from an address as there may be. Asked before anything is written, so a
   * refusal costs one or two read units; those that come at the same moment may be more by as many.
   */
  async isFull(address: string): Promise<boolean> {
    const most = this.#bus.config.limits.connectionsPerAddress;
    if (most === 0) return false;
    const isFull = await this.#bus.store.countsTo(
      { kind: 'address', address: countedAddress(address) },
      most,
    );
    if (isFull) {
      this.#bus.metrics.count('RateLimited', 1);
      this.#bus.log.info('too many connections from an address', { address, most });
    }
    return isFull;
  }

  async #create(connection: NewConnection): Promise<void> {
    const { config, metrics, random, store } = this.#bus;
    const { id, connectedAt } = connection;
    const recycleAt = connectedAt + RECYCLE_FROM_MS + random.float() * (RECYCLE_TO_MS - RECYCLE_FROM_MS);
    const record: Connection = {
      ...connection,
      open: true,
      namespaces: {},
      left: {},
      ...(config.limits.connectionsPerAddress === 0
        ? {}
        : { countedAt: countedAddress(connection.handshake.address) }),
    };
    await store.createConnection(record, [
      { kind: 'namespace', at: connectedAt + CONNECT_TIMEOUT_MS, connectionId: id },
      { kind: 'recycle', at: recycleAt, connectionId: id },
    ]);
    metrics.count('Connections', 1);
  }

  /**
   * Posts the open packet, then joins the heartbeat slot: a ping before the open packet kills the client
   * (design D2). Twice is harmless.
   */
  async greet(work: OpenWork): Promise<void> {
    const { clock, config, log, store, wire } = this.#bus;
    const frame = greetingFrame(config, work.sid, []);
    const outcome = await this.#postOpening(work.connectionId, frame);
    if (outcome !== 'ok') {
      log.warn('the open packet could not be posted', { connectionId: work.connectionId, outcome });
      // One that cannot be cut may have been greeted all the same: then it needs its pings, and its end a witness.
      if (await wire.close(work.connectionId)) return;
    }
    const slot = slotOf(work.connectionId, config.pingIntervalMinutes);
    await store.joinSlot(work.connectionId, slot, work.connectedAt, clock.now());
  }

  /**
   * A 410 may mean that `$connect` has not returned yet, or that the client has hung up already. Its row tells which
   * as soon as `$disconnect` has run; nobody waits long for a client that is gone.
   */
  async #postOpening(connectionId: string, frame: string): Promise<PostOutcome> {
    const { clock, store } = this.#bus;
    for (const deadline = clock.now() + OPENING_POST_MS; ; ) {
      const slice = Math.min(clock.now() + OPENING_CHECK_MS, deadline);
      const outcome = await postUntil(
        this.#bus,
        connectionId,
        frame,
        retryUndelivered,
        slice,
        OPENING_BACKOFF_MS,
      );
      if (!retryUndelivered(outcome) || clock.now() + OPENING_CHECK_MS > deadline) return outcome;
      if ((await store.connection(connectionId))?.open !== true) return 'gone';
    }
  }

  /** CONNECT to a namespace. */
  async connectNamespace(
    connection: Connection,
    namespace: string,
    auth: unknown,
  ): Promise<'done' | 'violation'> {
    const applications = this.#bus.registry.namespace(namespace);
    if (applications === undefined) {
      await this.#reply(connection.id, connectErrorFrame(namespace, 'Invalid namespace'));
      return 'done';
    }
    const verdict = await this.#authenticate(connection, applications, auth);
    if (verdict.kind === 'unavailable') {
      await this.#putOff(connection, namespace, verdict.message);
      return 'done';
    }
    if (verdict.kind === 'refused') {
      await this.#reply(connection.id, connectErrorFrame(namespace, verdict.message, verdict.data));
      return 'done';
    }
    const { clock, random, registry } = this.#bus;
    const socket: SocketRecord = {
      namespace,
      id: newId(random),
      connectionId: connection.id,
      ...(connection.address === undefined ? {} : { address: connection.address }),
      state: 'pending',
      connectedAt: connection.connectedAt,
      rooms: {},
      identities: verdict.kind === 'accepted' ? verdict.identities : {},
      data: {},
      handshake: connection.handshake,
      hooksDue: false,
    };
    if (verdict.kind === 'expelled') return this.#expel(socket, verdict);
    const { expiresAt } = verdict;
    const shown = shownSession(auth);
    const user = this.#bus.config.limits.connectionsPerUser === 0 ? undefined : userOf(socket.identities);
    if (user !== undefined && (await hasTooMany(this.#bus, namespace, user, shown?.socketId))) {
      const { code, message } = rateLimited('too many connections of one user');
      this.#bus.metrics.count('RateLimited', 1);
      await this.#reply(connection.id, connectErrorFrame(namespace, message, { code }));
      if (Object.keys(connection.namespaces).length === 0) await this.close(connection.id);
      return 'done';
    }
    const counted: SocketRecord = user === undefined ? socket : { ...socket, countedAs: user };
    if (registry.recovery(namespace) === undefined) return this.#begin(counted, expiresAt);
    const outcome = shown === undefined ? 'fresh' : await this.#recover(shown, socket, expiresAt);
    if (outcome !== 'fresh') return outcome;
    const { session, pid } = newSession(random, socket.id, clock.now());
    return this.#begin({ ...counted, session }, expiresAt, pid);
  }

  /** Whoever cannot be let in now is to try again. */
  async #putOff({ id, namespaces }: Connection, namespace: string, message: string): Promise<void> {
    this.#bus.log.warn('who connects cannot be verified', { connectionId: id, namespace });
    if (Object.keys(namespaces).length === 0) return this.close(id);
    const { code, retryable } = new BusError('internal', message);
    await this.#reply(id, connectErrorFrame(namespace, message, { code, retryable }));
  }

  /** A new socket. */
  async #begin(
    socket: SocketRecord,
    expiresAt: number | undefined,
    pid?: string,
  ): Promise<'done' | 'violation'> {
    const due = this.#dueOf(socket, expiresAt);
    const record = { ...socket, due: Object.fromEntries(due.map(({ kind, at }) => [kind, at])) };
    const outcome = await this.#onceFree(() => this.#bus.store.connectSocket(record, due));
    if (outcome === 'occupied') return 'violation';
    if (outcome === 'closed') return 'done';
    await this.#admit(socket, pid);
    return 'done';
  }

  /** The socket that the client had before, if it may have it; then it has all that it missed before the reply. */
  async #recover(
    shown: Shown,
    socket: SocketRecord,
    expiresAt: number | undefined,
  ): Promise<'done' | 'violation' | 'fresh'> {
    const { namespace, connectionId, address, connectedAt, identities, handshake } = socket;
    const taken = { namespace, connectionId, connectedAt, identities, handshake };
    const found = await this.#onceFree(() =>
      this.#recovery.takeOver(shown, address === undefined ? taken : { ...taken, address }, (each) =>
        this.#dueOf(each, expiresAt),
      ),
    );
    if (found === 'fresh') return 'fresh';
    if (found === 'occupied') return 'violation';
    if (found === 'closed') return 'done';
    const missed = await this.#recovery.missed(found, shown);
    if (missed.kind !== 'missed') {
      this.#bus.log.info('a session cannot be recovered', { connectionId, because: missed.kind });
      this.#bus.metrics.count('RecoveryMisses', 1);
      await this.leaveNamespace(found);
      return 'fresh';
    }
    const outcome = await this.#recovery.replay(found, missed.entries);
    if (outcome !== 'done') {
      // It comes back: to the same session, or where that would end the same way to a new one.
      this.#bus.log.warn('a replay failed, closing the connection', { connectionId, outcome });
      await this.close(connectionId, outcome === 'impossible');
      return 'done';
    }
    await this.#admit(found, shown.pid);
    if (found.session?.gap !== undefined) await this.#bus.store.closeGap(found);
    return 'done';
  }

  /** @param expiresAt when the proof that the client connected with ends */
  #dueOf(record: SocketRecord, expiresAt: number | undefined): Due[] {
    const { namespace, id, connectionId, connectedAt } = record;
    const socket = { namespace, id };
    const pendingAt = this.#bus.clock.now() + CONNECT_TIMEOUT_MS;
    const pending: Due = { kind: 'pending', at: pendingAt, connectionId, socket };
    const never = Number.POSITIVE_INFINITY;
    const ends = Math.min(expiresAt ?? never, record.expiresAt ?? never);
    // No connection outlives two hours: what expires later needs no row.
    return ends > connectedAt + MAX_CONNECTION_MS
      ? [pending]
      : [pending, { kind: 'expiry', at: ends, connectionId, socket }];
  }

  async #admit(socket: SocketRecord, pid: string | undefined): Promise<void> {
    const { namespace, id, connectionId } = socket;
    if (await this.#reply(connectionId, connectFrame(namespace, id, pid))) await this.opened(socket);
  }

  /**
   * The client has its CONNECT reply, because the post was accepted or because a frame of the socket arrived.
   * Whoever finds out first runs the connect hooks.
   */
  async opened(socket: SocketRecord): Promise<void> {
    if (!(await this.#bus.store.openSocket(socket))) return;
    const session = new SocketSession(this.#bus, { ...socket, state: 'open', hooksDue: true }, this);
    if (socket.recovered === true) await this.#returned(session);
    for (const application of this.#bus.registry.namespace(socket.namespace) ?? []) {
      if (session.ended) break;
      const { onConnect } = application;
      if (onConnect === undefined) continue;
      try {
        await runApplication(session, application, (own) =>
          onConnect(own, appContext(this.#bus, application)),
        );
      } catch (error) {
        this.#bus.log.error('a connect hook failed', { application: application.name, error });
        // The client is in: that it cannot be told must not keep the others' hooks from running.
        await reportFailure(session, application, {
          event: 'connect',
          payload: undefined,
          error: asBusError(error),
        }).catch((failure: unknown) =>
          this.#bus.log.error('a failure could not be reported', { event: 'connect', error: failure }),
        );
      }
    }
    await session.finish();
  }

  /** A recovered socket counts as present again, should it not yet; repeating it is harmless. */
  async returned(socket: SocketRecord): Promise<void> {
    await this.#returned(new SocketSession(this.#bus, socket, this));
  }

  async #returned(session: SocketSession): Promise<void> {
    const outcome = await this.presences.returned(session);
    if (outcome !== 'joined')
      this.#bus.log.warn('a recovered socket is not counted as present', {
        socketId: session.record.id,
        outcome,
      });
  }

  /** DISCONNECT from the client, or the end of one socket among several of a connection: it does not come back to it. */
  async leaveNamespace(socket: SocketRef): Promise<void> {
    const at = this.#bus.clock.now();
    // The namespace is freed last: until then the end of the connection still finds the socket.
    const record = await this.#endSocket(socket, at, true);
    await this.#bus.store.freeNamespace(socket, at);
    if (record !== undefined) await this.#takeDueAlong(record, at);
  }

  /** Whoever connects and leaves again and again would leave the sweep rows without bound. Those that stay do no harm. */
  async #takeDueAlong({ namespace, id, connectionId, due = {} }: SocketRecord, now: number): Promise<void> {
    const { log, store } = this.#bus;
    const socket = { namespace, id };
    try {
      for (const kind of ['pending', 'expiry'] as const) {
        const at = due[kind] ?? 0;
        if (at > now) await store.removeDue({ kind, at, connectionId, socket });
      }
    } catch (error) {
      log.warn('what was due of a socket stays until then', { connectionId, error });
    }
  }

  /**
   * The server ends a socket: the client is told with DISCONNECT and does not come back by itself. One that may not
   * have been told is cut, because it would be deaf and not know it.
   */
  async disconnectSocket(socket: SocketRef, close: boolean): Promise<void> {
    const { connectionId, namespace } = socket;
    const deadline = this.#bus.clock.now() + REPLY_POST_MS;
    const frame = disconnectFrame(namespace);
    const outcome = await postUntil(this.#bus, connectionId, frame, retryThrottled, deadline);
    if (outcome !== 'ok' && outcome !== 'gone') {
      await this.#cut(connectionId);
      // Told or not, it does not come back to this one.
      await this.leaveNamespace(socket);
      return this.disconnected(connectionId);
    }
    await this.leaveNamespace(socket);
    if (close) await this.#bus.wire.close(connectionId);
  }

  /**
   * The connection is over. First it and its sockets are marked closed, so that no join can follow; then the
   * memberships go; the slot row goes last, so that the sweep repeats a cleanup that was cut off.
   * @param ended its sockets may not be recovered
   */
  async disconnected(connectionId: string, ended = false): Promise<void> {
    const { clock, config, outbox, store, wire } = this.#bus;
    const at = clock.now();
    const connection = await store.closeConnection(connectionId, at);
    const ids = new Set([connectionId]);
    if (connection !== undefined) {
      const { id: owner, address, connectedAt } = connection;
      ids.add(owner).add(address ?? owner);
      if (isPollingId(owner)) {
        const probe = (await outbox.close(owner))?.probe;
        // Nobody else knows of a WebSocket that was to take over.
        if (probe !== undefined) await wire.close(probe.address);
      }
      for (const [namespace, id] of Object.entries(connection.namespaces)) {
        await this.#endSocket({ namespace, id, connectionId: owner, connectedAt }, at, ended);
      }
    }
    if (connection !== undefined) await store.uncount(connection);
    for (const id of ids) await store.leaveSlot(id, slotOf(id, config.pingIntervalMinutes));
  }

  /**
   * Cuts a connection that broke the protocol, fell silent or has lived long enough, and cleans up after it. Where it
   * could not be cut its rows stay: without them its client would be deaf and, pinged or not, not know it.
   * @throws UnavailableError where it may still be there
   */
  async close(connectionId: string, ended = false): Promise<void> {
    await this.#cut(connectionId);
    await this.disconnected(connectionId, ended);
  }

  async #cut(connectionId: string): Promise<void> {
    if (!(await this.#bus.wire.close(connectionId)))
      throw new UnavailableError('a connection could not be cut');
  }

  /** Closes a connection that broke the protocol, and says how. @throws as {@link close} */
  async closeViolator(connectionId: string, error: ProtocolError): Promise<void> {
    this.#bus.log.info('protocol violation, closing the connection', {
      connectionId,
      reason: error.reason,
      cause: error.message,
    });
    // As in Socket.IO: of what a client can do to a session this alone ends it.
    await this.close(connectionId, error.reason === 'parse error');
  }

  /** Cleans up after recipients whose post was answered with 410, unless they may still be opening. */
  async reap(gone: ReapWork['gone']): Promise<void> {
    const byConnection = new Map(gone.map((member) => [member.connectionId, member]));
    await pMap(
      byConnection,
      async ([connectionId, member]) => {
        try {
          await this.#reapOne(connectionId, member);
        } catch (error) {
          this.#bus.log.warn('a gone connection could not be cleaned up yet', { connectionId, error });
        }
      },
      { concurrency: REAP_CONCURRENCY },
    );
  }

  async #reapOne(connectionId: string, member: ReapWork['gone'][number]): Promise<void> {
    const { clock, store } = this.#bus;
    const connection = await store.connection(connectionId);
    if (connection !== undefined) {
      if (clock.now() - connection.connectedAt < OPENING_MS) return;
      // That its outbox is closed says nothing of the WebSocket that has taken over.
      if (isPollingId(connectionId) && connection.address !== undefined) await this.#cut(connectionId);
      await this.disconnected(connectionId);
      return;
    }
    // The connection's row has expired: only the membership that led here is left to remove.
    const { group } = member;
    if (group.kind === 'slot') await store.leaveSlot(connectionId, group.slot);
    else {
      const socket = { namespace: group.namespace, id: member.id, connectionId, connectedAt: 0 };
      await store.removeMemberships(socket, group.kind === 'room' ? [group.room] : []);
    }
  }

  /** @returns the socket as it was; undefined where it is not on this connection */
  async #endSocket(socket: SocketRef, at: number, ended: boolean): Promise<SocketRecord | undefined> {
    const { store } = this.#bus;
    const record = await store.closeSocket(socket, at, ended);
    if (record === undefined) return undefined;
    await store.removeMemberships(record, Object.keys(record.rooms));
    await this.presences.ended(record);
    if (!record.hooksDue) return record;
    await this.#disconnectHooks({ ...record, state: 'closed' });
    await store.markHooksDone(socket);
    return record;
  }

  async #disconnectHooks(record: SocketRecord): Promise<void> {
    const session = new SocketSession(this.#bus, record, this);
    for (const application of this.#bus.registry.namespace(record.namespace) ?? []) {
      const { onDisconnect } = application;
      if (onDisconnect === undefined) continue;
      try {
        await runApplication(session, application, (own) =>
          onDisconnect(own, appContext(this.#bus, application)),
        );
      } catch (error) {
        this.#bus.log.error('a disconnect hook failed', { application: application.name, error });
      }
    }
    await session.finish();
  }

  async #expel(
    socket: SocketRecord,
    verdict: Extract<AuthOutcome, { kind: 'expelled' }>,
  ): Promise<'done' | 'violation'> {
    const { namespace, connectionId } = socket;
    const outcome = await this.#onceFree(() => this.#bus.store.refuseSocket({ ...socket, state: 'closed' }));
    if (outcome === 'occupied') return 'violation';
    if (outcome === 'closed') return 'done';
    const packets = [
      [connectFrame(namespace, socket.id)],
      eventFrames(namespace, verdict.event, verdict.args),
      [disconnectFrame(namespace)],
    ];
    for (const frames of packets) if (!(await this.#reply(connectionId, ...frames))) break;
    return 'done';
  }

  /**
   * Posts a packet that must reach the client exactly once: a second CONNECT reply fires `connect` twice, and
   * without one the client waits for ever. Where that is not certain the connection is closed.
   */
  async #reply(connectionId: string, ...frames: string[]): Promise<boolean> {
    const deadline = this.#bus.clock.now() + REPLY_POST_MS;
    const rules = { first: retryUndelivered, rest: retryUndelivered };
    const { outcome } = await postPacketUntil(this.#bus, connectionId, frames, rules, deadline);
    if (outcome === 'ok') return true;
    this.#bus.log.warn('a reply could not be posted, closing the connection', { connectionId, outcome });
    await this.close(connectionId);
    return false;
  }

  async #onceFree<T>(attempt: () => Promise<T | 'occupied'>): Promise<T | 'occupied'> {
    const { clock } = this.#bus;
    for (const deadline = clock.now() + REORDER_MS; ; ) {
      const outcome = await attempt();
      if (outcome !== 'occupied' || clock.now() >= deadline) return outcome;
      await clock.sleep(REORDER_STEP_MS);
    }
  }

  async #authenticate(
    connection: Connection,
    applications: readonly Application[],
    auth: unknown,
  ): Promise<Verdict> {
    const identities: Record<string, Json> = {};
    let expiresAt: number | undefined;
    for (const application of applications) {
      if (application.auth === undefined) continue;
      const credential = connection.credentials[application.name];
      const outcome = await application.auth.authenticate(
        { handshake: connection.handshake, auth, credential },
        appContext(this.#bus, application),
      );
      if (outcome.kind !== 'accepted') return outcome;
      if (outcome.identity !== undefined) identities[application.name] = outcome.identity;
      if (outcome.expiresAt !== undefined)
        expiresAt = Math.min(outcome.expiresAt, expiresAt ?? Number.POSITIVE_INFINITY);
    }
    return { kind: 'accepted', identities, expiresAt };
  }
}

type Verdict =
  | Exclude<AuthOutcome, { kind: 'accepted' }>
  | {
      readonly kind: 'accepted';
      readonly identities: Record<string, Json>;
      readonly expiresAt: number | undefined;
    };
