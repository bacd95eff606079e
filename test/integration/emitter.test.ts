/** Backends in processes of their own, and what the clients of the running stack hear of them. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LOCAL_CREDENTIALS } from '../../local/host/credentials.ts';
import { synthesise } from '../support/assembly.ts';
import { CLOUD_API_KEY, heard, recorded, startTestStack, type TestStack, token } from '../support/stack.ts';

const BACKEND = fileURLToPath(new URL('../emitter/fixtures/backend.ts', import.meta.url));

let bus: TestStack;
beforeAll(async () => {
  bus = await startTestStack();
});
afterAll(() => bus.close());

type Chain = readonly (readonly [name: string, ...args: unknown[]])[];
type Step = { readonly on: string; readonly chain: Chain };
interface Outcome {
  readonly result?: unknown;
  readonly error?: { readonly name: string; readonly code: string; readonly field?: string };
}

const io = (...chain: Chain): Step => ({ on: 'io', chain });

function backend(steps: readonly Step[], options: Record<string, unknown> = {}): Promise<Outcome[]> {
  const env = {
    PATH: process.env.PATH ?? '',
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: LOCAL_CREDENTIALS.accessKeyId,
    AWS_SECRET_ACCESS_KEY: LOCAL_CREDENTIALS.secretAccessKey,
  };
  return new Promise((resolve, reject) => {
    const child = execFile(
      process.execPath,
      ['--import', 'tsx', BACKEND],
      { env },
      (error, stdout, stderr) => {
        if (error) reject(new Error(`${error.message}\n${stderr}`));
        else resolve(JSON.parse(stdout) as Outcome[]);
      },
    );
    child.stdin?.end(JSON.stringify({ options: { endpoint: bus.stack.origin, ...options }, steps }));
  });
}

async function connected(options: Parameters<TestStack['client']>[0] = {}, namespace = '/'): Promise<Socket> {
  const socket = bus.client(options, namespace);
  await heard(socket, 'connect');
  return socket;
}

async function user(id: string): Promise<Socket> {
  const socket = await connected();
  expect(await socket.emitWithAck('join', { type: 'user', id })).toMatchObject({ ok: true });
  return socket;
}

/** What a socket has heard; an answer after the publishes proves that nothing else is on its way. */
async function events(socket: Socket, ears: ReturnType<typeof recorded>): Promise<unknown[]> {
  await socket.emitWithAck('ping');
  return ears.map(({ event, args }) => [event, ...args]);
}

const ways = [
  ['Lambda invoke', () => ({})],
  ['signed HTTP', () => ({ url: `${bus.stack.origin}/publish`, endpoint: undefined })],
] as const;

