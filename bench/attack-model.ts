/**
 * The attack of the bench `attack` in a model of AWS with virtual time: what honest clients notice of it, and what it costs, where
 * functions are not short of CPU.
 *
 *     npm run bench -- attack-model [hostile connections] [that flood, of a hundred] [honest clients] [seeds]
 *
 * The server is the real one, over the simulator's gateway, table and functions (`test/simulator`) without faults, with the latencies and
 * quotas of `model-account.ts`; CPU time is nobody's. Honest clients relay an event every four seconds for a minute, then for
 * another with the attack. All hostile connections come at once, as fast as API Gateway lets them in, and until that minute is over
 * whoever was refused or closed comes again at once. Some send 250 events a second, every fifth of the others sends what is no
 * packet, and the rest never ask for a namespace. It sweeps every minute, and ends when the last of them is closed.
 *
 * Fails where an honest event is lost, an honest p99 is more than twice that of the quiet minute, a hostile connection is not closed
 * in time, or one had more accepted than the limits let it.
 */
import { usdOf } from '../dev/cost/bill.ts';
import { type CostPage, readCostPage } from '../dev/cost/page.ts';
import { WINDOW_MS } from '../lambdas/bus/limits.ts';
import { DEFAULT_LIMITS } from '../lambdas/contract/limits.ts';
import { HonestClient, HostileConnection, type Relay } from './attack-model-clients.ts';
import {
  type Assault,
  EVERY_MS,
  figures,
  MALICES,
  type Malice,
  maliceOf,
  account as rowOf,
  SECONDS,
} from './attack-rows.ts';
import { Account, type Load } from './model-account.ts';
import { attackMinute } from './price.ts';
import relayApp from './relay-app.ts';
import { type Bench, byFigure, type Row, table } from './result.ts';

const MINUTE_MS = 60_000;
/** Honest clients connect over this time, and relay until their functions are warm. */
const ENTER_MS = 10_000;
const WARM_UP_MS = 30_000;
/** The last events and `$disconnect`s are handled. */
const REST_MS = 20_000;
const STEP_MS = 1_000;
/**
 * How long each may stay. A flood fills the ten seconds of two windows at the worst, has then three seconds beyond the limit, and what
 * it is told may be tried for five. Who is silent is closed by the first sweep after 45 s, which may take 55.
 */
const MOST_SECONDS: Readonly<Record<Malice, number>> = { flood: 13, garbage: 5, silent: 165 };
/** Of the requirement. */
const MOST_TIMES_QUIET = 2;
/** What all instances let in of a connection in ten seconds, and each of them beyond what it has told of (README, "Limits"). */
const IN_WINDOW = DEFAULT_LIMITS.eventBurst + (DEFAULT_LIMITS.eventsPerSecond * WINDOW_MS) / 1_000;
const UNTOLD = 29;

interface Outcome {
  readonly relays: readonly Relay[];
  readonly phases: readonly Phase[];
  readonly hostile: readonly HostileConnection[];
  readonly endedAt: number;
  readonly cuts: number;
}

interface Phase {
  readonly name: string;
  readonly from: number;
  readonly to: number;
  readonly load: Load;
}

export const bench: Bench = async ([hostile = '1000', flooding = '1', honest = '100', seeds = '2']) => {
  const malices = Array.from({ length: Number(hostile) }, (_, n) => maliceOf(n, Number(flooding)));
  const outcomes: Outcome[] = [];
  for (let seed = 1; seed <= Number(seeds); seed += 1)
    outcomes.push(await measure(seed, malices, Number(honest)));
  const page = await readCostPage();
  const phases = Object.fromEntries(
    ['quiet', 'attacked', 'after'].map((name) => [name, phaseRow(name, outcomes, page)]),
  );
  const assaults = outcomes.flatMap((outcome) => outcome.hostile.map((one) => heldOf(one, outcome)));
  const kinds = Object.fromEntries(MALICES.map((malice) => [malice, kindRow(malice, assaults)]));
  const letIn = assaults.length / outcomes.length;
  const bound = await attackMinute(Number(hostile), letIn);
  const result = {
    rows: [
      ...byFigure(phases),
      { what: 'price at most, of docs/cost.md (US$)', attacked: await attackMinute(Number(hostile)) },
      { what: 'with each of those that came back (US$)', attacked: bound },
      ...byFigure(kinds),
    ],
    ratios: {
      p99: Number(phases.attacked?.['p99 (ms)']) / Number(phases.quiet?.['p99 (ms)']),
      'price / at most': Number(phases.attacked?.['price (US$)']) / bound,
    },
  };
  const failures = failuresOf(outcomes, assaults, result.ratios.p99);
  if (failures.length === 0) return result;
  console.log(table(result));
  throw new Error(failures.join('; '));
};

