import { LambdaClient } from '@aws-sdk/client-lambda';
import type { Socket } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Emitter, lambdaTransport, type OrderSync, orderSync } from '../../emitter/index.ts';
import { seededShuffle } from '../../local/gateway/shuffle.ts';
import { CLOUD_API_KEY, heard, recorded, startTestStack, type TestStack } from '../support/stack.ts';

const NEXT_KEY = 'the key after that';
const HEADERS = { Authorization: `Bearer ${CLOUD_API_KEY}`, 'Content-Type': 'application/json' };

let bus: TestStack;
let backend: OrderSync;
beforeAll(async () => {
  const settings = { CLOUD_API_KEY: `${CLOUD_API_KEY},${NEXT_KEY}` };
  bus = await startTestStack({ settings, gateway: { shuffle: seededShuffle(3) } });
  backend = orderSync(emitterOf(bus));
});
afterEach(async () => {
  await confirm(...(await pull()).changes.map(({ id }) => id));
});
afterAll(() => bus.close());

function emitterOf({ stack }: TestStack): Emitter {
  const { accessKeyId, secretAccessKey, sessionToken } = stack.credentials;
  const client = new LambdaClient({
    endpoint: `http://127.0.0.1:${stack.port}`,
    region: 'us-east-1',
    credentials: { accessKeyId, secretAccessKey, ...(sessionToken && { sessionToken }) },
  });
  return new Emitter({ transport: lambdaTransport({ functionName: 'publish', client }) });
}

/** As the documented machine connects. */
function machine(): Socket {
  return bus.client(
    {
      auth: { apiKey: CLOUD_API_KEY },
      transports: ['websocket', 'polling'],
      reconnection: true,
      reconnectionAttempts: 5,
      reconnectionDelay: 10,
    },
    '/sync',
  );
}

async function connected(socket: Socket): Promise<Socket> {
  if (!socket.connected) await new Promise<void>((resolve) => socket.once('connect', resolve));
  return socket;
}

function refused(auth: object, namespace = '/sync'): Promise<Error> {
  const socket = bus.client({ auth }, namespace);
  return new Promise((resolve, reject) => {
    socket.once('connect_error', resolve);
    socket.once('connect', () => reject(new Error('it was let in')));
  });
}

interface Pulled {
  readonly changes: { readonly id: string; readonly entityId: unknown }[];
  readonly more: boolean;
}

async function pull(limit?: number): Promise<Pulled> {
  const query = limit === undefined ? '' : `?limit=${limit}`;
  const answer = await fetch(`${bus.stack.origin}/sync/pull-changes${query}`, { headers: HEADERS });
  expect(answer.status).toBe(200);
  return (await answer.json()) as Pulled;
}

async function confirm(...ids: string[]): Promise<unknown> {
  const body = JSON.stringify({ ids });
  const url = `${bus.stack.origin}/sync/confirm-changes`;
  const answer = await fetch(url, { method: 'POST', headers: HEADERS, body });
  expect(answer.status).toBe(200);
  return answer.json();
}

describe('the documented machine', () => {
  test('is told without any argument, pulls, confirms, and is told again while some are left', async () => {
    const socket = await connected(machine());
    const ears = recorded(socket);
    const notice = new Promise<unknown[]>((resolve) =>
      socket.once('changes:pending', (...args) => resolve(args)),
    );
    const first = await backend.recordChange({ type: 'order.created', entityId: 7, data: { total: 12.5 } });
    expect(await notice).toEqual([]);
    await backend.recordChange({ type: 'stock.changed', entityId: 'sku', data: null });

    const { changes, more } = await pull();
    expect(more).toBe(false);
    expect(changes).toEqual([
      { ...first, type: 'order.created', entityId: 7, data: { total: 12.5 } },
      expect.objectContaining({ type: 'stock.changed', entityId: 'sku', data: null }),
    ]);
    await expect.poll(() => ears.length).toBe(2);
    expect(await confirm(changes[0]!.id)).toEqual({ ok: true, pending: true });
    await expect.poll(() => ears.length).toBe(3);
    expect(await confirm(changes[0]!.id, changes[1]!.id)).toEqual({ ok: true, pending: false });
    expect(await pull()).toEqual({ changes: [], more: false });
    expect(ears).toEqual(Array.from({ length: 3 }, () => ({ event: 'changes:pending', args: [] })));
  });

  test('is told when it connects, and when it comes back, that something is pending', async () => {
    await backend.recordChange({ type: 'order.created', entityId: 1, data: {} });
    const socket = machine();
    await heard(socket, 'changes:pending');
    const again = heard(socket, 'changes:pending');
    socket.io.engine.close();
    await again;
    const { changes } = await pull();
    const pending = (await socket.emitWithAck('sync:confirm', {
      ids: changes.map(({ id }) => id),
    })) as unknown;
    expect(pending).toEqual({ ok: true, pending: false });
    const ears = recorded(socket);
    await connected(socket.disconnect().connect());
    await socket.emitWithAck('sync:confirm', { ids: [] });
    expect(ears).toEqual([]);
  });

  test('asks for orders without data and is the only one to get them', async () => {
    const [asker, other] = [await connected(machine()), await connected(machine())];
    await backend.recordChange({ type: 'order.paid', entityId: 'o1', data: {} });
    await backend.recordChange({ type: 'customer', entityId: 'c1', data: {} });
    const ears = recorded(other);
    const orders = heard<unknown[]>(asker, 'orders:pending');
    asker.emit('sync:orders');
    expect(await orders).toEqual([
      expect.objectContaining({ type: 'order.paid', entityId: 'o1', createdAt: expect.any(String) }),
    ]);
    expect(await other.emitWithAck('sync:confirm', { ids: [] })).toEqual({ ok: true, pending: true });
    expect(ears.filter(({ event }) => event === 'orders:pending')).toEqual([]);
  });

  test('is let in with the next key as well, and by its second program without a choice of transports', async () => {
    const socket = bus.client({ auth: { apiKey: NEXT_KEY }, reconnection: true }, '/sync');
    await connected(socket);
    expect(await socket.emitWithAck('sync:orders')).toEqual({ ok: true, count: 0, more: false });
  });

  test.each([
    ['API key required', {}],
    ['API key required', { apiKey: '' }],
    ['Invalid API key', { apiKey: 'wrong' }],
    ['Invalid API key', { apiKey: `${CLOUD_API_KEY},${NEXT_KEY}` }],
  ])('reads %j in connect_error for %j', async (message, auth) => {
    expect((await refused(auth)).message).toBe(message);
  });

  test('does not reach the application on the namespace /', async () => {
    const socket = bus.client({ auth: { apiKey: CLOUD_API_KEY } });
    await connected(socket);
    const ears = recorded(socket);
    await backend.recordChange({ type: 'order.created', entityId: 1, data: {} });
    expect(await socket.emitWithAck('sync:orders')).toMatchObject({
      ok: false,
      error: { code: 'not_found' },
    });
    expect(ears).toEqual([]);
  });

  test('shows a key that no log line repeats', () => {
    expect(bus.logs.filter((line) => line.includes(CLOUD_API_KEY) || line.includes(NEXT_KEY))).toEqual([]);
  });
});

