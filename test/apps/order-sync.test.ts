import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { orderSync } from '../../lambdas/apps/order-sync.ts';
import type { RoutedResponse } from '../../lambdas/bus/http-router.ts';
import { MAX_PACKET_BYTES } from '../../lambdas/contract/publish.ts';
import { PacketType } from '../../lambdas/protocol/socket-packet.ts';
import { START, type World, type WorldOptions, world } from '../support/world.ts';
import { Client } from './client.ts';

/** As the secret may hold a key. */
const hashed = (key: string) => `sha256:${createHash('sha256').update(key).digest('hex')}`;
const DAY = 24 * 60 * 60_000;
const KEY = 'cloud key';
const KEYED = { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' };

function bus(options: Partial<WorldOptions> = {}): Promise<World> {
  return world({ applications: [orderSync], secrets: { CLOUD_API_KEY: KEY }, ...options });
}

let connections = 0;
/** With its key, unless another `auth` is given: `undefined` is none. */
async function machine(at: World, ...given: [auth?: unknown]): Promise<Client> {
  connections += 1;
  const auth = given.length === 0 ? { apiKey: KEY } : given[0];
  return Client.connect(at, connections, { namespace: '/sync', auth });
}

async function record(at: World, type: string, entityId: unknown, data: unknown = {}): Promise<string> {
  const change = { type, entityId, data } as never;
  const answer = await at.publisher.handle({
    op: 'app',
    app: 'order-sync',
    call: 'recordChange',
    args: [change],
  });
  expect(answer).toMatchObject({ ok: true });
  return (answer as { result: { id: string } }).result.id;
}

function request(
  at: World,
  method: 'GET' | 'POST',
  path: string,
  options: { headers?: Record<string, string>; query?: Record<string, string>; body?: unknown } = {},
): Promise<RoutedResponse> {
  const { headers = KEYED, query = {}, body } = options;
  const text = typeof body === 'string' || body === undefined ? body : JSON.stringify(body);
  return at.router.handle({ method, path, headers, query, body: text, address: '127.0.0.1' });
}

interface Pulled {
  readonly changes: { readonly id: string; readonly type: string; readonly entityId: unknown }[];
  readonly more: boolean;
}

async function pull(at: World, query: Record<string, string> = {}): Promise<Pulled> {
  const { statusCode, body } = await request(at, 'GET', '/sync/pull-changes', { query });
  expect(statusCode).toBe(200);
  return JSON.parse(body);
}

const entities = ({ changes }: Pulled) => changes.map(({ entityId }) => entityId);
/** How often a machine was told that something is pending. */
const told = (client: Client) => client.events().filter(({ event }) => event === 'changes:pending').length;
const refusal = (client: Client) =>
  client.packets().find(({ type }) => type === PacketType.CONNECT_ERROR)?.data as { message: string };

describe('a machine that connects', () => {
  test.each([
    ['its key', KEY, { apiKey: KEY }],
    ['the first of two keys', 'old, new', { apiKey: 'old' }],
    ['the second of two keys', 'old, new', { apiKey: 'new' }],
    ['its key beside something else', KEY, { apiKey: KEY, machine: 7 }],
    ['a key of which the secret has the hash', hashed('new'), { apiKey: 'new' }],
    ['the first of two hashed keys', `${hashed('old')}, ${hashed('new')}`, { apiKey: 'old' }],
    ['the second of two, beside one as it is', `old,${hashed('new')}`, { apiKey: 'new' }],
    ['a key as it is, beside a hashed one', `old,${hashed('new')}`, { apiKey: 'old' }],
    [
      'a key whose hash is in capitals',
      hashed('new').toUpperCase().replace('SHA256', 'sha256'),
      { apiKey: 'new' },
    ],
    ['the good key beside one that is malformed', `sha256:12,${hashed('new')}`, { apiKey: 'new' }],
  ])('with %s is let in', async (_what, secret, auth) => {
    const at = await bus({ secrets: { CLOUD_API_KEY: secret } });
    const client = await machine(at, auth);
    expect(client.id).toMatch(/^[\w-]{20}$/);
    expect(client.events()).toEqual([]);
  });

  test.each([
    ['nothing', undefined, 'API key required'],
    ['an empty object', {}, 'API key required'],
    ['an empty key', { apiKey: '' }, 'API key required'],
    ['a null key', { apiKey: null }, 'API key required'],
    ['another key', { apiKey: 'cloud kez' }, 'Invalid API key'],
    ['the beginning of the key', { apiKey: 'cloud' }, 'Invalid API key'],
    ['a key that is no text', { apiKey: [KEY] }, 'Invalid API key'],
    ['both keys in one', { apiKey: 'cloud key,cloud key' }, 'Invalid API key'],
  ])('with %s never has a socket', async (_what, auth, message) => {
    const at = await bus();
    const client = await machine(at, auth);
    expect(refusal(client)).toEqual({ message });
    expect(client.packets()).toHaveLength(1);
  });

  test.each([
    ['the hash that the secret has', hashed(KEY)],
    ['the hash without its name', hashed(KEY).slice('sha256:'.length)],
    ['the key, where the secret has the hash of its hash', KEY],
  ])('with %s never has a socket', async (_what, presented) => {
    const secret = presented === KEY ? hashed(hashed(KEY)) : hashed(KEY);
    const at = await bus({ secrets: { CLOUD_API_KEY: secret } });
    expect(refusal(await machine(at, { apiKey: presented }))).toEqual({ message: 'Invalid API key' });
  });

  test.each([
    ['is too short', 'sha256:5994471abb01112a', 1],
    ['is none', `sha256:${'z'.repeat(64)}`, 1],
    ['has a space within', `${hashed('a')},sha256: ${'0'.repeat(64)}`, 2],
    ['names another algorithm', `${hashed('a')} , sha512:${'0'.repeat(128)}`, 2],
  ])(
    'with what a malformed entry says is refused; the log names the entry and not what it says: its hash %s',
    async (_what, secret, entry) => {
      const at = await bus({ secrets: { CLOUD_API_KEY: secret } });
      const presented = secret.split(',').at(-1)?.trim();
      const client = await machine(at, { apiKey: presented });
      expect(client.packets().filter(({ type }) => type === PacketType.CONNECT)).toEqual([]);
      const [line] = at.log.lines.filter(({ level }) => level === 'error');
      const { error } = (line?.fields ?? {}) as { error?: unknown };
      expect(error).toMatchObject({
        name: 'ApiKeyError',
        code: 'invalid_api_key_entry',
        retryable: false,
        field: `CLOUD_API_KEY[${entry - 1}]`,
      });
      expect(String(error)).not.toContain(presented);
      expect(JSON.stringify(at.log.lines)).not.toContain(presented?.slice(7, 20));
    },
  );

  test.each([
    ['is not there', {}],
    ['holds no key', { CLOUD_API_KEY: ' , ' }],
  ])('is to try again where the secret %s: refused, it would not', async (_what, secrets) => {
    const at = await bus({ secrets });
    const client = await machine(at);
    expect([client.packets(), client.cut]).toEqual([[], true]);
    expect(at.log.lines.filter(({ level }) => level === 'error')).toHaveLength(1);
  });

  test('is told by an event without any argument that something is pending', async () => {
    const at = await bus();
    await record(at, 'order.created', 1);
    const client = await machine(at);
    expect(client.events()).toEqual([{ event: 'changes:pending', args: [] }]);
    expect(at.wire.to(client.connectionId)).toContain('42/sync,["changes:pending"]');
  });

  test('is not told of what was confirmed, nor of what has expired', async () => {
    const at = await bus();
    const id = await record(at, 'order.created', 1);
    await record(at, 'order.created', 2);
    at.clock.advance(30 * DAY + 1);
    await record(at, 'order.created', 3);
    const client = await machine(at);
    expect(told(client)).toBe(1);
    expect(entities(await pull(at))).toEqual([3]);
    const [third] = (await pull(at)).changes;
    await client.ask('sync:confirm', { ids: [id, third?.id] });
    expect(told(await machine(at))).toBe(0);
  });

  test('shows a key that is in no row and in no log line', async () => {
    const at = await bus();
    connections += 1;
    await Client.connect(at, connections, { namespace: '/sync', auth: { apiKey: KEY }, headers: KEYED });
    await machine(at, { apiKey: 'another key' });
    const kept = JSON.stringify([await at.table.rows(), at.log.lines]);
    expect(kept).not.toContain(KEY);
    expect(kept).not.toContain('another key');
  });
});

describe('recordChange', () => {
  test('stores the change before it tells every connected machine', async () => {
    const at = await bus();
    const machines = [await machine(at), await machine(at)];
    const pending: Promise<unknown>[] = [];
    at.wire.outcome = () => {
      pending.push(at.bus.rows.query('order-sync#changes', { limit: 5 }));
      return 'ok';
    };
    await record(at, 'stock.changed', 'sku-1', { left: 3 });
    expect(machines.map(told)).toEqual([1, 1]);
    expect(await Promise.all(pending)).toEqual([
      [expect.objectContaining({ value: expect.objectContaining({ entityId: 'sku-1' }) })],
      [expect.objectContaining({ value: expect.objectContaining({ entityId: 'sku-1' }) })],
    ]);
  });

  test('keeps what it was given, the type of the id too', async () => {
    const at = await bus();
    const ids = [await record(at, 'order.created', 7, { a: [1, null] }), await record(at, 'x', '7', null)];
    const createdAt = new Date(START).toISOString();
    expect(await pull(at)).toEqual({
      changes: [
        { id: ids[0], type: 'order.created', entityId: 7, data: { a: [1, null] }, createdAt },
        { id: ids[1], type: 'x', entityId: '7', data: null, createdAt },
      ],
      more: false,
    });
  });

  test('has recorded the change also where nobody could be told', async () => {
    const at = await bus();
    const { members } = at.store;
    at.store.members = () => Promise.reject(new Error('no answer'));
    await record(at, 'order.created', 1);
    at.store.members = members;
    expect(entities(await pull(at))).toEqual([1]);
  });

  test.each([
    ['no type', { entityId: 1, data: {} }, 'args[0].type'],
    ['an empty type', { type: '', entityId: 1, data: {} }, 'args[0].type'],
    ['a long type', { type: 'x'.repeat(129), entityId: 1, data: {} }, 'args[0].type'],
    ['an id that is none', { type: 'order', entityId: 1.5, data: {} }, 'args[0].entityId'],
    ['an empty id', { type: 'order', entityId: '', data: {} }, 'args[0].entityId'],
    ['no data', { type: 'order', entityId: 1 }, 'args[0].data'],
    ['too much data', { type: 'order', entityId: 1, data: 'x'.repeat(102_399) }, 'args[0].data'],
  ])('refuses %s, and nobody is told', async (_what, change, field) => {
    const at = await bus();
    const client = await machine(at);
    const args = [change as never];
    const answer = await at.publisher.handle({ op: 'app', app: 'order-sync', call: 'recordChange', args });
    expect(answer).toMatchObject({ ok: false, error: { code: 'invalid_payload', field } });
    expect(told(client)).toBe(0);
    expect((await pull(at)).changes).toEqual([]);
  });
});

describe('sync:orders', () => {
  test('answers the asker alone with the pending items whose type begins with order', async () => {
    const at = await bus();
    for (const type of ['order.created', 'stock.changed', 'orders', 'preorder', 'order']) {
      await record(at, type, type);
    }
    const [asker, other] = [await machine(at), await machine(at)];
    expect(await asker.ask('sync:orders')).toEqual({ ok: true, count: 3, more: false });
    const [orders] = asker.heard('orders:pending') as [{ entityId: string }[]];
    expect(orders.map(({ entityId }) => entityId)).toEqual(['order.created', 'orders', 'order']);
    expect(other.heard('orders:pending')).toEqual([]);
  });

  test('answers with an empty array where no order is pending', async () => {
    const at = await bus();
    await record(at, 'stock.changed', 1);
    const asker = await machine(at);
    await asker.emit('sync:orders');
    expect(asker.heard('orders:pending')).toEqual([[]]);
  });

  test.each([[null], [{}], ['all'], [7]])('takes no notice of data: %j', async (data) => {
    const at = await bus();
    const asker = await machine(at);
    expect(await asker.ask('sync:orders', data)).toEqual({ ok: true, count: 0, more: false });
  });

  test('brings the oldest orders that fit into a frame, says that there are more, and brings those next', async () => {
    const at = await bus();
    for (let n = 1; n <= 3; n += 1) await record(at, 'order.created', n, 'ñ'.repeat(25_000));
    await record(at, 'stock.changed', 'later');
    const asker = await machine(at);
    expect(await asker.ask('sync:orders')).toEqual({ ok: true, count: 2, more: true });
    const [orders] = asker.heard('orders:pending') as [{ id: string; entityId: number }[]];
    expect(orders.map(({ entityId }) => entityId)).toEqual([1, 2]);
    const sizes = at.wire.to(asker.connectionId).map((frame) => Buffer.byteLength(frame));
    expect(Math.max(...sizes)).toBeLessThanOrEqual(MAX_PACKET_BYTES);
    const ids = orders.map(({ id }) => id);
    expect(await asker.ask('sync:confirm', { ids })).toEqual({ ok: true, pending: true });
    expect(await asker.ask('sync:orders')).toEqual({ ok: true, count: 1, more: false });
  });

  test('can carry the largest change there may be', async () => {
    const at = await bus();
    const control = String.fromCharCode(1);
    await record(at, `order${control.repeat(123)}`, control.repeat(256), 'x'.repeat(102_398));
    const asker = await machine(at);
    expect(await asker.ask('sync:orders')).toEqual({ ok: true, count: 1, more: false });
  });

  test('finds orders behind any number of other changes', async () => {
    const at = await bus();
    for (let n = 0; n < 450; n += 1) await record(at, 'stock.changed', n);
    await record(at, 'order.created', 'last');
    const asker = await machine(at);
    expect(await asker.ask('sync:orders')).toEqual({ ok: true, count: 1, more: false });
  });
});

describe('confirming', () => {
  test('takes changes off, tells whether any are left, and then tells everybody that they are', async () => {
    const at = await bus();
    const ids = [await record(at, 'order', 1), await record(at, 'order', 2), await record(at, 'order', 3)];
    const [one, other] = [await machine(at), await machine(at)];
    expect(await one.ask('sync:confirm', { ids: ids.slice(0, 2) })).toEqual({ ok: true, pending: true });
    expect([one, other].map(told)).toEqual([2, 2]);
    expect(entities(await pull(at))).toEqual([3]);
    expect(await one.ask('sync:confirm', { ids: [ids[2]] })).toEqual({ ok: true, pending: false });
    expect([one, other].map(told)).toEqual([2, 2]);
    expect(entities(await pull(at))).toEqual([]);
  });

  test('over HTTP does the same', async () => {
    const at = await bus();
    const ids = [await record(at, 'order', 1), await record(at, 'order', 2)];
    const client = await machine(at);
    const confirm = (body: unknown) => request(at, 'POST', '/sync/confirm-changes', { body });
    const first = await confirm({ ids: [ids[0]] });
    expect([first.statusCode, JSON.parse(first.body)]).toEqual([200, { ok: true, pending: true }]);
    expect(told(client)).toBe(2);
    const second = await confirm({ ids: [ids[1]] });
    expect([second.statusCode, JSON.parse(second.body)]).toEqual([200, { ok: true, pending: false }]);
    expect(told(client)).toBe(2);
  });

  test.each([
    ['twice', (id: string) => [id, id]],
    ['with an id that nothing has', (id: string) => [id, 'unheard of', 7]],
  ])('%s is harmless', async (_what, ids) => {
    const at = await bus();
    const client = await machine(at);
    const id = await record(at, 'order', 1);
    for (let time = 0; time < 2; time += 1) {
      expect(await client.ask('sync:confirm', { ids: ids(id) })).toEqual({ ok: true, pending: false });
    }
    expect(client.heard('error')).toEqual([]);
  });

  test('nothing tells nobody: who answers each notice that way would be told for ever', async () => {
    const at = await bus();
    await record(at, 'order', 1);
    const client = await machine(at);
    expect(await client.ask('sync:confirm', { ids: [] })).toEqual({ ok: true, pending: true });
    expect(told(client)).toBe(1);
  });

  test.each([
    ['no ids', {}, 'ids'],
    ['ids that are no array', { ids: 'all' }, 'ids'],
    ['an id that is none', { ids: [null] }, 'ids[0]'],
    ['more ids than a pull brings', { ids: Array.from({ length: 1_001 }, (_, n) => n) }, 'ids'],
  ])('refuses %s on either way', async (_what, payload, field) => {
    const at = await bus();
    const client = await machine(at);
    const error = { code: 'invalid_payload', message: expect.any(String), field };
    expect(await client.ask('sync:confirm', payload)).toEqual({ ok: false, error });
    expect(client.heard('error')).toEqual([
      expect.objectContaining({ code: 'invalid_payload', event: 'sync:confirm' }),
    ]);
    const { statusCode, body } = await request(at, 'POST', '/sync/confirm-changes', { body: payload });
    expect([statusCode, JSON.parse(body)]).toEqual([400, { error }]);
  });
});

describe('pulling', () => {
  test('brings 500 changes at once, oldest first, and says that there are more', async () => {
    const at = await bus();
    for (let n = 0; n < 501; n += 1) await record(at, 'stock.changed', n);
    const first = await pull(at);
    expect(first.more).toBe(true);
    expect(entities(first)).toEqual(Array.from({ length: 500 }, (_, n) => n));
    expect(await pull(at, { limit: '5000' })).toMatchObject({ more: false });
    expect(entities(await pull(at, { limit: '3' }))).toEqual([0, 1, 2]);
    expect((await pull(at, { limit: '501' })).more).toBe(false);
  });

  test('brings no more than Lambda can answer with', async () => {
    const at = await bus();
    for (let n = 0; n < 30; n += 1) await record(at, 'stock.changed', n, '"'.repeat(51_000));
    const { statusCode, body } = await request(at, 'GET', '/sync/pull-changes');
    expect(Buffer.byteLength(JSON.stringify({ statusCode, body }))).toBeLessThan(6_291_556);
    const pulled = JSON.parse(body) as Pulled;
    expect(pulled.more).toBe(true);
    expect(pulled.changes.length).toBeGreaterThan(10);
  });

  test.each([['0'], ['-1'], ['ten'], ['1.5']])('refuses the limit %s', async (limit) => {
    const { statusCode, body } = await request(await bus(), 'GET', '/sync/pull-changes', {
      query: { limit },
    });
    expect(statusCode).toBe(400);
    expect(JSON.parse(body)).toMatchObject({ error: { code: 'invalid_payload', field: 'limit' } });
  });

  test.each([
    ['GET', '/sync/pull-changes'],
    ['POST', '/sync/confirm-changes'],
  ] as const)('%s %s wants the key', async (method, path) => {
    const at = await bus();
    const id = await record(at, 'order', 1);
    const answers = async (headers: Record<string, string>) => {
      const { statusCode, body } = await request(at, method, path, { headers, body: { ids: [id] } });
      return [statusCode, (JSON.parse(body) as { error: unknown }).error];
    };
    const required = [401, { code: 'unauthenticated', message: 'API key required' }];
    const invalid = [401, { code: 'unauthenticated', message: 'Invalid API key' }];
    expect(await answers({})).toEqual(required);
    expect(await answers({ authorization: KEY })).toEqual(required);
    expect(await answers({ authorization: 'Bearer ' })).toEqual(required);
    expect(await answers({ authorization: 'Bearer nope' })).toEqual(invalid);
    expect(entities(await pull(at))).toEqual([1]);
  });

  test('answers 500 where the key cannot be read', async () => {
    const at = await bus({ secrets: {} });
    const { statusCode, body } = await request(at, 'GET', '/sync/pull-changes');
    expect(statusCode).toBe(500);
    expect(JSON.parse(body)).toEqual({ error: { code: 'internal', message: 'Service unavailable' } });
  });
});
