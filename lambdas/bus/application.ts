/** An application as the server sees it: what `defineApp` makes of a definition, with the types erased. */
import type * as z from 'zod/mini';
import type { BusError } from './errors.ts';
import type { Grants } from './grants.ts';
import type { Handshake, Json, KeySets, Log, Millis, Rows, Secrets, Who } from './ports.ts';

export type Schema<Output = unknown, Input = unknown> = z.core.$ZodType<Output, Input>;

/** Environment variables that applications read as settings. */
export type Settings = Readonly<Record<string, string | undefined>>;

/** What an application's functions are given beside a socket. */
export interface AppContext {
  readonly settings: Settings;
  readonly secrets: Secrets;
  readonly keySets: KeySets;
  readonly log: Log;
  /** `trusted` believes an id in a payload; `token` wants it proven. */
  readonly identityMode: 'trusted' | 'token';
  /** Other applications on the same namespace. */
  readonly neighbours: readonly string[];
  /** What the application keeps; other applications have rows of their own. */
  readonly rows: Rows;
  /** Rooms that backends have opened to an identity. */
  readonly grants: Pick<Grants, 'has'>;
  now(): Millis;
  /** 20 random characters. */
  newId(): string;
}

/** What `$connect` and CONNECT know of a client. */
export interface Credentials {
  readonly handshake: Handshake;
  /** The `auth` of the CONNECT packet, whatever the client put there. */
  readonly auth: unknown;
  /** What `credential` made of the request's headers. */
  readonly credential: Json | undefined;
}

export type AuthOutcome =
  | { readonly kind: 'accepted'; readonly identity?: Json; readonly expiresAt?: Millis }
  /** `connect_error` with this message; the socket never exists. */
  | { readonly kind: 'refused'; readonly message: string; readonly data?: Json }
  /** Connected, told why by one event, disconnected; the socket never is a member of anything. */
  | { readonly kind: 'expelled'; readonly event: string; readonly args: readonly Json[] }
  /**
   * It cannot be known now, which is no fault of the client's. A stock client that was refused or disconnected would not
   * come back by itself: so the connection is closed without an answer, and the client tries again, with the session that
   * it has. Where the connection serves another namespace it stays, and this one is refused with the message.
   */
  | { readonly kind: 'unavailable'; readonly message: string };

export interface Authentication {
  /** Runs in `$connect`, the only place that sees headers. What it returns is stored: never a token. */
  credential?(headers: Readonly<Record<string, string>>, context: AppContext): Promise<Json | undefined>;
  authenticate(credentials: Credentials, context: AppContext): Promise<AuthOutcome>;
}

/** How a room kind is joined; the key is the prefix that its room names share. */
export interface RoomKind<Socket = AnySocket, Io = AnyNamespace> {
  /**
   * Whether this socket may join; `rest` is the room's name after the prefix. Default: nobody. A predicate: it runs
   * in the queue of the socket's effects, so it must not await an emit or a join of the same socket.
   */
  readonly canJoin?: (socket: Socket, rest: string, context: AppContext) => boolean | Promise<boolean>;
  /** Many sockets join at once: membership is spread over 16 partitions instead of one (design D6). */
  readonly hot?: boolean;
  /** Whoever may join may also read what was published there, by `GET /rooms/{room}/history`. @default false */
  readonly history?: boolean;
  /** Who joins is sent the room's last event, or the last one of this name, if that was for it. @default false */
  readonly lastOnJoin?: boolean | string;
  /** Keeps who is in the room. @default nobody is counted, and joins and leaves cost less */
  readonly presence?: PresenceKind<Socket, Io>;
}

/** Somebody came to a room, or left it. */
export interface PresenceEvent {
  readonly room: string;
  readonly who: Who;
}

export type PresenceNotice<Io = AnyNamespace> = (
  io: Io,
  event: PresenceEvent,
  context: AppContext,
) => Promise<void> | void;

/**
 * Who counts as there, and what is done when they come and go. Several sockets of one `who` are one presence. Each hook
 * runs once for each coming and going, and at least once where a function crashes; never the two at the same time.
 */
export interface PresenceKind<Socket = AnySocket, Io = AnyNamespace> {
  /** Text of at most 256 bytes or a safe integer. @default the `id` of the identity, else the socket's id */
  readonly who?: (socket: Socket) => Who;
  /** After the first socket has joined. */
  readonly onEnter?: PresenceNotice<Io>;
  /** When for 3 s no socket has been left. */
  readonly onLeave?: PresenceNotice<Io>;
}

