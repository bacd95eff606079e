/**
 * The publish contract (design D8): what a backend sends to the `publish` function, by Lambda invoke, HTTP or
 * EventBridge, and what it gets back. One schema, shared by the function and by everything that calls it.
 */
import * as z from 'zod/mini';
import { historyQuery } from './history.ts';

/** Longest id of a publish or of an identity, in characters. */
export const MAX_PUBLISH_ID_LENGTH = 256;
/** Largest encoded packet: API Gateway's message payload quota, 128 KB. Not adjustable (WebSocket quotas page). */
export const MAX_PACKET_BYTES = 131_072;
/** Rooms of one publish; later one transaction writes a log row for each, and a transaction holds 100 items. */
const MAX_ROOMS_PER_PUBLISH = 90;
/** Longest wait for answers: `publish` has 28 s, and an HTTP API gives up after 30 (lib/functions.ts); ms. */
const MAX_ACK_TIMEOUT_MS = 25_000;
/** Longest room or namespace name in UTF-8 bytes; names are hashed into keys, so this only bounds the rows. */
const MAX_NAME_BYTES = 2_048;

/** Names Socket.IO keeps for itself (`socket.io-parser`, RESERVED_EVENTS); a client would refuse the packet. */
export const RESERVED_EVENTS: ReadonlySet<string> = new Set([
  'connect',
  'connect_error',
  'disconnect',
  'disconnecting',
  'newListener',
  'removeListener',
]);

const utf8 = new TextEncoder();

/** A name that survives UTF-8: a lone surrogate would be replaced, and two names would share one key. */
const name = () =>
  z.string().check(
    z.minLength(1, 'must not be empty'),
    z.refine((value) => value.isWellFormed(), 'must be well-formed Unicode'),
    z.refine(
      (value) => utf8.encode(value).length <= MAX_NAME_BYTES,
      `must not exceed ${MAX_NAME_BYTES} bytes`,
    ),
  );

const roomName = name;
const namespaceName = () =>
  name().check(z.refine((value) => value.startsWith('/'), 'must begin with a slash'));
const eventName = () =>
  z.string().check(
    z.minLength(1, 'must not be empty'),
    z.refine((value) => !RESERVED_EVENTS.has(value), 'is a name reserved by Socket.IO'),
  );

const rooms = () =>
  z._default(
    z
      .array(roomName())
      .check(z.maxLength(MAX_ROOMS_PER_PUBLISH, `must not exceed ${MAX_ROOMS_PER_PUBLISH} rooms`)),
    [],
  );

/** Every request may carry an id of the caller's; EventBridge's event id is the default one. */
const request = { id: z.optional(z.string().check(z.minLength(1), z.maxLength(MAX_PUBLISH_ID_LENGTH))) };

// Strict: a misspelt `rooms` would otherwise be the whole namespace.
const emitRequestSchema = z.strictObject({
  op: z.literal('emit'),
  namespace: z._default(namespaceName(), '/'),
  /** Empty: the whole namespace. A socket id is a room too. */
  rooms: rooms(),
  except: rooms(),
  event: eventName(),
  /** JSON values; binary ones are Socket.IO placeholders (`{ _placeholder: true, num }`) into `attachments`. */
  args: z._default(z.array(z.json()), []),
  /** Base64 of each binary value, in the order of its placeholder number. */
  attachments: z.optional(z.array(z.base64()).check(z.maxLength(10, 'must not exceed 10 attachments'))),
  flags: z._default(
    z.strictObject({
      volatile: z.optional(z.boolean()),
      /**
       * Waits so long for the sockets to answer, at most 1,000 of them. Together with `volatile` whom the one try does
       * not reach is missing. Nothing is remembered under the request's id: who repeats it asks again.
       */
      ackTimeoutMs: z.optional(
        z
          .int()
          .check(
            z.minimum(1, 'must be at least 1'),
            z.maximum(MAX_ACK_TIMEOUT_MS, `must not exceed ${MAX_ACK_TIMEOUT_MS}`),
          ),
      ),
    }),
    {},
  ),
  ...request,
});

const appRequestSchema = z.strictObject({
  ...request,
  op: z.literal('app'),
  app: z.string().check(z.minLength(1)),
  call: z.string().check(z.minLength(1)),
  args: z._default(z.array(z.json()), []),
});

/** Which sockets an operation is about: those of an emit to the same rooms. */
const sockets = { ...request, namespace: z._default(namespaceName(), '/'), rooms: rooms(), except: rooms() };
const someRooms = () =>
  z
    .array(roomName())
    .check(
      z.minLength(1, 'must name a room'),
      z.maxLength(MAX_ROOMS_PER_PUBLISH, `must not exceed ${MAX_ROOMS_PER_PUBLISH} rooms`),
    );

