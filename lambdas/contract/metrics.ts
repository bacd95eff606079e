/**
 * The metrics of a deployment by their names in CloudWatch: the functions emit them, the dashboard and the alarms of the
 * template read them. Each is one custom metric on the bill (docs/cost.md).
 */

/** Numbers that are summed up. */
export const COUNTS = [
  /** Connections that were accepted, over any transport. */
  'Connections',
  /** Events of clients that reached an open socket. */
  'Events',
  /** Events published to a room, a namespace or one socket, by backends and by applications. */
  'Published',
  /** Recipients of published events by how they ended. */
  'Posted',
  'Gone',
  'Failed',
  /** Posts that API Gateway answered with 429; one recipient may be tried, and counted, several times. */
  'Throttled',
  /** Parts of broadcasts that were handed over. */
  'Ranges',
  /** Clients that came back: to the session they had left, or to a new one. */
  'RecoveryHits',
  'RecoveryMisses',
  /** Events that they were sent again. */
  'Replayed',
  /** Connections that were pinged; over one ping interval they are the open ones. */
  'Pinged',
  /** Connections that a sweep found silent or gone. */
  'Reaped',
  /** What a limit of a connection, a user or an address refused: packets, events of clients, connections. */
  'RateLimited',
  /** Connections that were closed because they went on. */
  'LimitCloses',
  /** Upgrades and sessions that were answered with an error of Engine.IO: origin, version, transport, too many. */
  'RefusedHandshakes',
  /** Log lines of level ERROR: functions do not throw where a client would be cut for it, so Lambda counts few errors. */
  'Errors',
] as const;

/** Milliseconds. */
export const DURATIONS = [
  /** From the publish to the last post, or to that of one of its parts. */
  'FanOutTime',
  /** From when the oldest minute that was not swept began until its sweep was done. */
  'SweepLag',
] as const;

export type CountName = (typeof COUNTS)[number];
export type DurationName = (typeof DURATIONS)[number];
export type MetricName = CountName | DurationName;

export const METRICS_NAMESPACE = 'socketbus';
/** Powertools' dimension of every metric: which deployment of the account it is about. */
export const SERVICE_DIMENSION = 'service';