async function measure(seed: number, malices: readonly Malice[], honest: number): Promise<Outcome> {
  const byId = new Map<string, HostileConnection>();
  const account = new Account(seed, {
    application: relayApp,
    began: (name, instance, event) => {
      if (name === 'message') byId.get(connectionOf(event))?.instances.add(instance);
    },
  });
  const { scheduler } = account.ground;
  const phases: Phase[] = [];
  const phase = async (name: string, run: () => Promise<void>): Promise<void> => {
    account.reset();
    const from = scheduler.now();
    await run();
    phases.push({ name, from, to: scheduler.now(), load: account.reset() });
  };
  sweepEveryMinute(account);
  const relays = new Map<number, Relay>();
  const clients = Array.from(
    { length: honest },
    (_, n) => new HonestClient(account, String(Math.floor(n / 2)), relays),
  );
  const stop = relayFrom(account, clients, relays);
  await scheduler.run(ENTER_MS + WARM_UP_MS);
  await phase('quiet', () => scheduler.run(SECONDS * 1_000));
  const attack = new Attack(account, malices, byId);
  await phase('attacked', async () => {
    attack.begin();
    await scheduler.run(SECONDS * 1_000);
    attack.end();
  });
  await phase('after', async () => {
    const patience = scheduler.now() + 2 * Math.max(...Object.values(MOST_SECONDS)) * 1_000;
    while (attack.open > 0 && scheduler.now() < patience) await scheduler.run(STEP_MS);
  });
  stop();
  await scheduler.run(REST_MS);
  const [violation] = account.ground.violations;
  if (violation !== undefined) throw new Error(violation);
  return {
    relays: [...relays.values()],
    phases,
    hostile: attack.connections.filter(({ openedAt }) => openedAt !== undefined),
    endedAt: scheduler.now(),
    cuts: clients.reduce((sum, { cuts }) => sum + cuts, 0),
  };
}

function connectionOf(event: unknown): string {
  return (event as { readonly requestContext: { readonly connectionId: string } }).requestContext
    .connectionId;
}

/** From now on, for ever. */
function sweepEveryMinute(account: Account): void {
  account.invoke('sweep', {});
  account.ground.scheduler.after(MINUTE_MS, () => sweepEveryMinute(account));
}

/** Connects the clients, and has each relay every few seconds. @returns how to stop that */
function relayFrom(
  { ground: { scheduler } }: Account,
  clients: readonly HonestClient[],
  relays: ReadonlyMap<number, Relay>,
): () => void {
  let isOver = false;
  const next = (client: HonestClient): void => {
    if (isOver) return;
    client.relay(relays.size + 1);
    scheduler.after(EVERY_MS, () => next(client));
  };
  clients.forEach((client, n) => {
    scheduler.after((n * ENTER_MS) / clients.length, () => client.connect());
    scheduler.after(ENTER_MS + (n * EVERY_MS) / clients.length, () => next(client));
  });
  return () => {
    isOver = true;
  };
}

/** Places from which hostile connections come, each after the end of the one before. */
class Attack {
  readonly connections: HostileConnection[] = [];
  /** Those that are there, or on their way. */
  open = 0;
  readonly #account: Account;
  readonly #malices: readonly Malice[];
  readonly #byId: Map<string, HostileConnection>;
  #isOver = false;

  constructor(account: Account, malices: readonly Malice[], byId: Map<string, HostileConnection>) {
    this.#account = account;
    this.#malices = malices;
    this.#byId = byId;
  }

