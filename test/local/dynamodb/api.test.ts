import {
  CreateTableCommand,
  DeleteTableCommand,
  DescribeContinuousBackupsCommand,
  DescribeTableCommand,
  DescribeTimeToLiveCommand,
  ListTablesCommand,
  UpdateContinuousBackupsCommand,
  UpdateTableCommand,
  UpdateTimeToLiveCommand,
} from '@aws-sdk/client-dynamodb';
import {
  BatchGetCommand,
  BatchWriteCommand,
  DeleteCommand,
  GetCommand,
  PutCommand,
  QueryCommand,
  ScanCommand,
  UpdateCommand,
} from '@aws-sdk/lib-dynamodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Harness, refusalOf, startHarness } from './harness.ts';

let db: Harness;
let strings: string;
let binaries: string;

beforeAll(async () => {
  db = await startHarness();
  [strings, binaries] = await Promise.all([db.table('S'), db.table('B')]);
});

afterAll(() => db.close());

const isOurs = process.env.DYNAMODB_ENDPOINT === undefined;
const bytes = (...values: number[]) => Uint8Array.from(values);
const put = (table: string, item: Record<string, unknown>) =>
  db.documents.send(new PutCommand({ TableName: table, Item: item }));
const get = async (table: string, key: Record<string, unknown>) =>
  (await db.documents.send(new GetCommand({ TableName: table, Key: key, ConsistentRead: true }))).Item;

describe('tables', () => {
  it('can be used as soon as they are made, and tell their keys', async () => {
    const name = await db.table('B');
    await put(name, { p: bytes(1), s: bytes(2) });
    const { Table } = await db.client.send(new DescribeTableCommand({ TableName: name }));
    expect(Table).toMatchObject({
      TableStatus: 'ACTIVE',
      BillingModeSummary: { BillingMode: 'PAY_PER_REQUEST' },
    });
    expect((await db.client.send(new ListTablesCommand({}))).TableNames).toContain(name);
  });

  it('refuse a second one of the same name', async () => {
    const again = new CreateTableCommand({
      TableName: strings,
      BillingMode: 'PAY_PER_REQUEST',
      KeySchema: [{ AttributeName: 'p', KeyType: 'HASH' }],
      AttributeDefinitions: [{ AttributeName: 'p', AttributeType: 'S' }],
    });
    expect(await refusalOf(db.client.send(again))).toMatchObject({ name: 'ResourceInUseException' });
  });

  it('that do not exist are not found, for data and for settings', async () => {
    const missing = await refusalOf(get('absent', { p: 'a', s: 'b' }));
    expect(missing.name).toBe('ResourceNotFoundException');
    if (db.isOurs) expect(missing.message).toBe('Requested resource not found');
    const settings = db.client.send(new DescribeTimeToLiveCommand({ TableName: 'absent' }));
    expect((await refusalOf(settings)).name).toBe('ResourceNotFoundException');
  });

  it.runIf(process.env.DYNAMODB_ENDPOINT === undefined)('that do not exist have no backups', async () => {
    const backups = db.client.send(new DescribeContinuousBackupsCommand({ TableName: 'absent' }));
    expect((await refusalOf(backups)).name).toBe('TableNotFoundException');
  });

  it('under deletion protection stay until it is lifted', async () => {
    const name = await db.table();
    const protect = (on: boolean) =>
      db.client.send(new UpdateTableCommand({ TableName: name, DeletionProtectionEnabled: on }));
    await protect(true);
    const refused = await refusalOf(db.client.send(new DeleteTableCommand({ TableName: name })));
    expect(refused.name).toBe('ValidationException');
    const { Table } = await db.client.send(new DescribeTableCommand({ TableName: name }));
    expect(Table?.DeletionProtectionEnabled).toBe(true);
    await protect(false);
  });

  it.runIf(process.env.DYNAMODB_ENDPOINT === undefined)('remember continuous backups', async () => {
    const name = await db.table();
    await db.client.send(
      new UpdateContinuousBackupsCommand({
        TableName: name,
        PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
      }),
    );
    const { ContinuousBackupsDescription: description } = await db.client.send(
      new DescribeContinuousBackupsCommand({ TableName: name }),
    );
    expect(description?.PointInTimeRecoveryDescription).toMatchObject({
      PointInTimeRecoveryStatus: 'ENABLED',
      EarliestRestorableDateTime: expect.any(Date),
    });
  });
});

