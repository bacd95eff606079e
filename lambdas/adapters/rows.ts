/** Rows of the bus table and what they mean. Values that are never compared by DynamoDB are kept as JSON text. */
import type {
  Connection,
  Due,
  Handshake,
  Json,
  Member,
  NotedRoom,
  Session,
  SocketRecord,
  SocketState,
} from '../bus/ports.ts';
import { rememberedWhos } from './counted-as.ts';
import {
  connectionBytes,
  connectionKey,
  connectionText,
  directoryKey,
  dueKey,
  idBytes,
  idText,
  type RowKey,
  socketKey,
} from './keys.ts';

/** Version of the rows, for a later one to know them by. Nothing looks at it: see docs/deploy.md, "A new version". */
export const ROW_VERSION = 1;

const MINUTE_MS = 60_000;
/** Longer than any connection lives (two hours, WebSocket quotas page). */
const LIFETIME_MS = 135 * MINUTE_MS;
/**
 * How long closed rows stay for late frames and repeated cleanups: they are what leads a cleanup to the memberships
 * that an earlier one left, so they outlast every one of them.
 */
const CLOSED_MS = LIFETIME_MS;
/** Due rows outlast a sweep that was down for a day. */
const DUE_MS = 24 * 60 * MINUTE_MS;

/** What failed for good may be done again for as long as a dead-letter queue keeps it: two weeks (lib/events.ts). */
const CHECKPOINT_MS = 15 * 24 * 60 * MINUTE_MS;

/** Longer than a connection lives and its client has to come back, so that the log always reaches back (design D9). */
const LOG_MS = LIFETIME_MS;

/** As long as EventBridge tries an event again (EventBridge quotas: 24 hours). */
const PUBLICATION_MS = 24 * 60 * MINUTE_MS;

/** Nobody looks for an answer once its time is up; clocks differ, and a handler may be late. */
const ACK_MS = 2 * MINUTE_MS;

export type Row = Record<string, unknown>;

const seconds = (ms: number): number => Math.ceil(ms / 1_000);
export const lifetimeEnd = (connectedAt: number): number => seconds(connectedAt + LIFETIME_MS);
export const closedEnd = (at: number): number => seconds(at + CLOSED_MS);
export const logEnd = (position: number): number => seconds(position + LOG_MS);
export const publicationEnd = (at: number): number => seconds(at + PUBLICATION_MS);
export const checkpointEnd = (at: number): number => seconds(at + CHECKPOINT_MS);
export const ackEnd = (until: number): number => seconds(until + ACK_MS);

/** DynamoDB deletes an expired row days later; until then it must count as absent. */
export function expired(row: Row, now: number): boolean {
  return typeof row.t === 'number' && row.t * 1_000 <= now;
}

export function connectionRow(connection: Connection): Row {
  return {
    ...connectionKey(connection.id),
    v: ROW_VERSION,
    t: lifetimeEnd(connection.connectedAt),
    id: connection.id,
    ...(connection.address === undefined ? {} : { address: connection.address }),
    open: connection.open,
    at: connection.connectedAt,
    handshake: JSON.stringify(connection.handshake),
    credentials: JSON.stringify(connection.credentials),
    namespaces: connection.namespaces,
    left: connection.left,
    ...(connection.countedAt === undefined ? {} : { countedAt: connection.countedAt }),
  };
}

export function readConnection(row: Row): Connection {
  return {
    id: row.id as string,
    ...(typeof row.address === 'string' ? { address: row.address } : {}),
    open: row.open === true,
    connectedAt: row.at as number,
    handshake: JSON.parse(row.handshake as string) as Handshake,
    credentials: JSON.parse(row.credentials as string) as Record<string, Json>,
    namespaces: row.namespaces as Record<string, string>,
    left: row.left as Record<string, number>,
    ...(typeof row.countedAt === 'string' ? { countedAt: row.countedAt } : {}),
  };
}

