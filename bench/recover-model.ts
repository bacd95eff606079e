/**
 * All clients are cut off at one instant while a backend goes on publishing, as in the bench `recover`, in a model of AWS with virtual
 * time: what the server's steps need where functions are not short of CPU.
 *
 *     npm run bench -- recover-model [clients] [publishes per second] [room size] [seeds]
 *
 * The server is the real one, over the simulator's gateway, table and functions (`test/simulator`) without faults; what
 * takes how long and which quotas there are is in `model-account.ts`, the client's own delay in `recover-model-client.ts`.
 * CPU time is nobody's. Publishing begins twelve seconds before the cut and ends ten after it.
 *
 * "Back" is from the cut to the CONNECT reply; of it the client "waits" before its attempts, and the rest, "connecting", is the server's
 * and the network's, refused attempts included. "Caught up" is when the last client had what was published to its room
 * before it was back. Lost is what a member never heard though its publish was acknowledged. Figures are of all seeds together,
 * most and last the worst of them.
 */
import { Account } from './model-account.ts';
import recoverApp from './recover-app.ts';
import { ModelClient } from './recover-model-client.ts';
import { type Bench, byFigure, percentile } from './result.ts';

/** Longer than a replay looks back. */
const BEFORE_MS = 12_000;
const AFTER_MS = 10_000;
const ARRIVALS_PER_SECOND = 100;
const STEP_MS = 250;
/** The last things that are on their way arrive. */
const REST_MS = 20_000;
const LONGEST_MS = 120_000;
/** A publisher that is told to come later does. */
const AGAIN_MS = 100;
/** Of the requirement. */
const BOUND_MS = 10_000;

interface Case {
  readonly name: string;
  /** Cuts from which everybody has come back before the one that counts. */
  readonly rehearsals: number;
}

const CASES: readonly Case[] = [
  { name: 'nothing warm but publish', rehearsals: 0 },
  { name: 'warm from a cut before', rehearsals: 1 },
];

interface Load {
  readonly clients: number;
  readonly perSecond: number;
  readonly roomSize: number;
}

interface Published {
  readonly n: number;
  readonly room: string;
  /** When it was acknowledged. */
  at?: number;
}

interface Outcome {
  readonly cutAt: number;
  readonly clients: readonly ModelClient[];
  readonly published: readonly Published[];
  readonly account: Account;
}

export const bench: Bench = async ([clients = '1000', rate = '50', roomSize = '20', seeds = '5']) => {
  const load = { clients: Number(clients), perSecond: Number(rate), roomSize: Number(roomSize) };
  const found: Record<string, ReturnType<typeof figures>> = {};
  const ratios: Record<string, number> = {};
  for (const what of CASES) {
    const outcomes: Outcome[] = [];
    for (let seed = 1; seed <= Number(seeds); seed += 1) outcomes.push(await measure(seed, what, load));
    const these = figures(outcomes);
    found[what.name] = these;
    ratios[`${what.name}: last back / bound`] = these['back, last (ms)'] / BOUND_MS;
    ratios[`${what.name}: the client's own delay / time until back`] =
      these['waiting, share of back (%)'] / 100;
  }
  return { rows: byFigure(found), ratios };
};

async function measure(seed: number, { rehearsals }: Case, load: Load): Promise<Outcome> {
  const account = new Account(seed, { application: recoverApp });
  const { scheduler } = account.ground;
  const clients = Array.from(
    { length: load.clients },
    (_, n) => new ModelClient(account, `room:${Math.floor(n / load.roomSize)}`),
  );
  clients.forEach((client, n) => {
    scheduler.after((n * 1_000) / ARRIVALS_PER_SECOND, () => client.connect());
  });
  await until(account, () => clients.every(({ isIn }) => isIn));
  for (let left = rehearsals; left > 0; left -= 1) {
    for (const client of clients) client.cut();
    await until(account, () => clients.every(isBack));
    await scheduler.run(REST_MS);
  }
  if (rehearsals === 0) account.coolDown();
  const published = publish(account, load);
  await scheduler.run(BEFORE_MS);
  account.reset();
  const cutAt = scheduler.now();
  for (const client of clients) client.cut();
  await scheduler.run(AFTER_MS);
  await until(account, () => clients.every(isBack));
  await scheduler.run(REST_MS);
  const [violation] = account.ground.violations;
  if (violation !== undefined) throw new Error(violation);
  return { cutAt, clients, published, account };
}

function isBack({ connectedAt, isIn }: ModelClient): boolean {
  return Number.isFinite(connectedAt) && isIn;
}