describe('time to live', () => {
  const enable = (name: string, AttributeName: string, Enabled = true) =>
    db.client.send(
      new UpdateTimeToLiveCommand({ TableName: name, TimeToLiveSpecification: { AttributeName, Enabled } }),
    );

  it('is remembered, and enabling what is enabled is refused', async () => {
    const name = await db.table();
    await enable(name, 'ttl');
    const { TimeToLiveDescription } = await db.client.send(
      new DescribeTimeToLiveCommand({ TableName: name }),
    );
    expect(TimeToLiveDescription).toMatchObject({ AttributeName: 'ttl' });
    const again = await refusalOf(enable(name, 'ttl'));
    expect(again).toMatchObject({ name: 'ValidationException' });
    expect(again.message).toContain('TimeToLive is already enabled');
    expect((await refusalOf(enable(name, 'other'))).message).toContain('active on a different AttributeName');
  });

  it.runIf(isOurs)(
    'deletes what has passed when told to, and only numbers of the last five years',
    async () => {
      const name = await db.table();
      await enable(name, 'ttl');
      const now = 2_000_000_000;
      const lives = {
        past: now - 1,
        future: now + 1,
        ancient: now - 6 * 365 * 86_400,
        text: String(now - 1),
      };
      await Promise.all(Object.entries(lives).map(([p, ttl]) => put(name, { p, s: 's', ttl })));
      await put(name, { p: 'none', s: 's' });
      expect(await get(name, { p: 'past', s: 's' })).toBeDefined();
      expect(await db.front?.expireItems(now * 1000)).toBe(1);
      const { Items } = await db.documents.send(new ScanCommand({ TableName: name }));
      expect(Items?.map(({ p }) => p).sort()).toEqual(['ancient', 'future', 'none', 'text']);
    },
  );
});

describe('binary keys', () => {
  const sorts = [
    bytes(0),
    bytes(0, 0),
    bytes(1),
    bytes(0x2f),
    bytes(0x7e),
    bytes(0x7f, 255),
    bytes(0x80),
    bytes(255),
    bytes(255, 0),
  ];
  const room = bytes(9, 0xff, 0x2f, 0x7e);
  const query = async (
    condition: string,
    values: Record<string, unknown> = {},
    more: Record<string, unknown> = {},
  ) => {
    const { Items, LastEvaluatedKey } = await db.documents.send(
      new QueryCommand({
        TableName: binaries,
        ConsistentRead: true,
        KeyConditionExpression: `p = :p${condition}`,
        ExpressionAttributeValues: { ':p': room, ...values },
        ...more,
      }),
    );
    return { sorts: Items?.map(({ s }) => Buffer.from(s).toString('hex')), LastEvaluatedKey };
  };
  const hex = (keys: Uint8Array[]) => keys.map((key) => Buffer.from(key).toString('hex'));

  beforeAll(async () => {
    await Promise.all([...sorts].reverse().map((s) => put(binaries, { p: room, s })));
    await put(binaries, { p: bytes(9, 0xff, 0x2f), s: bytes(1) });
    await put(binaries, { p: bytes(9, 0xff, 0x2f, 0x7e, 0), s: bytes(1) });
  });

  it('order as unsigned bytes, forwards and backwards', async () => {
    expect((await query('')).sorts).toEqual(hex(sorts));
    expect((await query('', {}, { ScanIndexForward: false })).sorts).toEqual(hex([...sorts].reverse()));
  });

  it('are compared as unsigned bytes by every key condition', async () => {
    const v = bytes(0x7f, 255);
    expect((await query(' AND s > :v', { ':v': v })).sorts).toEqual(hex(sorts.slice(6)));
    expect((await query(' AND s >= :v', { ':v': v })).sorts).toEqual(hex(sorts.slice(5)));
    expect((await query(' AND s < :v', { ':v': v })).sorts).toEqual(hex(sorts.slice(0, 5)));
    expect((await query(' AND s <= :v', { ':v': v })).sorts).toEqual(hex(sorts.slice(0, 6)));
    expect((await query(' AND s = :v', { ':v': v })).sorts).toEqual(hex([v]));
    const between = await query(' AND s BETWEEN :v AND :w', { ':v': bytes(0, 0), ':w': bytes(255) });
    expect(between.sorts).toEqual(hex(sorts.slice(1, 8)));
    expect((await query(' AND begins_with(s, :v)', { ':v': bytes(255) })).sorts).toEqual(hex(sorts.slice(7)));
  });

  it.each([true, false])('are paged through from key to key (forwards: %s)', async (ScanIndexForward) => {
    const seen: string[] = [];
    let from: Record<string, unknown> | undefined;
    do {
      const page = await query('', {}, { Limit: 2, ScanIndexForward, ExclusiveStartKey: from });
      expect(page.sorts!.length).toBeLessThanOrEqual(2);
      seen.push(...page.sorts!);
      from = page.LastEvaluatedKey;
    } while (from !== undefined);
    expect(seen).toEqual(hex(ScanIndexForward ? sorts : [...sorts].reverse()));
  });

  it('continue inside a range, and a start outside of it is refused', async () => {
    const range = { ':v': bytes(1), ':w': bytes(0x80) };
    const first = await query(' AND s BETWEEN :v AND :w', range, { Limit: 2 });
    expect(first.sorts).toEqual(hex(sorts.slice(2, 4)));
    const rest = await query(' AND s BETWEEN :v AND :w', range, {
      ExclusiveStartKey: first.LastEvaluatedKey,
    });
    expect(rest.sorts).toEqual(hex(sorts.slice(4, 7)));
    const outside = query(' AND s BETWEEN :v AND :w', range, { ExclusiveStartKey: { p: room, s: bytes(0) } });
    expect((await refusalOf(outside)).name).toBe('ValidationException');
  });

  it('differ byte by byte, also where they are no text', async () => {
    const item = { p: bytes(7), s: bytes(7), value: bytes(0xff, 0xfe) };
    await put(binaries, item);
    const when = (ConditionExpression: string, v: Uint8Array) =>
      db.documents.send(
        new UpdateCommand({
          TableName: binaries,
          Key: { p: item.p, s: item.s },
          UpdateExpression: 'SET touched = :t',
          ConditionExpression,
          ExpressionAttributeNames: { '#v': 'value' },
          ExpressionAttributeValues: { ':v': v, ':t': 1 },
        }),
      );
    await when('#v = :v', bytes(0xff, 0xfe));
    await when('begins_with(#v, :v)', bytes(0xff));
    await when('contains(#v, :v)', bytes(0xfe));
    for (const wrong of ['begins_with(#v, :v)', 'contains(#v, :v)', '#v = :v']) {
      expect((await refusalOf(when(wrong, bytes(0xfd)))).name).toBe('ConditionalCheckFailedException');
    }
  });
});

