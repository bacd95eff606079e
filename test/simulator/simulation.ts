/**
 * The whole bus in one process: functions, gateway, table and stock clients in virtual time, with faults. Everything
 * is decided by the seed, so a run that breaks a promise can be seen again.
 */
import { setImmediate } from 'node:timers/promises';
import { pollKey, socketKey } from '../../lambdas/adapters/keys.ts';
import type { SocketKey } from '../../lambdas/bus/ports.ts';
import { Registry } from '../../lambdas/bus/registry.ts';
import { DEFAULT_LIMITS } from '../../lambdas/contract/limits.ts';
import { NAMESPACES, ROOMS, testApplications } from './app.ts';
import { Chance, drawFaults, type Faults, NO_FAULTS } from './chance.ts';
import { Client } from './client.ts';
import { checkRows } from './final-check.ts';
import { Functions, type Sabotage } from './functions.ts';
import { Gateway } from './gateway.ts';
import { Ground } from './ground.ts';
import { HttpGateway } from './http-gateway.ts';
import { Ledger } from './ledger.ts';
import { Scheduler } from './scheduler.ts';
import type { Via } from './sessions.ts';
import { emit, type Stage, step } from './steps.ts';
import { ModelTable } from './table.ts';

const MINUTE_MS = 60_000;
const PROBE_MS = 30_000;
/** How many worlds are silent for so long: an hour, or until every connection has been cut. */
const SILENT_SHARE = 0.15;
const SILENCE_MS = [60 * MINUTE_MS, 130 * MINUTE_MS] as const;
const HOLDS_MS = [1_000, 5_000, 25_000];

export interface SimulationOptions {
  readonly seed: number;
  readonly steps: number;
  readonly traced?: boolean;
  readonly faults?: Partial<Faults>;
  readonly trackPongs?: boolean;
  readonly sabotage?: Sabotage;
  readonly table?: ModelTable;
}

export interface Report {
  readonly seed: number;
  readonly violations: readonly string[];
  /** Empty unless asked for. */
  readonly trace: readonly string[];
  readonly isFaultless: boolean;
  /** Events heard by clients. */
  readonly heard: Readonly<Record<Via, number>>;
  /** Of them, those that their session had heard before. */
  readonly repeats: number;
  /** How often a client came back to its session. */
  readonly recovered: number;
}

export async function simulate(options: SimulationOptions): Promise<Report> {
  const unhandled: unknown[] = [];
  const note = (reason: unknown): void => void unhandled.push(reason);
  process.on('unhandledRejection', note);
  try {
    const simulation = new Simulation(options);
    await simulation.run();
    await setImmediate();
    for (const reason of unhandled)
      simulation.ground.violation(`nobody handled a rejection: ${String(reason)}`);
    return simulation.report();
  } finally {
    process.off('unhandledRejection', note);
  }
}

class Simulation {
  readonly ground: Ground;
  readonly #options: SimulationOptions;
  readonly #stage: Stage;
  readonly #table: ModelTable;
  readonly #gateway: Gateway;
  readonly #intervalMinutes: number;
  readonly #timeoutMinutes: number;
  readonly #trackPongs: boolean;
  #isTicking = true;

  constructor(options: SimulationOptions) {
    this.#options = options;
    const chance = new Chance(options.seed);
    const drawn = drawFaults(chance);
    const faults = { ...drawn, ...options.faults };
    this.#intervalMinutes = 1 + chance.below(4);
    // With one minute a single tick that comes late already disconnects: the pings are a minute apart at best.
    this.#timeoutMinutes = 2 + chance.below(2);
    const isTracked = !chance.hits(0.15);
    this.#trackPongs = options.trackPongs ?? isTracked;
    this.ground = new Ground(new Scheduler(), chance, faults, options.traced === true);
    const recovered = new Set(NAMESPACES.filter((name) => name === '/' || chance.hits(0.5)));
    const patienceMs = (this.#intervalMinutes + this.#timeoutMinutes) * MINUTE_MS;
    const ledger = new Ledger(this.ground, patienceMs, recovered);
    this.#table = options.table ?? new ModelTable();
    this.#gateway = new Gateway(this.ground, ledger);
    const functions = new Functions(
      this.ground,
      {
        table: this.#table,
        registry: new Registry(testApplications(ledger, recovered)),
        config: {
          requestsPerSecond: 10_000,
          // Two in a room are an audience to be divided.
          inlinePosts: 1,
          pingIntervalMinutes: this.#intervalMinutes,
          pingTimeoutMinutes: this.#timeoutMinutes,
          trackPongs: this.#trackPongs,
          transports: ['websocket', 'polling'],
          pollHoldMs: chance.pick(HOLDS_MS),
          // Everything is counted, and nobody is refused.
          limits: {
            ...DEFAULT_LIMITS,
            eventBurst: 10_000,
            connectionsPerAddress: 10_000,
            connectionsPerUser: 1_000,
            // An estimate from pages of one is not one.
            postsPerEvent: 10_000_000,
          },
          identityMode: 'trusted',
          origins: [],
          settings: {},
        },
        sabotage: options.sabotage ?? {},
        gaveUp: (id, reason) => this.#gaveUp(id, reason),
      },
      this.#gateway,
      ledger,
    );
    this.#gateway.attach(functions);
    const http = new HttpGateway(this.ground, (id) => ledger.askedAgain(id));
    http.attach(functions);
    const world = {
      ground: this.ground,
      gateway: this.#gateway,
      http,
      speak: () => this.#speak(),
      socket: (key: SocketKey) => this.#table.row({ ...socketKey(key) }),
      outbox: (id: string) => this.#table.row({ ...pollKey(id) }),
    };
    const clients = Array.from(
      { length: 3 + chance.below(6) },
      (_, number) => new Client(world, ledger, `client${number + 1}`),
    );
    this.#stage = {
      ground: this.ground,
      ledger,
      functions,
      gateway: this.#gateway,
      http,
      clients,
      publishes: 0,
      named: [],
    };
  }