  begin(): void {
    for (const malice of this.#malices) this.#come(malice);
  }

  end(): void {
    this.#isOver = true;
  }

  #come(malice: Malice): void {
    this.open += 1;
    const connection = new HostileConnection(this.#account, malice, () => {
      this.open -= 1;
      if (!this.#isOver) this.#come(malice);
    });
    connection.begin((id) => {
      this.connections.push(connection);
      this.#byId.set(id, connection);
    });
  }
}

interface Held extends Assault {
  /** What was accepted of it, of the most that may be. */
  readonly share: number;
}

function heldOf(one: HostileConnection, { endedAt }: Outcome): Held {
  const { accepted, closedAt, malice, openedAt = endedAt, sent } = one;
  return {
    malice,
    sent,
    accepted,
    closed: closedAt !== undefined,
    seconds: ((closedAt ?? endedAt) - openedAt) / 1_000,
    share: accepted === 0 ? 0 : accepted / one.mostAccepted(IN_WINDOW, UNTOLD),
  };
}

function phaseRow(name: string, outcomes: readonly Outcome[], page: CostPage): Row {
  const its = outcomes.flatMap(({ phases, relays }) =>
    phases
      .filter((phase) => phase.name === name)
      .map((phase) => ({
        ...phase,
        relays: relays.filter(({ sentAt }) => sentAt >= phase.from && sentAt < phase.to),
      })),
  );
  const sum = (of: (phase: (typeof its)[number]) => number) => its.reduce((all, one) => all + of(one), 0);
  const worst = (of: (load: Load) => number) => Math.max(...its.map(({ load }) => of(load)));
  const latencies = its.flatMap(({ relays }) => relays.filter(isKept).map(latencyOf));
  return {
    ...figures(latencies),
    lost: sum(({ relays }) => relays.filter((relay) => !isKept(relay)).length),
    'seconds, each seed': sum(({ from, to }) => to - from) / 1_000 / outcomes.length,
    'requests in a second, most': worst(({ requests }) => Math.max(...requests.values())),
    'functions at once, most': worst(({ mostAtOnce }) => mostAtOnce),
    'throttled functions': sum(({ load }) => Object.values(load.throttled).reduce((all, n) => all + n, 0)),
    'throttled posts': sum(({ load }) => load.slowedPosts),
    'throttled frames': sum(({ load }) => load.slowedFrames),
    'refused connections': sum(({ load }) => load.refused),
    'write units in a second, most': worst(({ writes }) => Math.max(...writes.values())),
    'price (US$)': sum(({ load }) => usdOf(load.used, page)) / outcomes.length,
  };
}

function isKept({ answeredAt, isHeard }: Relay): boolean {
  return answeredAt !== undefined && isHeard;
}

function latencyOf({ answeredAt = Number.POSITIVE_INFINITY, sentAt }: Relay): number {
  return answeredAt - sentAt;
}

function kindRow(malice: Malice, all: readonly Held[]): Row {
  const shares = all.filter((one) => one.malice === malice).map(({ share }) => share);
  return { ...rowOf(malice, all), 'most accepted, of its bound (%)': 100 * Math.max(0, ...shares) };
}

function failuresOf(outcomes: readonly Outcome[], all: readonly Held[], p99: number): readonly string[] {
  const lost = outcomes.flatMap(({ relays }) => relays).filter((relay) => !isKept(relay)).length;
  const cuts = outcomes.reduce((sum, one) => sum + one.cuts, 0);
  const open = all.filter(({ closed }) => !closed).length;
  const late = all.filter(({ malice, seconds }) => seconds > MOST_SECONDS[malice]).length;
  const over = all.filter(({ share }) => share > 1).length;
  return [
    ...(lost + cuts > 0 ? [`${lost} honest events were lost, and honest clients cut ${cuts} times`] : []),
    ...(p99 <= MOST_TIMES_QUIET
      ? []
      : [`the honest p99 is ${p99.toFixed(2)} times that of the quiet minute`]),
    ...(open > 0 ? [`${open} hostile connections were not closed`] : []),
    ...(late > 0 ? [`${late} hostile connections were closed too late`] : []),
    ...(over > 0 ? [`${over} hostile connections were over their bound`] : []),
  ];
}