describe.each(ways)('a backend by %s', (way, options) => {
  const kind = way.startsWith('Lambda') ? 'l' : 'h';

  test('emits to rooms, to everybody but some, volatile, with several arguments', async () => {
    const [ana, bea] = [await user(`${kind}a`), await user(`${kind}b`)];
    const [ears, others] = [recorded(ana), recorded(bea)];
    const bytes = { type: 'Buffer', data: [1] };
    const outcomes = await backend(
      [
        io(['to', `user:${kind}a`], ['emit', 'one', { n: 1 }, 'two']),
        io(['in', [`user:${kind}a`, `user:${kind}b`]], ['emit', 'both', bytes]),
        io(
          ['except', `user:${kind}b`],
          ['to', `user:${kind}a`],
          ['volatile'],
          ['compress', true],
          ['emit', 'rest'],
        ),
        io(['to', ana.id], ['emit', 'own']),
      ],
      options(),
    );
    expect(outcomes.map(({ result }) => result)).toEqual([
      expect.objectContaining({ ok: true, audience: 1, posted: 1, gone: 0, failed: 0 }),
      expect.objectContaining({ ok: true, audience: 2, posted: 2 }),
      expect.objectContaining({ ok: true, audience: 1 }),
      expect.objectContaining({ ok: true, audience: 1 }),
    ]);
    expect(await events(ana, ears)).toEqual([['one', { n: 1 }, 'two'], ['both', bytes], ['rest'], ['own']]);
    expect(await events(bea, others)).toEqual([['both', bytes]]);
  });

  test('lets sockets join and leave, fetches them, and disconnects them', async () => {
    const ana = await user(`${kind}c`);
    const bea = await user(`${kind}d`);
    const room = `vendor:${kind}1`;
    const [joined, fetched, emitted, left, missed] = await backend(
      [
        io(['to', [`user:${kind}c`, `user:${kind}d`]], ['except', bea.id], ['socketsJoin', room]),
        io(['in', room], ['fetchSockets']),
        io(['to', room], ['emit', 'moved']),
        io(['in', room], ['socketsLeave', [room]]),
        io(['to', room], ['emit', 'missed']),
      ],
      options(),
    );
    expect(joined).toEqual({ result: { sockets: 1 } });
    expect(fetched?.result).toEqual([
      expect.objectContaining({ id: ana.id, rooms: expect.arrayContaining([ana.id, `user:${kind}c`, room]) }),
    ]);
    expect(emitted?.result).toMatchObject({ audience: 1, posted: 1 });
    expect(left).toEqual({ result: { sockets: 1 } });
    expect(missed?.result).toMatchObject({ audience: 0 });

    const gone = heard(ana, 'disconnect');
    const [disconnected] = await backend(
      [io(['in', `user:${kind}c`], ['disconnectSockets', true])],
      options(),
    );
    expect(disconnected).toEqual({ result: { sockets: 1 } });
    await gone;
    expect(bea.connected).toBe(true);
  });

  test('hears which field is wrong, of its own package and of the deployment', async () => {
    const outcomes = await backend(
      [
        io(['emit', 'connect']),
        io(['to', ''], ['emit', 'x']),
        io(['of', '/nowhere'], ['emit', 'x']),
        io(['call', 'nobody', 'x']),
      ],
      options(),
    );
    expect(outcomes.map(({ error }) => error)).toEqual([
      expect.objectContaining({ name: 'PayloadError', field: 'event' }),
      expect.objectContaining({ name: 'PayloadError', field: 'rooms[0]' }),
      expect.objectContaining({ name: 'PublishError', code: 'invalid_payload', field: 'namespace' }),
      expect.objectContaining({ name: 'PublishError', code: 'not_found', field: 'app' }),
    ]);
  });
});

describe('a backend without credentials that the deployment knows', () => {
  test('is forbidden to publish by HTTP', async () => {
    const credentials = { accessKeyId: 'somebody', secretAccessKey: 'else' };
    const url = `${bus.stack.origin}/publish`;
    const [outcome] = await backend([io(['emit', 'x'])], { url, endpoint: undefined, credentials });
    expect(outcome?.error).toMatchObject({ name: 'PublishError', code: 'forbidden' });
  });
});

