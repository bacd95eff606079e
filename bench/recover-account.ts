/** An account on AWS for the model of a recovery: the simulator's parts with AWS's latencies and quotas, and no faults. */
import { Registry } from '../lambdas/bus/registry.ts';
import { DEFAULT_LIMITS } from '../lambdas/contract/limits.ts';
import { Chance, NO_FAULTS } from '../test/simulator/chance.ts';
import {
  BEGUN_MS,
  COLD_MS,
  type Ended,
  type FunctionName,
  Functions,
  POST_MS,
  WARM_MS,
} from '../test/simulator/functions.ts';
import { type Connection, Gateway, NETWORK_MS, type Peer } from '../test/simulator/gateway.ts';
import { Ground } from '../test/simulator/ground.ts';
import { Scheduler } from '../test/simulator/scheduler.ts';
import { CALL_MS } from '../test/simulator/sdk.ts';
import { ModelTable, type TransactItem } from '../test/simulator/table.ts';
import { logNormal } from './log-normal.ts';
import recoverApp from './recover-app.ts';

/** A new account's: new connections, posts and messages, per second and at once (WebSocket quotas page). */
const CONNECTIONS = { perSecond: 500, burst: 500 };
const REQUESTS = { perSecond: 10_000, burst: 5_000 };
/** Of all functions together (Lambda quotas). */
const CONCURRENCY = 1_000;
/** Lambda tries asynchronous work again that it had no instance for, with growing pauses. */
const ASYNC_AGAIN_MS = 1_000;
/** Amazon Time Sync keeps clocks closer than this. */
const SKEW_MS = 5;

/** By what the simulator says that each usually takes: how long it takes here; ms. */
const LATENCIES: ReadonlyMap<number, (chance: Chance) => number> = new Map([
  [POST_MS, (chance) => logNormal(chance, 8, 80)],
  [CALL_MS, (chance) => logNormal(chance, 4, 25)],
  [NETWORK_MS, (chance) => logNormal(chance, 15, 60)],
  [BEGUN_MS, (chance) => chance.between(20, 60)],
  [WARM_MS, (chance) => chance.between(2, 10)],
  [COLD_MS, (chance) => chance.between(400, 700)],
]);

class Weather extends Chance {
  override latency(usual: number): number {
    const draw = LATENCIES.get(usual);
    if (draw === undefined) throw new RangeError(`the model knows nothing that usually takes ${usual} ms`);
    return draw(this);
  }
}

class Bucket {
  readonly #quota: typeof REQUESTS;
  readonly #now: () => number;
  #tokens: number;
  #filledAt: number;

  constructor(quota: typeof REQUESTS, now: () => number) {
    this.#quota = quota;
    this.#now = now;
    this.#tokens = quota.burst;
    this.#filledAt = now();
  }

