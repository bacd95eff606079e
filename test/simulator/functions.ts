/** Lambda: instances on demand, one event each at a time; some die, and asynchronous work comes late or twice. */
import { DynamoAcks } from '../../lambdas/adapters/dynamo-acks.ts';
import { DynamoCheckpoints } from '../../lambdas/adapters/dynamo-checkpoints.ts';
import { DynamoEventLog } from '../../lambdas/adapters/dynamo-event-log.ts';
import { DynamoPublications } from '../../lambdas/adapters/dynamo-publications.ts';
import { DynamoStore } from '../../lambdas/adapters/dynamo-store.ts';
import { postOutcome } from '../../lambdas/adapters/post-outcome.ts';
import type { RequestLog } from '../../lambdas/adapters/powertools-log.ts';
import type { Bus, BusConfig } from '../../lambdas/bus/context.ts';
import { HttpRouter } from '../../lambdas/bus/http-router.ts';
import { Lifecycle } from '../../lambdas/bus/lifecycle.ts';
import { Messages } from '../../lambdas/bus/messages.ts';
import { Polling } from '../../lambdas/bus/polling.ts';
import type { DeliverWork, FrameWire, OpenWork, Outbox, ReapWork } from '../../lambdas/bus/ports.ts';
import { Publisher } from '../../lambdas/bus/publisher.ts';
import { RangeDelivery } from '../../lambdas/bus/range-delivery.ts';
import type { Registry } from '../../lambdas/bus/registry.ts';
import { stamps } from '../../lambdas/bus/stamps.ts';
import { Sweeper } from '../../lambdas/bus/sweeper.ts';
import { TransportWire } from '../../lambdas/bus/transport-wire.ts';
import { Upgrades } from '../../lambdas/bus/upgrade.ts';
import { connectHandler } from '../../lambdas/handlers/connect.ts';
import { deliverHandler } from '../../lambdas/handlers/deliver.ts';
import { disconnectHandler } from '../../lambdas/handlers/disconnect.ts';
import { messageHandler } from '../../lambdas/handlers/message.ts';
import { openHandler } from '../../lambdas/handlers/open.ts';
import { pollHandler } from '../../lambdas/handlers/poll.ts';
import { publishHandler } from '../../lambdas/handlers/publish.ts';
import { sweepHandler } from '../../lambdas/handlers/sweep.ts';
import type { Deadline } from '../../lambdas/wiring/deadline.ts';
import type { Server } from '../../lambdas/wiring/server.ts';
import { BUS_TABLE } from '../support/bus-table.ts';
import { memoryRows } from '../support/memory-rows.ts';
import type { Ground } from './ground.ts';
import { type Attempt, Instance } from './instance.ts';
import { type SdkOptions, simulatedClient } from './sdk.ts';
import { CLOCK_MS } from './sessions.ts';
import type { ModelTable } from './table.ts';
import { type LogWatcher, watchedGaps, watchedLog } from './watched-log.ts';
import { type FaultedPosts, type Parts, WatchedOutbox } from './watched-outbox.ts';

const HANDLERS = {
  connect: connectHandler,
  deliver: deliverHandler,
  disconnect: disconnectHandler,
  message: messageHandler,
  open: openHandler,
  poll: pollHandler,
  publish: publishHandler,
  sweep: sweepHandler,
} satisfies Record<string, (server: Server) => unknown>;

export type FunctionName = keyof typeof HANDLERS;
type Handler = (event: unknown, context: Deadline) => Promise<unknown>;

/** As the stack configures them (lib/functions.ts). */
const SECONDS: Readonly<Record<FunctionName, number>> = {
  connect: 10,
  deliver: 120,
  disconnect: 25,
  message: 25,
  open: 20,
  poll: 29,
  publish: 28,
  sweep: 55,
};
/** How long things usually take, by which `Chance` knows them. */
export const POST_MS = 12;
export const WARM_MS = 4;
export const COLD_MS = 300;
/** From the acceptance of asynchronous work to its invocation. */
export const BEGUN_MS = 20;
/** Few calls are what most events make; who takes a session over makes many. */
const LAST_FATAL_CALLS = [12, 12, 40];
/** Lambda drops asynchronous work that is older (lib/functions.ts, lib/events.ts). */
const EVENT_AGE_MS = { open: 60_000, deliver: 60 * 60_000 } as const;

