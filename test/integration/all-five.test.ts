/**
 * The five applications at once, with fifty clients each (`ALL_FIVE_CLIENTS=100`: a hundred). All of them number their rooms alike, so that an event
 * that went to the right number of the wrong application would be noticed. Whatever any client hears is recorded, and
 * compared with exactly what it should have heard: nothing is missing, nothing comes twice, nothing is somebody else's.
 */
import pMap from 'p-map';
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { JWT_SECRET, recorded, startTestStack, type TestStack, token } from '../support/stack.ts';

const CLIENTS = Number(process.env.ALL_FIVE_CLIENTS ?? 50);
const PER_ROOM = 10;
const ROOMS = CLIENTS / PER_ROOM;
const API_KEY = 'a key for tests only';
/** How many clients do something at the same time; more only wait for the same two cores. */
const AT_ONCE = 8;
/** Longest wait for one answer, and for everything; ms. Two idle cores need a fraction of it. */
const PATIENCE_MS = 60_000;
const BUDGET_MS = 180_000;
const TIME = new Date(0).toISOString();

interface Client {
  readonly socket: Socket;
  /** From 0 on, within its application. */
  readonly number: number;
  /** From 1 on, within its application. */
  readonly room: number;
  /** Its place in the room, 0 to 9. */
  readonly place: number;
  readonly hears: readonly { readonly event: string; readonly args: readonly unknown[] }[];
  readonly expected: string[];
}

let bus: TestStack;
beforeAll(async () => {
  bus = await startTestStack({
    settings: { JWT_SECRET, CLOUD_API_KEY: API_KEY },
    // On two cores more instances only make each other late.
    host: { maxInstances: 3 },
  });
});
afterAll(() => bus?.close());

async function clientsOf(
  optionsOf: (number: number) => Promise<Parameters<TestStack['client']>[0]> | undefined,
  namespace = '/',
): Promise<Client[]> {
  const numbers = Array.from({ length: CLIENTS }, (_, number) => number);
  return pMap(
    numbers,
    async (number) => {
      const socket = bus.client({ timeout: PATIENCE_MS, ...(await optionsOf(number)) }, namespace);
      const hears = recorded(socket);
      await new Promise<void>((resolve, reject) => {
        socket.once('connect', () => resolve());
        socket.once('connect_error', reject);
      });
      const room = 1 + (number % ROOMS);
      return { socket, number, room, place: Math.floor(number / ROOMS), hears, expected: [] };
    },
    { concurrency: AT_ONCE },
  );
}

/** Every client does something and must be told that it worked. */
async function each(clients: readonly Client[], event: string, payloadOf: (client: Client) => unknown) {
  await pMap(
    clients,
    async (client) => {
      const answer = await client.socket.timeout(PATIENCE_MS).emitWithAck(event, payloadOf(client));
      expect(answer).toMatchObject({ ok: true });
    },
    { concurrency: AT_ONCE },
  );
}

async function publish(rooms: readonly string[], event: string, payload: unknown, audience: number) {
  const request = { op: 'emit', rooms, event, args: [payload] };
  const answer = await bus.stack.invoke('publish', request);
  expect(answer).toMatchObject({ value: { ok: true, audience, posted: audience, gone: 0, failed: 0 } });
}

/** Ids and times that only the server knows are not compared. */
function written(event: string, payload?: unknown): string {
  const unknown = ['timestamp', 'createdAt', 'id', 'socketId'];
  const known = (key: string, value: unknown) => (unknown.includes(key) ? undefined : value);
  return payload === undefined ? event : `${event} ${JSON.stringify(payload, known)}`;
}

function expects(clients: readonly Client[], event: string, payload?: unknown): void {
  for (const { expected } of clients) expected.push(written(event, payload));
}

const others = (clients: readonly Client[], { room, number }: Client) =>
  clients.filter((client) => client.room === room && client.number !== number);
const inRoom = (clients: readonly Client[], room: number) => clients.filter((client) => client.room === room);
const first = (clients: readonly Client[]) => clients.filter(({ place }) => place === 0);
const rooms = Array.from({ length: ROOMS }, (_, index) => index + 1);

async function storefront(): Promise<Client[]> {
  const clients = await clientsOf(() => undefined);
  await each(clients, 'authenticate', ({ number }) => ({ customerId: number }));
  for (const client of clients) expects([client], 'authenticated', { customerId: client.number });
  await each(clients, 'join-conversation', ({ room }) => ({ conversationId: room }));
  await each(first(clients), 'typing-start', ({ room }) => ({ conversationId: room }));
  for (const client of first(clients)) {
    const typing = { conversationId: client.room, customerId: client.number };
    expects(others(clients, client), 'typing-start', typing);
  }
  for (const room of rooms) {
    const message = { messageId: room, content: `to conversation ${room}`, senderId: 1, timestamp: TIME };
    await publish([`conversation_${room}`], 'new-message', message, PER_ROOM);
    expects(inRoom(clients, room), 'new-message', message);
  }
  await pMap(
    clients,
    async (client) => {
      const message = { messageId: 0, content: `to customer ${client.number}`, senderId: 1, timestamp: TIME };
      await publish([`user_${client.number}`], 'new-message', message, 1);
      expects([client], 'new-message', message);
    },
    { concurrency: AT_ONCE },
  );
  return clients;
}

