/**
 * A client that comes back to the socket it had (design D9): the same id, rooms and data, and what it missed, in order,
 * before its CONNECT reply. Nothing hangs on what the platform told us of the old connection.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import pMap from 'p-map';
import { hasIdForm } from '../contract/ids.ts';
import type { Bus } from './context.ts';
import { hasTooMany } from './counting.ts';
import { DELIVERY_DEADLINE_MS, postPacketUntil, retryEvents } from './delivery.ts';
import { UnavailableError } from './errors.ts';
import { MINUTE_MS } from './heartbeat.ts';
import { withOffset } from './message.ts';
import { newId } from './names.ts';
import type { Due, Json, LogEntry, Millis, Random, Session, SocketRecord } from './ports.ts';
import {
  type Missed,
  MOST_MISSED,
  MOST_MISSED_BYTES,
  missedEvents,
  planReplay,
  type ReplayPlan,
  sizeOf,
} from './replay.ts';
import { userOf } from './who.ts';

/** How long after its end a session may be recovered. */
export const RECOVERY_WINDOW_MS = 5 * MINUTE_MS;
/** All events of a replay are posted within this time; `message` has 25 s for everything. */
const REPLAY_MS = 18_000;
/** Rooms that are noted at the same time. */
const CONCURRENCY = 16;
/** Logs that are read at the same time: each may hold as much as all of them may. */
const READ_CONCURRENCY = 6;
/** What changes a session while it is taken over is a matter of moments. */
const TRIES = 5;
/** Overlaps and exceptions are read too, and not sent. */
const MOST_READ = 2 * MOST_MISSED;
const ID_LENGTH = 20;

/** A session and what its client is given to come back with. */
export interface NewSession {
  readonly session: Session;
  readonly pid: string;
}

export function newSession(random: Random, socketId: string, at: Millis): NewSession {
  const secret = newId(random);
  return {
    pid: socketId + secret,
    session: { secretHash: hashOf(secret), position: at, version: 0, ended: false },
  };
}

/** What the `auth` of a CONNECT says of an earlier session. */
export interface Shown {
  readonly pid: string;
  readonly socketId: string;
  readonly offset: unknown;
}

/**
 * The stock client adds `pid` and `offset` to its `auth`; keys of that name in an application's own `auth` replace them,
 * and then what it shows is hardly a session's.
 */
export function shownSession(auth: unknown): Shown | undefined {
  if (typeof auth !== 'object' || auth === null) return undefined;
  const { pid, offset } = auth as { readonly pid?: unknown; readonly offset?: unknown };
  if (typeof pid !== 'string' || pid.length !== 2 * ID_LENGTH) return undefined;
  const socketId = pid.slice(0, ID_LENGTH);
  return hasIdForm(socketId) && hasIdForm(pid.slice(ID_LENGTH)) ? { pid, socketId, offset } : undefined;
}

/** Why a session may not be had; undefined where nothing speaks against it. */
export function refuseRecovery(
  known: SocketRecord | undefined,
  { pid }: Pick<Shown, 'pid'>,
  identities: Readonly<Record<string, Json>>,
  now: Millis,
): string | undefined {
  const session = known?.session;
  if (known === undefined || session === undefined) return 'unknown';
  if (!sameHash(session.secretHash, hashOf(pid.slice(ID_LENGTH)))) return 'wrong secret';
  if (session.ended) return 'ended';
  if (session.closedAt !== undefined && session.closedAt + RECOVERY_WINDOW_MS < now) return 'expired';
  if (known.expiresAt !== undefined && known.expiresAt <= now) return 'its proof has expired';
  if (!sameIdentities(known.identities, identities)) return 'another identity';
  if (isProvenLate(known) && known.provenOn !== known.connectionId)
    return 'what its client has proven since was not proven on its last connection';
  return undefined;
}

/**
 * Whether its client has shown a proof that its handshake does not have (`countAs`), by which it may be in its rooms. The new
 * handshake says nothing of that: without being asked for again it would be good for ever.
 */
function isProvenLate({ countedAs, identities, provenOn }: SocketRecord): boolean {
  return provenOn !== undefined || (countedAs !== undefined && countedAs !== userOf(identities));
}

export class Recovery {
  readonly #bus: Bus;

  constructor(bus: Bus) {
    this.#bus = bus;
  }

