/** What the server needs from the world. Adapters on AWS implement these; nothing here knows AWS. */

/** Milliseconds since the epoch. */
export type Millis = number;

/** JSON as it is stored and sent. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** What is kept of the opening request: an allow-list, never tokens or cookies (design D5). */
export interface Handshake {
  /** Lower-cased names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
  readonly address: string;
  readonly secure: boolean;
  /** Whether the request carried an `Origin` header. */
  readonly xdomain: boolean;
  readonly issued: Millis;
}

/** One Engine.IO session and the transport that carries it. */
export interface Connection {
  /** The transport's address: API Gateway's connection id. */
  readonly id: string;
  readonly sid: string;
  readonly open: boolean;
  readonly connectedAt: Millis;
  readonly handshake: Handshake;
  /** What each application made of the handshake's headers, by application name. */
  readonly credentials: Readonly<Record<string, Json>>;
  /** Namespace → socket id. */
  readonly namespaces: Readonly<Record<string, string>>;
  /** Namespaces this connection has left and when: a frame that was under way then is dropped, not a violation. */
  readonly left: Readonly<Record<string, Millis>>;
}

export type SocketState = 'pending' | 'open' | 'closed';

/** A client in a namespace. */
export interface SocketRecord {
  readonly namespace: string;
  readonly id: string;
  readonly connectionId: string;
  readonly state: SocketState;
  readonly connectedAt: Millis;
  /** Room → when it was joined. */
  readonly rooms: Readonly<Record<string, Millis>>;
  /** By application name. */
  readonly identities: Readonly<Record<string, Json>>;
  /** Keys are `{application}:{key}`. */
  readonly data: Readonly<Record<string, Json>>;
  readonly handshake: Handshake;
  /** The connect hooks were begun and the disconnect hooks have not run to their end. */
  readonly hooksDue: boolean;
}

export interface SocketKey {
  readonly namespace: string;
  readonly id: string;
}

/** A socket as seen by one connection: writes through it fail once the socket is closed or has moved. */
export interface SocketRef extends SocketKey {
  readonly connectionId: string;
  readonly connectedAt: Millis;
}

/** A set of sockets that one broadcast reads: an application's room, a whole namespace, or a heartbeat slot. */
export type Group =
  | { readonly kind: 'room'; readonly namespace: string; readonly room: string }
  | { readonly kind: 'namespace'; readonly namespace: string }
  | { readonly kind: 'slot'; readonly slot: number };

/** One row of a group. */
export interface Member {
  /** Base64url of the row's 15 ordering bytes: the socket id, or a hash of the connection id in a slot. */
  readonly id: string;
  readonly connectionId: string;
  /** Slots only: when the last pong was written down. */
  readonly seen?: Millis;
}

export interface Page {
  readonly members: readonly Member[];
  /** Where the next page begins; absent at the end. */
  readonly next?: Uint8Array;
}

/** Something that must happen at a time (design D4). */
export type Due =
  | { readonly kind: 'namespace'; readonly at: Millis; readonly connectionId: string }
  | { readonly kind: 'recycle'; readonly at: Millis; readonly connectionId: string }
  | {
      readonly kind: 'pending';
      readonly at: Millis;
      readonly connectionId: string;
      readonly socket: SocketKey;
    }
  | {
      readonly kind: 'expiry';
      readonly at: Millis;
      readonly connectionId: string;
      readonly socket: SocketKey;
    };

export interface NotedRoom {
  readonly room: string;
  readonly socketId: string;
}

/** How far the sweep has come. */
export interface SweepCursor {
  /** The last minute (since the epoch) that was swept whole. */
  readonly minute: number;
  /** The first minute of the unbroken run of sweeps that `minute` ends. */
  readonly since: number;
}

/** Durable state. Reads are strongly consistent; each write is one atomic step unless it says otherwise. */
export interface Store {
  createConnection(connection: Connection, due: readonly Due[]): Promise<void>;
  connection(id: string): Promise<Connection | undefined>;
  /** Joins the connection to its heartbeat slot if it is open; false where it is not. */
  joinSlot(connectionId: string, slot: number, connectedAt: Millis, seen: Millis): Promise<boolean>;
  /** Writes a pong down; false where the connection has no slot row. */
  touchSlot(connectionId: string, slot: number, seen: Millis): Promise<boolean>;
  inSlot(connectionId: string, slot: number): Promise<boolean>;
  leaveSlot(connectionId: string, slot: number): Promise<void>;
  /** Marks the connection closed and returns it as it is then; undefined where there is none. */
  closeConnection(id: string, at: Millis): Promise<Connection | undefined>;

