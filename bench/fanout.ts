/**
 * How long a broadcast takes, from the publish call to the last delivery: ours on the local stack, "the sample's way" on
 * the same stack (fanout-sample.ts), and a stock Socket.IO server.
 *
 *     npm run bench -- fanout [repetitions] [others]
 *
 * First rooms of 10 to 10,000, the three in turn; then a room of 1,000 while 1,000 to `others` other connections are in
 * the tables, of which nobody hears anything. The median of the repetitions counts. Each server and the clients of each are
 * in processes of their own. The stack's members are rows that share 100 real WebSockets, so that a delivery is a real
 * post and a real frame; the stock server has as many real clients as its largest room. The sample has a table for each
 * room, with nobody else in it until there are others.
 *
 * Bounds: `ours, others × …` does not grow with them, and ten times the members take no more than ten times as long.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type LocalStack, startStack } from '../local/stack.ts';
import { synthesiseInto } from '../test/support/synthesis.ts';
import { type Child, child, sharedNow } from './child.ts';
import type { Expectation } from './crowd.ts';
import {
  busTable,
  createSampleTable,
  itemsOf,
  members,
  sampleRows,
  strangers,
  write,
} from './fanout-rows.ts';
import type { SampleMessage } from './fanout-sample.ts';
import { collectGarbage } from './garbage.ts';
import { type Bench, type BenchResult, median, type Row } from './result.ts';

const SIZES = [10, 100, 1_000, 3_000, 10_000];
const LARGEST = Math.max(...SIZES);
/** The room that others must not slow down. */
const WATCHED = 1_000;
const SOCKETS = 100;
/** So many publishes are not counted after a table was filled. */
const WARM_UPS = 4;
/** Filling a table takes more than DynamoDB would let one partition have. */
const QUOTAS = { partition: { writeUnits: 1e6, readUnits: 1e6 } };
const EVENT = 'new-message';

const WAYS = ['local stack', "the sample's way", 'Socket.IO server'] as const;
type Way = (typeof WAYS)[number];

interface Sent {
  /** From the call to the last delivery; ms. */
  readonly time: number;
  /** Of all threads of the stack, and of the process of the sample where it sends; ms. */
  readonly work: number;
}

/** Of each repetition. */
type Repeated = ReadonlyMap<Way, Sent[]>;
const NOTHING: Sent = { time: Number.NaN, work: Number.NaN };

export const bench: Bench = async ([repetitions = '3', others = '100000']) => {
  const directory = await mkdtemp(join(tmpdir(), 'socketbus-bench-'));
  const ends: (() => Promise<unknown>)[] = [() => rm(directory, { recursive: true, force: true })];
  const start = async <T>(program: string, ...args: string[]): Promise<Child<T>> => {
    const started = await child<T>(program, args);
    ends.push(() => started.end());
    return started;
  };
  try {
    await synthesiseInto(directory, { APPS: 'storefront-chat', IDENTITY: 'trusted' });
    const stack = await startStack({ assembly: directory, schedule: false, quotas: QUOTAS });
    ends.push(() => stack.close());
    const crowd = await start('crowd.ts', stack.origin, String(SOCKETS), '4');
    const stock = await start<string>('fanout-stock.ts', SIZES.join(','));
    const stockCrowd = await start('crowd.ts', stock.said, String(LARGEST), '64');
    const sample = await start('fanout-sample.ts', ...sampleArguments(stack));
    const fanOut = new FanOut({ stack, crowd, stock, stockCrowd, sample });
    return await measure(fanOut, Number(repetitions), Number(others));
  } finally {
    for (const end of ends.reverse()) await end();
  }
};

function sampleArguments({ deployment, dynamodbEndpoint, port, credentials }: LocalStack): string[] {
  const callback = `http://127.0.0.1:${port}/${deployment.webSocketApi?.stage}`;
  const { accessKeyId, secretAccessKey } = credentials;
  return [dynamodbEndpoint, callback, deployment.region, accessKeyId, secretAccessKey];
}