const GIVEN_UP = new Set(['closing a silent connection', 'an upgrade failed, closing the connection']);

export type Ended =
  | { readonly kind: 'answered'; readonly value: unknown }
  | { readonly kind: 'threw'; readonly error: unknown }
  | { readonly kind: 'killed' };

/** What the functions reach of the gateway: an HTTP status. */
export interface ManagementApi {
  post(connectionId: string, frame: string): number;
  delete(connectionId: string): number;
}

/** Servers that are broken on purpose, to see that the simulator notices. */
export interface Sabotage extends SdkOptions {
  readonly server?: (server: Server) => Server;
  readonly bus?: (bus: Bus) => Bus;
  readonly outbox?: (outbox: Outbox) => Outbox;
}

export interface FunctionsOptions {
  readonly table: ModelTable;
  readonly registry: Registry;
  readonly config: BusConfig;
  readonly sabotage: Sabotage;
  /** The clocks of instances are right within this; ms. @default CLOCK_MS */
  readonly skewMs?: number;
  /** Told where the server cuts a connection of which it takes the client to be gone, or broken. */
  readonly gaveUp: (connectionId: string, reason: string) => void;
  /** Calls of one event, beyond which it does not stop by itself. @default what any event needs where there are few clients */
  readonly mostCalls?: number;
  /** Told which instance begins with which event. */
  readonly began?: (name: FunctionName, instance: string, event: unknown) => void;
}

/** What functions are asked for, by name. */
interface Work {
  readonly open: OpenWork;
  readonly deliver: DeliverWork | ReapWork;
}

const NO_METRICS = { count: () => {}, milliseconds: () => {}, flush: () => {} };

interface Warm {
  readonly instance: Instance;
  readonly handler: Handler;
}

export class Functions {
  readonly #ground: Ground;
  readonly #options: FunctionsOptions;
  readonly #api: ManagementApi;
  readonly #faulted: FaultedPosts & Parts & LogWatcher;
  readonly #idle = new Map<FunctionName, Warm[]>();
  #instances = 0;
  #invocations = 0;
  /** Events under way, or accepted and not begun; but not polls, which never end while there are clients. */
  running = 0;

  constructor(
    ground: Ground,
    options: FunctionsOptions,
    api: ManagementApi,
    faulted: FaultedPosts & Parts & LogWatcher,
  ) {
    this.#ground = ground;
    this.#options = options;
    this.#api = api;
    this.#faulted = faulted;
  }

  /** Runs a function with an event. @param ended is told once how that ended */
  invoke(name: FunctionName, event: unknown, ended: (how: Ended) => void = () => {}): void {
    if (name !== 'poll') this.running += 1;
    const warm = this.#idle.get(name)?.pop();
    const { chance, scheduler } = this.#ground;
    scheduler.after(warm === undefined ? chance.latency(COLD_MS) : chance.latency(WARM_MS), () =>
      this.#run(name, warm ?? this.#instance(name), event, ended),
    );
  }

