/**
 * The API with which an application is written (design D10): one declarative definition from which come the
 * server's behaviour, the TypeScript event maps of its clients, and its documentation.
 */

import type {
  Answer,
  AnySocket,
  AppContext,
  Application,
  Authentication,
  BackendCall,
  BusError,
  ClientEvent,
  Handshake,
  HistoryOptions,
  HttpAnswer,
  HttpRequest,
  HttpRoute,
  Json,
  RoomHistory,
  RoomKind,
  RoomPresence,
  Schema,
  Settings,
} from '../bus/public.ts';
import type { Id } from '../contract/values.ts';

/** Payload schemas by event name. */
export type EventSchemas = Readonly<Record<string, Schema>>;

/** What follows the event's name: nothing where the schema is of `undefined`. */
export type EventArguments<S> =
  S extends Schema<unknown, infer Input>
    ? undefined extends Input
      ? [payload?: Exclude<Input, undefined>]
      : [payload: Input]
    : never;

export interface Broadcast<Events extends EventSchemas> {
  to(room: string | readonly string[]): Broadcast<Events>;
  in(room: string | readonly string[]): Broadcast<Events>;
  except(room: string | readonly string[]): Broadcast<Events>;
  readonly volatile: Broadcast<Events>;
  /** How long `emitWithAck` waits. @param ms 1 to 20000 */
  timeout(ms: number): Broadcast<Events>;
  emit<Name extends keyof Events & string>(event: Name, ...args: EventArguments<Events[Name]>): Promise<void>;
  /**
   * Resolves to the first argument of everybody's answer, in no order; after the timeout, 10 s where none is given,
   * rejects with an `AckTimeoutError` that has the `responses` that came. At most 1,000 sockets are asked. Await it: an
   * invocation ends with its handler, whatever it still waits for.
   */
  emitWithAck<Name extends keyof Events & string>(
    event: Name,
    ...args: EventArguments<Events[Name]>
  ): Promise<unknown[]>;
}

/** Emits to one socket. */
export interface SelfBroadcast<Events extends EventSchemas> {
  to(room: string | readonly string[]): Broadcast<Events>;
  in(room: string | readonly string[]): Broadcast<Events>;
  except(room: string | readonly string[]): Broadcast<Events>;
  readonly volatile: SelfBroadcast<Events>;
  /** How long `emitWithAck` waits. @param ms 1 to 20000 */
  timeout(ms: number): SelfBroadcast<Events>;
  emit<Name extends keyof Events & string>(event: Name, ...args: EventArguments<Events[Name]>): Promise<void>;
  /**
   * Resolves to the first argument of the client's answer, which is whatever the client makes it; rejects with an
   * `AckTimeoutError` after the timeout, 10 s where none is given, or at once where no answer can come: the client is gone,
   * or it polls and its own request is being handled.
   */
  emitWithAck<Name extends keyof Events & string>(
    event: Name,
    ...args: EventArguments<Events[Name]>
  ): Promise<unknown>;
}

export interface RemoteSocket<Identity> {
  readonly id: string;
  readonly handshake: Handshake;
  readonly rooms: ReadonlySet<string>;
  readonly data: Readonly<Record<string, Json>>;
  readonly identity: Identity | undefined;
}

export interface Namespace<Events extends EventSchemas, Identity> extends Broadcast<Events> {
  readonly name: string;
  fetchSockets(room?: string): Promise<RemoteSocket<Identity>[]>;
  /** How many sockets the namespace, or the rooms chosen before, have. */
  countSockets(): Promise<number>;
  /** Who is in a room of this application: how many, and at most 1,000 of them. @throws BusError where its kind keeps no presence */
  presence(room: string): Promise<RoomPresence>;
  /** Rooms that have members, of any application of the namespace; at most `limit` whose name `matches`. */
  activeRooms(
    limit: number,
    matches: (room: string) => boolean,
  ): Promise<{ readonly rooms: string[]; readonly truncated: boolean }>;
  /** What was published to a room of the application within 2 h 15 min: the last events, or those after an offset. */
  history(room: string, options?: HistoryOptions): Promise<RoomHistory>;
}