describe('conditions and updates of maps', () => {
  const key = { p: 'maps', s: 'socket' };
  const update = (UpdateExpression: string, more: Record<string, unknown> = {}) =>
    db.documents.send(
      new UpdateCommand({ TableName: strings, Key: key, ReturnValues: 'ALL_NEW', UpdateExpression, ...more }),
    );
  const names = (k: string) => ({ ExpressionAttributeNames: { '#m': 'rooms', '#k': k } });

  beforeAll(() => put(strings, { ...key, rooms: {}, open: false, text: '', list: [{ a: 1 }, 'b'] }));

  it('set and remove one entry', async () => {
    const set = await update('SET #m.#k = :v', {
      ...names('a.b[0]'),
      ExpressionAttributeValues: { ':v': 5 },
    });
    expect(set.Attributes?.rooms).toEqual({ 'a.b[0]': 5 });
    const removed = await update('REMOVE #m.#k', names('a.b[0]'));
    expect(removed.Attributes?.rooms).toEqual({});
  });

  it('do not confuse entries with what every object has', async () => {
    for (const k of ['constructor', 'toString', '__proto__']) {
      await update('SET #m.#k = :v', {
        ...names(k),
        ConditionExpression: 'attribute_not_exists(#m.#k)',
        ExpressionAttributeValues: { ':v': 1 },
      });
      const again = update('SET #m.#k = :v', {
        ...names(k),
        ConditionExpression: 'attribute_not_exists(#m.#k)',
        ExpressionAttributeValues: { ':v': 2 },
      });
      expect((await refusalOf(again)).name).toBe('ConditionalCheckFailedException');
      await update('REMOVE #m.#k', { ...names(k), ConditionExpression: 'attribute_exists(#m.#k)' });
    }
  });

  it('remove the list elements that were named, whatever else is removed', async () => {
    await put(strings, { p: 'list', s: 's', l: ['a', 'b', ['c', 'd'], 'e'] });
    const { Attributes } = await db.documents.send(
      new UpdateCommand({
        TableName: strings,
        Key: { p: 'list', s: 's' },
        UpdateExpression: 'REMOVE l[0], l[1], l[2][0] SET l[3] = :v',
        ExpressionAttributeValues: { ':v': 'E' },
        ReturnValues: 'ALL_NEW',
      }),
    );
    expect(Attributes?.l).toEqual([['d'], 'E']);
  });

  it('refuse an entry of a map that is not there', async () => {
    const call = update('SET nothing.#k = :v', {
      ExpressionAttributeNames: { '#k': 'a' },
      ExpressionAttributeValues: { ':v': 1 },
    });
    expect(await refusalOf(call)).toMatchObject({
      name: 'ValidationException',
      message: 'The document path provided in the update expression is invalid for update',
    });
  });

  const touched = { '#t': 'touched' };
  const holds = (
    ConditionExpression: string,
    values: Record<string, unknown> = {},
    more: Record<string, string> = {},
  ) =>
    update('SET #t = :t', {
      ConditionExpression,
      ExpressionAttributeNames: { ...touched, ...more },
      ExpressionAttributeValues: { ':t': 1, ...values },
    }).then(
      () => true,
      (error: Error) => {
        if (error.name !== 'ConditionalCheckFailedException') throw error;
        return false;
      },
    );

  it('hold or fail by size, type, membership and order', async () => {
    await update('SET rooms = :m', { ExpressionAttributeValues: { ':m': { a: 1, b: 2 } } });
    expect(await holds('size(#m) < :n', { ':n': 3 }, { '#m': 'rooms' })).toBe(true);
    expect(await holds('size(#m) < :n', { ':n': 2 }, { '#m': 'rooms' })).toBe(false);
    expect(await holds('attribute_type(rooms, :x)', { ':x': 'M' })).toBe(true);
    expect(await holds('attribute_type(#o, :x)', { ':x': 'BOOL' }, { '#o': 'open' })).toBe(true);
    expect(await holds('attribute_type(#s, :x)', { ':x': 'S' }, { '#s': 'text' })).toBe(true);
    expect(await holds('contains(#l, :x)', { ':x': { a: 1 } }, { '#l': 'list' })).toBe(true);
    expect(await holds('contains(#l, :x)', { ':x': { a: 2 } }, { '#l': 'list' })).toBe(false);
    expect(await holds('rooms = :x', { ':x': { b: 2, a: 1 } })).toBe(true);
    expect(await holds('rooms = :x', { ':x': { a: 1 } })).toBe(false);
    expect(await holds('#o IN (:x, :y)', { ':x': true, ':y': false }, { '#o': 'open' })).toBe(true);
    expect(await holds('begins_with(#k, :x)', { ':x': 'soc' }, { '#k': 's' })).toBe(true);
    expect(await holds('rooms.a < :x AND NOT rooms.b < rooms.a', { ':x': 10 })).toBe(true);
    expect(await holds('absent < :x OR absent > :x OR absent = :x', { ':x': 10 })).toBe(false);
    expect(await holds('absent <> :x', { ':x': 10 })).toBe(true);
  });

  it('bring the item that failed them, when asked to', async () => {
    const failing = {
      TableName: strings,
      ConditionExpression: 'attribute_not_exists(p)',
      ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
    } as const;
    const calls = [
      () => db.documents.send(new PutCommand({ ...failing, Item: key })),
      () => db.documents.send(new DeleteCommand({ ...failing, Key: key })),
      () => db.documents.send(new UpdateCommand({ ...failing, Key: key, UpdateExpression: 'REMOVE rooms' })),
    ];
    for (const call of calls) {
      const error = await refusalOf<Error & { Item?: unknown }>(call());
      expect(error.name).toBe('ConditionalCheckFailedException');
      expect(error.Item).toMatchObject({ p: { S: 'maps' } });
    }
    const without = db.documents.send(
      new PutCommand({ TableName: strings, Item: key, ConditionExpression: 'attribute_not_exists(p)' }),
    );
    expect((await refusalOf<Error & { Item?: unknown }>(without)).Item).toBeUndefined();
  });
});