  #run(name: FunctionName, { instance, handler }: Warm, event: unknown, ended: (how: Ended) => void): void {
    const { chance, faults, scheduler } = this.#ground;
    this.#invocations += 1;
    const label = `${name} #${this.#invocations}`;
    this.#options.began?.(name, instance.label, event);
    this.#ground.trace(() => `${instance.label} begins ${label} ${brief(event)}`);
    let isOver = false;
    const end = (how: Ended): void => {
      if (isOver) return;
      isOver = true;
      timeout.cancelled = true;
      if (name !== 'poll') this.running -= 1;
      this.#check(name, label, how);
      ended(how);
    };
    const deadline = scheduler.now() + SECONDS[name] * 1_000;
    const timeout = scheduler.after(SECONDS[name] * 1_000, () => instance.die());
    const fatal = chance.hits(faults.killed)
      ? { call: 1 + chance.below(chance.pick(LAST_FATAL_CALLS)), effect: chance.hits(0.5) }
      : undefined;
    instance.thaw({ label, calls: 0, fatal, died: () => end({ kind: 'killed' }) });
    const after = (how: Ended) => (): void => {
      if (isOver) return;
      instance.freeze();
      this.#idleOf(name).push({ instance, handler });
      end(how);
    };
    handler(event, { getRemainingTimeInMillis: () => deadline - scheduler.now() }).then(
      (value) => after({ kind: 'answered', value })(),
      (error: unknown) => after({ kind: 'threw', error })(),
    );
  }

  #check(name: FunctionName, label: string, how: Ended): void {
    this.#ground.trace(() => `${label} ${how.kind}${how.kind === 'answered' ? ` ${brief(how.value)}` : ''}`);
    if (how.kind !== 'threw') return;
    // What is retried or made up for by the next tick may fail, but not for nothing.
    const isRepeated = name === 'open' || name === 'deliver' || name === 'sweep';
    if (!isRepeated || this.#ground.isFaultless) {
      this.#ground.violation(`${label} threw ${String(how.error)}`);
    }
  }

  #idleOf(name: FunctionName): Warm[] {
    const idle = this.#idle.get(name) ?? [];
    this.#idle.set(name, idle);
    return idle;
  }

  #instance(name: FunctionName): Warm {
    this.#instances += 1;
    const instance = new Instance(this.#ground, name, this.#instances, this.#options.mostCalls);
    return { instance, handler: HANDLERS[name](this.#server(instance)) };
  }

  #server(instance: Instance): Server {
    const { chance, scheduler } = this.#ground;
    const { config, registry, sabotage, skewMs = CLOCK_MS, table } = this.#options;
    const skew = Math.round(chance.between(-skewMs, skewMs));
    const clock = {
      now: () => Math.floor(scheduler.now()) + skew,
      sleep: (ms: number) => instance.sleep(ms),
    };
    const log = this.#log(instance);
    const client = simulatedClient(this.#ground, instance, table, sabotage);
    const isHot = (namespace: string, room: string) => registry.roomOwner(namespace, room)?.kind.hot === true;
    const parts = { client, table: BUS_TABLE, clock, random: chance };
    const watched = new WatchedOutbox(parts, this.#ground, this.#faulted);
    const outbox = sabotage.outbox?.(watched) ?? watched;
    const ports: Bus = {
      store: watchedGaps(new DynamoStore({ ...parts, isHot }), this.#faulted),
      wire: new TransportWire(this.#wire(instance), outbox, log),
      outbox,
      workers: {
        open: (work) => this.#enqueue(instance, 'open', work),
        deliver: (work) => this.#enqueue(instance, 'deliver', work),
        reap: (work) => this.#enqueue(instance, 'deliver', work),
      },
      checkpoints: new DynamoCheckpoints(parts),
      eventLog: watchedLog(new DynamoEventLog(parts), this.#faulted),
      publications: new DynamoPublications(parts),
      acks: new DynamoAcks(parts),
      metrics: NO_METRICS,
      rows: memoryRows(),
      forwarder: { forward: async () => {} },
      clock,
      stamp: stamps(clock),
      random: chance,
      secrets: { get: async () => '' },
      keySets: { get: async () => ({ keys: [] }) },
      log,
      registry,
      config,
    };
    const bus = sabotage.bus?.(ports) ?? ports;
    const lifecycle = new Lifecycle(bus);
    const upgrades = new Upgrades(bus, lifecycle);
    const messages = new Messages(bus, lifecycle, upgrades);
    const server: Server = {
      bus,
      log,
      metrics: NO_METRICS,
      lifecycle,
      messages,
      upgrades,
      polling: new Polling(bus, lifecycle, messages),
      trustForwarded: false,
      publisher: new Publisher(bus, lifecycle),
      ranges: new RangeDelivery(bus),
      sweeper: new Sweeper(bus, lifecycle),
      router: new HttpRouter(bus),
    };
    return sabotage.server?.(server) ?? server;
  }

  #wire(instance: Instance): FrameWire {
    return {
      post: (id, frame) =>
        instance.port(
          () => `post ${id} ${frame}`,
          POST_MS,
          () => ({ answer: postOutcome(this.#api.post(id, frame)) }),
        ),
      close: (id) =>
        instance.port(
          () => `close ${id}`,
          POST_MS,
          () => {
            const status = this.#api.delete(id);
            return { answer: status < 300 || status === 410 };
          },
        ),
    };
  }

  /** Lambda's Invoke for an event: it may be accepted without saying so, and then is accepted again. */
  #enqueue<N extends keyof Work>(instance: Instance, name: N, work: Work[N]): Promise<void> {
    let left = 3;
    return instance.port(
      () => `invoke ${name} ${brief(work)}`,
      POST_MS,
      (): Attempt<void> => {
        const { chance, faults } = this.#ground;
        left -= 1;
        const isUnanswered = chance.hits(faults.attemptUnanswered);
        const isLost = !isUnanswered && chance.hits(faults.attemptLost);
        if (!isLost) this.#accepted(name, work);
        if (!isLost && !isUnanswered) return { answer: undefined };
        return left > 0 ? { againAfter: chance.latency(100) } : { failure: new Error('ServiceException') };
      },
    );
  }

  #accepted<N extends keyof Work>(name: N, work: Work[N]): void {
    const { chance, faults, scheduler } = this.#ground;
    const until = scheduler.now() + EVENT_AGE_MS[name];
    const frame = 'kind' in work && work.kind === 'range' ? work.frames[0] : undefined;
    const deliver = (ms: number): void => {
      this.running += 1;
      scheduler.after(ms, () => {
        this.running -= 1;
        if (scheduler.now() > until) return;
        // A failed event is tried again after about a minute (Lambda developer guide, asynchronous invocation).
        this.invoke(name, work, (how) => {
          if (frame !== undefined) this.#faulted.tried(frame, how.kind === 'answered');
          if (how.kind !== 'answered') deliver(this.#ground.chance.between(50_000, 70_000));
        });
      });
    };
    const begin = (ms: number): void => {
      if (frame !== undefined) this.#faulted.handedOver(frame);
      deliver(ms);
    };
    if (chance.hits(faults.workLost)) {
      begin(chance.between(1_000, 30_000));
      return;
    }
    begin(chance.hits(faults.workLate) ? chance.between(500, 30_000) : chance.latency(BEGUN_MS));
    if (chance.hits(faults.workTwice)) begin(chance.between(1, chance.hits(0.5) ? 100 : 30_000));
  }

  #log(instance: Instance): RequestLog {
    const line =
      (level: string) =>
      (message: string, fields?: unknown): void => {
        this.#ground.trace(() => `${instance.label} ${level}: ${message} ${brief(fields)}`);
      };
    const noting =
      (write: ReturnType<typeof line>) =>
      (message: string, fields?: Readonly<Record<string, unknown>>): void => {
        write(message, fields);
        if (GIVEN_UP.has(message)) this.#options.gaveUp(String(fields?.connectionId), message);
      };
    const isError = line('error');
    return {
      debug: () => {},
      info: noting(line('info')),
      warn: noting(line('warn')),
      error: (message, fields) => {
        isError(message, fields);
        if (this.#ground.isFaultless)
          this.#ground.violation(`${instance.label} failed without a fault: ${message} ${brief(fields)}`);
      },
      forInvocation: () => {},
      forRequest: () => {},
    };
  }
}

function brief(value: unknown): string {
  const text = JSON.stringify(value, (_, inner: unknown) => (inner instanceof Error ? String(inner) : inner));
  return text === undefined ? '' : text.slice(0, 300);
}