export interface RoomPresence {
  /** How many are there. */
  readonly count: number;
  /** At most 1,000 of them, in no order. */
  readonly members: readonly {
    readonly who: Who;
    /** Ids; none within 3 s of the last one's leaving. */
    readonly sockets: readonly string[];
  }[];
}

export type Acknowledgement = { readonly [key: string]: Json | undefined } | undefined;

/** What a handler returns. */
// biome-ignore lint/suspicious/noConfusingVoidType: most handlers return nothing, and need not say so
export type Answer = Acknowledgement | void;

export interface ClientEvent<Socket = AnySocket, Payload = unknown> {
  readonly payload?: Schema<Payload>;
  /** Goes out to the event bus once it was handled (design D8). */
  readonly forward?: boolean;
  handle(socket: Socket, payload: Payload, context: AppContext): Promise<Answer> | Answer;
}

export interface HttpRequest {
  /** Lower-cased names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
  /** Parsed JSON; undefined where the request has no body. */
  readonly body: unknown;
  /** What `auth` made of the request's headers; undefined where they prove nothing. */
  readonly identity: Json | undefined;
}

export interface HttpAnswer {
  readonly status: number;
  readonly body: Json | object;
}

export interface HttpRoute<Namespace = AnyNamespace> {
  readonly method: 'GET' | 'POST';
  /** Exact, from the root: `/socket/status`. */
  readonly path: string;
  /** A `BusError` becomes the HTTP error of its code. */
  handle(request: HttpRequest, io: Namespace, context: AppContext): Promise<HttpAnswer>;
}

export interface BackendCall<Args extends readonly unknown[] = readonly unknown[]> {
  readonly args: Schema<Args>;
  handle(io: AnyNamespace, args: Args, context: AppContext): Promise<unknown>;
}

/** Emits to many; immutable, as in Socket.IO: each call returns a narrowed copy. */
export interface AnyBroadcast {
  to(room: string | readonly string[]): AnyBroadcast;
  in(room: string | readonly string[]): AnyBroadcast;
  except(room: string | readonly string[]): AnyBroadcast;
  readonly volatile: AnyBroadcast;
  /** How long `emitWithAck` waits. @param ms 1 to 20000 */
  timeout(ms: number): AnyBroadcast;
  emit(event: string, ...args: readonly unknown[]): Promise<void>;
  /**
   * Resolves to the first argument of everybody's answer, in no order; after the timeout, 10 s where none is given,
   * rejects with an `AckTimeoutError` that has the `responses` that came. At most 1,000 sockets are asked. Await it: an
   * invocation ends with its handler, whatever it still waits for.
   */
  emitWithAck(event: string, ...args: readonly unknown[]): Promise<unknown[]>;
}

/** Emits to one socket. */
export interface AnySelf {
  to(room: string | readonly string[]): AnyBroadcast;
  in(room: string | readonly string[]): AnyBroadcast;
  except(room: string | readonly string[]): AnyBroadcast;
  readonly volatile: AnySelf;
  /** How long `emitWithAck` waits. @param ms 1 to 20000 */
  timeout(ms: number): AnySelf;
  emit(event: string, ...args: readonly unknown[]): Promise<void>;
  /**
   * Resolves to the first argument of the client's answer; rejects with an `AckTimeoutError` after the timeout, 10 s
   * where none is given, or at once where no answer can come: the client is gone, or it polls and its own request is being handled.
   */
  emitWithAck(event: string, ...args: readonly unknown[]): Promise<unknown>;
}

export interface RemoteSocket {
  readonly id: string;
  readonly handshake: Handshake;
  readonly rooms: ReadonlySet<string>;
  /** This application's own data of the socket. */
  readonly data: Readonly<Record<string, Json>>;
  readonly identity: Json | undefined;
}

export interface HistoryOptions {
  /** An event's offset, which clients have as its last argument: only what came after it. @default the last events */
  readonly since?: string;
  /** 1 to 1,000. @default 100 */
  readonly limit?: number;
}

export interface HistoryEvent {
  readonly offset: string;
  readonly event: string;
  /** Without the offset. */
  readonly args: readonly unknown[];
  readonly at: Millis;
}

export interface RoomHistory {
  /** Oldest first. */
  readonly events: readonly HistoryEvent[];
  /** There are later ones, or without `since` earlier ones. */
  readonly more: boolean;
}

