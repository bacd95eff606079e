/**
 * A room of ten thousand on the local stack. Its members are rows: five hundred of them on each of twenty WebSockets, which
 * count what they hear; so every post is a real one, and opening ten thousand connections is left to `bench/`.
 */
import { randomBytes } from 'node:crypto';
import pMap from 'p-map';
import type { Socket } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { groupKey } from '../../lambdas/adapters/keys.ts';
import { membershipRow } from '../../lambdas/adapters/rows.ts';
import { MOST_OPEN } from '../../lambdas/bus/range-delivery.ts';
import { synthesise } from '../support/assembly.ts';
import { startTestStack, type TestStack, token } from '../support/stack.ts';
import { SETTINGS } from '../support/synthesis.ts';

const CLIENTS = 20;
const MEMBERS = 10_000;
const EACH = MEMBERS / CLIENTS;
const ROOM = 'group:10';
const SMALL_ROOM = 'group:3';
/** 10 a group is one partition: filling it takes longer than DynamoDB would let it. */
const UNTHROTTLED = { partition: { writeUnits: 1_000_000, readUnits: 1_000_000 } };

let bus: TestStack;
const used: { readonly principalArn: string; readonly action: string; readonly resource: string }[] = [];
let clients: Socket[];
/** Per client and publish: how often it was heard. */
let heard: Map<number, number>[];

beforeAll(async () => {
  bus = await startTestStack({
    // What a busy laptop can take: API Gateway takes four times as many.
    assembly: synthesise({ ...SETTINGS, APPS: 'watch-groups', REQUESTS_PER_SECOND: '2500' }),
    quotas: UNTHROTTLED,
    onAuthorized: ({ principalArn, action, resource }) => used.push({ principalArn, action, resource }),
  });
  clients = await pMap(
    Array.from({ length: CLIENTS }),
    async (_, index) => {
      const socket = bus.client({
        auth: { token: await token({ sub: String(index), username: `u${index}` }) },
      });
      await new Promise<void>((resolve, reject) => {
        socket.once('connect', resolve);
        socket.once('connect_error', reject);
      });
      return socket;
    },
    { concurrency: 4 },
  );
  heard = clients.map((socket) => {
    const counts = new Map<number, number>();
    socket.on('notification', ({ message }: { message: string }) => {
      counts.set(Number(message), (counts.get(Number(message)) ?? 0) + 1);
    });
    return counts;
  });
  await fill();
}, 120_000);

afterEach(() => bus.stack.faults.clear());
afterAll(() => bus?.close());

/** Puts five hundred members of the room on each connection. */
async function fill(): Promise<void> {
  const { deployment } = bus.stack;
  const table = deployment.tables.find(({ name }) => name.includes('StoreBus'))?.name ?? '';
  const connections = (await connectionsOf(table)).slice(0, CLIENTS);
  expect(connections).toHaveLength(CLIENTS);
  for (const connection of connections.slice(0, 3)) await put(table, SMALL_ROOM, connection);
  for (const connection of connections) {
    for (let n = 0; n < EACH; n += 1) await put(table, ROOM, connection);
  }
}

async function put(TableName: string, room: string, connection: string): Promise<void> {
  const key = { p: groupKey({ kind: 'room', namespace: '/', room }, 0), s: randomBytes(15) };
  const { c, t } = membershipRow(key, connection, Date.now());
  const binary = (bytes: unknown) => ({ B: Buffer.from(bytes as Uint8Array).toString('base64') });
  const Item = { p: binary(key.p), s: binary(key.s), c: binary(c), t: { N: String(t) } };
  expect(await bus.stack.dynamodb?.handle('PutItem', { TableName, Item })).toMatchObject({ status: 200 });
}

async function connectionsOf(TableName: string): Promise<string[]> {
  const { body } = (await bus.stack.dynamodb?.handle('Scan', { TableName })) ?? { body: {} };
  const { Items } = body as { Items: Record<string, Record<string, unknown>>[] };
  return Items.filter((row) => row.credentials !== undefined).map((row) => String(row.id?.S));
}

let last = 0;
async function publish(room = ROOM, more: object = {}): Promise<{ id: number; result: unknown }> {
  last += 1;
  const invocation = await bus.stack.invoke('publish', {
    op: 'emit',
    rooms: [room],
    event: 'notification',
    args: [{ message: String(last) }],
    ...more,
  });
  return { id: last, result: (invocation as { value?: unknown }).value };
}

