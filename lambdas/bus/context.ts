import type { Limits } from '../contract/limits.ts';
import type { AppContext, Application, Settings } from './application.ts';
import { Grants } from './grants.ts';
import { newId } from './names.ts';
import type {
  Acks,
  Checkpoints,
  Clock,
  EventLog,
  Forwarder,
  KeySets,
  Log,
  Metrics,
  Millis,
  Outbox,
  Publications,
  Random,
  Rows,
  Secrets,
  Store,
  Wire,
  Workers,
} from './ports.ts';
import type { Registry } from './registry.ts';
import { scopedRows } from './scoped-rows.ts';

/** Everything the server's functions work with: the ports, the applications and the settings. */
export interface Bus {
  readonly store: Store;
  readonly wire: Wire;
  /** What clients that poll have not fetched yet. */
  readonly outbox: Outbox;
  readonly workers: Workers;
  readonly checkpoints: Checkpoints;
  readonly eventLog: EventLog;
  readonly publications: Publications;
  readonly acks: Acks;
  /** The table of what applications keep; each sees only its own rows. */
  readonly rows: Rows;
  readonly forwarder: Forwarder;
  readonly clock: Clock;
  /** The time, and later each time: what one instance publishes keeps its order. */
  readonly stamp: () => Millis;
  readonly random: Random;
  readonly secrets: Secrets;
  readonly keySets: KeySets;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly registry: Registry;
  readonly config: BusConfig;
}

export type Transport = 'polling' | 'websocket';

export interface BusConfig {
  readonly pingIntervalMinutes: number;
  readonly pingTimeoutMinutes: number;
  readonly trackPongs: boolean;
  /** What API Gateway lets the account have in this Region: messages of clients and posts to them (WebSocket quotas page). */
  readonly requestsPerSecond: number;
  /** How many recipients a broadcast posts to in the invocation that asked for it; the others are handed over. */
  readonly inlinePosts: number;
  readonly transports: readonly Transport[];
  /** How long a request of a client that polls waits for frames; ms. */
  readonly pollHoldMs: number;
  /** What one client may do. */
  readonly limits: Limits;
  readonly identityMode: 'trusted' | 'token';
  /** Allowed origins beside the applications' own; `*` among them allows any. */
  readonly origins: readonly string[];
  readonly settings: Settings;
}

export function appContext(bus: Bus, application: Application): AppContext {
  const neighbours = (bus.registry.namespace(application.namespace) ?? [])
    .map((neighbour) => neighbour.name)
    .filter((name) => name !== application.name);
  return {
    settings: bus.config.settings,
    secrets: bus.secrets,
    keySets: bus.keySets,
    log: bus.log,
    identityMode: bus.config.identityMode,
    neighbours,
    rows: scopedRows(bus.rows, application.name),
    grants: new Grants(bus.rows, application.namespace),
    now: () => bus.clock.now(),
    newId: () => newId(bus.random),
  };
}