async function measure(fanOut: FanOut, repetitions: number, others: number): Promise<BenchResult> {
  await fanOut.fillRooms();
  // Instances, connections and compilers are warm then.
  await fanOut.publish('local stack', LARGEST);
  collectGarbage();
  await fanOut.inTurn(WAYS, WATCHED, WARM_UPS);
  const alone = new Map<number, Repeated>();
  for (const size of SIZES) alone.set(size, await fanOut.inTurn(WAYS, size, repetitions));
  const crowded = new Map<number, Repeated>();
  const steps = [1_000, 10_000, 100_000].filter((step) => step <= others);
  for (const step of steps) {
    await fanOut.fillOthers(step);
    const ways = ['local stack', "the sample's way"] as const;
    // Filling leaves garbage, and code that is optimised for filling.
    collectGarbage();
    await fanOut.inTurn(ways, WATCHED, WARM_UPS);
    crowded.set(step, await fanOut.inTurn(ways, WATCHED, repetitions));
  }
  return {
    rows: [
      ...[...alone].map(([size, times]) => row(size, 0, times)),
      ...[...crowded].map(([step, times]) => row(WATCHED, step, times)),
    ],
    ratios: { ...growth(alone), ...crowding(crowded), ...comparison(alone) },
  };
}

function row(size: number, others: number, repeated: Repeated): Row {
  const column = (way: Way, name: string, of: (sent: Sent) => number) => {
    const sent = repeated.get(way) ?? [];
    return { [name]: sent.length === 0 ? '' : median(sent.map(of)) };
  };
  return {
    members: String(size),
    others,
    ...column('local stack', 'local stack (ms)', ({ time }) => time),
    ...column('local stack', 'CPU (ms)', ({ work }) => work),
    ...column("the sample's way", "the sample's way (ms)", ({ time }) => time),
    ...column("the sample's way", 'its CPU (ms)', ({ work }) => work),
    ...column('Socket.IO server', 'Socket.IO server (ms)', ({ time }) => time),
  };
}

const MEASURES = { time: ({ time }: Sent) => time, CPU: ({ work }: Sent) => work };

/** How much longer it takes for how many times the members. */
function growth(alone: ReadonlyMap<number, Repeated>): Record<string, number> {
  const ours = (size: number) => alone.get(size)?.get('local stack') ?? [];
  return Object.fromEntries(
    [3_000, 10_000].flatMap((size) =>
      Object.entries(MEASURES).map(([name, measure]) => [
        `local stack's ${name}, ${size / 1_000} × the members`,
        median(ours(size).map(measure)) / median(ours(1_000).map(measure)),
      ]),
    ),
  );
}

/** How much longer it takes for how many times the others. */
function crowding(crowded: ReadonlyMap<number, Repeated>): Record<string, number> {
  const [fewest = Number.NaN, ...more] = crowded.keys();
  const ratio = (others: number, way: Way, measure: (sent: Sent) => number) => {
    const of = (step: number) => median((crowded.get(step)?.get(way) ?? []).map(measure));
    return of(others) / of(fewest);
  };
  return Object.fromEntries(
    more.flatMap((others) =>
      Object.entries(MEASURES).flatMap(([name, measure]) => {
        const times = `${others / fewest} × the others`;
        return [
          [`local stack's ${name}, ${times}`, ratio(others, 'local stack', measure)],
          [`the sample's ${name}, ${times}`, ratio(others, "the sample's way", measure)],
        ];
      }),
    ),
  );
}

/** Within each repetition, since other work on the machine comes and goes. */
function comparison(alone: ReadonlyMap<number, Repeated>): Record<string, number> {
  const ratio = (repeated: Repeated, way: Way, measure: (sent: Sent) => number) => {
    const theirs = repeated.get(way) ?? [];
    const ours = repeated.get('local stack') ?? [];
    return median(ours.map((sent, n) => measure(theirs[n] ?? NOTHING) / measure(sent)));
  };
  return Object.fromEntries(
    [...alone].flatMap(([size, repeated]) => [
      [`sample / local stack, ${size}`, ratio(repeated, "the sample's way", MEASURES.time)],
      [`sample / local stack, ${size}, CPU`, ratio(repeated, "the sample's way", MEASURES.CPU)],
      [`local stack / Socket.IO server, ${size}`, 1 / ratio(repeated, 'Socket.IO server', MEASURES.time)],
    ]),
  );
}

