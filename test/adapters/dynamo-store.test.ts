import { TransactionCanceledException } from '@aws-sdk/client-dynamodb';
import {
  BatchGetCommand,
  DeleteCommand,
  DynamoDBDocumentClient,
  GetCommand,
  PutCommand,
  QueryCommand,
  TransactWriteCommand,
  UpdateCommand,
} from '@aws-sdk/lib-dynamodb';
import { mockClient } from 'aws-sdk-client-mock';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { DynamoStore } from '../../lambdas/adapters/dynamo-store.ts';
import { socketRow } from '../../lambdas/adapters/rows.ts';
import type { SocketKey, SocketRecord } from '../../lambdas/bus/ports.ts';
import { BUS_TABLE, busTable } from '../support/bus-table.ts';
import { FakeClock, HANDSHAKE, SeededRandom, START } from '../support/world.ts';
import { storeCases } from './store.cases.ts';

describe('on the in-process table', () => {
  storeCases(async ({ isHot }) => {
    const { client } = await busTable();
    const clock = new FakeClock();
    return {
      clock,
      store: new DynamoStore({ client, table: BUS_TABLE, clock, random: new SeededRandom(1), isHot }),
    };
  });
});

describe('on a table whose answer to a write is lost', () => {
  test('a socket that the SDK opens a second time was opened by this call, and by no other one', async () => {
    const { client } = await busTable();
    let isLost = true;
    const send = async (command: UpdateCommand) => {
      const answer = await client.send(command);
      if (!isLost || !(command instanceof UpdateCommand)) return answer;
      isLost = false;
      // What the SDK does with an answer that did not come: the same request again.
      return client.send(command);
    };
    const lossy = { send } as unknown as DynamoDBDocumentClient;
    const options = { client: lossy, table: BUS_TABLE, random: new SeededRandom(1), isHot: () => false };
    const store = new DynamoStore({ ...options, clock: new FakeClock() });
    const connection = { id: SOCKET.connectionId, sid: SOCKET.id, open: true, connectedAt: START };
    await store.createConnection(
      { ...connection, handshake: HANDSHAKE, credentials: {}, namespaces: {}, left: {} },
      [],
    );
    await store.connectSocket({ ...SOCKET, state: 'pending' }, []);
    expect(await store.openSocket(SOCKET)).toBe(true);
    expect(isLost).toBe(false);
    expect(await store.openSocket(SOCKET)).toBe(false);
  });
});

const dynamo = mockClient(DynamoDBDocumentClient);
// Files of a project share their process.
afterAll(() => dynamo.restore());

const conflict = () =>
  new TransactionCanceledException({
    message: 'cancelled',
    $metadata: {},
    CancellationReasons: [{ Code: 'None' }, { Code: 'TransactionConflict' }],
  });
const singleConflict = () => Object.assign(new Error('in use'), { name: 'TransactionConflictException' });
const SOCKET: SocketRecord = {
  namespace: '/',
  id: 'A'.repeat(20),
  connectionId: 'AAAAAAAAAAAAAAA=',
  state: 'open',
  connectedAt: START,
  rooms: {},
  identities: {},
  data: {},
  handshake: HANDSHAKE,
  hooksDue: true,
};

