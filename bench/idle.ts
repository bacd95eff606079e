/**
 * What connections cost that do nothing: memory and CPU of the local stack, bytes in the table, and money.
 *
 *     npm run bench -- idle [connections] [seconds] [instances]
 *
 * The stack is in a process of its own, with `instances` of each function at most; the clients, real WebSockets with a socket
 * in two rooms each, are in others. What is reported is what they add to a stack that has served some before. Memory is
 * that of the whole process, DynamoDB's rows and the functions' heaps included, "heap" that of its main thread (the gateway and
 * the rows). They idle for so many seconds of real time; then a ping cycle, pongs included, passes on the stack's clock.
 *
 * Bound: heap and RSS each 40 KB a connection.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { type Child, child } from './child.ts';
import type { Answers } from './idle-stack.ts';
import { idleMonth } from './price.ts';
import type { Bench, BenchResult, Row } from './result.ts';

const BOUND_KB = 40;
/** The default, which docs/cost.md has a price for. */
const PING_INTERVAL_MINUTES = 4;
/** So many are there before anything is measured. */
const WARM_UP = 100;
/** What is due 45 s after a connection began is over then, and every slot was pinged once. */
const FIRST_MINUTES = PING_INTERVAL_MINUTES + 2;
/** Connected at the same time. */
const CONCURRENCY = 16;
/** They come in parts, with a sweep after each: what is due 45 s after they began is settled in as many parts. */
const PARTS = 10;
/** For the last pongs of a cycle to be written down. */
const GRACE_MS = 2_000;

export const bench: Bench = async ([connections = '5000', seconds = '60', instances = '4']) => {
  const crowds: Crowd[] = [];
  const stack = await child<string>('idle-stack.ts', [instances]);
  try {
    const connect = async (clients: number, first: number) => {
      const names = [stack.said, clients, CONCURRENCY, first].map(String);
      crowds.push({ clients, child: await child('idle-clients.ts', names) });
    };
    await connect(WARM_UP, 0);
    await minutes(stack, FIRST_MINUTES);
    const before = await observe(stack);
    const part = Math.ceil(Number(connections) / PARTS);
    for (let n = 0; n < Number(connections); n += part) {
      await connect(Math.min(part, Number(connections) - n), WARM_UP + n);
      await minutes(stack, 1);
    }
    const connected = await observe(stack);
    await pause(Number(seconds) * 1_000);
    const idled = await observe(stack);
    await minutes(stack, PING_INTERVAL_MINUTES);
    const pinged = await observe(stack);
    const pings = await cycle(stack, crowds);
    const cycled = await observe(stack);
    const phases = { before, connected, idled, pinged, cycled };
    return await summary(Number(connections), Number(seconds), phases, pings);
  } finally {
    for (const crowd of crowds) await crowd.child.end();
    await stack.end();
  }
};

interface Crowd {
  readonly clients: number;
  readonly child: Child<unknown>;
}

/** A time between two phases. */
interface Observation {
  readonly memory: Answers['memory'];
  readonly rows: Answers['rows'];
  /** Before it was observed and after; ms. */
  readonly cpuBefore: number;
  readonly cpuAfter: number;
}

async function observe(stack: Child<unknown>): Promise<Observation> {
  const cpuBefore = await ask(stack, 'cpu');
  const rows = await ask(stack, 'rows');
  const memory = await ask(stack, 'memory');
  return { memory, rows, cpuBefore, cpuAfter: await ask(stack, 'cpu') };
}

function ask<Q extends keyof Answers>(stack: Child<unknown>, question: Q): Promise<Answers[Q]> {
  return stack.ask(question);
}

async function minutes(stack: Child<unknown>, count: number): Promise<void> {
  for (let n = 0; n < count; n += 1) await ask(stack, 'minute');
}

/** A ping to everybody and its pong. @returns how many pings that were: on a slow machine a slot's turn may come twice */
async function cycle(stack: Child<unknown>, crowds: readonly Crowd[]): Promise<number> {
  const begin = await Promise.all(crowds.map(({ child: each }) => each.ask<number>({ pings: 0 })));
  await minutes(stack, PING_INTERVAL_MINUTES);
  const end = await Promise.all(
    crowds.map(({ child: each, clients }, n) => each.ask<number>({ pings: (begin[n] ?? 0) + clients })),
  );
  await pause(GRACE_MS);
  return sum(end) - sum(begin);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

interface Phases {
  readonly before: Observation;
  readonly connected: Observation;
  readonly idled: Observation;
  readonly pinged: Observation;
  readonly cycled: Observation;
}

async function summary(
  connections: number,
  seconds: number,
  { before, connected, idled, pinged, cycled }: Phases,
  pings: number,
): Promise<BenchResult> {
  const row = (what: string, all: number, share = connections): Row => ({ what, all, each: all / share });
  const memory = (name: string, kind: 'heap' | 'rss', later: Observation) =>
    row(`${name} (KB)`, later.memory[kind] - before.memory[kind]);
  const work = (from: Observation, to: Observation) => to.cpuBefore - from.cpuAfter;
  const kinds = Object.entries(pinged.rows)
    .map(([kind, { count, bytes }]) => {
      const earlier = before.rows[kind] ?? { count: 0, bytes: 0 };
      return { kind, count: count - earlier.count, bytes: bytes - earlier.bytes };
    })
    .filter(({ count }) => count > 0);
  const all = WARM_UP + connections;
  const month = await idleMonth(PING_INTERVAL_MINUTES);
  return {
    rows: [
      memory('heap, connected', 'heap', connected),
      memory('heap, after two ping cycles', 'heap', cycled),
      memory('RSS, connected', 'rss', connected),
      memory('RSS, after two ping cycles', 'rss', cycled),
      row('CPU of connecting and joining, sweeps included (ms)', work(before, connected)),
      row(`CPU of ${seconds} s without a ping (ms)`, work(connected, idled), all),
      row('CPU of pings and their pongs (ms)', work(pinged, cycled), pings),
      ...kinds.map(({ kind, count, bytes }) => ({
        ...row(`table, ${kind} (bytes)`, bytes),
        'rows each': count / connections,
      })),
      row('table, all (bytes)', sum(kinds.map(({ bytes }) => bytes))),
      { what: 'price a month (US$)', all: month * connections, each: month.toFixed(4) },
    ],
    ratios: {
      'heap / 40 KB a connection': (cycled.memory.heap - before.memory.heap) / connections / BOUND_KB,
      'RSS / 40 KB a connection': (cycled.memory.rss - before.memory.rss) / connections / BOUND_KB,
    },
  };
}
