import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { CreateTableCommand, QueryCommand, TransactWriteItemsCommand } from '@aws-sdk/client-dynamodb';
import { afterEach, describe, expect, it } from 'vitest';
import {
  type ApiReply,
  type Caller,
  DynamoDbFront,
  type DynamoDbOptions,
} from '../../../local/dynamodb/front.ts';
import { serveDynamoDb } from '../../../local/dynamodb/server.ts';
import { startHarness } from './harness.ts';

const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close();
});

async function frontWithTable(options: DynamoDbOptions = {}): Promise<DynamoDbFront> {
  const front = DynamoDbFront.create(options);
  opened.push(front);
  const reply = await front.handle('CreateTable', {
    TableName: 'bus',
    BillingMode: 'PAY_PER_REQUEST',
    KeySchema: [{ AttributeName: 'p', KeyType: 'HASH' }],
    AttributeDefinitions: [{ AttributeName: 'p', AttributeType: 'S' }],
  });
  expect(reply).toMatchObject({ status: 200, body: { TableDescription: { TableStatus: 'CREATING' } } });
  return front;
}

const item = { p: { S: 'a' }, n: { N: '1' } };
const put = { TableName: 'bus', Item: item };
const get = { TableName: 'bus', Key: { p: { S: 'a' } } };

describe('the front', () => {
  it('answers in-process, and leaves the request as it was', async () => {
    const front = await frontWithTable();
    const request = { ...put, Unknown: null };
    const before = structuredClone(request);
    expect(await front.handle('PutItem', request)).toEqual({ status: 200, body: {} });
    expect(request).toEqual(before);
    expect(await front.handle('GetItem', get)).toEqual({ status: 200, body: { Item: item } });
  });

  it('keeps an item as it was put, whatever the caller does with its request afterwards', async () => {
    const front = await frontWithTable();
    const request = structuredClone(put);
    await front.handle('PutItem', request);
    request.Item.n.N = '2';
    expect(await front.handle('GetItem', get)).toMatchObject({ body: { Item: item } });
  });

  it('refuses operations there are not', async () => {
    const front = await frontWithTable();
    const reply = await front.handle('ExecuteStatement', { Statement: 'SELECT 1' });
    expect(reply).toMatchObject({
      status: 400,
      body: { __type: expect.stringMatching(/#UnknownOperationException$/) },
    });
  });

  it('refuses streams instead of forgetting about them', async () => {
    const front = DynamoDbFront.create();
    opened.push(front);
    const reply = await front.handle('CreateTable', {
      TableName: 'bus',
      StreamSpecification: { StreamEnabled: true },
    });
    expect(reply).toMatchObject({ status: 400 });
  });

  it('asks the interceptor first, which may answer instead', async () => {
    const calls: [string, Caller][] = [];
    const throttled: ApiReply = { status: 400, body: { __type: 'x#ProvisionedThroughputExceededException' } };
    const front = await frontWithTable({
      before: async (operation, _request, caller) => {
        calls.push([operation, caller]);
        return operation === 'PutItem' ? throttled : undefined;
      },
    });
    expect(await front.handle('PutItem', put, { accessKeyId: 'AKIDMESSAGE' })).toBe(throttled);
    expect(await front.handle('GetItem', get)).toEqual({ status: 200, body: {} });
    expect(calls.slice(1)).toEqual([
      ['PutItem', { accessKeyId: 'AKIDMESSAGE' }],
      ['GetItem', {}],
    ]);
  });

  it('forgets a token after ten minutes', async () => {
    let now = 0;
    const front = await frontWithTable({ now: () => now });
    const add = {
      ClientRequestToken: 'token',
      TransactItems: [
        {
          Update: {
            ...get,
            UpdateExpression: 'ADD n :one',
            ExpressionAttributeValues: { ':one': { N: '1' } },
          },
        },
      ],
    };
    await front.handle('TransactWriteItems', add);
    now = 600_000 - 1;
    await front.handle('TransactWriteItems', add);
    expect(await front.handle('GetItem', get)).toMatchObject({ body: { Item: { n: { N: '1' } } } });
    now = 600_000;
    await front.handle('TransactWriteItems', add);
    expect(await front.handle('GetItem', get)).toMatchObject({ body: { Item: { n: { N: '2' } } } });
  });

  it('takes a map entry of any name', async () => {
    const front = await frontWithTable();
    const rooms = JSON.parse('{"__proto__": {"N": "1"}, "constructor": {"N": "2"}}');
    await front.handle('PutItem', { TableName: 'bus', Item: { p: { S: 'a' }, rooms: { M: rooms } } });
    const { body } = await front.handle('GetItem', get);
    expect(JSON.stringify(body)).toContain('{"__proto__":{"N":"1"},"constructor":{"N":"2"}}');
  });

  it('reads an expression anew for other names, values and types', async () => {
    const front = await frontWithTable();
    const update = (names: Record<string, string>, value: object, text = 'SET #a.#b = :v') =>
      front.handle('UpdateItem', {
        ...get,
        UpdateExpression: text,
        ExpressionAttributeNames: names,
        ExpressionAttributeValues: { ':v': value },
        ReturnValues: 'ALL_NEW',
      });
    await front.handle('PutItem', { TableName: 'bus', Item: { ...item, x: { M: {} }, y: { M: {} } } });
    await update({ '#a': 'x', '#b': 'set' }, { N: '1.0' });
    await update({ '#a': 'y', '#b': 'args' }, { N: '02' });
    const last = await update({ '#a': 'x', '#b': 'type' }, { S: 'text' });
    expect(last).toMatchObject({
      body: {
        Attributes: { x: { M: { set: { N: '1' }, type: { S: 'text' } } }, y: { M: { args: { N: '2' } } } },
      },
    });
    const both = 'SET #a = :v, #b = :v';
    expect((await update({ '#a': 'c', '#b': 'd' }, { N: '1' }, both)).status).toBe(200);
    expect((await update({ '#a': 'c', '#b': 'c' }, { N: '1' }, both)).status).toBe(400);
    expect((await update({ '#a': 'p', '#b': 'c' }, { N: '1' }, both)).status).toBe(400);
    expect((await update({ '#a': 'c', '#b': 'd' }, { N: 'one' }, both)).status).toBe(400);
    const plain = { ...get, UpdateExpression: 'REMOVE q' };
    expect((await front.handle('UpdateItem', plain)).status).toBe(200);
    expect((await front.handle('UpdateItem', { ...plain, ExpressionAttributeNames: {} })).status).toBe(400);
  });

  it('takes no calls once it is closed', async () => {
    const front = await frontWithTable();
    await front.close();
    await expect(front.handle('GetItem', get)).rejects.toThrow('closed');
  });
});

describe('the server', () => {
  async function send(body: string, headers: Record<string, string> = {}, method = 'POST') {
    const front = await frontWithTable();
    const server = await serveDynamoDb(front);
    opened.push(server);
    const signature =
      'AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0';
    const target = { 'x-amz-target': 'DynamoDB_20120810.GetItem', authorization: signature, ...headers };
    return fetch(server.endpoint, { method, headers: target, ...(method === 'POST' ? { body } : {}) });
  }

  it('sends a request id, a checksum and the JSON type', async () => {
    const response = await send(JSON.stringify(get));
    const bytes = Buffer.from(await response.arrayBuffer());
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('application/x-amz-json-1.0');
    expect(response.headers.get('x-amzn-requestid')).toMatch(/^[0-9A-Z]{52}$/);
    expect(Number(response.headers.get('x-amz-crc32'))).toBe(crc32(bytes));
  });

  it.each([
    ['no JSON', '{', {}, 'SerializationException'],
    ['no signature', '{}', { authorization: 'Basic x' }, 'MissingAuthenticationTokenException'],
    ['no target', '{}', { 'x-amz-target': 'S3.GetObject' }, 'UnknownOperationException'],
    ['a member of the wrong type', '{"TableName": 5}', {}, 'SerializationException'],
  ])('refuses %s', async (_what, body, headers, code) => {
    const response = await send(body, headers);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ __type: expect.stringMatching(new RegExp(`#${code}$`)) });
  });

  it('refuses a request over 16 MB', async () => {
    const response = await send('x'.repeat(16 * 1024 * 1024 + 1));
    expect(response.status).toBe(413);
  });
});