describe('over HTTP', () => {
  test.each([
    [undefined, 'API key required'],
    ['Bearer wrong', 'Invalid API key'],
  ])('%s is answered with 401', async (authorization, message) => {
    const headers = { 'Content-Type': 'application/json', ...(authorization && { authorization }) };
    const calls = [
      fetch(`${bus.stack.origin}/sync/pull-changes`, { headers }),
      fetch(`${bus.stack.origin}/sync/confirm-changes`, { method: 'POST', headers, body: '{"ids":[]}' }),
    ];
    for (const answer of await Promise.all(calls)) {
      expect(answer.status).toBe(401);
      expect(await answer.json()).toEqual({ error: { code: 'unauthenticated', message } });
    }
  });

  test('as many are pulled as were asked for, and more are said to be there', async () => {
    for (let n = 1; n <= 3; n += 1) await backend.recordChange({ type: 'order', entityId: n, data: {} });
    const two = await pull(2);
    expect([two.more, two.changes.map(({ entityId }) => entityId)]).toEqual([true, [1, 2]]);
    expect((await pull(3)).more).toBe(false);
  });
});

describe('a backend', () => {
  const endless: unknown[] = [];
  endless.push(endless);

  test.each([
    ['no type', { entityId: 1, data: {} }, 'type'],
    ['an empty type', { type: '', entityId: 1, data: {} }, 'type'],
    ['an id that is none', { type: 'order', entityId: {}, data: {} }, 'entityId'],
    ['no data', { type: 'order', entityId: 1 }, 'data'],
    ['a date in the data', { type: 'order', entityId: 1, data: { at: new Date(0) } }, 'data'],
    ['a big integer', { type: 'order', entityId: 1, data: 1n }, 'data'],
    ['data without an end', { type: 'order', entityId: 1, data: endless }, 'data'],
    ['too much data', { type: 'order', entityId: 1, data: 'x'.repeat(102_399) }, 'data'],
    ['nothing', undefined, ''],
  ])('is told at once that %s makes no change, and nothing was recorded', async (_what, change, field) => {
    expect(() => backend.recordChange(change as never)).toThrow(
      expect.objectContaining({ name: 'PayloadError', code: 'invalid_payload', field }),
    );
    expect((await pull()).changes).toEqual([]);
  });
});

test('while the key cannot be read machines try again by themselves, and requests are told so', async () => {
  const keyless = await startTestStack({ settings: {} });
  try {
    const options = { auth: { apiKey: CLOUD_API_KEY }, reconnection: true, reconnectionDelay: 20 };
    const socket = keyless.client(options, '/sync');
    const told: string[] = [];
    socket.on('connect_error', ({ message }) => told.push(message));
    for (let times = 0; times < 2; times += 1)
      await new Promise<void>((resolve) => socket.io.once('reconnect', () => resolve()));
    expect([told, socket.connected]).toEqual([[], false]);
    const answer = await fetch(`${keyless.stack.origin}/sync/pull-changes`, { headers: HEADERS });
    expect([answer.status, await answer.json()]).toEqual([
      500,
      { error: { code: 'internal', message: 'Service unavailable' } },
    ]);
  } finally {
    await keyless.close();
  }
});