interface Parties {
  readonly stack: LocalStack;
  readonly crowd: Child<unknown>;
  readonly stock: Child<string>;
  readonly stockCrowd: Child<unknown>;
  readonly sample: Child<unknown>;
}

class FanOut {
  readonly #parties: Parties;
  #published = 0;
  #others = 0;

  constructor(parties: Parties) {
    this.#parties = parties;
  }

  /** The rooms of the stack, and the sample's tables. */
  async fillRooms(): Promise<void> {
    const { stack } = this.#parties;
    const bus = busTable(stack);
    const rows = await itemsOf(stack, bus);
    const connections = rows.filter((row) => row.credentials !== undefined).map((row) => row.id?.S ?? '');
    for (const size of SIZES) {
      await write(stack, bus, members(roomOf(size), size, connections));
      await createSampleTable(stack, sampleTable(size));
      await write(stack, sampleTable(size), sampleRows(roomOf(size), 0, size, connections));
    }
  }

  /** Puts others into the tables until there are so many of them. */
  async fillOthers(others: number): Promise<void> {
    const { stack } = this.#parties;
    await write(stack, busTable(stack), strangers(this.#others, others));
    await write(stack, sampleTable(WATCHED), sampleRows('elsewhere', this.#others, others));
    this.#others = others;
  }

  async inTurn(ways: readonly Way[], size: number, repetitions: number): Promise<Repeated> {
    const times = new Map<Way, Sent[]>(ways.map((way) => [way, []]));
    for (let n = 0; n < repetitions; n += 1)
      for (const way of ways) times.get(way)?.push(await this.publish(way, size));
    return times;
  }

  async publish(way: Way, size: number): Promise<Sent> {
    const { crowd, stack, stockCrowd } = this.#parties;
    this.#published += 1;
    const expectation: Expectation = { message: this.#published, times: size };
    const heard = (way === 'Socket.IO server' ? stockCrowd : crowd).ask<number>(expectation);
    const content = 'Is the red one still there? I would like to have two of them.';
    const timestamp = new Date().toISOString();
    const args = [{ messageId: this.#published, content, senderId: 'shop', timestamp }];
    const before = process.cpuUsage();
    const begin = sharedNow();
    const [at, theirs] = await Promise.all([heard, this.#send(way, size, args)]);
    // What the functions still write down is part of the work, and not of the next one's time.
    await stack.settled(30_000);
    const { user, system } = process.cpuUsage(before);
    return { time: at - begin, work: (user + system) / 1_000 + theirs };
  }

  /** @returns CPU time of the process that sends, where that is not the stack; ms */
  async #send(way: Way, size: number, args: unknown[]): Promise<number> {
    const { sample, stack, stock } = this.#parties;
    const room = roomOf(size);
    if (way === 'Socket.IO server') await stock.ask({ room: size, event: EVENT, args });
    if (way === "the sample's way") {
      const frame = `42${JSON.stringify([EVENT, ...args])}`;
      const message: SampleMessage = { table: sampleTable(size), room, frame };
      return sample.ask<number>(message);
    }
    if (way === 'local stack') {
      const answer = await stack.invoke('publish', { op: 'emit', rooms: [room], event: EVENT, args });
      const { value } = answer as { value?: { ok?: boolean } };
      if (value?.ok !== true) throw new Error(`publish answered ${JSON.stringify(answer)}`);
    }
    return 0;
  }
}

function roomOf(size: number): string {
  return `conversation_of-${size}`;
}

function sampleTable(size: number): string {
  return `sample-${size}`;
}