const socketsJoinRequestSchema = z.strictObject({
  op: z.literal('socketsJoin'),
  ...sockets,
  join: someRooms(),
});
const socketsLeaveRequestSchema = z.strictObject({
  op: z.literal('socketsLeave'),
  ...sockets,
  leave: someRooms(),
});
const disconnectSocketsRequestSchema = z.strictObject({
  op: z.literal('disconnectSockets'),
  ...sockets,
  /** Also closes the connection under the sockets. */
  close: z._default(z.boolean(), false),
});
const fetchSocketsRequestSchema = z.strictObject({ op: z.literal('fetchSockets'), ...sockets });
const countSocketsRequestSchema = z.strictObject({ op: z.literal('countSockets'), ...sockets });
/** Who is in a room whose kind keeps it. */
const presenceRequestSchema = z.strictObject({
  op: z.literal('presence'),
  ...request,
  namespace: z._default(namespaceName(), '/'),
  room: roomName(),
});

const historyRequestSchema = z.strictObject({
  op: z.literal('history'),
  ...request,
  namespace: z._default(namespaceName(), '/'),
  room: roomName(),
  ...historyQuery,
});

const identity = () =>
  z.union(
    [z.string().check(z.minLength(1), z.maxLength(MAX_PUBLISH_ID_LENGTH)), z.int()],
    'must be a string or a safe integer',
  );
const grant = {
  ...request,
  namespace: z._default(namespaceName(), '/'),
  identity: identity(),
  room: roomName(),
};
const grantRequestSchema = z.strictObject({ op: z.literal('grant'), ...grant });
const revokeRequestSchema = z.strictObject({ op: z.literal('revoke'), ...grant });

export const publishRequestSchema = z.discriminatedUnion('op', [
  emitRequestSchema,
  appRequestSchema,
  socketsJoinRequestSchema,
  socketsLeaveRequestSchema,
  disconnectSocketsRequestSchema,
  fetchSocketsRequestSchema,
  countSocketsRequestSchema,
  presenceRequestSchema,
  historyRequestSchema,
  grantRequestSchema,
  revokeRequestSchema,
]);

export type EmitRequest = z.output<typeof emitRequestSchema>;
/** One socket as `fetchSockets` returns it; `data` and `identity` are by application. */
export const fetchedSocketSchema = z.object({
  id: z.string(),
  rooms: z.array(z.string()),
  handshake: z.object({ headers: z.record(z.string(), z.string()), address: z.string(), issued: z.number() }),
  data: z.record(z.string(), z.json()),
  identities: z.record(z.string(), z.json()),
});
/** The result of `countSockets`. */
export const socketTotalSchema = z.object({ count: z.number() });
/** The result of `presence`: how many there are, and at most 1,000 of them with the ids of their sockets. */
export const roomPresenceSchema = z.object({
  count: z.number(),
  members: z.array(z.object({ who: z.union([z.string(), z.number()]), sockets: z.array(z.string()) })),
});
export type RoomPresence = z.output<typeof roomPresenceSchema>;
export type FetchedSocket = z.output<typeof fetchedSocketSchema>;

export type PublishRequest = z.output<typeof publishRequestSchema>;
/** What a caller writes: defaults may be left out. */
export type PublishRequestInput = z.input<typeof publishRequestSchema>;

const count = z.nullable(z.number());

/** Numbers are null where they are not known when the answer is given. */
const emitResultSchema = z.object({
  ok: z.literal(true),
  id: z.string(),
  offset: z.nullable(z.string()),
  audience: count,
  posted: count,
  gone: count,
  failed: count,
  ranges: z.number(),
});

/** Of an emit with `flags.ackTimeoutMs`. */
const askResultSchema = z.extend(emitResultSchema, {
  /** The first argument of each answer, in no order; null where there was none. */
  responses: z.array(z.json()),
  /** How many recipients have not answered. */
  missing: z.number(),
});

const callResultSchema = z.object({ ok: z.literal(true), result: z.unknown() });

const errorResultSchema = z.object({
  ok: z.literal(false),
  error: z.object({
    code: z.string(),
    message: z.string(),
    field: z.optional(z.string()),
    retryable: z.optional(z.boolean()),
  }),
});

export const publishResultSchema = z.union([
  // Before the one that it has all of: a schema keeps what it knows.
  askResultSchema,
  emitResultSchema,
  callResultSchema,
  errorResultSchema,
]);

export type EmitResult = z.output<typeof emitResultSchema>;
export type AskResult = z.output<typeof askResultSchema>;
export type CallResult = z.output<typeof callResultSchema>;
export type ErrorResult = z.output<typeof errorResultSchema>;
export type PublishResult = EmitResult | AskResult | CallResult | ErrorResult;
