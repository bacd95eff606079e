/** The server over real rows, with a wire and a clock that a test holds in its hands. */
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { DynamoAcks } from '../../lambdas/adapters/dynamo-acks.ts';
import { DynamoCheckpoints } from '../../lambdas/adapters/dynamo-checkpoints.ts';
import { DynamoEventLog } from '../../lambdas/adapters/dynamo-event-log.ts';
import { DynamoOutbox } from '../../lambdas/adapters/dynamo-outbox.ts';
import { DynamoPublications } from '../../lambdas/adapters/dynamo-publications.ts';
import { DynamoStore } from '../../lambdas/adapters/dynamo-store.ts';
import { loggedError } from '../../lambdas/adapters/logged-error.ts';
import type { Application } from '../../lambdas/bus/application.ts';
import type { Bus } from '../../lambdas/bus/context.ts';
import { HttpRouter } from '../../lambdas/bus/http-router.ts';
import { Lifecycle } from '../../lambdas/bus/lifecycle.ts';
import { Messages } from '../../lambdas/bus/messages.ts';
import { type PollAnswer, Polling } from '../../lambdas/bus/polling.ts';
import type {
  Clock,
  DeliverWork,
  ForwardedEvent,
  FrameWire,
  Handshake,
  KeySets,
  Log,
  Metrics,
  OpenWork,
  PostOutcome,
  Random,
  Store,
  Wire,
} from '../../lambdas/bus/ports.ts';
import { Publisher } from '../../lambdas/bus/publisher.ts';
import { RangeDelivery, type RangeReport } from '../../lambdas/bus/range-delivery.ts';
import { Registry } from '../../lambdas/bus/registry.ts';
import { stamps } from '../../lambdas/bus/stamps.ts';
import { Sweeper } from '../../lambdas/bus/sweeper.ts';
import { TransportWire } from '../../lambdas/bus/transport-wire.ts';
import { Upgrades } from '../../lambdas/bus/upgrade.ts';
import { DEFAULT_LIMITS, type Limits } from '../../lambdas/contract/limits.ts';
import type { CountName, DurationName } from '../../lambdas/contract/metrics.ts';
import { mulberry32 } from '../../local/random.ts';
import { BUS_TABLE, type BusTable, busTable } from './bus-table.ts';
import { memoryRows } from './memory-rows.ts';
import { Secrecy } from './secrecy.ts';

export const START = Date.UTC(2026, 0, 1);

/** Time that passes only when somebody sleeps, or a test says so. */
export class FakeClock implements Clock {
  #now = START;

  now(): number {
    return this.#now;
  }

  async sleep(ms: number): Promise<void> {
    this.#now += ms;
  }

  advance(ms: number): void {
    this.#now += ms;
  }
}

/** Repeatable chance. */
export class SeededRandom implements Random {
  readonly float: () => number;

  constructor(seed: number) {
    this.float = mulberry32(seed);
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => Math.floor(this.float() * 256));
  }
}

/** Remembers what was posted; a test decides how posts end. */
export class FakeWire implements Wire {
  readonly #secrecy: Secrecy;
  readonly posts: { readonly connectionId: string; readonly frame: string }[] = [];
  readonly closed: string[] = [];
  outcome: (connectionId: string, frame: string) => PostOutcome = () => 'ok';
  /** Whether connections can be cut. */
  closes = true;

  constructor(secrecy = new Secrecy()) {
    this.#secrecy = secrecy;
  }

  async post(connectionId: string, frame: string): Promise<PostOutcome> {
    this.#secrecy.overhear(frame);
    const outcome = this.outcome(connectionId, frame);
    if (outcome === 'ok') this.posts.push({ connectionId, frame });
    return outcome;
  }

  async postPacket(): Promise<'singly'> {
    return 'singly';
  }

  async close(connectionId: string): Promise<boolean> {
    if (!this.closes) return false;
    this.closed.push(connectionId);
    return true;
  }

  /** Frames one connection was sent, in order, as they are. */
  framesTo(connectionId: string): string[] {
    return this.posts.filter((post) => post.connectionId === connectionId).map(({ frame }) => frame);
  }

  /** Frames one connection was sent, in order, without what recovery adds to them. */
  to(connectionId: string): string[] {
    return this.framesTo(connectionId).map(plainFrame);
  }
}

type Fields = Readonly<Record<string, unknown>>;

/** Remembers what was logged. Each line is looked through for secrets when the test ends, as a function would write it. */
export class FakeLog implements Log {
  readonly #secrecy: Secrecy;
  readonly lines: { readonly level: string; readonly message: string; readonly fields: unknown }[] = [];

  constructor(secrecy = new Secrecy()) {
    this.#secrecy = secrecy;
  }

  debug(message: string, fields?: Fields): void {
    this.#write('debug', message, fields);
  }

  info(message: string, fields?: Fields): void {
    this.#write('info', message, fields);
  }

