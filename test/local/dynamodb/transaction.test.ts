import { randomUUID } from 'node:crypto';
import type { CancellationReason } from '@aws-sdk/client-dynamodb';
import {
  GetCommand,
  PutCommand,
  QueryCommand,
  TransactGetCommand,
  type TransactGetCommandInput,
  TransactWriteCommand,
  type TransactWriteCommandInput,
} from '@aws-sdk/lib-dynamodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Harness, refusalOf, startHarness } from './harness.ts';

type Actions = NonNullable<TransactWriteCommandInput['TransactItems']>;

let db: Harness;
let table: string;
let other: string;

beforeAll(async () => {
  db = await startHarness();
  [table, other] = await Promise.all([db.table('S'), db.table('B')]);
});

afterAll(() => db.close());

let keys = 0;
/** A key nobody used before. */
const fresh = () => ({ p: `item-${keys++}`, s: 's' });
const bytes = (...values: number[]) => Uint8Array.from(values);
const write = (TransactItems: Actions, more: Partial<TransactWriteCommandInput> = {}) =>
  db.documents.send(new TransactWriteCommand({ TransactItems, ...more }));
const read = (
  TransactItems: TransactGetCommandInput['TransactItems'],
  more: Partial<TransactGetCommandInput> = {},
) => db.documents.send(new TransactGetCommand({ TransactItems, ...more }));
const put = (item: Record<string, unknown>, more: object = {}) => ({
  Put: { TableName: table, Item: item, ...more },
});
const get = async (key: Record<string, unknown>, TableName = table) =>
  (await db.documents.send(new GetCommand({ TableName, Key: key, ConsistentRead: true }))).Item;
const stored = (item: Record<string, unknown>) =>
  db.documents.send(new PutCommand({ TableName: table, Item: item }));

interface Cancelled extends Error {
  readonly CancellationReasons: readonly CancellationReason[];
}
const cancelled = async (call: Promise<unknown>) => {
  const error = await refusalOf<Cancelled>(call);
  expect(error.name).toBe('TransactionCanceledException');
  const codes = error.CancellationReasons.map(({ Code }) => Code);
  expect(error.message).toBe(
    `Transaction cancelled, please refer cancellation reasons for specific reasons [${codes.join(', ')}]`,
  );
  return error.CancellationReasons;
};
const refused = async (call: Promise<unknown>, message: string | RegExp) => {
  const error = await refusalOf(call);
  expect(error.name).toBe('ValidationException');
  if (db.isOurs) expect(error.message).toMatch(message);
};

/** What DynamoDB Local does otherwise than DynamoDB documents, see `Harness.isOurs`. */
const onOurs = it.runIf(process.env.DYNAMODB_ENDPOINT === undefined);