export interface AnyNamespace extends AnyBroadcast {
  readonly name: string;
  /** Every open socket of the namespace, or of the rooms chosen before. */
  fetchSockets(room?: string): Promise<RemoteSocket[]>;
  /** How many sockets the namespace, or the rooms chosen before, have; without reading the sockets. */
  countSockets(): Promise<number>;
  /** Who is in a room of this application. @throws BusError where its kind keeps no presence */
  presence(room: string): Promise<RoomPresence>;
  /** Rooms that have members, of any application of the namespace; at most `limit` whose name `matches`. */
  activeRooms(
    limit: number,
    matches: (room: string) => boolean,
  ): Promise<{ readonly rooms: string[]; readonly truncated: boolean }>;
  /**
   * What was published to a room of the application within 2 h 15 min, about 1 MB at most: neither volatile nor unlogged
   * events, nor those to the whole namespace.
   * @throws BusError `forbidden` for another application's room, `invalid_payload` where the namespace keeps no log
   */
  history(room: string, options?: HistoryOptions): Promise<RoomHistory>;
}

/** A socket with its types erased; applications see `AppSocket`. */
export interface AnySocket extends AnySelf {
  readonly id: string;
  readonly nsp: AnyNamespace;
  readonly handshake: Handshake;
  readonly identity: Json | undefined;
  /** This application's own data; changed top-level keys are saved when the handler ends. */
  readonly data: Record<string, Json>;
  readonly rooms: ReadonlySet<string>;
  /** The client came back to this socket: it has its rooms and data, and what it missed. */
  readonly recovered: boolean;
  readonly broadcast: AnyBroadcast;
  join(room: string | readonly string[]): Promise<void>;
  leave(room: string): Promise<void>;
  disconnect(close?: boolean): Promise<void>;
  /**
   * Counts its connection among those of this id (`CONNECTIONS_PER_USER`), and no longer as whose it was counted before: for who
   * is proven after the handshake. An id that is only claimed would fill somebody else's number.
   * The bus cannot verify that proof anew: the session is recovered from a connection on which it was called, and from no other. So
   * clients show their proof on every `connect`.
   * @throws BusError `rate_limited` where there are as many already; it is counted as before then
   */
  countAs(id: Who): Promise<void>;
  /**
   * Closes the connection by the sweep after this time: when a proof that came after the handshake expires. Asked before a room is
   * joined by that proof: who is in one would stay where this fails. As with `countAs` the proof has to be shown on every `connect`.
   */
  expireAt(at: Millis): Promise<void>;
  /**
   * Writes what was changed in `data`, then reads the socket again: its rooms and data, as other handlers may have changed them. Not in
   * `canJoin`, which it would wait for.
   * @throws BusError `not_found` where it is closed
   */
  refresh(): Promise<void>;
  /**
   * Whether something becomes true of this socket within 1.5 s, re-reading it meanwhile: API Gateway runs one
   * client's messages concurrently, so what an earlier message set may still be under way (design D13). All waits of one
   * event have these 1.5 s together, and so have all events of one polling request, which are handled in order.
   */
  eventually(predicate: () => boolean): Promise<boolean>;
}

export interface Failure {
  readonly event: string;
  readonly payload: unknown;
  readonly error: BusError;
}

/** What is kept for clients that come back (design D9). */
export interface RecoveryOptions {
  /** Events that nobody is sent again; they are retried, and lost where that does not help. @default none */
  readonly unlogged?: readonly string[];
}

export interface Application {
  readonly name: string;
  readonly namespace: string;
  /** `false`: a client that comes back is a new one, and packets carry no offsets. All of a namespace agree on that. */
  readonly recovery?: false | RecoveryOptions;
  readonly auth?: Authentication;
  readonly origins?: (settings: Settings) => readonly string[];
  readonly rooms: Readonly<Record<string, RoomKind>>;
  readonly clientEvents: Readonly<Record<string, ClientEvent>>;
  readonly serverEvents: Readonly<Record<string, Schema>>;
  readonly onConnect?: (socket: AnySocket, context: AppContext) => Promise<void> | void;
  readonly onDisconnect?: (socket: AnySocket, context: AppContext) => Promise<void> | void;
  /** Tells the client of a failure. Default: the event `error` with `{ message, code, event, timestamp }`. */
  readonly onError?: (socket: AnySocket, failure: Failure, context: AppContext) => Promise<void> | void;
  readonly backend: Readonly<Record<string, BackendCall>>;
  readonly http: readonly HttpRoute[];
  /** Lines that a local start prints, as the application's own server printed them. */
  readonly startupLines?: (settings: Settings) => readonly string[];
}
