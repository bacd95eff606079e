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
import { MARGIN, WINDOW_MS } from '../lambdas/bus/limits.ts';
import { DEFAULT_LIMITS } from '../lambdas/contract/limits.ts';
import type { HostileConnection, Relay } from './attack-model-clients.ts';
import { measure, type Outcome } from './attack-model-run.ts';
import { type Assault, figures, MALICES, type Malice, maliceOf, account as rowOf } from './attack-rows.ts';
import type { Load } from './model-account.ts';
import { attackMinute } from './price.ts';
import { type Bench, byFigure, type Row, table } from './result.ts';

/**
 * How long each may stay. A flood fills a window within five seconds, the next one where it began late in one, has then three seconds
 * beyond the limit, and what it is told may be tried for five. Who is silent is closed by the first sweep after 45 s, which may take 55.
 */
const MOST_SECONDS: Readonly<Record<Malice, number>> = { flood: 18, garbage: 5, silent: 165 };
/** Of the requirement. */
const MOST_TIMES_QUIET = 2;
/** What all instances let in of a connection in ten seconds, and each of them beyond what it has told of (README, "Limits"). */
const IN_WINDOW = MARGIN * (DEFAULT_LIMITS.eventBurst + (DEFAULT_LIMITS.eventsPerSecond * WINDOW_MS) / 1_000);
const UNTOLD = 29;

export const bench: Bench = async ([hostile = '1000', flooding = '0.5', honest = '100', seeds = '2']) => {
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
  const bound = 100 * (await attackMinute(Number(hostile), letIn));
  const result = {
    rows: [
      ...byFigure(phases),
      { what: 'at most, where nobody comes back', attacked: 100 * (await attackMinute(Number(hostile))) },
      { what: 'at most, with those that came back', attacked: bound },
      ...byFigure(kinds),
    ],
    ratios: {
      p99: Number(phases.attacked?.['p99 (ms)']) / Number(phases.quiet?.['p99 (ms)']),
      'price / at most': Number(phases.attacked?.['price (US cents)']) / bound,
    },
  };
  const failures = failuresOf(outcomes, assaults, result.ratios.p99);
  if (failures.length === 0) return result;
  console.log(table(result));
  throw new Error(failures.join('; '));
};

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
    share: accepted === 0 ? 0 : accepted / one.mostAccepted(IN_WINDOW, UNTOLD, endedAt),
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
    'new connections': sum(({ load }) => load.connections),
    'refused connections': sum(({ load }) => load.refused),
    'write units in a second, most': worst(({ writes }) => Math.max(...writes.values())),
    'price (US cents)': (100 * sum(({ load }) => usdOfLoad(load, page))) / outcomes.length,
  };
}

/** With the first minute of each new connection. */
function usdOfLoad({ connections, used }: Load, page: CostPage): number {
  return usdOf(used, page) + connections * page.price('WebSocket connection');
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
