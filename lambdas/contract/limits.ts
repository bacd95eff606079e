/** What one client may do, and what the deployment says where it is not set; read by the template and by the functions. */
export interface Limits {
  /** Packets that a connection may send in a second, and at once after a quiet time. */
  readonly eventsPerSecond: number;
  readonly eventBurst: number;
  /** Rooms that a socket may be in, at most 90: one transaction moves them all. */
  readonly roomsPerSocket: number;
  /** Rooms that the events of a connection may join in a second; at once as many as a socket may be in. */
  readonly joinsPerSecond: number;
  /** Connections of one identity to one namespace; 0: any number, nothing is counted. */
  readonly connectionsPerUser: number;
  /** Connections from one address; 0: any number, nothing is counted. */
  readonly connectionsPerAddress: number;
  /** Bytes of a frame from a client; API Gateway itself takes 32 KB (WebSocket quotas page). */
  readonly payloadBytes: number;
  /** Posts that one event of a client may cause in all emits of its handler. */
  readonly postsPerEvent: number;
}

export const DEFAULT_LIMITS: Limits = {
  eventsPerSecond: 50,
  eventBurst: 100,
  roomsPerSocket: 90,
  joinsPerSecond: 10,
  connectionsPerUser: 20,
  connectionsPerAddress: 100,
  payloadBytes: 32_768,
  postsPerEvent: 1_000,
};

/** The least and the most of each. */
export const LIMIT_RANGES: { readonly [L in keyof Limits]: readonly [min: number, max: number] } = {
  eventsPerSecond: [1, 10_000],
  eventBurst: [1, 10_000],
  roomsPerSocket: [1, 90],
  joinsPerSecond: [1, 10_000],
  connectionsPerUser: [0, 1_000],
  connectionsPerAddress: [0, 10_000],
  payloadBytes: [1_024, 32_768],
  postsPerEvent: [1, 10_000_000],
};

/** The environment variable of each, of the functions and of whoever synthesises. */
export const LIMIT_VARIABLES = {
  eventsPerSecond: 'EVENTS_PER_SECOND',
  eventBurst: 'EVENT_BURST',
  roomsPerSocket: 'ROOMS_PER_SOCKET',
  joinsPerSecond: 'JOINS_PER_SECOND',
  connectionsPerUser: 'CONNECTIONS_PER_USER',
  connectionsPerAddress: 'CONNECTIONS_PER_ADDRESS',
  payloadBytes: 'PAYLOAD_BYTES',
  postsPerEvent: 'POSTS_PER_EVENT',
} as const satisfies { readonly [L in keyof Limits]: string };

type LimitVariables = { readonly [L in keyof Limits as (typeof LIMIT_VARIABLES)[L]]: string };

/** The variables that tell functions these limits. */
export function limitVariables(limits: Limits): LimitVariables {
  return {
    EVENTS_PER_SECOND: String(limits.eventsPerSecond),
    EVENT_BURST: String(limits.eventBurst),
    ROOMS_PER_SOCKET: String(limits.roomsPerSocket),
    JOINS_PER_SECOND: String(limits.joinsPerSecond),
    CONNECTIONS_PER_USER: String(limits.connectionsPerUser),
    CONNECTIONS_PER_ADDRESS: String(limits.connectionsPerAddress),
    PAYLOAD_BYTES: String(limits.payloadBytes),
    POSTS_PER_EVENT: String(limits.postsPerEvent),
  };
}

/** A connection has been over its limit for so long, or begins to be: a strike. Those of all instances within it are one. */
export const STRIKE_MS = 1_000;