const total = (id: number) => heard.reduce((sum, counts) => sum + (counts.get(id) ?? 0), 0);

describe('a room of three', () => {
  const POSTS = Array.from({ length: 3 }, () => 'execute-api:ManageConnections');

  test.each([
    ['and nobody else anything', {}, ['PutItem', 'Query', 'UpdateItem']],
    [
      'and two writes more where it is to be published once',
      { id: 'once' },
      ['UpdateItem', 'PutItem', 'Query', 'UpdateItem', 'UpdateItem'],
    ],
  ])(
    'costs who publishes to it a log entry, one query, three posts and a note, %s',
    async (_what, more, calls) => {
      const { id, result } = await publish(SMALL_ROOM);
      expect(result).toMatchObject({ audience: 3, posted: 3, gone: 0, failed: 0, ranges: 0 });
      await expect.poll(() => total(id)).toBe(3);
      await bus.stack.settled();
      used.length = 0;
      await publish(SMALL_ROOM, more);
      await bus.stack.settled();
      const { role } =
        [...bus.stack.deployment.functions.values()].find(({ name }) => name === 'publish') ?? {};
      const actions = used.filter(({ principalArn }) => principalArn === role).map(({ action }) => action);
      const read = calls.indexOf('Query') + 1;
      expect(actions).toEqual([
        ...calls.slice(0, read).map((call) => `dynamodb:${call}`),
        ...POSTS,
        ...calls.slice(read).map((call) => `dynamodb:${call}`),
      ]);
      // Nor does the publish ask anybody for anything.
      expect(used.filter(({ principalArn }) => principalArn !== role)).toEqual([]);
    },
  );
});

describe('a room of ten thousand', () => {
  test('hears a broadcast, every member of it exactly once', { timeout: 60_000 }, async () => {
    const { id, result } = await publish();
    expect(result).toMatchObject({ ok: true, posted: null });
    const { audience, ranges } = result as { audience: number; ranges: number };
    expect(ranges).toBeGreaterThan(2);
    expect(audience / MEMBERS).toBeGreaterThan(0.5);
    expect(audience / MEMBERS).toBeLessThan(2);
    await bus.stack.settled(50_000);
    await expect.poll(() => total(id), { timeout: 10_000 }).toBe(MEMBERS);
    expect(heard.filter((counts) => counts.get(id) !== EACH)).toEqual([]);
  });

  test('hears it all the same with a twentieth of the posts throttled and a hundredth gone', {
    timeout: 90_000,
  }, async () => {
    bus.stack.faults.replace({
      calls: { 'connections.POST': { throttled: 0.05, gone: 0.01 } },
      quotas: UNTHROTTLED,
    });
    const { id } = await publish();
    await bus.stack.settled(80_000);
    const { faults } = bus.stack;
    expect(faults.count('throttled', 'connections.POST')).toBeGreaterThan(MEMBERS * 0.03);
    const gone = faults.count('gone', 'connections.POST');
    expect(gone).toBeGreaterThan(MEMBERS * 0.005);
    await expect.poll(() => total(id), { timeout: 10_000 }).toBe(MEMBERS - gone);
    expect(Math.max(...heard.map((counts) => counts.get(id) ?? 0))).toBeLessThanOrEqual(EACH);
  });

  test('hears it at least once where those who post it are killed, and repeats no more than they had open', {
    timeout: 90_000,
  }, async () => {
    bus.stack.faults.replace({
      // Somewhere in the middle of their posts.
      kills: [{ function: 'deliver', probability: 1, calls: [50, 500], effect: 'either' }],
      quotas: UNTHROTTLED,
    });
    const { id } = await publish();
    // What is to be tried again a minute later is not waited for here.
    await bus.stack.settled(15_000);
    const killed = bus.stack.faults.count('killed', 'deliver');
    expect(killed).toBeGreaterThan(0);
    expect(total(id)).toBeLessThan(MEMBERS + killed * MOST_OPEN);
    bus.stack.faults.clear();
    // Lambda tries them again after a minute.
    await bus.stack.advance(61_000, { quietMs: 30_000 });
    await bus.stack.settled(60_000);
    await expect
      .poll(() => heard.every((counts) => (counts.get(id) ?? 0) >= EACH), { timeout: 10_000 })
      .toBe(true);
    expect(total(id)).toBeGreaterThanOrEqual(MEMBERS);
    expect(total(id)).toBeLessThanOrEqual(MEMBERS + killed * MOST_OPEN);
  });
});
