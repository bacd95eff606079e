/**
 * How long `GET /socket/status` takes with 5,000 sockets (at most 1 s).
 *
 *     npm run bench -- status [sockets] [departed]
 *
 * The rows are written by the store itself, as `connect` and `message` write them; the request goes to the template on
 * the local stack. `departed` sockets have been in rooms of their own and are gone: the room directory still names
 * those rooms, because a leave never takes a note back. "Work" is the time all threads were busy, the local DynamoDB's
 * too: on a machine that does other things it tells more than the clock.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import pMap from 'p-map';
import { DynamoStore } from '../lambdas/adapters/dynamo-store.ts';
import { systemClock, systemRandom } from '../lambdas/adapters/system.ts';
import type { SocketRecord } from '../lambdas/bus/ports.ts';
import { type LocalStack, startStack } from '../local/stack.ts';
import { synthesiseInto } from '../test/support/synthesis.ts';
import { type Bench, type BenchResult, median, type Row } from './result.ts';

const REQUESTS = 15;
const CONCURRENCY = 32;

const HANDSHAKE = { headers: {}, query: {}, address: '127.0.0.1', secure: true, xdomain: false, issued: 0 };

interface Crowd {
  readonly sockets: number;
  readonly departed: number;
}

export const bench: Bench = async ([sockets = '5000', departed = '0']) => {
  const directory = await mkdtemp(join(tmpdir(), 'socketbus-bench-'));
  try {
    await synthesiseInto(directory, { APPS: 'storefront-chat,watch-groups', IDENTITY: 'trusted' });
    const settings = { JWT_SECRET: 'bench' };
    const stack = await startStack({ assembly: directory, settings, schedule: false });
    try {
      return await measure(stack, { sockets: Number(sockets), departed: Number(departed) });
    } finally {
      await stack.close();
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
};

async function measure(stack: LocalStack, crowd: Crowd): Promise<BenchResult> {
  const store = storeOf(stack);
  const numbers = Array.from({ length: crowd.sockets + crowd.departed }, (_, n) => n);
  const roomsOf = (n: number) => (n < crowd.sockets ? roomsOfPresent(n) : roomsOfDeparted(n));
  // Each is a customer; two and two are in a conversation; half of them are in one of 500 groups.
  await pMap(numbers, (n) => connect(store, n, roomsOf(n)), { concurrency: CONCURRENCY });
  const departed = numbers.slice(crowd.sockets);
  await pMap(departed, (n) => depart(store, n, roomsOf(n)), { concurrency: CONCURRENCY });
  const requests: Measured[] = [];
  for (let n = 0; n < REQUESTS; n += 1) requests.push(await request(stack, crowd.sockets));
  const [first, ...warm] = requests;
  const row = (name: string, { time, work, clients, rooms }: Measured): Row => ({
    request: name,
    'time (ms)': time,
    'work (ms)': work,
    clients,
    rooms,
  });
  if (first === undefined) throw new Error('nothing was measured');
  const middle = {
    ...first,
    time: median(warm.map(({ time }) => time)),
    work: median(warm.map(({ work }) => work)),
  };
  const slowest = warm.reduce((a, b) => (b.time > a.time ? b : a), middle);
  return {
    rows: [row('first', first), row('median of the others', middle), row('slowest of them', slowest)],
    ratios: {},
  };
}

interface Measured {
  readonly time: number;
  readonly work: number;
  readonly clients: number;
  /** Of each kind. */
  readonly rooms: string;
}

async function request({ origin }: LocalStack, sockets: number): Promise<Measured> {
  const begin = performance.now();
  const before = process.cpuUsage();
  const answer = await fetch(`${origin}/socket/status`);
  const { data } = (await answer.json()) as { data?: { connectionInfo: Record<string, unknown> } };
  const time = performance.now() - begin;
  const { user, system } = process.cpuUsage(before);
  const { connectedClients, rooms, userRooms, conversationRooms } = data?.connectionInfo ?? {};
  const lists = [rooms, userRooms, conversationRooms].map((list) => (list as unknown[] | undefined)?.length);
  if (connectedClients !== sockets) throw new Error(`counted ${connectedClients}, status ${answer.status}`);
  return { time, work: (user + system) / 1_000, clients: sockets, rooms: lists.join(' + ') };
}

function roomsOfPresent(n: number): string[] {
  const group = n % 2 === 0 ? [`group:${n % 1_000}`] : [];
  return [`user_${n}`, `conversation_${Math.floor(n / 2)}`, ...group];
}

function roomsOfDeparted(n: number): string[] {
  return [`user_${n}`, `group:departed-${n}`];
}

async function connect(store: DynamoStore, n: number, rooms: readonly string[]): Promise<void> {
  const now = Date.now();
  const socket = socketOf(n, now);
  await store.createConnection(
    {
      id: socket.connectionId,
      open: true,
      connectedAt: now,
      handshake: HANDSHAKE,
      credentials: {},
      namespaces: {},
      left: {},
    },
    [],
  );
  await store.connectSocket(socket, []);
  await store.openSocket(socket);
  for (const room of rooms) await store.noteRoom('/', room, socket.id, now);
  await store.join(socket, rooms, now);
}

async function depart(store: DynamoStore, n: number, rooms: readonly string[]): Promise<void> {
  const socket = socketOf(n, Date.now());
  await store.closeConnection(socket.connectionId, Date.now());
  await store.closeSocket(socket, Date.now());
  await store.removeMemberships(socket, rooms);
}

/** 15 well-spread bytes, as ids are. */
function socketOf(n: number, connectedAt: number): SocketRecord {
  const bytes = Buffer.alloc(15);
  bytes.writeUInt32BE(Math.imul(n, 0x9e3779b1) >>> 0);
  bytes.writeUInt32BE(n, 11);
  const connection = Buffer.alloc(11);
  connection.writeUInt32BE(n, 7);
  return {
    namespace: '/',
    id: bytes.toString('base64url'),
    connectionId: `${connection.toString('base64url')}=`,
    state: 'pending',
    connectedAt,
    rooms: {},
    identities: {},
    data: {},
    handshake: HANDSHAKE,
    hooksDue: false,
  };
}

function storeOf(stack: LocalStack): DynamoStore {
  const table = stack.deployment.tables.find(({ name }) => /bus/i.test(name));
  if (table === undefined) throw new Error('the template has no bus table');
  const client = new DynamoDBClient({
    endpoint: stack.dynamodbEndpoint,
    region: 'us-east-1',
    credentials: stack.credentials,
  });
  return new DynamoStore({
    client: DynamoDBDocumentClient.from(client, { marshallOptions: { removeUndefinedValues: true } }),
    table: table.name,
    clock: systemClock,
    random: systemRandom,
    isHot: () => false,
  });
}
