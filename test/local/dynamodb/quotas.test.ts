import {
  BatchGetItemCommand,
  BatchWriteItemCommand,
  CreateTableCommand,
  DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  TransactGetItemsCommand,
  TransactWriteItemsCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb';
import { afterEach, describe, expect, test } from 'vitest';
import { DynamoDbFront, type DynamoDbOptions } from '../../../local/dynamodb/front.ts';
import { serveDynamoDb } from '../../../local/dynamodb/server.ts';
import { quotasOf } from '../../../local/quotas/quotas.ts';

const TableName = 'bus';
const closing: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function database(options: DynamoDbOptions) {
  const front = DynamoDbFront.create(options);
  const server = await serveDynamoDb(front);
  const client = new DynamoDBClient({
    endpoint: server.endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
    maxAttempts: 1,
  });
  closing.push(
    () => front.close(),
    () => server.close(),
    async () => client.destroy(),
  );
  await client.send(
    new CreateTableCommand({
      TableName,
      BillingMode: 'PAY_PER_REQUEST',
      KeySchema: [
        { AttributeName: 'p', KeyType: 'HASH' },
        { AttributeName: 's', KeyType: 'RANGE' },
      ],
      AttributeDefinitions: [
        { AttributeName: 'p', AttributeType: 'S' },
        { AttributeName: 's', AttributeType: 'S' },
      ],
    }),
  );
  return { front, client };
}

const key = (p: string, s = 'a') => ({ p: { S: p }, s: { S: s } });
const item = (p: string, s = 'a', bytes = 1) => ({ ...key(p, s), v: { S: 'x'.repeat(bytes) } });
const put = (p: string, s = 'a', bytes = 1) => new PutItemCommand({ TableName, Item: item(p, s, bytes) });

/** Units a second as given, on a clock that stands until it is moved. */
async function throttled(units: { readUnits?: number; writeUnits?: number }) {
  let now = 0;
  const quotas = quotasOf({ partition: units });
  const { front, client } = await database({ quotas, now: () => now });
  return {
    front,
    client,
    wait: (ms: number) => {
      now += ms;
    },
  };
}

describe('the items of one partition key', () => {
  test('take so many write units a second, and those of another key as many', async () => {
    const { client, wait } = await throttled({ writeUnits: 4 });
    await client.send(put('hot', 'a', 1_500));
    await client.send(put('hot', 'b', 1_500));
    await expect(client.send(put('hot', 'c'))).rejects.toMatchObject({
      name: 'ThrottlingException',
      throttlingReasons: [{ reason: 'TableWriteKeyRangeThroughputExceeded' }],
    });
    await client.send(put('cold'));
    wait(250);
    await client.send(put('hot', 'c'));
    expect((await client.send(new GetItemCommand({ TableName, Key: key('hot') }))).Item).toBeDefined();
  });

  test('are charged for the larger of what was and what will be, and for a failed condition', async () => {
    const { client } = await throttled({ writeUnits: 5 });
    await client.send(put('hot', 'a', 2_500));
    await client.send(put('hot', 'a'));
    await expect(client.send(put('hot', 'a'))).rejects.toMatchObject({ name: 'ThrottlingException' });
    const condition = { TableName, Item: item('cold'), ConditionExpression: 'attribute_exists(p)' };
    for (let time = 0; time < 5; time += 1) {
      const failing = client.send(new PutItemCommand(condition));
      await expect(failing).rejects.toMatchObject({ name: 'ConditionalCheckFailedException' });
    }
    await expect(client.send(new PutItemCommand(condition))).rejects.toMatchObject({
      name: 'ThrottlingException',
    });
  });

  test('take so many read units a second: half for an eventually consistent read, by all that a query read', async () => {
    const { client, wait } = await throttled({ readUnits: 2 });
    await client.send(put('hot', 'a', 8_000));
    await client.send(put('hot', 'b', 8_000));
    const query = (ConsistentRead: boolean) =>
      client.send(
        new QueryCommand({
          TableName,
          KeyConditionExpression: '#p = :p AND s >= :s',
          FilterExpression: 'v = :s',
          ExpressionAttributeNames: { '#p': 'p' },
          ExpressionAttributeValues: { ':p': { S: 'hot' }, ':s': { S: 'a' } },
          ConsistentRead,
        }),
      );
    const answer = await query(false);
    expect(answer).toMatchObject({ Count: 0, ScannedCount: 2 });
    expect(answer.ConsumedCapacity).toBeUndefined();
    await expect(query(false)).rejects.toMatchObject({ name: 'ThrottlingException' });
    wait(1_000);
    await query(true);
    // Two units of debt are two from nothing.
    wait(1_000);
    await expect(query(true)).rejects.toMatchObject({ name: 'ThrottlingException' });
  });

  test('leave the part of a batch undone that is too much, and refuse a batch that is nothing else', async () => {
    const { client } = await throttled({ writeUnits: 1, readUnits: 1 });
    const batch = (...keys: string[]) =>
      client.send(
        new BatchWriteItemCommand({
          RequestItems: { [TableName]: keys.map((p) => ({ PutRequest: { Item: item(p) } })) },
        }),
      );
    await client.send(put('hot'));
    expect((await batch('hot', 'cold')).UnprocessedItems).toEqual({
      [TableName]: [{ PutRequest: { Item: item('hot') } }],
    });
    await expect(batch('hot')).rejects.toMatchObject({ name: 'ThrottlingException' });
    const read = (...keys: string[]) =>
      client.send(
        new BatchGetItemCommand({
          RequestItems: { [TableName]: { Keys: keys.map((p) => key(p)), ConsistentRead: true } },
        }),
      );
    expect((await read('hot')).Responses?.[TableName]).toEqual([item('hot')]);
    const partly = await read('hot', 'cold');
    expect(partly.Responses?.[TableName]).toEqual([item('cold')]);
    expect(partly.UnprocessedKeys).toEqual({ [TableName]: { Keys: [key('hot')], ConsistentRead: true } });
    await expect(read('hot')).rejects.toMatchObject({ name: 'ThrottlingException' });
  });

  test('cancel a transaction that is too much, which counts twice', async () => {
    const { client } = await throttled({ writeUnits: 2 });
    const write = (...keys: string[]) =>
      client.send(
        new TransactWriteItemsCommand({
          TransactItems: keys.map((p) => ({ Put: { TableName, Item: item(p) } })),
        }),
      );
    await write('hot');
    await expect(write('cold', 'hot')).rejects.toMatchObject({
      name: 'TransactionCanceledException',
      CancellationReasons: [{ Code: 'None' }, { Code: 'ThrottlingError' }],
    });
    expect((await client.send(new GetItemCommand({ TableName, Key: key('cold') }))).Item).toBeUndefined();
  });

  test('have the quota of AWS once it is given, and whatever is given later', async () => {
    const { front, client } = await throttled({ writeUnits: 1 });
    await client.send(put('hot'));
    front.replaceQuotas(quotasOf());
    for (let time = 0; time < 20; time += 1) await client.send(put('hot'));
  });
});

describe('an ongoing transaction', () => {
  const HOLD_MS = 150;
  const write = (...keys: string[]) =>
    new TransactWriteItemsCommand({
      TransactItems: keys.map((p) => ({ Put: { TableName, Item: item(p) } })),
    });

  async function ongoing() {
    const { client } = await database({ quotas: quotasOf({ transactionMs: HOLD_MS }) });
    let isOver = false;
    const transaction = client.send(write('a', 'b')).finally(() => {
      isOver = true;
    });
    const read = () => client.send(new GetItemCommand({ TableName, Key: key('a'), ConsistentRead: true }));
    await expect.poll(read, { interval: 1 }).toMatchObject({ Item: item('a') });
    expect(isOver).toBe(false);
    return { client, transaction };
  }

  test('cancels another one on its items, and a read of them in one', async () => {
    const { client, transaction } = await ongoing();
    const canceled = {
      name: 'TransactionCanceledException',
      CancellationReasons: [
        { Code: 'None' },
        { Code: 'TransactionConflict', Message: 'Transaction is ongoing for the item' },
      ],
    };
    const gets = ['c', 'a'].map((p) => ({ Get: { TableName, Key: key(p) } }));
    await expect(client.send(write('c', 'a'))).rejects.toMatchObject(canceled);
    await expect(client.send(new TransactGetItemsCommand({ TransactItems: gets }))).rejects.toMatchObject(
      canceled,
    );
    await client.send(write('c'));
    await transaction;
    await client.send(write('c', 'a'));
  });

  test('refuses single writes of its items, leaves them out of batches, and lets others pass', async () => {
    const { client, transaction } = await ongoing();
    const conflict = { name: 'TransactionConflictException' };
    await expect(client.send(put('b'))).rejects.toMatchObject(conflict);
    const update = {
      TableName,
      Key: key('a'),
      UpdateExpression: 'SET v = :v',
      ExpressionAttributeValues: { ':v': { S: 'y' } },
    };
    await expect(client.send(new UpdateItemCommand(update))).rejects.toMatchObject(conflict);
    await client.send(put('c'));
    const batch = ['a', 'd'].map((p) => ({ PutRequest: { Item: item(p) } }));
    const { UnprocessedItems } = await client.send(
      new BatchWriteItemCommand({ RequestItems: { [TableName]: batch } }),
    );
    expect(UnprocessedItems).toEqual({ [TableName]: batch.slice(0, 1) });
    await transaction;
    await client.send(put('b'));
  });

  test('holds nothing where one was cancelled by its condition', async () => {
    const { client } = await database({ quotas: quotasOf({ transactionMs: 60_000 }) });
    const failing = new TransactWriteItemsCommand({
      TransactItems: [
        { Put: { TableName, Item: item('a'), ConditionExpression: 'attribute_exists(p)' } },
        { Put: { TableName, Item: item('b') } },
      ],
    });
    await expect(client.send(failing)).rejects.toMatchObject({ name: 'TransactionCanceledException' });
    await client.send(put('a'));
  });
});
