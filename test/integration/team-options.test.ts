/** The five applications, each with exactly the options that its team's client has; and over long polling alone. */
import { io, type ManagerOptions, type Socket, type SocketOptions } from 'socket.io-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { synthesise } from '../support/assembly.ts';
import { alive, busRows } from '../support/bus-rows.ts';
import { CLOUD_API_KEY, recorded, startTestStack, type TestStack, token } from '../support/stack.ts';
import { SETTINGS } from '../support/synthesis.ts';

type Options = Partial<ManagerOptions & SocketOptions>;
type Ears = ReturnType<typeof recorded>;

interface Client {
  readonly socket: Socket;
  readonly ears: Ears;
}

interface Team {
  readonly name: string;
  readonly namespace?: string;
  /** Undefined where the documented call has the URL alone. */
  readonly options: () => Promise<Options> | Options | undefined;
  /** What its client does first, and what it is told, in room `n`. */
  readonly exchange: (client: Client, n: number) => Promise<void>;
  /** Something that `other` does in the same room and `client` hears. */
  readonly broadcast?: (other: Client, client: Client, n: number) => Promise<void>;
  /** Something that the backend does and the client hears. */
  readonly publish: (client: Client, n: number) => Promise<void>;
}

/** Longest wait for anything; ms. */
const PATIENCE_MS = 10_000;
const KEY = { Authorization: `Bearer ${CLOUD_API_KEY}`, 'Content-Type': 'application/json' };

let bus: TestStack;
const sockets: Socket[] = [];
beforeAll(async () => {
  // A cycle of one minute has one slot: every connection is due at every tick.
  const heartbeat = { PING_INTERVAL_MINUTES: '1', PING_TIMEOUT_MINUTES: '2' };
  bus = await startTestStack({
    assembly: await synthesise({ ...SETTINGS, ...heartbeat, POLL_HOLD_SECONDS: '1' }),
  });
});
afterAll(async () => {
  for (const socket of sockets) socket.disconnect();
  await bus?.close();
});

const ask = (socket: Socket, event: string, ...payload: unknown[]) =>
  socket.timeout(PATIENCE_MS).emitWithAck(event, ...payload);
const hears = ({ ears }: Client, event: string, payload: object) =>
  expect
    .poll(() => ears, { timeout: PATIENCE_MS })
    .toContainEqual({ event, args: [expect.objectContaining(payload)] });
const publish = async (request: object) =>
  expect(await bus.stack.invoke('publish', request)).toMatchObject({ value: { ok: true } });
const emit = (room: string, event: string, payload: object) =>
  publish({ op: 'emit', rooms: [room], event, args: [payload] });

const sync: Omit<Team, 'name' | 'options'> = {
  namespace: '/sync',
  exchange: async (client) => {
    client.socket.emit('sync:orders');
    await expect
      .poll(() => client.ears.map(({ event }) => event), { timeout: PATIENCE_MS })
      .toContain('orders:pending');
  },
  publish: async ({ socket, ears }, n) => {
    const args = [{ type: 'order.created', entityId: n, data: {} }];
    const before = ears.filter(({ event }) => event === 'changes:pending').length;
    await publish({ op: 'app', app: 'order-sync', call: 'recordChange', args });
    await expect
      .poll(() => ears.filter(({ event }) => event === 'changes:pending'), { timeout: PATIENCE_MS })
      .toHaveLength(before + 1);
    expect(ears.find(({ event }) => event === 'changes:pending')?.args).toEqual([]);
    const pulled = await fetch(`${bus.stack.origin}/sync/pull-changes`, { headers: KEY });
    const { changes } = (await pulled.json()) as { changes: { id: string; entityId: number }[] };
    expect(changes.map(({ entityId }) => entityId)).toEqual([n]);
    expect(await ask(socket, 'sync:confirm', { ids: changes.map(({ id }) => id) })).toMatchObject({
      ok: true,
    });
  },
};