describe('the backend of each application, from its own process', () => {
  test('storefront-chat: users, conversations, everybody, connection info', async () => {
    const ana = await connected();
    await ana.emitWithAck('authenticate', { customerId: 's-ana' });
    await ana.emitWithAck('join-conversation', { conversationId: 789 });
    const ears = recorded(ana);
    const message = {
      messageId: 'm1',
      content: 'hola',
      senderId: 'x',
      timestamp: '2024-01-15T10:30:00.000Z',
    };
    const storefront = (...call: [string, ...unknown[]]): Step => ({ on: 'storefront', chain: [call] });
    const outcomes = await backend([
      storefront('emitToUser', 's-ana', 'order-shipped', { orderId: 1 }),
      storefront('emitToConversation', 789, 'new-message', message),
      storefront('emitToAll', 'sale', { percent: 10 }),
      storefront('getConnectionInfo'),
    ]);
    expect(outcomes.map(({ error }) => error)).toEqual([undefined, undefined, undefined, undefined]);
    expect(outcomes[3]?.result).toMatchObject({
      userRooms: expect.arrayContaining(['user_s-ana']),
      conversationRooms: ['conversation_789'],
    });
    expect(await events(ana, ears)).toEqual([
      ['order-shipped', { orderId: 1 }],
      ['new-message', message],
      ['sale', { percent: 10 }],
    ]);
  });

  test('watch-groups: groups, users, connected clients', async () => {
    const ana = await connected({ auth: { token: await token({ sub: '71', username: 'ana' }) } });
    await ana.emitWithAck('join-group', { groupId: 123 });
    const ears = recorded(ana);
    const groups = (...call: [string, ...unknown[]]): Step => ({ on: 'watchGroups', chain: [call] });
    const [, , clients] = await backend([
      groups('emitToGroup', 123, 'series-added', { seriesName: 'Dark', addedBy: 'bea' }),
      groups('emitToUser', 71, 'notification', { message: 'hola' }),
      groups('getConnectedClients'),
    ]);
    expect(clients?.result).toContainEqual({
      socketId: ana.id,
      userId: 71,
      username: 'ana',
      groups: [123],
    });
    expect(await events(ana, ears)).toEqual([
      ['series-added', { seriesName: 'Dark', addedBy: 'bea' }],
      ['notification', { message: 'hola' }],
    ]);
  });

  test('order-sync: a change is recorded, and the machines are told', async () => {
    const machine = bus.client({ auth: { apiKey: CLOUD_API_KEY } }, '/sync');
    await heard(machine, 'connect');
    const told = heard(machine, 'changes:pending');
    const change = { type: 'order.created', entityId: 'o-1', data: { total: 3 } };
    const [outcome] = await backend([{ on: 'orderSync', chain: [['recordChange', change]] }]);
    expect(outcome?.result).toMatchObject({ id: expect.any(String) });
    expect(await told).toBeUndefined();
    const pending = heard<unknown[]>(machine, 'orders:pending');
    machine.emit('sync:orders');
    expect(await pending).toContainEqual(expect.objectContaining(change));
  });

  test('marketplace: the eight functions, each heard once', async () => {
    const ana = await connected();
    await ana.emitWithAck('join', { type: 'user', id: 'm-u' });
    await ana.emitWithAck('join', { type: 'vendor', id: 'm-v' });
    const ears = recorded(ana);
    const actor = { id: 1, role: 'admin' };
    const entity = { id: 9, userId: 'm-u', vendorId: 'm-v', title: 'kept' };
    const calls = [
      ['emitServiceCreated', 'service', 'service:created'],
      ['emitServiceUpdated', 'service', 'service:updated'],
      ['emitServiceStatusChanged', 'service', 'service:status_changed'],
      ['emitBookingCreated', 'booking', 'booking:created'],
      ['emitBookingStatusChanged', 'booking', 'booking:status_changed'],
      ['emitBookingCancelled', 'booking', 'booking:cancelled'],
      ['emitPaymentCompleted', 'payment', 'payment:completed'],
      ['emitPaymentFailed', 'payment', 'payment:failed'],
    ] as const;
    const outcomes = await backend(
      calls.map(([on, key]) => ({ on, chain: [['', { [key]: entity, actor }]] })),
    );
    for (const { result } of outcomes) expect(result).toMatchObject({ ok: true, audience: 1, posted: 1 });
    expect(await events(ana, ears)).toEqual(
      calls.map(([, key, event]) => [event, { [key]: entity, actor, timestamp: expect.any(String) }]),
    );
  });
});

describe('grants, where the deployment wants proofs', () => {
  // A synthesis of its own, on a machine that runs other tests at the same time.
  test('let an identity into a conversation until they are revoked', { timeout: 60_000 }, async () => {
    const assembly = await synthesise({ APPS: 'storefront-chat', IDENTITY: 'token' });
    const strict = await startTestStack({ assembly });
    try {
      const options = { endpoint: strict.stack.origin };
      const ana = strict.client({ auth: { token: await token({ sub: '7' }) } });
      expect(await ana.emitWithAck('authenticate', { customerId: '7' })).toMatchObject({ ok: true });
      const join = () => ana.emitWithAck('join-conversation', { conversationId: 'c1' });
      expect(await join()).toMatchObject({ ok: false, error: { code: 'forbidden' } });

      expect(await backend([io(['grant', 7, 'conversation_c1'])], options)).toEqual([{}]);
      expect(await join()).toMatchObject({ ok: true });
      const told = heard(ana, 'new-message');
      const [published, revoked, missed] = await backend(
        [
          io(['to', 'conversation_c1'], ['emit', 'new-message', { content: 'hola' }]),
          io(['revoke', '7', 'conversation_c1']),
          io(['to', 'conversation_c1'], ['emit', 'new-message', { content: 'secreto' }]),
        ],
        options,
      );
      expect(published?.result).toMatchObject({ audience: 1 });
      expect(await told).toEqual({ content: 'hola' });
      expect(revoked).toEqual({ result: { sockets: 1 } });
      expect(missed?.result).toMatchObject({ audience: 0 });
      expect(await join()).toMatchObject({ ok: false, error: { code: 'forbidden' } });
    } finally {
      await strict.close();
    }
  });
});
