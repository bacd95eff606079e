/** Rows that a bench writes straight into the local DynamoDB: as the store writes them, and faster. */
import { randomBytes } from 'node:crypto';
import { groupKey, HOT_SHARDS, idBytes, memberKey } from '../lambdas/adapters/keys.ts';
import { connectionRow, membershipRow, type Row, socketRow } from '../lambdas/adapters/rows.ts';
import type { Group } from '../lambdas/bus/ports.ts';
import type { AttributeValue, Item } from '../local/dynamodb/attribute-value.ts';
import type { LocalStack } from '../local/stack.ts';

const NAMESPACE = '/';
/** Most writes of one BatchWriteItem (ServiceQuotas). */
const BATCH = 25;

/** Writes items, one batch after the other. @throws where one is refused or left undone */
export async function write(stack: LocalStack, table: string, items: Iterable<Item>): Promise<void> {
  let batch: Item[] = [];
  const flush = async () => {
    if (batch.length === 0) return;
    const RequestItems = { [table]: batch.map((Item) => ({ PutRequest: { Item } })) };
    batch = [];
    const reply = await stack.dynamodb?.handle('BatchWriteItem', { RequestItems });
    const { UnprocessedItems = {} } = (reply?.body ?? {}) as { UnprocessedItems?: object };
    if (reply?.status !== 200 || Object.keys(UnprocessedItems).length > 0)
      throw new Error(`items were not written: ${JSON.stringify(reply)}`);
  };
  for (const each of items) {
    batch.push(each);
    if (batch.length === BATCH) await flush();
  }
  await flush();
}

/** As many members of a room, each on one of these connections in turn. */
export function* members(room: string, count: number, connections: readonly string[]): Generator<Item> {
  const p = groupKey({ kind: 'room', namespace: NAMESPACE, room }, 0);
  for (let n = 0; n < count; n += 1)
    yield itemOf(membershipRow({ p, s: randomBytes(15) }, connectionOf(connections, n), Date.now()));
}

/** Connections with a socket each, two and two in a room: four rows each. */
export function* strangers(from: number, to: number): Generator<Item> {
  const connectedAt = Date.now();
  const handshake = {
    headers: { host: 'shop.example', 'user-agent': 'Mozilla/5.0 (X11; Linux x86_64)' },
    query: { EIO: '4', transport: 'websocket' },
    address: '192.0.2.1',
    secure: true,
    xdomain: false,
    issued: connectedAt,
  };
  for (let n = from; n < to; n += 1) {
    const connectionId = unknownConnection();
    const id = randomBytes(15).toString('base64url');
    const room = `conversation_${Math.floor(n / 2)}`;
    const groups: [Group, number][] = [
      [{ kind: 'namespace', namespace: NAMESPACE }, HOT_SHARDS],
      [{ kind: 'room', namespace: NAMESPACE, room }, 1],
    ];
    const common = { connectionId, connectedAt, handshake };
    yield itemOf(
      connectionRow({
        ...common,
        id: connectionId,
        open: true,
        credentials: {},
        namespaces: { [NAMESPACE]: id },
        left: {},
      }),
    );
    yield itemOf(
      socketRow({
        ...common,
        namespace: NAMESPACE,
        id,
        state: 'open',
        rooms: { [room]: connectedAt },
        identities: {},
        data: { 'storefront-chat:customerId': n },
        hooksDue: true,
      }),
    );
    for (const [group, shards] of groups)
      yield itemOf(membershipRow(memberKey(group, idBytes(id), shards), connectionId, connectedAt));
  }
}

/** What the sample's table holds of as many connections of a room. */
export function* sampleRows(
  room: string,
  from: number,
  to: number,
  connections?: readonly string[],
): Generator<Item> {
  for (let n = from; n < to; n += 1) {
    const connectionId = connections === undefined ? unknownConnection() : connectionOf(connections, n);
    // The sample's key is the connection id; here several members share one.
    yield itemOf({ id: `${room}:${n}`, connectionId, room });
  }
}

/** A table as the sample has one. */
export async function createSampleTable(stack: LocalStack, TableName: string): Promise<void> {
  const reply = await stack.dynamodb?.handle('CreateTable', {
    TableName,
    AttributeDefinitions: [{ AttributeName: 'id', AttributeType: 'S' }],
    KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
    BillingMode: 'PAY_PER_REQUEST',
  });
  if (reply?.status !== 200) throw new Error(`${TableName} was not created: ${JSON.stringify(reply)}`);
}

/** Everything in a table. */
export async function itemsOf(stack: LocalStack, TableName: string): Promise<Item[]> {
  const items: Item[] = [];
  let ExclusiveStartKey: unknown;
  do {
    const from = ExclusiveStartKey === undefined ? {} : { ExclusiveStartKey };
    const reply = await stack.dynamodb?.handle('Scan', { TableName, ...from });
    const page = reply?.body as { Items: Item[]; LastEvaluatedKey?: unknown };
    items.push(...page.Items);
    ExclusiveStartKey = page.LastEvaluatedKey;
  } while (ExclusiveStartKey !== undefined);
  return items;
}

/** The name of the bus table. */
export function busTable({ deployment }: LocalStack): string {
  const table = deployment.tables.find(({ name }) => /bus/i.test(name));
  if (table === undefined) throw new Error('the template has no bus table');
  return table.name;
}

function connectionOf(connections: readonly string[], n: number): string {
  const connection = connections[n % connections.length];
  if (connection === undefined) throw new Error('there are no connections');
  return connection;
}

function unknownConnection(): string {
  return `${randomBytes(11).toString('base64url')}=`;
}

function itemOf(row: Row): Item {
  return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, attributeOf(value)]));
}

function attributeOf(value: unknown): AttributeValue {
  if (typeof value === 'string') return { S: value };
  if (typeof value === 'number') return { N: String(value) };
  if (typeof value === 'boolean') return { BOOL: value };
  if (value instanceof Uint8Array) return { B: Buffer.from(value).toString('base64') };
  return { M: itemOf(value as Row) };
}