  /**
   * Takes the session over for a connection.
   * @param taken what the new connection knows of the socket; its rooms, data and session are as they were
   * @param due what becomes due for a socket on it
   * @throws UnavailableError where it changes all the time
   */
  async takeOver(
    shown: Shown,
    taken: Pick<
      SocketRecord,
      'namespace' | 'connectionId' | 'address' | 'connectedAt' | 'identities' | 'handshake'
    >,
    due: (socket: SocketRecord) => readonly Due[],
  ): Promise<SocketRecord | 'fresh' | 'closed' | 'occupied'> {
    const { clock, store } = this.#bus;
    for (let tries = 0; tries < TRIES; tries += 1) {
      const known = await store.socket({ namespace: taken.namespace, id: shown.socketId });
      const refusal = refuseRecovery(known, shown, taken.identities, clock.now());
      if (refusal !== undefined || known === undefined) return this.#fresh(taken.connectionId, refusal);
      // Whoever proved who it is after it had connected is counted from then on: the CONNECT has not asked for that user.
      const { countedAs } = known;
      if (countedAs !== undefined && countedAs !== userOf(taken.identities))
        if (await hasTooMany(this.#bus, taken.namespace, countedAs, known.id))
          return this.#fresh(taken.connectionId, 'too many connections of its user');
      const { address: _, ...kept } = known;
      const socket: SocketRecord = { ...kept, ...taken, state: 'pending', recovered: true };
      // Who may not have it is not let near what is said there meanwhile; that it may is settled when the log is read again.
      const { kind } = await this.missed(socket, shown);
      if (kind !== 'missed') return this.#fresh(taken.connectionId, kind);
      await this.#noteRooms(socket);
      const outcome = await store.recoverSocket(known, socket, due(socket));
      if (outcome === 'closed' || outcome === 'occupied') return outcome;
      if (outcome === 'recovered') {
        // Its client has left it: nobody would notice for minutes.
        if (known.state !== 'closed') await this.#bus.wire.close(known.address ?? known.connectionId);
        return socket;
      }
    }
    throw new UnavailableError('a session keeps changing while it is taken over');
  }

  #fresh(connectionId: string, because: string | undefined): 'fresh' {
    this.#bus.log.info('a session is not recovered', { connectionId, because });
    this.#bus.metrics.count('RecoveryMisses', 1);
    return 'fresh';
  }

  /** What the socket's client has missed, from logs that are read after its memberships were moved. */
  async missed(socket: SocketRecord, shown: Shown): Promise<Missed> {
    const { session } = socket;
    if (session === undefined) return { kind: 'ended' };
    const plan = planReplay(socket, session, shown.offset, this.#bus.clock.now());
    const entries = await this.#read(plan);
    return entries === 'tooMany' ? { kind: 'tooMany' } : missedEvents(socket, plan, entries, session.gap);
  }

  /**
   * Posts what was missed, in order. `failed`: something of it may not have arrived, and another attempt may do better.
   * `impossible`: it would not; something can never be posted, or all of it is too much for the time there is.
   */
  async replay(
    socket: SocketRecord,
    entries: readonly LogEntry[],
  ): Promise<'done' | 'failed' | 'impossible'> {
    const { clock, metrics } = this.#bus;
    const end = clock.now() + REPLAY_MS;
    for (const { frames, position, id } of entries) {
      const deadline = Math.min(clock.now() + DELIVERY_DEADLINE_MS, end);
      const packet = withOffset(frames, { position, id });
      const rules = { first: retryEvents, rest: retryEvents };
      const { outcome } = await postPacketUntil(this.#bus, socket.connectionId, packet, rules, deadline);
      if (outcome === 'gone') return 'failed';
      if (outcome === 'refused' || clock.now() > end) return 'impossible';
      if (outcome !== 'ok') return 'failed';
    }
    metrics.count('RecoveryHits', 1);
    metrics.count('Replayed', entries.length);
    return 'done';
  }

  async #noteRooms({ namespace, id, rooms }: SocketRecord): Promise<void> {
    const at = this.#bus.clock.now();
    await pMap(Object.keys(rooms), (room) => this.#bus.store.noteRoom(namespace, room, id, at), {
      concurrency: CONCURRENCY,
    });
  }

  async #read({ sources }: ReplayPlan): Promise<LogEntry[] | 'tooMany'> {
    const all: LogEntry[] = [];
    const isTooMany = () => all.length > MOST_READ || sizeOf(all) > MOST_MISSED_BYTES;
    await pMap(
      sources,
      async ({ group, from }) => {
        if (isTooMany()) return;
        const limits = { limit: MOST_READ + 1, characters: MOST_MISSED_BYTES };
        all.push(...(await this.#bus.eventLog.read(group, { from, ...limits })));
      },
      { concurrency: READ_CONCURRENCY },
    );
    return isTooMany() ? 'tooMany' : all;
  }
}

function hashOf(secret: string): string {
  return createHash('sha256').update(`recovery:${secret}`).digest('base64url');
}

function sameHash(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)];
  return a.length === b.length && timingSafeEqual(a, b);
}

/**
 * Claims that differ from one token to the next and say nothing of its holder (RFC 7519, 4.1.4 to 4.1.7); and what the
 * stock client adds to its `auth`, where that as it is is the identity.
 */
const OF_ONE_TOKEN = new Set(['exp', 'nbf', 'iat', 'jti', 'pid', 'offset']);

/**
 * The same somebody to every application, who may do the same: rooms are given back unasked, so whoever has lost a
 * right, or won one, begins anew and is asked at every door.
 */
function sameIdentities(
  before: Readonly<Record<string, Json>>,
  now: Readonly<Record<string, Json>>,
): boolean {
  return [...new Set([...Object.keys(before), ...Object.keys(now)])].every((application) =>
    isDeepStrictEqual(lasting(before[application]), lasting(asStored(now[application]))),
  );
}

/** As a row gives it back: properties without a value are none. */
function asStored(identity: Json | undefined): Json | undefined {
  return identity === undefined ? undefined : (JSON.parse(JSON.stringify(identity)) as Json);
}

/** @returns without what only says which token it was; `7` and `"7"` are the same id */
function lasting(identity: Json | undefined): unknown {
  if (!isRecord(identity)) return identity;
  const { id, claims, ...rest } = identity;
  return {
    ...kept(rest),
    ...(id === undefined ? {} : { id: String(id) }),
    ...(claims === undefined ? {} : { claims: isRecord(claims) ? kept(claims) : claims }),
  };
}

function kept(claims: Readonly<Record<string, Json>>): Readonly<Record<string, Json>> {
  return Object.fromEntries(Object.entries(claims).filter(([name]) => !OF_ONE_TOKEN.has(name)));
}

function isRecord(value: Json | undefined): value is Readonly<Record<string, Json>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