describe('a write', () => {
  it('of all four kinds, over two tables, happens as a whole', async () => {
    const [made, changed, gone, checked] = [fresh(), fresh(), fresh(), fresh()];
    await Promise.all([
      stored({ ...changed, rooms: { a: 1 } }),
      stored(gone),
      stored({ ...checked, open: true }),
    ]);
    await write([
      put({ ...made, v: 1 }, { ConditionExpression: 'attribute_not_exists(p)' }),
      {
        Update: {
          TableName: table,
          Key: changed,
          UpdateExpression: 'SET #m.#k = :v REMOVE #m.a',
          ConditionExpression: 'attribute_not_exists(#m.#k) AND size(#m) < :n',
          ExpressionAttributeNames: { '#m': 'rooms', '#k': 'b.c' },
          ExpressionAttributeValues: { ':v': 2, ':n': 90 },
        },
      },
      { Delete: { TableName: table, Key: gone, ConditionExpression: 'attribute_exists(p)' } },
      {
        ConditionCheck: {
          TableName: table,
          Key: checked,
          ConditionExpression: '#o = :t AND attribute_type(#o, :b) AND begins_with(p, :i)',
          ExpressionAttributeNames: { '#o': 'open' },
          ExpressionAttributeValues: { ':t': true, ':b': 'BOOL', ':i': 'item-' },
        },
      },
      { Put: { TableName: other, Item: { p: bytes(1, 255), s: bytes(2), c: bytes(3) } } },
    ]);
    expect(await get(made)).toMatchObject({ v: 1 });
    expect(await get(changed)).toMatchObject({ rooms: { 'b.c': 2 } });
    expect(await get(gone)).toBeUndefined();
    expect(await get(checked)).toEqual({ ...checked, open: true });
    expect(await get({ p: bytes(1, 255), s: bytes(2) }, other)).toMatchObject({ c: bytes(3) });
  });

  it('that fails leaves everything as it was, and says which action failed', async () => {
    const [kept, changed, absent] = [{ ...fresh(), v: 'old' }, { ...fresh(), n: 1 }, fresh()];
    await Promise.all([stored(kept), stored(changed)]);
    const reasons = await cancelled(
      write([
        put({ ...kept, v: 'new' }),
        {
          Update: {
            TableName: table,
            Key: { p: changed.p, s: 's' },
            UpdateExpression: 'ADD n :one',
            ExpressionAttributeValues: { ':one': 1 },
          },
        },
        put(absent),
        { Delete: { TableName: table, Key: fresh(), ConditionExpression: 'attribute_exists(p)' } },
      ]),
    );
    expect(reasons.map(({ Code }) => Code)).toEqual(['None', 'None', 'None', 'ConditionalCheckFailed']);
    expect(reasons[3]).toMatchObject({ Message: 'The conditional request failed' });
    expect(await get({ p: kept.p, s: 's' })).toEqual(kept);
    expect(await get({ p: changed.p, s: 's' })).toEqual(changed);
    expect(await get(absent)).toBeUndefined();
  });

  it('reports every failed action, with the item where it was asked for', async () => {
    const [first, second] = [{ ...fresh(), v: 1 }, fresh()];
    await Promise.all([stored(first), stored(second)]);
    const condition = { ConditionExpression: 'attribute_not_exists(p)' };
    const reasons = await cancelled(
      write([
        put({ p: first.p, s: 's' }, { ...condition, ReturnValuesOnConditionCheckFailure: 'ALL_OLD' }),
        put(fresh(), { ...condition, ReturnValuesOnConditionCheckFailure: 'ALL_OLD' }),
        put(second, condition),
      ]),
    );
    expect(reasons.map(({ Code }) => Code)).toEqual([
      'ConditionalCheckFailed',
      'None',
      'ConditionalCheckFailed',
    ]);
    // Errors are not translated by the document client.
    expect(reasons[0]?.Item).toEqual({ p: { S: first.p }, s: { S: 's' }, v: { N: '1' } });
    expect(reasons[2]?.Item).toBeUndefined();
  });

  onOurs('names what does not fit an item as a validation error of that action', async () => {
    const [key, witness] = [fresh(), fresh()];
    await stored(key);
    const update = (UpdateExpression: string, value: unknown) => ({
      Update: { TableName: table, Key: key, UpdateExpression, ExpressionAttributeValues: { ':v': value } },
    });
    const nowhere = await cancelled(write([put(witness), update('SET missed.a = :v', 1)]));
    expect(nowhere[1]).toMatchObject({
      Code: 'ValidationError',
      Message: 'The document path provided in the update expression is invalid for update',
    });
    const large = await cancelled(write([put(witness), update('SET v = :v', 'x'.repeat(409_600))]));
    expect(large[1]?.Message).toBe('Item size to update has exceeded the maximum allowed size');
    expect(await get(witness)).toBeUndefined();
  });

  onOurs('cancels on a key of the wrong type, and refuses an empty one outright', async () => {
    const wrong = await cancelled(write([put(fresh()), put({ p: 1, s: 's' })]));
    expect(wrong.map(({ Code }) => Code)).toEqual(['None', 'ValidationError']);
    expect(wrong[1]?.Message).toContain('Type mismatch for key p expected: S actual: N');
    const absent = { TableName: table, Key: { p: 1, s: 's' } };
    const deleted = await cancelled(write([{ Delete: absent }]));
    expect(deleted[0]?.Message).toBe('The provided key element does not match the schema');
    await refused(write([put({ p: '', s: 's' })]), 'cannot contain an empty string value. Key: p');
  });

  it('refuses two actions on one item, more than 100 actions, and none', async () => {
    const key = fresh();
    const twice = write([put(key), { Delete: { TableName: table, Key: key } }]);
    await refused(twice, 'Transaction request cannot include multiple operations on one item');
    const many = (count: number) => Array.from({ length: count }, () => put(fresh()));
    await write(many(100));
    await refused(write(many(101)), 'Member must have length less than or equal to 100');
    await refused(write([]), 'Member must have length greater than or equal to 1');
  });

  it('refuses more than 4 MB, and a Put that is too large by itself', async () => {
    const large = (size: number) => put({ ...fresh(), v: 'x'.repeat(size) });
    const items = Array.from({ length: 11 }, () => large(400_000));
    await refused(write(items), /4|size/i);
    expect(await get({ p: items[0]!.Put.Item.p, s: 's' })).toBeUndefined();
    await write(items.slice(1));
    await refused(write([large(409_601)]), 'Item size has exceeded the maximum allowed size');
  });

  it('refuses an expression that does not parse before it looks at anything else', async () => {
    const key = fresh();
    const check = { TableName: table, Key: key, ConditionExpression: 'attribute_exists(' };
    const elsewhere = { Put: { TableName: 'absent', Item: key } };
    await refused(write([elsewhere, { ConditionCheck: check }]), 'Invalid ConditionExpression: Syntax error');
    const unused = {
      ...check,
      ConditionExpression: 'attribute_exists(p)',
      ExpressionAttributeValues: { ':v': 1 },
    };
    await refused(write([put(fresh()), { ConditionCheck: unused }]), 'unused in expressions: keys: {:v}');
    expect((await refusalOf(write([elsewhere]))).name).toBe('ResourceNotFoundException');
  });

  onOurs('happens once for a token, however often it is sent', async () => {
    const key = fresh();
    const ClientRequestToken = randomUUID();
    const add = (by: number) => ({
      Update: {
        TableName: table,
        Key: key,
        UpdateExpression: 'ADD n :by',
        ExpressionAttributeValues: { ':by': by },
      },
    });
    const first = await write([add(1)], { ClientRequestToken, ReturnConsumedCapacity: 'TOTAL' });
    const again = await write([add(1)], { ClientRequestToken, ReturnConsumedCapacity: 'TOTAL' });
    expect(await get(key)).toMatchObject({ n: 1 });
    expect(first.ConsumedCapacity).toMatchObject([{ CapacityUnits: 2, WriteCapacityUnits: 2 }]);
    expect(again.ConsumedCapacity).toMatchObject([{ CapacityUnits: 2, ReadCapacityUnits: 2 }]);
    const mismatch = await refusalOf(write([add(2)], { ClientRequestToken }));
    expect(mismatch.name).toBe('IdempotentParameterMismatchException');
    await write([add(1)]);
    expect(await get(key)).toMatchObject({ n: 2 });
  });

  it('that was cancelled may be sent again with its token', async () => {
    const key = fresh();
    const ClientRequestToken = randomUUID();
    const update = {
      Update: {
        TableName: table,
        Key: key,
        UpdateExpression: 'SET seen = :t',
        ConditionExpression: 'attribute_exists(p)',
        ExpressionAttributeValues: { ':t': 1 },
      },
    };
    await cancelled(write([update], { ClientRequestToken }));
    await stored(key);
    await write([update], { ClientRequestToken });
    expect(await get(key)).toMatchObject({ seen: 1 });
  });

  onOurs('consumes twice what its actions would alone', async () => {
    const small = put(fresh());
    const large = put({ ...fresh(), v: 'x'.repeat(2500) });
    const binary = { Put: { TableName: other, Item: { p: bytes(9), s: bytes(9) } } };
    const { ConsumedCapacity } = await write([small, large, binary], { ReturnConsumedCapacity: 'TOTAL' });
    const units = new Map(
      ConsumedCapacity?.map(({ TableName, CapacityUnits }) => [TableName, CapacityUnits]),
    );
    expect(units).toEqual(
      new Map([
        [table, 8],
        [other, 2],
      ]),
    );
  });
});