export function socketRow(socket: SocketRecord): Row {
  return {
    ...socketKey(socket),
    v: ROW_VERSION,
    t: lifetimeEnd(socket.connectedAt),
    namespace: socket.namespace,
    id: socket.id,
    connection: connectionBytes(socket.connectionId),
    ...(socket.address === undefined ? {} : { address: connectionBytes(socket.address) }),
    state: socket.state,
    at: socket.connectedAt,
    rooms: socket.rooms,
    identities: JSON.stringify(socket.identities),
    data: Object.fromEntries(Object.entries(socket.data).map(([key, value]) => [key, JSON.stringify(value)])),
    handshake: JSON.stringify(socket.handshake),
    hooksDue: socket.hooksDue,
    version: socket.session?.version ?? 0,
    ...(socket.session === undefined ? {} : sessionColumns(socket.session)),
    ...(socket.recovered === undefined ? {} : { recovered: true }),
    ...(socket.expiresAt === undefined ? {} : { expiresAt: socket.expiresAt }),
    ...(socket.countedAs === undefined ? {} : { countedAs: socket.countedAs }),
    ...(socket.provenOn === undefined ? {} : { provenOn: connectionBytes(socket.provenOn) }),
    ...(socket.due === undefined ? {} : { due: socket.due }),
  };
}

function sessionColumns({ secretHash, position, ended }: Session): Row {
  return { secret: Buffer.from(secretHash, 'base64url'), position, ended };
}

function readSession(row: Row): Session | undefined {
  if (!(row.secret instanceof Uint8Array)) return undefined;
  return {
    secretHash: idText(row.secret),
    position: row.position as number,
    version: row.version as number,
    ...(typeof row.closedAt === 'number' ? { closedAt: row.closedAt } : {}),
    ended: row.ended === true,
    ...(typeof row.gapAt === 'number' ? { gap: row.gapAt } : {}),
  };
}

export function readSocket(row: Row): SocketRecord {
  const data = Object.entries(row.data as Record<string, string>);
  const session = readSession(row);
  return {
    namespace: row.namespace as string,
    id: row.id as string,
    connectionId: connectionText(row.connection as Uint8Array),
    ...(row.address === undefined ? {} : { address: connectionText(row.address as Uint8Array) }),
    state: row.state as SocketState,
    connectedAt: row.at as number,
    rooms: row.rooms as Record<string, number>,
    identities: JSON.parse(row.identities as string) as Record<string, Json>,
    data: Object.fromEntries(data.map(([key, text]) => [key, JSON.parse(text) as Json])),
    handshake: JSON.parse(row.handshake as string) as Handshake,
    hooksDue: row.hooksDue === true,
    ...(session === undefined ? {} : { session }),
    ...(row.recovered === true ? { recovered: true } : {}),
    ...(typeof row.expiresAt === 'number' ? { expiresAt: row.expiresAt } : {}),
    ...(typeof row.countedAs === 'string' ? { countedAs: row.countedAs } : {}),
    ...(row.provenOn instanceof Uint8Array ? { provenOn: connectionText(row.provenOn) } : {}),
    ...(row.due === undefined ? {} : { due: row.due as NonNullable<SocketRecord['due']> }),
    ...rememberedWhos(row),
  };
}

/** Tiny on purpose: a broadcast reads one per recipient. */
export function membershipRow(key: RowKey, connectionId: string, connectedAt: number): Row {
  return { ...key, c: connectionBytes(connectionId), t: lifetimeEnd(connectedAt) };
}

export function readMember(row: Row): Member {
  const member = { id: idText(row.s as Uint8Array), connectionId: connectionText(row.c as Uint8Array) };
  return typeof row.seen === 'number' ? { ...member, seen: row.seen } : member;
}

/** A member stays at most one connection's life without joining again; the hint outlasts it and its own renewal. */
const DIRECTORY_MS = LIFETIME_MS + 15 * MINUTE_MS;

export function directoryRow(namespace: string, room: string, socketId: string, at: number): Row {
  return {
    ...directoryKey(namespace, room),
    v: ROW_VERSION,
    t: seconds(at + DIRECTORY_MS),
    room,
    socket: idBytes(socketId),
  };
}

export function readNotedRoom(row: Row): NotedRoom {
  return { room: row.room as string, socketId: idText(row.socket as Uint8Array) };
}

export function dueRow(due: Due): Row {
  const socket = 'socket' in due ? { namespace: due.socket.namespace, id: due.socket.id } : undefined;
  return {
    ...dueKey(due),
    v: ROW_VERSION,
    t: seconds(due.at + DUE_MS),
    kind: due.kind,
    at: due.at,
    connectionId: due.connectionId,
    ...(socket === undefined ? {} : { socket }),
    ...(due.kind === 'presence' ? { room: due.room, who: due.who } : {}),
  };
}

export function readDue(row: Row): Due {
  const { kind, at, connectionId, socket, room, who } = row;
  return {
    kind,
    at,
    connectionId,
    ...(socket === undefined ? {} : { socket }),
    ...(kind === 'presence' ? { room, who } : {}),
  } as Due;
}
