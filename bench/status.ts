/**
 * How long `GET /socket/status` takes with 5,000 sockets (at most 1 s). Run by hand:
 *
 *     node --import tsx bench/status.ts [sockets] [departed]
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

const SOCKETS = Number(process.argv[2] ?? 5_000);
const DEPARTED = Number(process.argv[3] ?? 0);
const REQUESTS = 15;
const CONCURRENCY = 32;

const HANDSHAKE = { headers: {}, query: {}, address: '127.0.0.1', secure: true, xdomain: false, issued: 0 };

const directory = await mkdtemp(join(tmpdir(), 'socketbus-bench-'));
try {
  await synthesiseInto(directory, { APPS: 'storefront-chat,watch-groups', IDENTITY: 'trusted' });
  const stack = await startStack({ assembly: directory, settings: { JWT_SECRET: 'bench' }, schedule: false });
  try {
    await measure(stack);
  } finally {
    await stack.close();
  }
} finally {
  await rm(directory, { recursive: true, force: true });
}

async function measure(stack: LocalStack): Promise<void> {
  const store = storeOf(stack);
  const numbers = Array.from({ length: SOCKETS + DEPARTED }, (_, n) => n);
  // Each is a customer; two and two are in a conversation; half of them are in one of 500 groups.
  await pMap(numbers, (n) => connect(store, n), { concurrency: CONCURRENCY });
  const departed = numbers.slice(SOCKETS);
  await pMap(departed, (n) => depart(store, n), { concurrency: CONCURRENCY });
  const times: number[] = [];
  for (let n = 0; n < REQUESTS; n += 1) times.push(await request(stack));
  const [first = Number.NaN, ...warm] = times;
  warm.sort((a, b) => a - b);
  const median = warm[Math.floor(warm.length / 2)] ?? Number.NaN;
  console.log(`${SOCKETS} sockets, ${DEPARTED} departed: GET /socket/status over ${REQUESTS} requests`);
  console.log(`first ${ms(first)}, then median ${ms(median)}, slowest ${ms(warm.at(-1) ?? Number.NaN)}`);
}

async function request({ origin }: LocalStack): Promise<number> {
  const begin = performance.now();
  const work = process.cpuUsage();
  const answer = await fetch(`${origin}/socket/status`);
  const { data } = (await answer.json()) as { data?: { connectionInfo: Record<string, unknown> } };
  const time = performance.now() - begin;
  const { user, system } = process.cpuUsage(work);
  const { connectedClients, rooms, userRooms, conversationRooms } = data?.connectionInfo ?? {};
  const lists = [rooms, userRooms, conversationRooms].map((list) => (list as unknown[] | undefined)?.length);
  if (connectedClients !== SOCKETS) throw new Error(`counted ${connectedClients}, status ${answer.status}`);
  console.log(
    `${ms(time)}, ${ms((user + system) / 1_000)} of work: ${connectedClients} clients, ${lists.join(' + ')} rooms`,
  );
  return time;
}

function roomsOf(n: number): string[] {
  if (n >= SOCKETS) return [`user_${n}`, `group:departed-${n}`];
  const group = n % 2 === 0 ? [`group:${n % 1_000}`] : [];
  return [`user_${n}`, `conversation_${Math.floor(n / 2)}`, ...group];
}

async function connect(store: DynamoStore, n: number): Promise<void> {
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
  for (const room of roomsOf(n)) await store.noteRoom('/', room, socket.id, now);
  await store.join(socket, roomsOf(n), now);
}

async function depart(store: DynamoStore, n: number): Promise<void> {
  const socket = socketOf(n, Date.now());
  await store.closeConnection(socket.connectionId, Date.now());
  await store.closeSocket(socket, Date.now());
  await store.removeMemberships(socket, roomsOf(n));
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

function ms(time: number): string {
  return `${Math.round(time)} ms`;
}
