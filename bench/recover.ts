/**
 * All clients are cut off at one instant, as API Gateway does after two hours, while a backend goes on publishing: how long
 * until they are back, and what they have missed. Beside a stock Socket.IO server with connection state recovery.
 *
 *     npm run bench -- recover [clients] [publishes per second] [room size] [instances]
 *
 * Each server runs in a process of its own, first the stock one, then the local stack; the clients are stock clients in
 * three processes, over WebSockets, each in one room, with a `reconnectionDelay` of 100 ms and the other defaults (±50 %, doubled after
 * each failure, up to 5 s). The backend publishes numbered events to random rooms for ten seconds; after three all
 * connections are cut. A client that comes back without having recovered enters its room again, as an application would.
 *
 * "Last back" is from the cut to the last `connect`; "caught up", until the last client had what was published to its room
 * before it was back. Lost is what a member never heard though its publish was acknowledged; nothing may be. Repeats are events that
 * came again, and those of them that listeners heard in spite of `dropRepeats`.
 */
import { setTimeout as pause } from 'node:timers/promises';
import pMap from 'p-map';
import { Emitter } from '../emitter/index.ts';
import { LOCAL_CREDENTIALS } from '../local/host/credentials.ts';
import { type Child, child, sharedNow } from './child.ts';
import type { Account, Progress, Question } from './recover-clients.ts';
import type { Command } from './recover-server.ts';
import { type Bench, percentile, type Row } from './result.ts';

const PROCESSES = 3;
const BEFORE_MS = 3_000;
const AFTER_MS = 7_000;
/** Until the engine has compiled what is hot. */
const WARM_UPS = 500;
/** What waits in a queue on this machine is not to be published again meanwhile, which makes the queue longer. */
const PUBLISH_TIMEOUT_MS = 60_000;
/** What has not come so long after the last thing that came is lost. */
const PATIENCE_MS = 100_000;
const LONGEST_MS = 5 * 60_000;

const SERVERS = { stock: 'Socket.IO server', stack: 'local stack' } as const;
type Kind = keyof typeof SERVERS;

interface Load {
  readonly clients: number;
  readonly perSecond: number;
  readonly roomSize: number;
  readonly instances: string;
}

/** Publishes one event. @throws where it was not acknowledged */
type Tell = (room: string, n: number) => Promise<unknown>;

interface Published {
  readonly n: number;
  readonly room: string;
  /** When it was acknowledged; undefined where it was not. */
  readonly at: number | undefined;
}

interface Outcome {
  readonly cutAt: number;
  readonly published: readonly Published[];
  readonly accounts: readonly Account[];
}

export const bench: Bench = async ([clients = '1000', rate = '50', roomSize = '20', instances = '8']) => {
  const load = {
    clients: Number(clients),
    perSecond: Number(rate),
    roomSize: Number(roomSize),
    instances,
  };
  const stock = figures(await measure('stock', load));
  const stack = figures(await measure('stack', load));
  const ratios = Object.keys(stack).flatMap((name) => {
    const [ours, theirs] = [stack[name], stock[name]];
    if (!name.endsWith('(ms)') || typeof ours !== 'number' || typeof theirs !== 'number') return [];
    return [[name.replace(' (ms)', ''), ours / theirs] as const];
  });
  return {
    rows: [
      { server: SERVERS.stock, ...stock },
      { server: SERVERS.stack, ...stack },
    ],
    ratios: Object.fromEntries(ratios),
  };
};

async function measure(kind: Kind, load: Load): Promise<Outcome> {
  const server = await child<string>('recover-server.ts', [kind, load.instances]);
  const crowds: Child<unknown>[] = [];
  try {
    const share = Math.ceil(load.clients / PROCESSES);
    const started = Array.from({ length: PROCESSES }, async (_, n) => {
      const count = Math.max(0, Math.min(share, load.clients - n * share));
      const args = [server.said, n * share, count, load.roomSize];
      crowds.push(await child('recover-clients.ts', args.map(String)));
    });
    await Promise.all(started);
    const tell = kind === 'stock' ? byServer(server) : byEmitter(server.said);
    await warmUp(load, tell);
    const publishing = publish(load, tell);
    await pause(BEFORE_MS);
    const cutAt = await server.ask<number>({ do: 'cut' } satisfies Command);
    const published = await publishing;
    await settle(load.clients, deliveries(load, published), crowds);
    const accounts = await askAll<Account[]>(crowds, 'accounts');
    return { cutAt, published, accounts: accounts.flat() };
  } finally {
    await Promise.all(crowds.map((crowd) => crowd.end()));
    await server.end();
  }
}

function byServer(server: Child<string>): Tell {
  return (room, n) => server.ask({ do: 'tell', room, n } satisfies Command);
}