  warn(message: string, fields?: Fields): void {
    this.#write('warn', message, fields);
  }

  error(message: string, fields?: Fields): void {
    this.#write('error', message, fields);
  }

  #write(level: string, message: string, fields?: Fields): void {
    this.lines.push({ level, message, fields });
    const failure = fields !== undefined && 'error' in fields ? { error: loggedError(fields.error) } : {};
    this.#secrecy.note(JSON.stringify({ level, message, ...fields, ...failure }));
  }
}

/** Sums what was counted. */
export class FakeMetrics implements Metrics {
  readonly counts: Partial<Record<CountName, number>> = {};
  readonly durations: { readonly name: DurationName; readonly value: number }[] = [];

  count(name: CountName, value: number): void {
    this.counts[name] = (this.counts[name] ?? 0) + value;
  }

  milliseconds(name: DurationName, value: number): void {
    this.durations.push({ name, value });
  }
}

/** A frame without the offset of its event, or the `pid` of its socket. */
export function plainFrame(frame: string): string {
  return frame.replace(/,"[0-9a-z]{9}[\w-]{20}"\]$/, ']').replace(/,"pid":"[\w-]{40}"\}$/, '}');
}

export interface World {
  readonly table: BusTable;
  readonly bus: Bus;
  readonly store: Store;
  readonly wire: FakeWire;
  readonly clock: FakeClock;
  readonly log: FakeLog;
  readonly metrics: FakeMetrics;
  readonly opened: OpenWork[];
  /** Parts of broadcasts that were handed over, and not posted yet. */
  readonly handedOver: DeliverWork[];
  readonly forwarded: ForwardedEvent[];
  readonly lifecycle: Lifecycle;
  readonly messages: Messages;
  readonly upgrades: Upgrades;
  readonly polling: Polling;
  readonly publisher: Publisher;
  readonly ranges: RangeDelivery;
  readonly sweeper: Sweeper;
  readonly router: HttpRouter;
}

export interface WorldOptions {
  readonly applications: readonly Application[];
  readonly secrets?: Readonly<Record<string, string>>;
  readonly settings?: Readonly<Record<string, string>>;
  readonly keySets?: KeySets;
  readonly origins?: readonly string[];
  readonly clock?: FakeClock;
  /** Recipients that a broadcast posts to itself. @default 500 */
  readonly inlinePosts?: number;
  /** What the server logs to and counts with, in place of those that remember. */
  readonly log?: Log;
  readonly metrics?: Metrics;
  /** Puts something between the server and the wire. */
  readonly sockets?: (wire: FakeWire, clock: FakeClock) => FrameWire;
  /** @default those of a deployment, but nothing is counted by address */
  readonly limits?: Partial<Limits>;
  /** Rows to begin with. */
  readonly rows?: Awaited<ReturnType<BusTable['rows']>>;
  /** Puts something between the store and the table. */
  readonly client?: (client: DynamoDBDocumentClient) => DynamoDBDocumentClient;
}

export const HANDSHAKE: Handshake = {
  headers: {},
  query: { EIO: '4', transport: 'websocket' },
  address: '127.0.0.1',
  secure: true,
  xdomain: false,
  issued: START,
};

/** 11 bytes of base64url with padding, as API Gateway's ids are. */
export function connectionId(n: number): string {
  const bytes = Buffer.alloc(11);
  bytes.writeUInt32BE(n, 7);
  return `${bytes.toString('base64url')}=`;
}