  take(): boolean {
    const now = this.#now();
    const { burst, perSecond } = this.#quota;
    this.#tokens = Math.min(burst, this.#tokens + ((now - this.#filledAt) * perSecond) / 1_000);
    this.#filledAt = now;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}

/** Counts what writes cost, by the second; all rows are below 1 KB. */
class CountingTable extends ModelTable {
  readonly #now: () => number;
  readonly #units = new Map<number, number>();

  constructor(now: () => number) {
    super();
    this.#now = now;
  }

  override perform(name: string, input: Record<string, unknown>): Record<string, unknown> {
    const items = (input.TransactItems as readonly TransactItem[] | undefined)?.length ?? 0;
    const units = items > 0 ? 2 * items : ['Put', 'Update', 'Delete'].includes(name) ? 1 : 0;
    const second = Math.floor(this.#now() / 1_000);
    this.#units.set(second, (this.#units.get(second) ?? 0) + units);
    return super.perform(name, input);
  }

  mostSince(from: number): number {
    return Math.max(...[...this.#units].filter(([at]) => at >= from / 1_000).map(([, units]) => units));
  }
}

/** What happened since the last `reset`. */
interface Load {
  mostAtOnce: number;
  /** Synchronous invocations that were refused, and asynchronous ones that had to wait. */
  readonly throttled: Partial<Record<FunctionName, number>>;
  /** New connections over their quota. */
  refused: number;
  /** Posts over theirs. */
  slowedPosts: number;
}

/** Those of one account share its concurrency, however often a function is deployed anew. */
class LimitedFunctions extends Functions {
  readonly #account: Account;

  constructor(account: Account, ...rest: ConstructorParameters<typeof Functions>) {
    super(...rest);
    this.#account = account;
  }

  override invoke(name: FunctionName, event: unknown, ended: (how: Ended) => void = () => {}): void {
    const { ground, load } = this.#account;
    if (this.#account.active >= CONCURRENCY) {
      load.throttled[name] = (load.throttled[name] ?? 0) + 1;
      if (name === 'open' || name === 'deliver')
        ground.scheduler.after(ASYNC_AGAIN_MS, () => this.invoke(name, event, ended));
      else ended({ kind: 'threw', error: new Error('TooManyRequestsException') });
      return;
    }
    this.#account.active += 1;
    load.mostAtOnce = Math.max(load.mostAtOnce, this.#account.active);
    super.invoke(name, event, (how) => {
      this.#account.active -= 1;
      ended(how);
    });
  }
}

class LimitedGateway extends Gateway {
  readonly #requests: Bucket;
  readonly #slowed: () => void;

  constructor(ground: Ground, slowed: () => void) {
    super(ground, UNWATCHED);
    this.#requests = new Bucket(REQUESTS, () => ground.scheduler.now());
    this.#slowed = slowed;
  }

  override post(id: string, frame: string): number {
    if (this.#requests.take()) return super.post(id, frame);
    this.#slowed();
    return 429;
  }

  override send(connection: Connection, body: string): void {
    this.#requests.take();
    super.send(connection, body);
  }
}

const UNWATCHED = {
  post: () => {},
  close: () => {},
  handedOver: () => {},
  tried: () => {},
  placed: () => {},
  done: () => {},
  gap: () => {},
};

export class Account {
  readonly ground: Ground;
  active = 0;
  load: Load = { mostAtOnce: 0, throttled: {}, refused: 0, slowedPosts: 0 };
  readonly #gateway: LimitedGateway;
  readonly #table: CountingTable;
  readonly #connections: Bucket;
  #functions: LimitedFunctions;

  constructor(seed: number) {
    const scheduler = new Scheduler();
    const now = (): number => scheduler.now();
    this.ground = new Ground(scheduler, new Weather(seed), NO_FAULTS, false);
    this.#table = new CountingTable(now);
    this.#connections = new Bucket(CONNECTIONS, now);
    this.#gateway = new LimitedGateway(this.ground, () => {
      this.load.slowedPosts += 1;
    });
    this.#functions = this.#deployed();
  }

  /** None of the functions has a warm instance any more. */
  coolDown(): void {
    this.#functions = this.#deployed();
  }

  reset(): void {
    this.load = { mostAtOnce: this.active, throttled: {}, refused: 0, slowedPosts: 0 };
  }

  mostWriteUnits(from: number): number {
    return this.#table.mostSince(from);
  }

  /** Undefined where the quota of new connections is used up: then the peer is refused. */
  connect(peer: Peer): Connection | undefined {
    if (this.#connections.take()) return this.#gateway.connect(peer);
    const { chance, scheduler } = this.ground;
    this.load.refused += 1;
    scheduler.after(chance.latency(NETWORK_MS), () => peer.refused(429));
    return undefined;
  }

  send(connection: Connection, frame: string): void {
    this.#gateway.send(connection, frame);
  }

  leave(connection: Connection): void {
    this.#gateway.leave(connection);
  }

  cut(connection: Connection): void {
    this.#gateway.delete(connection.id);
  }

  /** @param done is told whether it was acknowledged */
  publish(room: string, n: number, done: (ok: boolean) => void): void {
    const request = { op: 'emit', namespace: '/recover', rooms: [room], event: 'told', args: [{ n }] };
    this.#functions.invoke('publish', request, (how) =>
      done(how.kind === 'answered' && (how.value as { readonly ok: boolean }).ok),
    );
  }

  #deployed(): LimitedFunctions {
    const config = {
      requestsPerSecond: REQUESTS.perSecond,
      inlinePosts: 500,
      pingIntervalMinutes: 4,
      pingTimeoutMinutes: 2,
      trackPongs: true,
      transports: ['websocket'] as const,
      pollHoldMs: 25_000,
      limits: { ...DEFAULT_LIMITS, connectionsPerAddress: 0 },
      identityMode: 'trusted' as const,
      origins: [],
      settings: {},
    };
    const options = {
      table: this.#table,
      registry: new Registry([recoverApp]),
      config,
      sabotage: {},
      skewMs: SKEW_MS,
      gaveUp: (id: string, reason: string) => this.ground.violation(`${id} was given up: ${reason}`),
    };
    const functions = new LimitedFunctions(this, this.ground, options, this.#gateway, UNWATCHED);
    this.#gateway.attach(functions);
    return functions;
  }
}
