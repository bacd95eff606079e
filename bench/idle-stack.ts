/** The local stack in a process of its own, which is measured: `[instances]`. Says its origin. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { itemBytes } from '../local/dynamodb/attribute-value.ts';
import { startStack } from '../local/stack.ts';
import { synthesiseInto } from '../test/support/synthesis.ts';
import { whenAsked } from './child.ts';
import { busTable, itemsOf } from './fanout-rows.ts';
import { collectGarbage } from './garbage.ts';

/** What DynamoDB's storage counts for each item beside names and values (Developer guide, "Item sizes"). */
const ITEM_OVERHEAD_BYTES = 100;
const MINUTE_MS = 60_000;
/** For pings and pongs of thousands; shorter than Lambda's first pause before a retry, which would be waited for too. */
const PATIENCE_MS = 50_000;

/** What it answers. */
export interface Answers {
  /** After a collection of garbage; KB. */
  memory: { readonly heap: number; readonly rss: number };
  /** Of all threads, since the start; ms. */
  cpu: number;
  /** By kind of row. */
  rows: Readonly<Record<string, { readonly count: number; readonly bytes: number }>>;
  /** When the last thing that happened in a minute of the stack's clock, sweep included, has been done. */
  minute: null;
}

/** By the first byte of their partition key. */
const KINDS: Readonly<Record<string, string>> = {
  c: 'connection',
  s: 'socket',
  m: 'memberships: namespace and two rooms',
  r: 'room directory',
  d: 'due at a time',
};

const [instances = '4'] = process.argv.slice(2);
const directory = await mkdtemp(join(tmpdir(), 'socketbus-bench-'));
// Pings go out at a quarter of it. With AWS's 10,000 more pongs come than this machine handles before a thousand of them wait,
// which is all the concurrency there is: those beyond it are answered with an error frame, and their clients are gone.
const REQUESTS_PER_SECOND = '600';
await synthesiseInto(directory, { APPS: 'storefront-chat', IDENTITY: 'trusted', REQUESTS_PER_SECOND });
const stack = await startStack({
  assembly: directory,
  schedule: false,
  host: { maxInstances: Number(instances) },
});

const answers: { readonly [Q in keyof Answers]: () => Answers[Q] | Promise<Answers[Q]> } = {
  memory: () => {
    collectGarbage();
    collectGarbage();
    const { heapUsed, external, rss } = process.memoryUsage();
    return { heap: (heapUsed + external) / 1_024, rss: rss / 1_024 };
  },
  cpu: () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1_000;
  },
  rows: async () => {
    const sums: Record<string, { count: number; bytes: number }> = {};
    for (const item of await itemsOf(stack, busTable(stack))) {
      const byte = Buffer.from(item.p?.B ?? '', 'base64').toString('latin1', 0, 1);
      const kind = item.seen === undefined ? (KINDS[byte] ?? 'other') : 'heartbeat slot';
      const sum = sums[kind] ?? { count: 0, bytes: 0 };
      sum.count += 1;
      sum.bytes += itemBytes(item) + ITEM_OVERHEAD_BYTES;
      sums[kind] = sum;
    }
    return sums;
  },
  minute: async () => {
    await stack.advance(MINUTE_MS, { quietMs: PATIENCE_MS });
    await stack.tick();
    await stack.settled(PATIENCE_MS);
    return null;
  },
};
whenAsked<keyof Answers>((question) => answers[question]());
process.once('disconnect', async () => {
  await stack.close();
  await rm(directory, { recursive: true, force: true });
  process.exit();
});
process.send?.(stack.origin);