async function until(account: Account, isDone: () => boolean): Promise<void> {
  const { scheduler } = account.ground;
  const end = scheduler.now() + LONGEST_MS;
  while (!isDone() && scheduler.now() < end) await scheduler.run(STEP_MS);
}

/** At a fixed rate from now on, whether or not those before have been acknowledged. */
function publish(account: Account, { clients, perSecond, roomSize }: Load): readonly Published[] {
  const { chance, scheduler } = account.ground;
  const count = Math.round((perSecond * (BEFORE_MS + AFTER_MS)) / 1_000);
  return Array.from({ length: count }, (_, n) => {
    const one: Published = { n, room: `room:${chance.below(Math.ceil(clients / roomSize))}` };
    const request = { op: 'emit', namespace: '/recover', rooms: [one.room], event: 'told', args: [{ n }] };
    const tell = (): void =>
      account.invoke('publish', request, (how) => {
        if (how.kind === 'answered' && (how.value as { readonly ok: boolean }).ok) one.at = scheduler.now();
        else scheduler.after(AGAIN_MS, tell);
      });
    scheduler.after((n * 1_000) / perSecond, tell);
    return one;
  });
}

function figures(outcomes: readonly Outcome[]) {
  const all = outcomes.flatMap(({ clients, cutAt }) => clients.map((client) => ({ client, cutAt })));
  const backs = all.map(({ client, cutAt }) => client.connectedAt - cutAt);
  const waits = all.map(({ client }) => client.waitedMs);
  const connecting = all.map(({ client, cutAt }) => client.connectedAt - cutAt - client.waitedMs);
  const sum = (of: (outcome: Outcome) => number) => outcomes.reduce((total, one) => total + of(one), 0);
  const total = (values: readonly number[]) => values.reduce((one, other) => one + other, 0);
  const share = (of: (client: ModelClient) => boolean) =>
    (100 * all.filter(({ client }) => of(client)).length) / all.length;
  const worst = (of: (outcome: Outcome) => number) => Math.max(...outcomes.map(of));
  return {
    clients: all.length / outcomes.length,
    'back, p50 (ms)': percentile(backs, 0.5),
    'back, p99 (ms)': percentile(backs, 0.99),
    'back, last (ms)': Math.max(...backs),
    'waiting, p50 (ms)': percentile(waits, 0.5),
    'waiting, most (ms)': Math.max(...waits),
    'waiting, share of back (%)': (100 * total(waits)) / total(backs),
    'connecting, p50 (ms)': percentile(connecting, 0.5),
    'connecting, p99 (ms)': percentile(connecting, 0.99),
    'connecting, most (ms)': Math.max(...connecting),
    'recovered (%)': share(({ hasRecovered }) => hasRecovered),
    'caught up, last (ms)': worst(caughtUp),
    'to hear': sum(({ clients, published }) => total(clients.map((one) => meant(one, published).length))),
    lost: sum(({ clients, published }) => total(clients.map((one) => missing(one, published)))),
    repeats: sum(({ clients }) => total(clients.map((one) => one.repeats))),
    'heard again': sum(({ clients }) => total(clients.map((one) => one.heardAgain))),
    'refused connections': sum(({ account }) => account.load.refused),
    'more attempts than one (%)': share(({ attempts }) => attempts > 1),
    'functions at once, most': worst(({ account }) => account.load.mostAtOnce),
    'throttled functions': throttled(outcomes),
    'throttled posts': sum(({ account }) => account.load.slowedPosts),
    'write units in a second, most': worst(({ account }) => Math.max(...account.load.writes.values())),
  };
}

function throttled(outcomes: readonly Outcome[]): string {
  const counts = new Map<string, number>();
  for (const { account } of outcomes)
    for (const [name, count] of Object.entries(account.load.throttled))
      counts.set(name, (counts.get(name) ?? 0) + count);
  return [...counts].map(([name, count]) => `${count} ${name}`).join(', ') || '0';
}

function meant({ room }: ModelClient, published: readonly Published[]): readonly Published[] {
  return published.filter((one) => one.room === room && one.at !== undefined);
}

function missing(client: ModelClient, published: readonly Published[]): number {
  return meant(client, published).filter(({ n }) => !client.heard.has(n)).length;
}

/** When the last had all that was published before it was back; ms from the cut, infinite where one never did. */
function caughtUp({ clients, cutAt, published }: Outcome): number {
  const times = clients.map((client) => {
    const missed = meant(client, published).filter(({ at = 0 }) => at <= client.connectedAt);
    return Math.max(
      client.connectedAt,
      ...missed.map(({ n }) => client.heard.get(n) ?? Number.POSITIVE_INFINITY),
    );
  });
  return Math.max(...times) - cutAt;
}