function byEmitter(endpoint: string): Tell {
  const emitter = new Emitter({
    endpoint,
    region: 'us-east-1',
    credentials: LOCAL_CREDENTIALS,
    timeoutMs: PUBLISH_TIMEOUT_MS,
  });
  const namespace = emitter.of('/recover');
  return (room, n) => namespace.to(room).emit('told', { n });
}

function roomOf({ clients, roomSize }: Load): string {
  return `room:${Math.floor(Math.random() * Math.ceil(clients / roomSize))}`;
}

/** With negative numbers, which clients do not count. */
async function warmUp(load: Load, tell: Tell): Promise<void> {
  const numbers = Array.from({ length: WARM_UPS }, (_, n) => -n - 1);
  await pMap(numbers, (n) => tell(roomOf(load), n), { concurrency: Number(load.instances) });
}

/** At a fixed rate, whether or not those before have been acknowledged. */
async function publish(load: Load, tell: Tell): Promise<readonly Published[]> {
  const { perSecond } = load;
  const count = Math.round((perSecond * (BEFORE_MS + AFTER_MS)) / 1_000);
  const begin = performance.now();
  const published: Promise<Published>[] = [];
  for (let n = 0; n < count; n += 1) {
    const ahead = begin + (n * 1_000) / perSecond - performance.now();
    if (ahead > 0) await pause(ahead);
    const room = roomOf(load);
    const told = tell(room, n).then(sharedNow, () => undefined);
    published.push(told.then((at) => ({ n, room, at })));
  }
  return Promise.all(published);
}

/**
 * How many deliveries there are to wait for; endless if some publish was not acknowledged, as it may be delivered or not. The
 * last room may have fewer members than the others.
 */
function deliveries({ clients, roomSize }: Load, published: readonly Published[]): number {
  const members = (room: string) =>
    Math.min(roomSize, clients - Number(room.slice('room:'.length)) * roomSize);
  return published.reduce((sum, { room, at }) => sum + (at === undefined ? Infinity : members(room)), 0);
}

/** Resolves when everybody is back and has everything, or nothing has come for a while. */
async function settle(clients: number, wanted: number, crowds: readonly Child<unknown>[]): Promise<void> {
  const endsAt = sharedNow() + LONGEST_MS;
  let last = '';
  let changedAt = sharedNow();
  while (sharedNow() < Math.min(endsAt, changedAt + PATIENCE_MS)) {
    const all = await askAll<Progress>(crowds, 'progress');
    const back = all.reduce((sum, one) => sum + one.back, 0);
    const heard = all.reduce((sum, one) => sum + one.heard, 0);
    if (back === clients && heard >= wanted) return;
    if (last !== `${back} ${heard}`) changedAt = sharedNow();
    last = `${back} ${heard}`;
    await pause(200);
  }
}

function askAll<A>(crowds: readonly Child<unknown>[], question: Question): Promise<A[]> {
  return Promise.all(crowds.map((crowd) => crowd.ask<A>(question)));
}

function figures({ cutAt, published, accounts }: Outcome): Row {
  const back = accounts.filter(({ connections }) => connections > 1);
  const delays = back.map(({ connectedAt }) => connectedAt - cutAt);
  const sum = (of: (account: Account) => number) => accounts.reduce((total, one) => total + of(one), 0);
  const caughtUp = Math.max(...accounts.map((account) => lastMissed(account, published))) - cutAt;
  const refused = published.filter(({ at }) => at === undefined).length;
  return {
    clients: accounts.length,
    'back p50 (ms)': percentile(delays, 0.5),
    'last back (ms)': back.length < accounts.length ? 'never' : Math.max(...delays),
    attempts: sum(({ attempts }) => attempts),
    'recovered (%)': (back.filter(({ recovered }) => recovered).length * 100) / accounts.length,
    'caught up (ms)': Number.isFinite(caughtUp) ? caughtUp : 'never',
    published: published.length,
    refused,
    'to hear': sum((account) => meant(account, published).length),
    lost: sum((account) => missing(account, published)),
    repeats: sum(({ repeats }) => repeats),
    'heard again': sum(({ heardAgain }) => heardAgain),
  };
}

function meant({ room }: Account, published: readonly Published[]): readonly Published[] {
  return published.filter((one) => one.room === room && one.at !== undefined);
}

function missing(account: Account, published: readonly Published[]): number {
  const heard = new Map(account.heard);
  return meant(account, published).filter(({ n }) => !heard.has(n)).length;
}

/** When a client had all that was published before it was back; infinite where it never did. */
function lastMissed(account: Account, published: readonly Published[]): number {
  const heard = new Map(account.heard);
  const missed = meant(account, published).filter(({ at = 0 }) => at <= account.connectedAt);
  return Math.max(account.connectedAt, ...missed.map(({ n }) => heard.get(n) ?? Number.POSITIVE_INFINITY));
}