  async run(): Promise<void> {
    const { chance, scheduler } = this.ground;
    const pace = 0.3 + 2 * chance.float();
    scheduler.after(chance.between(0, MINUTE_MS), () => this.#tick());
    const silentAt = chance.hits(SILENT_SHARE) ? chance.below(this.#options.steps) : undefined;
    for (let count = 0; count < this.#options.steps; count += 1) {
      step(this.#stage);
      await scheduler.run(count === silentAt ? chance.between(...SILENCE_MS) : pause(chance) * pace);
      if (this.ground.violations.length > 0) return;
    }
    await this.#comeToRest();
    if (this.ground.violations.length > 0) return;
    await this.#check();
  }

  report(): Report {
    const { isFaultless, lines, violations } = this.ground;
    const heard = { websocket: 0, polling: 0, upgraded: 0 };
    const { lines: all, repeats } = this.#stage.ledger;
    for (const line of all) for (const { via } of line.heard) heard[via] += 1;
    const recovered = all.reduce((sum, { sessions }) => sum + Math.max(0, sessions.length - 1), 0);
    return { seed: this.#options.seed, violations, trace: lines, isFaultless, heard, repeats, recovered };
  }

  #speak(): void {
    const { chance } = this.ground;
    if (this.#isTicking) emit(this.#stage, chance.hits(0.7) ? '/' : '/b', [], []);
  }

  /** Without a fault the server gives nobody up who is there. */
  #gaveUp(id: string, reason: string): void {
    if (!this.ground.isFaultless) return;
    const owner = this.#gateway.connection(id)?.owner ?? id;
    const client = this.#stage.clients.find(({ engine }) => engine?.id === owner);
    if (client?.expectsCut === false) this.ground.violation(`${client.name} was given up: ${reason}`);
  }

  /** EventBridge's schedule: once a minute, if it is not missed, late or doubled. */
  #tick(): void {
    if (!this.#isTicking) return;
    const { chance, faults, scheduler } = this.ground;
    scheduler.after(MINUTE_MS, () => this.#tick());
    if (chance.hits(faults.tickMissed)) return;
    const sweep = (): void => this.#stage.functions.invoke('sweep', {});
    scheduler.after(
      chance.hits(faults.tickLate) ? chance.between(1_000, 59_000) : chance.latency(100),
      sweep,
    );
    if (chance.hits(faults.tickTwice)) scheduler.after(chance.between(0, 30_000), sweep);
  }

  /**
   * Without faults from here on: two ping cycles in which silence becomes known (its limit, and up to a cycle until
   * the slot's turn), and the sweeps around them.
   */
  async #comeToRest(): Promise<void> {
    this.ground.trace(() => 'the faults stop');
    this.ground.faults = NO_FAULTS;
    for (const client of this.#stage.clients) {
      if (this.ground.chance.hits(0.5)) client.connect();
      client.reconnects = false;
      if (client.socket !== undefined) client.socket.slowUntil = 0;
    }
    const minutes = 3 * this.#intervalMinutes + this.#timeoutMinutes + 3;
    await this.ground.scheduler.run(minutes * MINUTE_MS);
    this.#isTicking = false;
    for (let second = 0; second < 120 && this.#stage.functions.running > 0; second += 1)
      await this.ground.scheduler.run(1_000);
    if (this.#stage.functions.running > 0) this.ground.violation('functions run on and on');
  }

  async #check(): Promise<void> {
    const { ground } = this;
    const { clients, ledger } = this.#stage;
    checkRows({
      ground,
      table: this.#table,
      gateway: this.#gateway,
      clients,
      intervalMinutes: this.#intervalMinutes,
      trackPongs: this.#trackPongs,
    });
    for (const namespace of NAMESPACES)
      for (const rooms of [[], ...ROOMS.map((room) => [room])]) emit(this.#stage, namespace, rooms, []);
    await ground.scheduler.run(PROBE_MS);
    ledger.checkDeafness();
    if (!ground.isFaultless) return;
    for (const client of clients)
      for (const session of client.sessions)
        for (const { event } of client.pendingIn(session))
          ground.violation(`${session.label} waits for ever for the acknowledgement of ${event}`);
  }
}

/** Mostly steps come close upon each other; now and then minutes pass. */
function pause(chance: Chance): number {
  const { from, to } = chance.weighted([
    [60, { from: 0, to: 50 }],
    [25, { from: 50, to: 2_000 }],
    [11, { from: 2_000, to: 30_000 }],
    [4, { from: MINUTE_MS, to: 10 * MINUTE_MS }],
  ]);
  return chance.between(from, to);
}