describe('refusals', () => {
  const refused = async (call: Promise<unknown>, message: string | RegExp) => {
    const error = await refusalOf(call);
    expect(error.name).toBe('ValidationException');
    if (db.isOurs) expect(error.message).toMatch(message);
  };

  it('meet keys that are missing, empty, of the wrong type or too long', async () => {
    await refused(put(strings, { p: 'a' }), 'Missing the key s in the item');
    await refused(put(strings, { p: 'a', s: 1 }), 'Type mismatch for key s expected: S actual: N');
    await refused(put(strings, { p: '', s: 'a' }), 'cannot contain an empty string value. Key: p');
    await refused(put(strings, { p: 'a'.repeat(2049), s: 'a' }), /maximum size limit of ?2048 bytes/);
    await refused(get(strings, { p: 'a' }), 'The provided key element does not match the schema');
    await refused(get(binaries, { p: bytes(), s: bytes(1) }), 'cannot contain an empty binary value. Key: p');
  });

  it('meet items over 400 KB, measured in bytes of names and values', async () => {
    const fill = (size: number) => ({ p: 'big', s: 'x', v: 'é'.repeat((size - 7) / 2) });
    await put(strings, fill(409_599));
    await refused(put(strings, fill(409_601)), 'Item size has exceeded the maximum allowed size');
  });

  it('meet documents that go deeper than 32 levels', async () => {
    const nested = (levels: number): unknown => (levels === 0 ? 'leaf' : { n: nested(levels - 1) });
    await put(strings, { p: 'deep', s: '31', v: nested(31) });
    await refused(
      put(strings, { p: 'deep', s: '32', v: nested(32) }),
      'Nesting Levels have exceeded supported limits',
    );
  });

  it('meet expressions that are too long, use reserved words, or leave names or values unused', async () => {
    const update = (more: Record<string, unknown>) =>
      db.documents.send(
        new UpdateCommand({
          TableName: strings,
          Key: { p: 'r', s: 'r' },
          UpdateExpression: 'REMOVE x',
          ...more,
        }),
      );
    await refused(update({ UpdateExpression: `REMOVE ${'a'.repeat(4100)}` }), 'Expression size has exceeded');
    await refused(update({ UpdateExpression: 'REMOVE ttl' }), 'reserved keyword');
    await refused(update({ ExpressionAttributeNames: { '#n': 'a' } }), 'unused in expressions: keys: {#n}');
    await refused(update({ UpdateExpression: 'SET x = 1' }), 'Syntax error');
    await refused(update({ UpdateExpression: 'REMOVE p' }), 'This attribute is part of the key');
  });

  it('meet batches that are too large or name an item twice', async () => {
    const requests = (count: number) =>
      Array.from({ length: count }, (_, i) => ({ PutRequest: { Item: { p: 'batch', s: String(i % 26) } } }));
    const write = (count: number) =>
      db.documents.send(new BatchWriteCommand({ RequestItems: { [strings]: requests(count) } }));
    expect((await write(25)).UnprocessedItems).toEqual({});
    await refused(write(26), 'Member must have length less than or equal to 25');
    const twice = { PutRequest: { Item: { p: 'a', s: 'a' } } };
    await refused(
      db.documents.send(new BatchWriteCommand({ RequestItems: { [strings]: [twice, twice] } })),
      'contains duplicates',
    );
    const Keys = Array.from({ length: 100 }, (_, i) => ({ p: 'batch', s: String(i) }));
    const read = await db.documents.send(new BatchGetCommand({ RequestItems: { [strings]: { Keys } } }));
    expect(read.Responses?.[strings]).toHaveLength(25);
    const tooMany = [...Keys, { p: 'batch', s: '100' }];
    await refused(
      db.documents.send(new BatchGetCommand({ RequestItems: { [strings]: { Keys: tooMany } } })),
      /Too many items|less than or equal to 100/,
    );
  });
});