/** A client, in Socket.IO's own vocabulary. */
export interface AppSocket<Events extends EventSchemas, Identity> extends SelfBroadcast<Events> {
  readonly id: string;
  /** The whole namespace: `socket.nsp.to(room)` includes the socket itself. */
  readonly nsp: Namespace<Events, Identity>;
  readonly handshake: Handshake;
  /** What `auth` accepted; undefined where the client brought no proof. */
  readonly identity: Identity | undefined;
  /** JSON values of this application; changed top-level keys are saved when the handler ends. */
  readonly data: Record<string, Json>;
  /** Its own id and the rooms it is in. */
  readonly rooms: ReadonlySet<string>;
  /** The client came back to this socket: it has its rooms and data, and what it missed; do not greet it again. */
  readonly recovered: boolean;
  readonly broadcast: Broadcast<Events>;
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
  countAs(id: Id): Promise<void>;
  /**
   * Closes the connection by the sweep after this time: when a proof that came after the handshake expires. Asked before a room is
   * joined by that proof: who is in one would stay where this fails. As with `countAs` the proof has to be shown on every `connect`.
   */
  expireAt(at: number): Promise<void>;
  /**
   * Writes what was changed in `data`, then reads the socket again: its rooms and data, as other handlers may have changed them. Not in
   * `canJoin`, which it would wait for.
   * @throws BusError `not_found` where it is closed
   */
  refresh(): Promise<void>;
  /**
   * Whether something becomes true within 1.5 s, re-reading the socket meanwhile (design D13). All waits of one event have
   * these 1.5 s together, and so have all events of one polling request.
   */
  eventually(predicate: () => boolean): Promise<boolean>;
}

export interface AppFailure {
  readonly event: string;
  readonly payload: unknown;
  readonly error: BusError;
}

/** Verifies a client; the identity it accepts is the type of `socket.identity`. */
export interface Auth<Identity> extends Authentication {
  /** Only a type: names what `authenticate` accepts. */
  readonly accepts?: Identity;
}

interface HandledEvent<Events extends EventSchemas, Identity, Payload> {
  /** Checked before `handle` runs; unknown keys of an object are ignored. */
  readonly payload: Payload;
  /** Also goes out to the deployment's event bus, once it was handled. @default false */
  readonly forward?: boolean;
  /** What it returns is the acknowledgement; nothing means `{ ok: true }`. A `BusError` is the failure's. */
  handle(
    socket: AppSocket<Events, Identity>,
    payload: Payload extends Schema<infer Output> ? Output : never,
    context: AppContext,
  ): Promise<Answer> | Answer;
}

interface OfferedCall<Events extends EventSchemas, Identity, Args> {
  /** A tuple schema of the call's arguments. */
  readonly args: Args;
  handle(
    io: Namespace<Events, Identity>,
    args: Args extends Schema<infer Output> ? Output : never,
    context: AppContext,
  ): Promise<unknown>;
}

/** A request whose identity has this application's type. */
export interface AppRequest<Identity> extends Omit<HttpRequest, 'identity'> {
  readonly identity: Identity | undefined;
}

interface AppRoute<Events extends EventSchemas, Identity> {
  readonly method: 'GET' | 'POST';
  /** Exact, from the root: `/socket/status`. */
  readonly path: string;
  /** A `BusError` becomes the HTTP error of its code. */
  handle(
    request: AppRequest<Identity>,
    io: Namespace<Events, Identity>,
    context: AppContext,
  ): Promise<HttpAnswer>;
}

export interface AppDefinition<
  Events extends EventSchemas,
  Payloads extends EventSchemas,
  Calls extends EventSchemas,
  Identity,