describe('a read', () => {
  it('gives the items in the order asked for, and nothing for those that are not there', async () => {
    const [first, second] = [
      { ...fresh(), v: 1, w: 2 },
      { ...fresh(), v: 3 },
    ];
    await Promise.all([stored(first), stored(second)]);
    const { Responses, ConsumedCapacity } = await read(
      [
        { Get: { TableName: table, Key: { p: second.p, s: 's' } } },
        { Get: { TableName: table, Key: fresh() } },
        { Get: { TableName: table, Key: { p: first.p, s: 's' }, ProjectionExpression: 'v' } },
      ],
      { ReturnConsumedCapacity: 'TOTAL' },
    );
    expect(Responses?.map(({ Item }) => Item)).toEqual([second, undefined, { v: 1 }]);
    expect(ConsumedCapacity).toMatchObject([{ CapacityUnits: 6, ReadCapacityUnits: 6 }]);
  });

  onOurs('refuses what a write refuses', async () => {
    const get = (Key: Record<string, unknown>, TableName = table) => ({ Get: { TableName, Key } });
    const key = fresh();
    await refused(read([get(key), get(key)]), /multiple operations on one item/);
    await refused(read([]), 'Member must have length greater than or equal to 1');
    expect((await refusalOf(read([get(key, 'absent')]))).name).toBe('ResourceNotFoundException');
    const reasons = await cancelled(read([get(key), get({ p: 'a' })]));
    expect(reasons.map(({ Code }) => Code)).toEqual(['None', 'ValidationError']);
  });
});

describe('isolation', () => {
  it('lets nobody see half of a transaction', async () => {
    const p = `pair-${randomUUID()}`;
    const pair = (n: number) => [put({ p, s: 'a', n }), put({ p, s: 'b', n })];
    await write(pair(0));
    const looks = async () => {
      for (let i = 0; i < 40; i++) {
        const { Items } = await db.documents.send(
          new QueryCommand({
            TableName: table,
            ConsistentRead: true,
            KeyConditionExpression: 'p = :p',
            ExpressionAttributeValues: { ':p': p },
          }),
        );
        expect(Items?.[0]?.n).toBe(Items?.[1]?.n);
      }
    };
    const writes = async () => {
      for (let n = 1; n <= 40; n++) await write(pair(n));
    };
    await Promise.all([looks(), writes(), looks()]);
  });

  it('of many transactions on one item lets exactly one win a condition', async () => {
    const key = fresh();
    const claim = (by: number) =>
      write([
        put({ ...key, by }, { ConditionExpression: 'attribute_not_exists(p)' }),
        put({ ...fresh(), by }),
      ]).then(
        () => by,
        () => undefined,
      );
    const winners = (await Promise.all(Array.from({ length: 20 }, (_, by) => claim(by)))).filter(
      (by) => by !== undefined,
    );
    expect(winners).toHaveLength(1);
    expect(await get(key)).toMatchObject({ by: winners[0] });
  });
});
