/**
 * The life of connections and sockets: how they open, join a namespace and end. The write orders here and in the
 * store are the ones the design's models hold (D5): nobody is left believed-joined-but-deaf, and no ghost stays.
 */

import pMap from 'p-map';
import { isPollingId } from '../contract/ids.ts';
import type { ProtocolError } from '../protocol/protocol-error.ts';
import type { Application, AuthOutcome } from './application.ts';
import { appContext, type Bus } from './context.ts';
import {
  OPENING_BACKOFF_MS,
  postPacketUntil,
  postUntil,
  retryThrottled,
  retryUndelivered,
} from './delivery.ts';
import { asBusError, UnavailableError } from './errors.ts';
import {
  CONNECT_TIMEOUT_MS,
  MAX_CONNECTION_MS,
  OPENING_MS,
  RECYCLE_FROM_MS,
  RECYCLE_TO_MS,
  slotOf,
} from './heartbeat.ts';
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
import { reapLater } from './reaping.ts';
import { reportFailure, runApplication, type SocketEnder, SocketSession } from './socket-session.ts';

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
  readonly #bus: Bus;

  constructor(bus: Bus) {
    this.#bus = bus;
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

  async #create(connection: NewConnection): Promise<void> {
    const { random, store } = this.#bus;
    const { id, connectedAt } = connection;
    const recycleAt = connectedAt + RECYCLE_FROM_MS + random.float() * (RECYCLE_TO_MS - RECYCLE_FROM_MS);
    const record: Connection = { ...connection, open: true, namespaces: {}, left: {} };
    await store.createConnection(record, [
      { kind: 'namespace', at: connectedAt + CONNECT_TIMEOUT_MS, connectionId: id },
      { kind: 'recycle', at: recycleAt, connectionId: id },
    ]);
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
    if (verdict.kind === 'refused') {
      await this.#reply(connection.id, connectErrorFrame(namespace, verdict.message, verdict.data));
      return 'done';
    }
    const now = this.#bus.clock.now();
    const socket: SocketRecord = {
      namespace,
      id: newId(this.#bus.random),
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
    const { connectionId } = socket;
    const due: Due[] = [{ kind: 'pending', at: now + CONNECT_TIMEOUT_MS, connectionId, socket }];
    // No connection outlives two hours: what expires later needs no row.
    if (verdict.expiresAt !== undefined && verdict.expiresAt <= connection.connectedAt + MAX_CONNECTION_MS) {
      due.push({ kind: 'expiry', at: verdict.expiresAt, connectionId, socket });
    }
    const outcome = await this.#onceFree(() => this.#bus.store.connectSocket(socket, due));
    if (outcome === 'occupied') return 'violation';
    if (outcome === 'closed') return 'done';
    if (await this.#reply(connection.id, connectFrame(namespace, socket.id))) await this.opened(socket);
    return 'done';
  }

  /**
   * The client has its CONNECT reply, because the post was accepted or because a frame of the socket arrived.
   * Whoever finds out first runs the connect hooks.
   */
  async opened(socket: SocketRecord): Promise<void> {
    if (!(await this.#bus.store.openSocket(socket))) return;
    const session = new SocketSession(this.#bus, { ...socket, state: 'open', hooksDue: true }, this);
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
        await reportFailure(session, application, {
          event: 'connect',
          payload: undefined,
          error: asBusError(error),
        });
      }
    }
    await reapLater(this.#bus, session.gone);
  }

  /** DISCONNECT from the client, or the end of one socket among several of a connection. */
  async leaveNamespace(socket: SocketRef): Promise<void> {
    const at = this.#bus.clock.now();
    // The namespace is freed last: until then the end of the connection still finds the socket.
    await this.#endSocket(socket, at);
    await this.#bus.store.freeNamespace(socket, at);
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
    if (outcome !== 'ok' && outcome !== 'gone') return this.close(connectionId);
    await this.leaveNamespace(socket);
    if (close) await this.#bus.wire.close(connectionId);
  }

  /**
   * The connection is over. First it and its sockets are marked closed, so that no join can follow; then the
   * memberships go; the slot row goes last, so that the sweep repeats a cleanup that was cut off.
   */
  async disconnected(connectionId: string): Promise<void> {
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
        await this.#endSocket({ namespace, id, connectionId: owner, connectedAt }, at);
      }
    }
    for (const id of ids) await store.leaveSlot(id, slotOf(id, config.pingIntervalMinutes));
  }

  /**
   * Cuts a connection that broke the protocol, fell silent or has lived long enough, and cleans up after it. Where it
   * could not be cut its rows stay: without them its client would be deaf and, pinged or not, not know it.
   * @throws UnavailableError where it may still be there
   */
  async close(connectionId: string): Promise<void> {
    if (!(await this.#bus.wire.close(connectionId)))
      throw new UnavailableError('a connection could not be cut');
    await this.disconnected(connectionId);
  }

  /** Closes a connection that broke the protocol, and says how. @throws as {@link close} */
  async closeViolator(connectionId: string, error: ProtocolError): Promise<void> {
    this.#bus.log.info('protocol violation, closing the connection', {
      connectionId,
      reason: error.reason,
      cause: error.message,
    });
    await this.close(connectionId);
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

  async #endSocket(socket: SocketRef, at: number): Promise<void> {
    const { store } = this.#bus;
    const record = await store.closeSocket(socket, at);
    if (record === undefined) return;
    await store.removeMemberships(record, Object.keys(record.rooms));
    if (!record.hooksDue) return;
    await this.#disconnectHooks({ ...record, state: 'closed' });
    await store.markHooksDone(socket);
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