> {
  readonly name: string;
  /** @default '/' */
  readonly namespace?: string;
  /**
   * Whether a client that comes back within 5 minutes gets its socket back, with its rooms, its data and what it missed;
   * `unlogged` events are left out of that. All applications of a namespace have it, or none. @default on
   */
  readonly recovery?: false | { readonly unlogged?: readonly (keyof Events & string)[] };
  /** @default nobody is asked for a proof */
  readonly auth?: Auth<Identity>;
  /** Browser origins that may connect. @default none beside those of the deployment */
  readonly origins?: (settings: Settings) => readonly string[];
  /** By prefix; rooms without a declared prefix do not exist. */
  readonly rooms?: Readonly<
    Record<string, RoomKind<AppSocket<Events, Identity>, Namespace<Events, Identity>>>
  >;
  readonly serverEvents?: Events;
  readonly clientEvents?: {
    readonly [Name in keyof Payloads]: HandledEvent<Events, Identity, Payloads[Name]>;
  };
  readonly onConnect?: (socket: AppSocket<Events, Identity>, context: AppContext) => Promise<void> | void;
  readonly onDisconnect?: (socket: AppSocket<Events, Identity>, context: AppContext) => Promise<void> | void;
  readonly onError?: (
    socket: AppSocket<Events, Identity>,
    failure: AppFailure,
    context: AppContext,
  ) => Promise<void> | void;
  /** What backends may call through the publish function. */
  readonly backend?: { readonly [Name in keyof Calls]: OfferedCall<Events, Identity, Calls[Name]> };
  /** Routes on the deployment's HTTP API. */
  readonly http?: readonly AppRoute<Events, Identity>[];
  /** Lines that a local start prints, as the application's own server printed them. */
  readonly startupLines?: (settings: Settings) => readonly string[];
}

/** An application with the schemas it was made of, for typed clients and documentation. */
export interface App<Events extends EventSchemas = EventSchemas, Payloads extends EventSchemas = EventSchemas>
  extends Application {
  readonly events: { readonly server: Events; readonly client: Payloads };
}

const NAME_FORM = /^[a-z][a-z0-9-]*$/;

/**
 * Makes an application.
 * @throws TypeError where the definition cannot work: its name, its namespace, an empty room prefix.
 */
export function defineApp<
  const Events extends EventSchemas = Record<never, Schema>,
  Payloads extends EventSchemas = Record<never, Schema>,
  Calls extends EventSchemas = Record<never, Schema>,
  Identity = undefined,
>(definition: AppDefinition<Events, Payloads, Calls, Identity>): App<Events, Payloads> {
  const { name, namespace = '/', auth, origins, onConnect, onDisconnect, onError } = definition;
  // `test` would take a missing name for the text 'undefined'; definitions are also written without types.
  if (typeof name !== 'string' || !NAME_FORM.test(name))
    throw new TypeError(`an application's name is like 'my-app', not '${name}'`);
  if (!namespace.startsWith('/')) throw new TypeError(`the namespace of ${name} must begin with a slash`);
  if (Object.keys(definition.rooms ?? {}).includes(''))
    throw new TypeError(`a room prefix of ${name} is empty`);
  const clientEvents = (definition.clientEvents ?? {}) as Record<
    string,
    HandledEvent<Events, Identity, Schema>
  >;
  // The typed socket is the server's own socket: the server checks at run time what these types promise.
  return {
    name,
    namespace,
    ...(definition.recovery === undefined ? {} : { recovery: definition.recovery }),
    ...(auth === undefined ? {} : { auth }),
    ...(origins === undefined ? {} : { origins }),
    ...(onConnect === undefined
      ? {}
      : { onConnect: onConnect as unknown as (socket: AnySocket) => Promise<void> }),
    ...(onDisconnect === undefined
      ? {}
      : { onDisconnect: onDisconnect as unknown as (socket: AnySocket) => Promise<void> }),
    ...(onError === undefined ? {} : { onError: onError as unknown as NonNullable<Application['onError']> }),
    rooms: (definition.rooms ?? {}) as unknown as Readonly<Record<string, RoomKind>>,
    clientEvents: clientEvents as unknown as Readonly<Record<string, ClientEvent>>,
    serverEvents: definition.serverEvents ?? {},
    backend: (definition.backend ?? {}) as unknown as Readonly<Record<string, BackendCall>>,
    http: (definition.http ?? []) as unknown as readonly HttpRoute[],
    ...(definition.startupLines === undefined ? {} : { startupLines: definition.startupLines }),
    events: {
      server: (definition.serverEvents ?? {}) as Events,
      client: Object.fromEntries(
        Object.entries(clientEvents).map(([event, { payload }]) => [event, payload]),
      ) as unknown as Payloads,
    },
  };
}

const CANONICAL_INTEGER = /^(0|-?[1-9]\d*)$/;

/** Text that is a canonical safe integer becomes a number, anything else stays: `"1"` → `1`, `"01"` → `"01"`. */
export function canonicalId(text: string): Id {
  return CANONICAL_INTEGER.test(text) && Number.isSafeInteger(Number(text)) ? Number(text) : text;
}

export { type Id, id, timestamp } from '../contract/values.ts';