const TEAMS: readonly Team[] = [
  {
    name: 'storefront-chat',
    options: () => ({ transports: ['websocket', 'polling'], withCredentials: true }),
    exchange: async (client, n) => {
      client.socket.emit('authenticate', { customerId: n });
      await hears(client, 'authenticated', { customerId: n, socketId: client.socket.id });
      expect(await ask(client.socket, 'join-conversation', { conversationId: n })).toMatchObject({
        ok: true,
      });
    },
    broadcast: async (other, client, n) => {
      await ask(other.socket, 'authenticate', { customerId: 'other' });
      await ask(other.socket, 'join-conversation', { conversationId: n });
      other.socket.emit('typing-start', { conversationId: n });
      await hears(client, 'typing-start', { conversationId: n, customerId: 'other' });
    },
    publish: async (client, n) => {
      const message = { messageId: n, content: 'hola', senderId: 1, timestamp: new Date(0).toISOString() };
      await emit(`conversation_${n}`, 'new-message', message);
      await hears(client, 'new-message', message);
      const status = await fetch(`${bus.stack.origin}/socket/status`);
      expect(await status.json()).toMatchObject({
        data: {
          connectionInfo: { conversationRooms: expect.arrayContaining([`conversation_${n}`]) },
        },
      });
    },
  },
  {
    name: 'clinic-chat',
    options: () => undefined,
    exchange: async (client, n) => {
      const join = { conversacionId: n, userId: 1 };
      expect(await ask(client.socket, 'chat:join-room', join)).toEqual({
        ok: true,
        usuarios: [{ userId: 1 }],
      });
      const message = { conversacionId: n, contenido: '¿qué tal?', userId: 1, rol: 'medico' };
      expect(await ask(client.socket, 'chat:send-message', message)).toMatchObject({
        ok: true,
        mensaje: message,
      });
      await hears(client, 'chat:message-received', message);
    },
    broadcast: async (other, client, n) => {
      await ask(other.socket, 'chat:join-room', { conversacionId: n, userId: 2 });
      const message = { conversacionId: n, contenido: 'bien', userId: 2, rol: 'paciente' };
      await ask(other.socket, 'chat:send-message', message);
      await hears(client, 'chat:message-received', message);
    },
    publish: async (client, n) => {
      const message = { conversacionId: n, contenido: 'por HTTP', userId: 3, rol: 'medico' };
      const answer = await fetch(`${bus.stack.origin}/api/chat/mensajes`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(message),
      });
      expect(answer.status).toBe(201);
      await hears(client, 'chat:message-received', message);
    },
  },
  {
    ...sync,
    name: 'order-sync',
    options: () => ({
      auth: { apiKey: CLOUD_API_KEY },
      transports: ['websocket', 'polling'],
      reconnection: true,
      reconnectionAttempts: 5,
      reconnectionDelay: 1_000,
    }),
  },
  { ...sync, name: 'order-sync, its second client', options: () => ({ auth: { apiKey: CLOUD_API_KEY } }) },
  {
    name: 'watch-groups',
    options: async () => {
      const jwt = await token({ sub: '1', username: 'ana' });
      return {
        auth: { token: jwt },
        extraHeaders: { Authorization: `Bearer ${jwt}` },
        withCredentials: true,
      };
    },
    exchange: async (client, n) => {
      const user = { id: 1, username: 'ana' };
      await hears(client, 'connected', { message: 'Conectado exitosamente', user });
      client.socket.emit('join-group', { groupId: n });
      await hears(client, 'joined-group', { groupId: n, message: 'Te has unido al grupo exitosamente' });
      const episode = { groupId: n, seriesId: 7, episodeId: 3 };
      client.socket.emit('watch-episode', episode);
      await hears(client, 'episode-watched', { ...episode, userId: 1, username: 'ana' });
    },
    broadcast: async (other, client, n) => {
      await ask(other.socket, 'join-group', { groupId: n });
      await hears(client, 'user-joined-group', { groupId: n, userId: 1, username: 'ana' });
      const activity = { groupId: n, type: 'comment', data: { text: 'hola' } };
      await ask(other.socket, 'group-activity', activity);
      await hears(client, 'group-activity', activity);
    },
    publish: async (client, n) => {
      await emit(`group:${n}`, 'series-added', { seriesName: 'Dark', addedBy: n });
      await hears(client, 'series-added', { seriesName: 'Dark', addedBy: n });
      await emit('member:1', 'notification', { message: `to ${n}` });
      await hears(client, 'notification', { message: `to ${n}` });
    },
  },
  {
    name: 'marketplace',
    options: () => undefined,
    exchange: async ({ socket }, n) => {
      expect(await ask(socket, 'join', { type: 'user', id: n })).toMatchObject({ ok: true });
      expect(await ask(socket, 'ping')).toMatchObject({ ok: true, timestamp: expect.any(String) });
    },
    publish: async (client, n) => {
      const booking = {
        booking: { id: 'b', vendorId: 5, userId: n },
        actor: { id: 9, role: 'admin' },
        timestamp: new Date(0).toISOString(),
      };
      await emit(`user:${n}`, 'booking:created', booking);
      await hears(client, 'booking:created', booking);
    },
  },
];

