/**
 * The environment of a function: the one seam between the template and the code that runs in it. `lib/` writes
 * these variables and the functions read them; both sides are checked against this file.
 */
import * as z from 'zod/mini';
import { LIMIT_RANGES } from './limits.ts';

const text = z.string().check(z.minLength(1));
const integer = (min: number, max: number) => z.coerce.number().check(z.int(), z.gte(min), z.lte(max));

/** Lower-cased level names of Powertools for AWS Lambda. */
export const LOG_LEVELS = ['DEBUG', 'INFO', 'WARN', 'ERROR'] as const;

/** Engine.IO's, as far as they are served. */
export const TRANSPORTS = ['polling', 'websocket'] as const;

export const environmentSchema = z.object({
  /** Table of connections, sockets, memberships, slots and due rows. */
  BUS_TABLE: text,
  /** Table of what applications keep: messages, receipts, changes, grants. */
  APPS_TABLE: text,
  /** `https://{apiId}.execute-api.{region}.amazonaws.com/{stage}`: where `@connections` is. */
  CALLBACK_URL: z.url(),
  /** Name of the event bus that application events are forwarded to. */
  EVENT_BUS: z.optional(text),
  /** Name of the function that posts the open packet; only `connect` needs it. */
  OPEN_FUNCTION: z.optional(text),
  /** Name of the function that posts to large audiences and cleans up; those need it that emit, but for itself. */
  DELIVER_FUNCTION: z.optional(text),
  /** Set by Lambda: the function's own name. */
  AWS_LAMBDA_FUNCTION_NAME: z.optional(text),
  /** API Gateway's request quota of the account in this Region, per second. */
  REQUESTS_PER_SECOND: integer(100, 1_000_000),
  /** How many recipients a broadcast posts to in the invocation that asked for it. */
  INLINE_POSTS: integer(1, 5_000),
  /** Comma list of the applications this deployment runs, by name. */
  APPS: text,
  /** Comma list of origins allowed beside those that the applications declare; `*` allows any. */
  ORIGINS: z.optional(z.string()),
  /** Minutes between two pings of one connection (design D4). */
  PING_INTERVAL_MINUTES: integer(1, 8),
  /** Minutes a client waits beyond the interval before it gives the connection up. */
  PING_TIMEOUT_MINUTES: integer(2, 8),
  /** Whether a pong is written down; off saves one write per pong and reaps by failed posts only. */
  TRACK_PONGS: z.enum(['true', 'false']),
  /** Comma list of the transports that clients may use. */
  TRANSPORTS: z.pipe(
    z.pipe(
      text,
      z.transform((list: string) => list.split(',')),
    ),
    z.array(z.enum(TRANSPORTS)).check(z.minLength(1)),
  ),
  /** Seconds a long-polling request waits for something to say; an HTTP API waits 30 for the answer. */
  POLL_HOLD_SECONDS: integer(1, 25),
  /** What one client may do: see limits.ts. */
  EVENTS_PER_SECOND: integer(...LIMIT_RANGES.eventsPerSecond),
  EVENT_BURST: integer(...LIMIT_RANGES.eventBurst),
  ROOMS_PER_SOCKET: integer(...LIMIT_RANGES.roomsPerSocket),
  JOINS_PER_SECOND: integer(...LIMIT_RANGES.joinsPerSecond),
  CONNECTIONS_PER_USER: integer(...LIMIT_RANGES.connectionsPerUser),
  /** 0 as well where a function cannot know the address of a client. */
  CONNECTIONS_PER_ADDRESS: integer(...LIMIT_RANGES.connectionsPerAddress),
  PAYLOAD_BYTES: integer(...LIMIT_RANGES.payloadBytes),
  POSTS_PER_EVENT: integer(...LIMIT_RANGES.postsPerEvent),
  /** Secrets are named `{prefix}/{NAME}` in Secrets Manager, for example `socketbus/JWT_SECRET`. */
  SECRET_PREFIX: text,
  /** `trusted` believes an id in a payload; `token` wants it proven by a verified token. */
  IDENTITY: z.enum(['trusted', 'token']),
  /** Claim that holds the user's id. */
  JWT_ID_CLAIM: text,
  /** Key set of whoever issues tokens; where it is given, tokens are verified with its keys alone, not with JWT_SECRET. */
  JWKS_URL: z.optional(z.url()),
  /** Comma list, one of which a token's `aud` must name. */
  JWT_AUDIENCE: z.optional(z.string()),
  /** What a token's `iss` must be. */
  JWT_ISSUER: z.optional(z.string()),
  /** Settings of the built-in applications, handed on as they are. */
  FRONTEND_URL: z.optional(z.string()),
  STORE_CORS: z.optional(z.string()),
  CLIENT_ORIGIN: z.optional(z.string()),
  /** Path of the Engine.IO endpoint at the front door, `/socket.io` where it is not given. */
  WS_PATH: z.optional(z.string()),
  /**
   * Whether every request came through the front door, so that what it wrote into `X-Forwarded-For` is true: only where
   * nobody can get around it.
   */
  TRUST_FORWARDED: z.optional(z.enum(['true', 'false'])),
  POWERTOOLS_LOG_LEVEL: z.enum(LOG_LEVELS),
  POWERTOOLS_SERVICE_NAME: text,
  POWERTOOLS_METRICS_NAMESPACE: text,
});

export type Environment = z.output<typeof environmentSchema>;

/** The variables as the template writes them: text only. */
export type EnvironmentVariables = { readonly [K in keyof Environment]?: string };

/** The functions of a deployment; each is `{name}.handler` of one bundle. */
export const FUNCTION_NAMES = [
  'connect',
  'open',
  'message',
  'disconnect',
  'publish',
  'sweep',
  'http',
  'poll',
  'deliver',
] as const;
export type FunctionName = (typeof FUNCTION_NAMES)[number];