describe('a batch of reads', () => {
  it('brings whole megabytes, and gives back the keys beyond sixteen', async () => {
    const name = await db.table();
    const keys = Array.from({ length: 50 }, (_, i) => ({ p: `large-${i}`, s: 's' }));
    for (const key of keys) await put(name, { ...key, v: 'x'.repeat(390_000) });
    const request = { Keys: keys, ProjectionExpression: 'p' };
    const { Responses, UnprocessedKeys } = await db.documents.send(
      new BatchGetCommand({ RequestItems: { [name]: request } }),
    );
    const found = Responses![name]!.map(({ p }) => p);
    const left = UnprocessedKeys![name]!;
    expect(found.length).toBe(Math.floor((16 * 1024 * 1024) / 390_010));
    expect([...found, ...left.Keys!.map(({ p }) => p)].sort()).toEqual(keys.map(({ p }) => p).sort());
    expect(left).toMatchObject({ ProjectionExpression: 'p' });
  });
});

describe('capacity', () => {
  const measure = { ReturnConsumedCapacity: 'TOTAL' } as const;
  const query = async (p: string, more: Record<string, unknown> = {}) => {
    const { ConsumedCapacity } = await db.documents.send(
      new QueryCommand({
        TableName: strings,
        KeyConditionExpression: 'p = :p',
        ExpressionAttributeValues: { ':p': p },
        ...measure,
        ...more,
      }),
    );
    return ConsumedCapacity?.CapacityUnits;
  };

  it('of a query is the sum of the items, rounded up once, half of it when eventually consistent', async () => {
    await Promise.all(
      Array.from({ length: 10 }, (_, i) => put(strings, { p: 'cap', s: String(i), v: 'x'.repeat(1000) })),
    );
    // 10 × (1 + 3 + 1 + 1 + 1 + 1000) = 10,070 bytes: three times 4 KB.
    expect(await query('cap', { ConsistentRead: true })).toBe(3);
    expect(await query('cap')).toBe(1.5);
    expect(await query('cap', { ConsistentRead: true, Limit: 4 })).toBe(1);
    const filter = { FilterExpression: 'attribute_exists(nothing)', ConsistentRead: true };
    expect(await query('cap', filter)).toBe(3);
    expect(await query('cap', { ConsistentRead: true, Select: 'COUNT' })).toBe(3);
  });

  it('of a write is the larger of before and after, of a read the item or the minimum', async () => {
    const key = { p: 'units', s: 'a' };
    const write = async (size: number) => {
      const item = { ...key, v: 'x'.repeat(size) };
      const answer = await db.documents.send(new PutCommand({ TableName: strings, Item: item, ...measure }));
      return answer.ConsumedCapacity?.CapacityUnits;
    };
    expect(await write(3000)).toBe(3);
    expect(await write(10)).toBe(3);
    expect(await write(10)).toBe(1);
    const read = async (Key: Record<string, string>, ConsistentRead: boolean) => {
      const answer = await db.documents.send(
        new GetCommand({ TableName: strings, Key, ConsistentRead, ...measure }),
      );
      return answer.ConsumedCapacity?.CapacityUnits;
    };
    expect(await read(key, true)).toBe(1);
    expect(await read(key, false)).toBe(0.5);
    expect(await read({ p: 'units', s: 'absent' }, true)).toBe(1);
  });
});