/**
 * As each team's program calls it. Their programs have nothing in common; in one program the stock client would put
 * both namespaces on one connection, so the machines of `/sync` know the stack by another name.
 */
async function dial({ options, namespace }: Team, changed?: Options): Promise<Client> {
  const { origin, port } = bus.stack;
  const url = namespace === undefined ? origin : `http://127.0.0.1:${port}${namespace}`;
  const given = await options();
  const own = given === undefined && changed === undefined ? undefined : { ...given, ...changed };
  const socket = own === undefined ? io(url) : io(url, own);
  sockets.push(socket);
  const ears = recorded(socket);
  await expect.poll(() => socket.connected, { timeout: PATIENCE_MS }).toBe(true);
  return { socket, ears };
}

const transportOf = ({ socket }: Client) => socket.io.engine.transport.name;

const named = TEAMS.map((team, index) => [team.name, team, index] as const);

describe.each(named)('the client of %s', (_name, team, index) => {
  test('works with the options of its team, and ends on a WebSocket', { timeout: 40_000 }, async () => {
    const n = 100 + index;
    const client = await dial(team);
    await team.exchange(client, n);
    await expect.poll(() => transportOf(client), { timeout: PATIENCE_MS }).toBe('websocket');
    await team.publish(client, n);
    await team.broadcast?.(await dial(team), client, n);
    expect(client.socket.connected).toBe(true);
    for (const socket of sockets) socket.disconnect();
  });
});

describe('over long polling alone', () => {
  const polling: Client[] = [];

  test.each(named)(
    '%s works, also with others that have a WebSocket',
    { timeout: 40_000 },
    async (_, team, index) => {
      const n = 200 + index;
      const client = await dial(team, { transports: ['polling'] });
      polling.push(client);
      await team.exchange(client, n);
      await team.publish(client, n);
      const other = await dial(team, { transports: ['websocket'] });
      await team.broadcast?.(other, client, n);
      expect(transportOf(client)).toBe('polling');
      other.socket.disconnect();
    },
  );

  test('every one of them answers a ping, and is seen', { timeout: 40_000 }, async () => {
    await expect
      .poll(async () => (await alive(bus.stack)).slots, { timeout: PATIENCE_MS })
      .toBe(TEAMS.length);
    const seen = async () =>
      (await busRows(bus.stack, 'm'))
        .filter((row) => row.seen !== undefined)
        .map((row) => Number(row.seen?.N));
    const latest = Math.max(...(await seen()));
    await bus.stack.tick();
    await expect
      .poll(async () => (await seen()).filter((time) => time > latest), { timeout: PATIENCE_MS })
      .toHaveLength(TEAMS.length);
    expect(polling.map(({ socket }) => socket.connected)).toEqual(TEAMS.map(() => true));
  });

  test('they are counted, and none of them leaves a row behind', { timeout: 40_000 }, async () => {
    const status = await fetch(`${bus.stack.origin}/socket/status`);
    const namespaceOfTheShop = TEAMS.filter(({ namespace }) => namespace === undefined).length;
    expect(await status.json()).toMatchObject({
      data: { connectionInfo: { connectedClients: namespaceOfTheShop } },
    });
    for (const { socket } of polling) socket.disconnect();
    await expect
      .poll(() => alive(bus.stack), { timeout: PATIENCE_MS })
      .toEqual({ connections: 0, sockets: 0, memberships: 0, slots: 0 });
  });
});
