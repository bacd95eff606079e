/** An account on AWS for the models: the simulator's parts with AWS's latencies and quotas, and no faults. */
import type { Step } from '../dev/cost/page.ts';
import type { Application } from '../lambdas/bus/application.ts';
import { Registry } from '../lambdas/bus/registry.ts';
import { DEFAULT_LIMITS } from '../lambdas/contract/limits.ts';
import { NO_FAULTS } from '../test/simulator/chance.ts';
import {
  type Ended,
  type FunctionName,
  Functions,
  type FunctionsOptions,
} from '../test/simulator/functions.ts';
import { type Connection, Gateway, NETWORK_MS, type Peer } from '../test/simulator/gateway.ts';
import { Ground } from '../test/simulator/ground.ts';
import { Scheduler } from '../test/simulator/scheduler.ts';
import { MeteredTable, type Units } from './metered-table.ts';
import { Bucket, Weather } from './model-parts.ts';
import { GIGABYTES, noUsage } from './usage.ts';

/** A new account's: new connections, posts and messages, per second and at once (WebSocket quotas page). */
const CONNECTIONS = { perSecond: 500, burst: 500 };
const REQUESTS = { perSecond: 10_000, burst: 5_000 };
/** Of all functions together (Lambda quotas). */
const CONCURRENCY = 1_000;
/** A sweep makes some for each connection of the minute before, and of those there are as many as the quota lets in. */
const MOST_CALLS = 1_000_000;
/** TCP and TLS there and back, and the request that asks for the upgrade. */
const WAYS = 5;
/** Lambda tries asynchronous work again that it had no instance for, with growing pauses. */
const ASYNC_AGAIN_MS = 1_000;
/** Amazon Time Sync keeps clocks closer than this. */
const SKEW_MS = 5;

/** What happened since the last `reset`. */
export interface Load {
  mostAtOnce: number;
  /** Synchronous invocations that were refused, and asynchronous ones that had to wait. */
  readonly throttled: Partial<Record<FunctionName, number>>;
  /** New connections, and those over their quota. */
  connections: number;
  refused: number;
  /** Posts over theirs, and frames of clients, which an error frame answers. */
  slowedPosts: number;
  slowedFrames: number;
  /** What is billed, but for the minutes of connections. */
  readonly used: Step;
  /** Posts, frames of clients and connections that were cut, by the second. */
  readonly requests: Map<number, number>;
  /** Write units, by the second. */
  readonly writes: Map<number, number>;
}

/** To what happens in the second of that time; ms. */
function add(bySecond: Map<number, number>, at: number, count: number): void {
  const second = Math.floor(at / 1_000);
  bySecond.set(second, (bySecond.get(second) ?? 0) + count);
}

function noLoad(active: number): Load {
  return {
    mostAtOnce: active,
    throttled: {},
    connections: 0,
    refused: 0,
    slowedPosts: 0,
    slowedFrames: 0,
    used: noUsage(),
    requests: new Map(),
    writes: new Map(),
  };
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
    load.used.lambdaRequests += 1;
    const begin = ground.scheduler.now();
    super.invoke(name, event, (how) => {
      this.#account.active -= 1;
      // Cold starts are billed; the few milliseconds to a warm instance are not, but are counted here.
      const seconds = (ground.scheduler.now() - begin) / 1_000;
      this.#account.load.used.gigabyteSeconds += seconds * GIGABYTES[name];
      ended(how);
    });
  }
}

class LimitedGateway extends Gateway {
  readonly #account: Account;
  readonly #requests: Bucket;

  constructor(account: Account) {
    super(account.ground, UNWATCHED);
    this.#account = account;
    this.#requests = new Bucket(REQUESTS, () => account.ground.scheduler.now());
  }

  override post(id: string, frame: string): number {
    const { load } = this.#account;
    if (this.#take()) {
      load.used.messages += 1;
      return super.post(id, frame);
    }
    load.slowedPosts += 1;
    return 429;
  }

  override delete(id: string): number {
    return this.#take() ? super.delete(id) : 429;
  }

  /** What API Gateway does of itself. */
  cut(id: string): void {
    super.delete(id);
  }

  protected override isThrottled(): boolean {
    const { load } = this.#account;
    if (this.#take()) {
      load.used.messages += 1;
      return false;
    }
    load.slowedFrames += 1;
    return true;
  }

  #take(): boolean {
    if (!this.#requests.take()) return false;
    const { ground, load } = this.#account;
    add(load.requests, ground.scheduler.now(), 1);
    return true;
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

export interface AccountOptions {
  readonly application: Application;
  /** Told which instance begins with which event. */
  readonly began?: FunctionsOptions['began'];
}

export class Account {
  readonly ground: Ground;
  active = 0;
  load = noLoad(0);
  readonly #options: AccountOptions;
  readonly #gateway: LimitedGateway;
  readonly #table = new MeteredTable((units) => this.#bill(units));
  readonly #connections: Bucket;
  #functions: LimitedFunctions;

  constructor(seed: number, options: AccountOptions) {
    const scheduler = new Scheduler();
    const now = (): number => scheduler.now();
    this.#options = options;
    this.ground = new Ground(scheduler, new Weather(seed), NO_FAULTS, false);
    this.#connections = new Bucket(CONNECTIONS, now);
    this.#gateway = new LimitedGateway(this);
    this.#functions = this.#deployed();
  }

  /** None of the functions has a warm instance any more. */
  coolDown(): void {
    this.#functions = this.#deployed();
  }

  /** Begins to count anew. @returns what was counted until now; what runs still adds to what comes then */
  reset(): Load {
    const { load } = this;
    this.load = noLoad(this.active);
    return load;
  }

  /** From the name of the host to the answer to the request; `connected` is told of the connection before that. */
  dial(peer: Peer, connected: (connection: Connection) => void): void {
    const { chance, scheduler } = this.ground;
    const setUpMs = Array.from({ length: WAYS }, () => chance.latency(NETWORK_MS));
    scheduler.after(
      setUpMs.reduce((sum, ms) => sum + ms),
      () => {
        if (this.#connections.take()) {
          this.load.connections += 1;
          return connected(this.#gateway.connect(peer));
        }
        this.load.refused += 1;
        scheduler.after(chance.latency(NETWORK_MS), () => peer.refused(429));
      },
    );
  }

  send(connection: Connection, frame: string): void {
    this.#gateway.send(connection, frame);
  }

  leave(connection: Connection): void {
    this.#gateway.leave(connection);
  }

  cut(connection: Connection): void {
    this.#gateway.cut(connection.id);
  }

  invoke(name: 'publish' | 'sweep', event: unknown, ended?: (how: Ended) => void): void {
    this.#functions.invoke(name, event, ended);
  }

  #bill({ readUnits, writeUnits }: Units): void {
    const { used, writes } = this.load;
    used.readUnits += readUnits;
    used.writeUnits += writeUnits;
    add(writes, this.ground.scheduler.now(), writeUnits);
  }

  #deployed(): LimitedFunctions {
    const { application, began } = this.#options;
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
      registry: new Registry([application]),
      config,
      sabotage: {},
      skewMs: SKEW_MS,
      gaveUp: (id: string, reason: string) => this.ground.violation(`${id} was given up: ${reason}`),
      mostCalls: MOST_CALLS,
      ...(began === undefined ? {} : { began }),
    };
    const functions = new LimitedFunctions(this, this.ground, options, this.#gateway, UNWATCHED);
    this.#gateway.attach(functions);
    return functions;
  }
}