async function clinic(): Promise<Client[]> {
  const clients = await clientsOf(() => undefined);
  await each(clients, 'chat:join-room', ({ room, number }) => ({ conversacionId: room, userId: number }));
  const message = ({ room, number }: Client) => ({
    conversacionId: room,
    contenido: `a la sala ${room}`,
    userId: number,
    rol: 'medico',
  });
  await each(first(clients), 'chat:send-message', message);
  for (const client of first(clients)) {
    expects(inRoom(clients, client.room), 'chat:message-received', message(client));
  }
  return clients;
}

async function orders(): Promise<Client[]> {
  const clients = await clientsOf(() => Promise.resolve({ auth: { apiKey: API_KEY } }), '/sync');
  const args = [{ type: 'order.created', entityId: 1, data: { total: 10 } }];
  const request = { op: 'app', app: 'order-sync', call: 'recordChange', args };
  expect(await bus.stack.invoke('publish', request)).toMatchObject({ value: { ok: true } });
  expects(clients, 'changes:pending');
  // Each will ask once, in the end.
  expects(clients, 'orders:pending', args);
  return clients;
}

async function groups(): Promise<Client[]> {
  const names = (number: number) => ({ userId: number, username: `user ${number}` });
  const clients = await clientsOf(async (number) => ({
    auth: { token: await token({ sub: String(number), username: `user ${number}` }) },
  }));
  for (const client of clients) {
    const user = { id: client.number, username: `user ${client.number}` };
    expects([client], 'connected', { message: 'Conectado exitosamente', user });
  }
  // One after the other in each group, so that it is known who hears whom joining.
  for (let place = 0; place < PER_ROOM; place++) {
    const joining = clients.filter((client) => client.place === place);
    await each(joining, 'join-group', ({ room }) => ({ groupId: room }));
    for (const client of joining) {
      const groupId = client.room;
      expects([client], 'joined-group', { groupId, message: 'Te has unido al grupo exitosamente' });
      const before = inRoom(clients, groupId).filter((other) => other.place < place);
      expects(before, 'user-joined-group', { ...names(client.number), groupId });
    }
  }
  const watched = ({ room }: Client) => ({ groupId: room, seriesId: 1, episodeId: room });
  await each(first(clients), 'watch-episode', watched);
  for (const client of first(clients)) {
    const episode = { ...names(client.number), ...watched(client) };
    expects(inRoom(clients, client.room), 'episode-watched', episode);
  }
  for (const room of rooms) {
    const series = { seriesName: `for group ${room}`, addedBy: 1 };
    await publish([`group:${room}`], 'series-added', series, PER_ROOM);
    expects(inRoom(clients, room), 'series-added', series);
    const note = { message: `for member ${room}` };
    await publish([`member:${room}`], 'notification', note, 1);
    expects(
      clients.filter(({ number }) => number === room),
      'notification',
      note,
    );
  }
  return clients;
}

async function market(): Promise<Client[]> {
  const clients = await clientsOf(() => undefined);
  // The first five of each ten are its users, the others its vendors.
  const typeOf = ({ place }: Client) => (place < PER_ROOM / 2 ? 'user' : 'vendor');
  await each(clients, 'join', (client) => ({ type: typeOf(client), id: client.room }));
  for (const room of rooms) {
    const actor = { id: room, role: 'user' };
    const booking = { booking: { code: `b${room}`, vendorId: room, userId: room }, actor, timestamp: TIME };
    await publish([`user:${room}`, `vendor:${room}`], 'booking:created', booking, PER_ROOM);
    expects(inRoom(clients, room), 'booking:created', booking);
    const service = { service: { code: `s${room}`, vendorId: room }, actor, timestamp: TIME };
    await publish([`vendor:${room}`], 'service:created', service, PER_ROOM / 2);
    expects(
      inRoom(clients, room).filter((client) => typeOf(client) === 'vendor'),
      'service:created',
      service,
    );
  }
  return clients;
}

test('five applications with their clients: every client hears all that is meant for it, and nothing else', {
  timeout: 2 * BUDGET_MS,
}, async () => {
  const all = (await Promise.all([storefront(), clinic(), orders(), groups(), market()])).flat();
  await bus.stack.settled();
  expect(all).toHaveLength(5 * CLIENTS);
  // Frames of one socket arrive in order: after this answer nothing that was posted is still under way.
  await pMap(all, ({ socket }) => socket.timeout(PATIENCE_MS).emitWithAck(...flush(socket)), {
    concurrency: AT_ONCE,
  });
  for (const { hears, expected } of all) {
    const heard = hears.map(({ event, args }) => written(event, args[0]));
    expect(heard.sort()).toEqual([...expected].sort());
  }
});

/** An event that nobody but its sender hears of. */
function flush(socket: Socket): [event: string] {
  return [(socket as unknown as { readonly nsp: string }).nsp === '/sync' ? 'sync:orders' : 'ping'];
}
