/**
 * A room that everybody joins: DynamoDB gives one partition key 1,000 write units a second, and a join is a transaction,
 * which takes two for its membership.
 */
import { describe, expect, test } from 'vitest';
import { DynamoStore } from '../../lambdas/adapters/dynamo-store.ts';
import type { SocketRecord } from '../../lambdas/bus/ports.ts';
import { quotasOf } from '../../local/quotas/quotas.ts';
import { BUS_TABLE, busTable } from '../support/bus-table.ts';
import { connectionId, HANDSHAKE, SeededRandom, START } from '../support/world.ts';

/** Joins a room so often in one second, and counts the joins that DynamoDB had no capacity for. */
async function crowd(room: string, perSecond: number): Promise<number> {
  let now = START;
  const table = await busTable({ quotas: quotasOf({ partition: { burstSeconds: 0.1 } }), now: () => now });
  const random = new SeededRandom(3);
  const store = new DynamoStore({
    client: table.client,
    table: BUS_TABLE,
    // Nobody is patient: a throttled call fails at once.
    clock: { now: () => now, sleep: async () => Promise.reject(new Error('waited')) },
    random,
    isHot: (_, name) => name.startsWith('hot:'),
  });
  let refused = 0;
  for (let n = 0; n < perSecond; n += 1) {
    const socket = await opened(store, random, n);
    await store.join(socket, [room], now).catch(() => {
      refused += 1;
    });
    now += 1_000 / perSecond;
  }
  return refused;
}

async function opened(store: DynamoStore, random: SeededRandom, n: number): Promise<SocketRecord> {
  const id = Buffer.from(random.bytes(15)).toString('base64url');
  const socket: SocketRecord = {
    namespace: '/',
    id,
    connectionId: connectionId(n),
    state: 'pending',
    connectedAt: START,
    rooms: {},
    identities: {},
    data: {},
    handshake: HANDSHAKE,
    hooksDue: false,
  };
  await store.createConnection(
    {
      id: socket.connectionId,
      open: true,
      connectedAt: START,
      handshake: HANDSHAKE,
      credentials: {},
      namespaces: {},
      left: {},
    },
    [],
  );
  await store.connectSocket(socket, []);
  await store.openSocket(socket);
  return socket;
}

describe('joins of one room', () => {
  test('are refused in part from 500 a second on, where it has one partition', async () => {
    expect(await crowd('room:1', 400)).toBe(0);
    expect(await crowd('room:1', 800)).toBeGreaterThan(50);
  });

  test('are all done at 1,000 a second, where it is hot', async () => {
    expect(await crowd('hot:1', 1_000)).toBe(0);
  });
});