describe('pages', () => {
  it('end at one megabyte and go on from there', async () => {
    const name = await db.table();
    const items = Array.from({ length: 8 }, (_, i) => ({ p: 'page', s: String(i), v: 'x'.repeat(300_000) }));
    await Promise.all(items.map((item) => put(name, item)));
    const first = await db.documents.send(
      new QueryCommand({
        TableName: name,
        KeyConditionExpression: 'p = :p',
        ExpressionAttributeValues: { ':p': 'page' },
      }),
    );
    expect(first.Items).toHaveLength(4);
    expect(first.LastEvaluatedKey).toEqual({ p: 'page', s: '3' });
  });

  it('of a scan find every item once, in any number of segments', async () => {
    const name = await db.table();
    const all = Array.from({ length: 40 }, (_, i) => `item-${i}`);
    await Promise.all(all.map((p) => put(name, { p, s: 's' })));
    const segment = async (Segment: number) => {
      const { Items } = await db.documents.send(
        new ScanCommand({ TableName: name, Segment, TotalSegments: 3 }),
      );
      return Items!.map(({ p }) => String(p));
    };
    const found = (await Promise.all([0, 1, 2].map(segment))).flat();
    expect(found.sort()).toEqual(all.sort());
  });
});

it('two hundred additions at once all count', async () => {
  const add = () =>
    db.documents.send(
      new UpdateCommand({
        TableName: strings,
        Key: { p: 'counter', s: 'n' },
        UpdateExpression: 'ADD n :one',
        ExpressionAttributeValues: { ':one': 1 },
      }),
    );
  await Promise.all(Array.from({ length: 200 }, add));
  expect(await get(strings, { p: 'counter', s: 'n' })).toMatchObject({ n: 200 });
});