  /** CONNECT: the connection's namespace, the pending socket, its membership of the namespace, the due rows. */
  connectSocket(socket: SocketRecord, due: readonly Due[]): Promise<'connected' | 'closed' | 'occupied'>;
  /** A socket that is told why and let go: a closed row, a namespace that counts as left, no membership. */
  refuseSocket(socket: SocketRecord): Promise<'refused' | 'closed' | 'occupied'>;
  /** pending → open, with disconnect hooks due from then on; only one caller is told true. */
  openSocket(socket: SocketRef): Promise<boolean>;
  socket(key: SocketKey): Promise<SocketRecord | undefined>;
  sockets(keys: readonly SocketKey[]): Promise<SocketRecord[]>;
  /** Marks the socket closed if it is still on this connection; returns it as it was before the call. */
  closeSocket(socket: SocketRef, at: Millis): Promise<SocketRecord | undefined>;
  markHooksDone(socket: SocketRef): Promise<void>;
  /** Forgets that the namespace belongs to this socket. */
  freeNamespace(socket: SocketRef, at: Millis): Promise<void>;
  /** Membership rows and the socket's room list, together; only while the socket is open on this connection. */
  join(socket: SocketRef, rooms: readonly string[], at: Millis): Promise<'joined' | 'closed' | 'full'>;
  leave(socket: SocketRef, rooms: readonly string[]): Promise<'left' | 'closed'>;
  /** Saves changed keys and removes others, while the socket is on this connection. */
  saveData(
    socket: SocketRef,
    changed: Readonly<Record<string, Json>>,
    removed: readonly string[],
  ): Promise<void>;
  /** Deletes memberships that still name this connection. Not atomic; repeating it is harmless. */
  removeMemberships(socket: SocketRef, rooms: readonly string[]): Promise<void>;

  /** Shards of a group: known without a read, so that a publisher needs none (design D5). */
  shards(group: Group): number;
  /** One page of one shard, ordered by the members' bytes. */
  members(
    group: Group,
    shard: number,
    options: { readonly after?: Uint8Array; readonly limit?: number },
  ): Promise<Page>;

  /** Notes that a room has members; a hint that is never taken back by a leave and expires (design D5). */
  noteRoom(namespace: string, room: string, socketId: string, at: Millis): Promise<void>;
  /** Rooms that may have members, with one socket that had joined each. */
  notedRooms(namespace: string): Promise<NotedRoom[]>;
  /** Which of the noted sockets are still members, read in batches. */
  stillMembers(namespace: string, noted: readonly NotedRoom[]): Promise<Set<string>>;

  due(minute: number, shard: number): Promise<Due[]>;
  dueShards(): number;
  addDue(due: Due): Promise<void>;
  removeDue(due: Due): Promise<void>;
  /** Puts it off to a later time. Not atomic: it is written anew before it is removed. */
  postponeDue(due: Due, at: Millis): Promise<void>;
  sweepCursor(): Promise<SweepCursor | undefined>;
  saveSweepCursor(cursor: SweepCursor): Promise<void>;
}

/**
 * What became of one post.
 * - `ok`: the edge accepted it; the client may still be gone.
 * - `gone`: closed, or not open yet.
 * - `throttled`: over the quota, or the client reads too slowly; trying again may help.
 * - `failed`: a timeout or a server error; it may or may not have arrived.
 * - `refused`: it can never be posted (too large, not allowed).
 */
export type PostOutcome = 'ok' | 'gone' | 'throttled' | 'failed' | 'refused';

/** The sockets' edge. */
export interface Wire {
  post(connectionId: string, frame: string): Promise<PostOutcome>;
  /** Cuts the connection. False where it may still be there; a gone one counts as done. Throws nothing. */
  close(connectionId: string): Promise<boolean>;
}

/** One stored value of an application. */
export interface StoredRow {
  readonly sort: string;
  readonly value: Json;
}

export interface RowQuery {
  /** Only rows after this sort key, in the query's direction. */
  readonly after?: string;
  /** Most rows to return. */
  readonly limit: number;
  readonly descending?: boolean;
}

/**
 * What applications keep beyond a connection's life. Rows are found by a partition and ordered by a sort key (by
 * their UTF-8 bytes); expired rows count as absent. Reads are strongly consistent.
 */
export interface Rows {
  /** False where `ifAbsent` is asked for and the row is there. */
  put(
    partition: string,
    sort: string,
    value: Json,
    options?: { readonly expiresAt?: Millis; readonly ifAbsent?: boolean },
  ): Promise<boolean>;
  get(partition: string, sort: string): Promise<Json | undefined>;
  query(partition: string, query: RowQuery): Promise<StoredRow[]>;
  /** Returns how many were there; deleting what is not there is no error. Not atomic over several rows. */
  delete(partition: string, sorts: readonly string[]): Promise<number>;
}

/** An application event for other systems, on the deployment's event bus. */
export interface ForwardedEvent {
  readonly app: string;
  readonly namespace: string;
  readonly event: string;
  readonly payload: Json;
  readonly socketId: string;
  readonly identity: Json;
  /** ISO 8601. */
  readonly timestamp: string;
}

export interface Forwarder {
  /** Resolves when the event bus has accepted it. */
  forward(event: ForwardedEvent): Promise<void>;
}

/** Work handed to another invocation. */
export interface Workers {
  /** Resolves when the platform has accepted the work. */
  open(work: OpenWork): Promise<void>;
}

export interface OpenWork {
  readonly v: 1;
  readonly connectionId: string;
  readonly sid: string;
  readonly connectedAt: Millis;
}

export interface Clock {
  now(): Millis;
  sleep(ms: number): Promise<void>;
}

export interface Random {
  bytes(length: number): Uint8Array;
  /** Uniform in [0, 1). */
  float(): number;
}

/** Secrets by name, cached. */
export interface Secrets {
  /** @throws SecretError where the secret is not there or cannot be read. */
  get(name: string): Promise<string>;
}

type Fields = Readonly<Record<string, unknown>>;

/** Structured logs. Never hand a token, a secret or a payload to it. */
export interface Log {
  debug(message: string, fields?: Fields): void;
  info(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  error(message: string, fields?: Fields): void;
}