export async function world(options: WorldOptions): Promise<World> {
  const table = await busTable();
  await table.restore(options.rows ?? []);
  const clock = options.clock ?? new FakeClock();
  const random = new SeededRandom(7);
  const secrecy = new Secrecy();
  for (const secret of Object.values(options.secrets ?? {})) secrecy.add(secret);
  const wire = new FakeWire(secrecy);
  const log = new FakeLog(secrecy);
  const registry = new Registry(options.applications);
  const metrics = new FakeMetrics();
  const opened: OpenWork[] = [];
  const handedOver: DeliverWork[] = [];
  const forwarded: ForwardedEvent[] = [];
  const parts = { client: options.client?.(table.client) ?? table.client, table: BUS_TABLE, clock, random };
  const store = new DynamoStore({
    ...parts,
    isHot: (namespace, room) => registry.roomOwner(namespace, room)?.kind.hot === true,
    roomsPerSocket: options.limits?.roomsPerSocket ?? DEFAULT_LIMITS.roomsPerSocket,
  });
  const outbox = new DynamoOutbox(parts);
  const limits = { ...DEFAULT_LIMITS, connectionsPerAddress: 0, ...options.limits };
  const bus: Bus = {
    store,
    wire: new TransportWire(options.sockets?.(wire, clock) ?? wire, outbox, options.log ?? log),
    outbox,
    workers: {
      open: async (work) => {
        opened.push(work);
      },
      deliver: async (work) => {
        handedOver.push(work);
      },
      // At once: what a test looks at next is what is left.
      reap: (work) => lifecycle.reap(work.gone),
    },
    checkpoints: new DynamoCheckpoints({ client: table.client, table: BUS_TABLE, clock, random }),
    eventLog: new DynamoEventLog(parts),
    publications: new DynamoPublications(parts),
    acks: new DynamoAcks(parts),
    rows: memoryRows(),
    forwarder: {
      forward: async (event) => {
        forwarded.push(event);
      },
    },
    clock,
    stamp: stamps(clock),
    random,
    secrets: {
      get: async (name) => {
        const value = options.secrets?.[name];
        if (value === undefined) throw new Error(`no secret ${name}`);
        return value;
      },
    },
    keySets: options.keySets ?? {
      get: async (url) => {
        throw new Error(`no key set at ${url}`);
      },
    },
    log: options.log ?? log,
    metrics: options.metrics ?? metrics,
    registry,
    config: {
      pingIntervalMinutes: 4,
      pingTimeoutMinutes: 2,
      trackPongs: true,
      requestsPerSecond: 10_000,
      inlinePosts: options.inlinePosts ?? 500,
      transports: ['polling', 'websocket'],
      pollHoldMs: 5_000,
      limits,
      identityMode: 'trusted',
      origins: options.origins ?? [],
      settings: options.settings ?? {},
    },
  };
  const lifecycle = new Lifecycle(bus);
  const upgrades = new Upgrades(bus, lifecycle);
  const messages = new Messages(bus, lifecycle, upgrades);
  const polling = new Polling(bus, lifecycle, messages);
  const router = new HttpRouter(bus);
  overhear(secrecy, { messages, polling, router });
  return {
    table,
    bus,
    store,
    wire,
    clock,
    log,
    metrics,
    opened,
    handedOver,
    forwarded,
    lifecycle,
    messages,
    upgrades,
    polling,
    publisher: new Publisher(bus, lifecycle),
    ranges: new RangeDelivery(bus),
    sweeper: new Sweeper(bus, lifecycle),
    router,
  };
}

/** Learns what clients show and are given, so that no log line may hold it. */
function overhear(
  secrecy: Secrecy,
  { messages, polling, router }: Pick<World, 'messages' | 'polling' | 'router'>,
) {
  const handled = {
    frame: messages.handle.bind(messages),
    poll: polling.handle.bind(polling),
    request: router.handle.bind(router),
  };
  messages.handle = (id, frame) => {
    secrecy.overhear(frame);
    return handled.frame(id, frame);
  };
  polling.handle = async (request) => {
    secrecy.overhearHeaders(request.headers);
    secrecy.overhear(request.body);
    const answer = await handled.poll(request);
    secrecy.overhearPolled(answer.body);
    return answer;
  };
  router.handle = (request) => {
    secrecy.overhearHeaders(request.headers);
    secrecy.overhear(request.body);
    return handled.request(request);
  };
}

/** A connection that has been greeted. */
export async function connected(
  at: World,
  n: number,
  credentials: Record<string, never> = {},
): Promise<string> {
  const id = connectionId(n);
  await at.lifecycle.accept({ id, connectedAt: at.clock.now(), handshake: HANDSHAKE, credentials });
  const work = at.opened.at(-1);
  if (work === undefined) throw new Error('nobody was asked to greet the connection');
  await at.lifecycle.greet(work);
  return id;
}

/** Connects to a namespace as a client would; returns the socket's id. */
export async function joinedNamespace(
  at: World,
  id: string,
  namespace = '/',
  auth?: unknown,
): Promise<string> {
  const prefix = namespace === '/' ? '40' : `40${namespace},`;
  await at.messages.handle(id, auth === undefined ? prefix : `${prefix}${JSON.stringify(auth)}`);
  const reply = at.wire.to(id).findLast((frame) => frame.startsWith(prefix) && frame.includes('"sid"'));
  const sid =
    reply === undefined ? undefined : (JSON.parse(reply.slice(prefix.length)) as { sid: string }).sid;
  if (sid === undefined) throw new Error('the namespace did not answer');
  return sid;
}

/** Posts what was handed over, and what is handed over meanwhile. */
export async function deliverRanges(at: World): Promise<RangeReport[]> {
  const reports: RangeReport[] = [];
  for (let work = at.handedOver.shift(); work !== undefined; work = at.handedOver.shift()) {
    reports.push(await at.ranges.run(work, () => 60_000));
  }
  return reports;
}

/** A request of a client that polls: without a sid the one that opens its session. */
export function pollRequest(at: World, method: string, sid?: string, body?: string): Promise<PollAnswer> {
  return at.polling.handle({
    method,
    headers: {},
    query: { EIO: '4', transport: 'polling', ...(sid === undefined ? {} : { sid }) },
    body,
    address: '192.0.2.1',
    at: at.clock.now(),
  });
}
