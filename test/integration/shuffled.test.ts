/**
 * What each application's documented client does, while the gateway starts the messages of each client in another
 * order than they were sent in (design D13). Nothing here waits between two messages that people's clients send in
 * one breath.
 */
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { seededShuffle } from '../../local/gateway/shuffle.ts';
import { heard, JWT_SECRET, startTestStack, type TestStack, token } from '../support/stack.ts';

const SEEDS = [1, 2, 3, 4];
const API_KEY = 'a key for tests only';

/** Sends without waiting, and resolves with all acknowledgements. */
function inOneBreath(socket: Socket, messages: readonly (readonly [string, ...unknown[]])[]) {
  return Promise.all(messages.map(([event, ...args]) => socket.emitWithAck(event, ...args)));
}

describe.each(SEEDS)('with messages shuffled by seed %i', (seed) => {
  let bus: TestStack;
  /** By connection: its messages, by number, in the order in which they were started. */
  const started = new Map<string, number[]>();
  beforeAll(async () => {
    const shuffle = seededShuffle(seed);
    let messages = 0;
    bus = await startTestStack({
      settings: { JWT_SECRET, CLOUD_API_KEY: API_KEY },
      gateway: {
        shuffle: (connectionId, start) => {
          messages += 1;
          const number = messages;
          shuffle(connectionId, () => {
            started.set(connectionId, [...(started.get(connectionId) ?? []), number]);
            start();
          });
        },
      },
    });
  });
  afterAll(() => bus?.close());

  async function connected(options: Parameters<TestStack['client']>[0] = {}, namespace = '/') {
    const socket = bus.client(options, namespace);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', () => resolve());
      socket.once('connect_error', reject);
    });
    return socket;
  }

  test('storefront-chat: authenticates and joins in one breath, and hears both rooms', async () => {
    const options = { withCredentials: true };
    const [customer, agent] = await Promise.all([connected(options), connected(options)]);
    const [authenticated] = await Promise.all([
      heard(customer, 'authenticated'),
      inOneBreath(customer, [
        ['authenticate', { customerId: 123 }],
        ['join-conversation', { conversationId: 789 }],
      ]),
      inOneBreath(agent, [
        ['join-conversation', 789],
        ['authenticate', { customerId: 'agent' }],
      ]),
    ]);
    expect(authenticated).toEqual({ customerId: 123, socketId: customer.id });
    const typing = heard(customer, 'typing-start');
    agent.emit('typing-start', { conversationId: 789 });
    expect(await typing).toEqual({ conversationId: 789, customerId: 'agent' });
    for (const room of ['user_123', 'conversation_789']) {
      const message = heard(customer, 'new-message');
      const payload = { messageId: room, content: 'hola', senderId: 1, timestamp: new Date(0).toISOString() };
      await bus.stack.invoke('publish', { op: 'emit', rooms: [room], event: 'new-message', args: [payload] });
      expect(await message).toEqual(payload);
    }
  });

  test('storefront-chat: says that it is typing in the breath in which it came', async () => {
    const [customer, agent] = await Promise.all([connected(), connected()]);
    await inOneBreath(agent, [['join-conversation', { conversationId: 790 }]]);
    const typing = heard(agent, 'typing-start');
    const answers = await inOneBreath(customer, [
      ['authenticate', { customerId: 124 }],
      ['join-conversation', { conversationId: 790 }],
      ['typing-start', { conversationId: 790 }],
    ]);
    expect(answers).toMatchObject([{ ok: true }, { ok: true }, { ok: true }]);
    expect(await typing).toEqual({ conversationId: 790, customerId: 124 });
  });

  test('clinic-chat: joins and sends in one breath, and everybody in the room hears it', async () => {
    const [doctor, patient] = await Promise.all([connected(), connected()]);
    const here = { conversacionId: 5 };
    await inOneBreath(doctor, [['chat:join-room', { ...here, userId: 'dr' }]]);
    const received = [doctor, patient].map((socket) => heard(socket, 'chat:message-received'));
    const typing = heard(doctor, 'chat:user-typing');
    const message = { ...here, contenido: 'hola', userId: 7, rol: 'paciente' };
    const answers = await inOneBreath(patient, [
      ['chat:join-room', { ...here, userId: 7 }],
      ['chat:typing', { ...here, userId: 7 }],
      ['chat:send-message', message],
    ]);
    expect(answers).toMatchObject([{ ok: true }, { ok: true }, { ok: true, mensaje: message }]);
    expect(await typing).toEqual({ ...here, userId: 7 });
    // The one who joined and spoke hears its own message as well: it was in the room before it spoke.
    for (const each of await Promise.all(received)) expect(each).toMatchObject(message);
  });

  test('watch-groups: joins, watches and tells in one breath', async () => {
    const auth = { token: await token({ sub: '1', username: 'ana' }) };
    const socket = bus.client({ transports: ['websocket'], auth });
    await heard(socket, 'connected');
    const events = ['joined-group', 'episode-watched', 'group-activity'].map((event) => heard(socket, event));
    const answers = await inOneBreath(socket, [
      ['join-group', { groupId: 123 }],
      ['watch-episode', { groupId: 123, seriesId: 1, episodeId: 2 }],
      ['group-activity', { groupId: 123, type: 'comment', data: { text: 'bien' } }],
    ]);
    expect(answers).toMatchObject([{ ok: true }, { ok: true }, { ok: true }]);
    expect(await Promise.all(events)).toMatchObject([
      { groupId: 123 },
      { userId: 1, seriesId: 1, episodeId: 2 },
      { userId: 1, type: 'comment', data: { text: 'bien' } },
    ]);
  });

  test('marketplace: joins as user and as vendor in one breath, and hears a booking once', async () => {
    const socket = await connected({ withCredentials: true });
    await inOneBreath(socket, [
      ['join', { type: 'user', id: 1 }],
      ['ping'],
      ['join', { type: 'vendor', id: 2 }],
    ]);
    const bookings: unknown[] = [];
    socket.on('booking:created', (payload) => bookings.push(payload));
    const payload = {
      booking: { id: 1, userId: 1, vendorId: 2 },
      actor: { id: 1, role: 'user' },
      timestamp: new Date(0).toISOString(),
    };
    const request = { op: 'emit', rooms: ['user:1', 'vendor:2'], event: 'booking:created', args: [payload] };
    expect(await bus.stack.invoke('publish', request)).toMatchObject({ value: { ok: true, posted: 1 } });
    // What was published before is heard before this answer.
    await socket.emitWithAck('ping');
    expect(bookings).toEqual([payload]);
  });

  test('order-sync: asks for orders and confirms in one breath, and every change is confirmed in the end', async () => {
    const change = { type: 'order.created', entityId: 7, data: { total: 10 } };
    const recorded = await bus.stack.invoke('publish', {
      op: 'app',
      app: 'order-sync',
      call: 'recordChange',
      args: [change],
    });
    const { id } = (recorded as { value: { result: { id: string } } }).value.result;
    const socket = bus.client({ auth: { apiKey: API_KEY } }, '/sync');
    await heard(socket, 'changes:pending');
    const orders = heard<{ id: string }[]>(socket, 'orders:pending');
    await inOneBreath(socket, [['sync:orders'], ['sync:confirm', { ids: [id] }]]);
    // Whichever came first: the list is what was pending then, whole or already confirmed.
    expect([[], [expect.objectContaining({ ...change, id })]]).toContainEqual(await orders);
    const left = heard(socket, 'orders:pending');
    socket.emit('sync:orders');
    expect(await left).toEqual([]);
  });

  test('messages did overtake each other, or all this showed nothing', () => {
    const overtaken = [...started.values()].filter((order) =>
      order.some((number, index) => index > 0 && number < (order[index - 1] ?? 0)),
    );
    expect(overtaken.length).toBeGreaterThan(0);
  });
});