describe('on a table that answers with', () => {
  let clock: FakeClock;
  let store: DynamoStore;

  beforeEach(() => {
    dynamo.reset();
    clock = new FakeClock();
    store = new DynamoStore({
      client: dynamo as unknown as DynamoDBDocumentClient,
      table: BUS_TABLE,
      clock,
      random: new SeededRandom(1),
      isHot: () => false,
    });
  });

  test('a conflict of transactions: the write is repeated after a pause until it goes through', async () => {
    dynamo
      .on(TransactWriteCommand)
      .rejectsOnce(conflict())
      .rejectsOnce(conflict())
      .rejectsOnce(conflict())
      .resolves({});
    expect(await store.join(SOCKET, ['list:1'], 5)).toBe('joined');
    expect(dynamo.commandCalls(TransactWriteCommand)).toHaveLength(4);
    expect(clock.now() - START).toBeGreaterThan(10);
    expect(clock.now() - START).toBeLessThan(500);
  });

  test('nothing but conflicts: the write is given up within 2 seconds, as something to try again', async () => {
    dynamo.on(TransactWriteCommand).rejects(conflict());
    await expect(store.leave(SOCKET, ['list:1'])).rejects.toMatchObject({
      name: 'UnavailableError',
      retryable: true,
    });
    expect(clock.now() - START).toBeLessThanOrEqual(2_000);
    expect(clock.now() - START).toBeGreaterThan(1_500);
    // Waits grow: a fixed first pause would call two hundred times.
    expect(dynamo.commandCalls(TransactWriteCommand).length).toBeLessThan(25);
  });

  test.each(['ThrottlingError', 'ProvisionedThroughputExceeded'])(
    'no capacity for a transaction, which the SDK does not repeat: the write is (%s)',
    async (Code) => {
      const cancelled = new TransactionCanceledException({
        message: 'cancelled',
        $metadata: {},
        CancellationReasons: [{ Code: 'None' }, { Code }],
      });
      dynamo.on(TransactWriteCommand).rejectsOnce(cancelled).resolves({});
      expect(await store.join(SOCKET, ['list:1'], 5)).toBe('joined');
      expect(dynamo.commandCalls(TransactWriteCommand)).toHaveLength(2);
    },
  );

  test('a conflict with a transaction on a single row: that is repeated too', async () => {
    dynamo.on(UpdateCommand).rejectsOnce(singleConflict()).resolves({});
    dynamo.on(DeleteCommand).rejectsOnce(singleConflict()).resolves({});
    expect(await store.openSocket(SOCKET)).toBe(true);
    await store.removeMemberships(SOCKET, []);
    expect(dynamo.commandCalls(UpdateCommand)).toHaveLength(2);
    expect(dynamo.commandCalls(DeleteCommand)).toHaveLength(2);
  });

  test('a conflict beside a failed condition: the condition is what counts', async () => {
    const both = new TransactionCanceledException({
      message: 'cancelled',
      $metadata: {},
      CancellationReasons: [{ Code: 'TransactionConflict' }, { Code: 'ConditionalCheckFailed' }],
    });
    dynamo.on(TransactWriteCommand).rejects(both);
    expect(await store.join(SOCKET, ['list:1'], 5)).toBe('closed');
    expect(dynamo.commandCalls(TransactWriteCommand)).toHaveLength(1);
  });

  test('another reason for cancelling: nothing is repeated, and the reason comes out', async () => {
    const invalid = new TransactionCanceledException({
      message: 'item too large',
      $metadata: {},
      CancellationReasons: [{ Code: 'ValidationError' }],
    });
    dynamo.on(TransactWriteCommand).rejects(invalid);
    await expect(store.join(SOCKET, ['list:1'], 5)).rejects.toBe(invalid);
    expect(dynamo.commandCalls(TransactWriteCommand)).toHaveLength(1);
  });

  test.each([
    ['get', () => store.socket(SOCKET)],
    ['update', () => store.touchSlot('c', 0, 1)],
    ['delete', () => store.leaveSlot('c', 0)],
    ['query', () => store.members({ kind: 'slot', slot: 0 }, 0, {})],
    ['put', () => store.saveSweepCursor({ minute: 1, since: 1, drained: 1 })],
    ['batch get', () => store.sockets([SOCKET])],
    ['transaction', () => store.joinSlot('c', 0, 1, 1)],
  ])('an error of its own to a %s: that error comes out, and no answer is made up', async (_, call) => {
    const error = Object.assign(new Error('no such table'), { name: 'ResourceNotFoundException' });
    dynamo.onAnyCommand().rejects(error);
    await expect(call()).rejects.toBe(error);
    expect(dynamo.calls()).toHaveLength(1);
  });

  test('a part of a batch: the rest is asked for again', async () => {
    const keys = manyKeys(3);
    dynamo.on(BatchGetCommand).callsFake((input: BatchInput) => {
      const [first, ...rest] = input.RequestItems[BUS_TABLE].Keys;
      const found = rowOf(keys, first!);
      return {
        Responses: { [BUS_TABLE]: [found] },
        UnprocessedKeys: rest.length === 0 ? {} : { [BUS_TABLE]: { Keys: rest } },
      };
    });
    const found = await store.sockets(keys);
    expect(found.map(({ id }) => id)).toEqual(keys.map(({ id }) => id));
    expect(dynamo.commandCalls(BatchGetCommand)).toHaveLength(3);
    expect(clock.now()).toBeGreaterThan(START);
  });

  test('no part of a batch, ever: it is given up as something to try again', async () => {
    dynamo.on(BatchGetCommand).callsFake((input: BatchInput) => ({
      Responses: {},
      UnprocessedKeys: input.RequestItems,
    }));
    await expect(store.sockets(manyKeys(2))).rejects.toMatchObject({ name: 'UnavailableError' });
    expect(clock.now() - START).toBeLessThanOrEqual(2_000);
  });

  test('a batch of more than a hundred keys: it is asked in hundreds', async () => {
    const keys = manyKeys(250);
    dynamo.on(BatchGetCommand).callsFake((input: BatchInput) => ({
      Responses: { [BUS_TABLE]: input.RequestItems[BUS_TABLE].Keys.map((key) => rowOf(keys, key)) },
    }));
    const found = await store.sockets(keys);
    expect(found.map(({ id }) => id)).toEqual(keys.map(({ id }) => id));
    const sizes = dynamo
      .commandCalls(BatchGetCommand)
      .map((call) => (call.args[0].input as unknown as BatchInput).RequestItems[BUS_TABLE].Keys.length);
    expect(sizes.sort((a, b) => a - b)).toEqual([50, 100, 100]);
  });

  test('nothing: every read asked for strong consistency', async () => {
    dynamo.onAnyCommand().resolves({});
    await store.connection('c');
    await store.socket(SOCKET);
    await store.sweepCursor();
    await store.members({ kind: 'namespace', namespace: '/' }, 0, {});
    await store.due(1, 0);
    await store.sockets([SOCKET]);
    for (const call of [...dynamo.commandCalls(GetCommand), ...dynamo.commandCalls(QueryCommand)])
      expect(call.args[0].input.ConsistentRead).toBe(true);
    const batch = dynamo.commandCalls(BatchGetCommand)[0]!.args[0].input;
    expect(batch.RequestItems![BUS_TABLE]!.ConsistentRead).toBe(true);
    expect(dynamo.calls()).toHaveLength(6);
    expect(dynamo.commandCalls(PutCommand)).toHaveLength(0);
  });

  test('due rows in pages: all of them are read', async () => {
    const row = (connectionId: string) => ({ kind: 'recycle', at: 1, connectionId });
    const place = Buffer.from('place');
    dynamo
      .on(QueryCommand)
      .resolvesOnce({ Items: [row('a')], LastEvaluatedKey: { p: Buffer.from('p'), s: place } })
      .resolves({ Items: [row('b')] });
    expect((await store.due(1, 0)).map(({ connectionId }) => connectionId)).toEqual(['a', 'b']);
    expect(dynamo.commandCalls(QueryCommand)[1]!.args[0].input.ExclusiveStartKey?.s).toBe(place);
  });
});

interface BatchInput {
  readonly RequestItems: Record<typeof BUS_TABLE, { readonly Keys: Record<string, Uint8Array>[] }>;
}

function manyKeys(count: number): SocketKey[] {
  return Array.from({ length: count }, (_, i) => ({
    namespace: '/',
    id: Buffer.alloc(15, 0).fill(i, 14).toString('base64url'),
  }));
}

function rowOf(keys: readonly SocketKey[], key: Record<string, Uint8Array>) {
  const rows = keys.map(({ id }) => socketRow({ ...SOCKET, id }));
  return rows.find((row) => Buffer.from(row.p as Uint8Array).equals(key.p!));
}