describe('secondary indexes', () => {
  it('follow every write, and a transaction that is taken back', async () => {
    const db = await startHarness();
    opened.push(db);
    const TableName = `indexed-${createHash('sha1').update(String(process.hrtime.bigint())).digest('hex')}`;
    await db.client.send(
      new CreateTableCommand({
        TableName,
        BillingMode: 'PAY_PER_REQUEST',
        KeySchema: [{ AttributeName: 'p', KeyType: 'HASH' }],
        AttributeDefinitions: [
          { AttributeName: 'p', AttributeType: 'S' },
          { AttributeName: 'g', AttributeType: 'S' },
        ],
        GlobalSecondaryIndexes: [
          {
            IndexName: 'by-g',
            KeySchema: [{ AttributeName: 'g', KeyType: 'HASH' }],
            Projection: { ProjectionType: 'ALL' },
          },
        ],
      }),
    );
    const members = async (g: string) => {
      const { Items } = await db.client.send(
        new QueryCommand({
          TableName,
          IndexName: 'by-g',
          KeyConditionExpression: 'g = :g',
          ExpressionAttributeValues: { ':g': { S: g } },
        }),
      );
      return Items!.map(({ p }) => p!.S).sort();
    };
    const write = (p: string, g: string, ConditionExpression?: string) => ({
      Put: { TableName, Item: { p: { S: p }, g: { S: g } }, ConditionExpression },
    });
    await db.client.send(
      new TransactWriteItemsCommand({ TransactItems: [write('1', 'a'), write('2', 'a')] }),
    );
    expect(await members('a')).toEqual(['1', '2']);
    const failing = [write('1', 'b'), write('3', 'a'), write('2', 'b', 'attribute_not_exists(p)')];
    await expect(db.client.send(new TransactWriteItemsCommand({ TransactItems: failing }))).rejects.toThrow();
    expect(await members('a')).toEqual(['1', '2']);
    expect(await members('b')).toEqual([]);
  });
});
