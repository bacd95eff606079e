/**
 * An in-process bus table, and a document client that calls it without HTTP, signatures or JSON text in between:
 * tests that run thousands of orders of calls need calls of microseconds. The integration tests use the real client.
 */
import { TransactionCanceledException } from '@aws-sdk/client-dynamodb';
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { DynamoDbFront, type DynamoDbOptions } from '../../local/dynamodb/front.ts';

export const BUS_TABLE = 'bus';

type AttributeValue = Record<string, unknown>;
type Row = Record<string, AttributeValue>;

export interface BusTable {
  readonly client: DynamoDBDocumentClient;
  rows(): Promise<Row[]>;
  /** Puts rows as `rows` returned them: the way back to a state without repeating what led to it. */
  restore(rows: readonly Row[]): Promise<void>;
}

/** @param options by default nothing is throttled */
export async function busTable(options: DynamoDbOptions = {}): Promise<BusTable> {
  const front = DynamoDbFront.create(options);
  const call = async (
    operation: string,
    request: Record<string, unknown>,
  ): Promise<Record<string, unknown>> => {
    const reply = await front.handle(operation, request);
    if (reply.status === 200) return reply.body as Record<string, unknown>;
    throw serviceError(reply.body as ServiceError);
  };
  await call('CreateTable', {
    TableName: BUS_TABLE,
    AttributeDefinitions: [
      { AttributeName: 'p', AttributeType: 'B' },
      { AttributeName: 's', AttributeType: 'B' },
    ],
    KeySchema: [
      { AttributeName: 'p', KeyType: 'HASH' },
      { AttributeName: 's', KeyType: 'RANGE' },
    ],
    BillingMode: 'PAY_PER_REQUEST',
  });
  const send = async (command: { constructor: { name: string }; input: Record<string, unknown> }) => {
    const operation = OPERATIONS[command.constructor.name.replace(/Command$/, '')];
    if (operation === undefined) throw new Error(`no operation for ${command.constructor.name}`);
    return document(await call(operation, request(command.input)));
  };
  return {
    client: { send } as unknown as DynamoDBDocumentClient,
    rows: async () => (await call('Scan', { TableName: BUS_TABLE })).Items as Row[],
    restore: async (rows) => {
      for (const row of rows) await call('PutItem', { TableName: BUS_TABLE, Item: row });
    },
  };
}

const OPERATIONS: Readonly<Record<string, string>> = {
  Get: 'GetItem',
  Put: 'PutItem',
  Update: 'UpdateItem',
  Delete: 'DeleteItem',
  Query: 'Query',
  BatchGet: 'BatchGetItem',
  TransactWrite: 'TransactWriteItems',
};

/** Request fields that hold native values; everything else is passed on as it is. */
const NATIVE = new Set(['Key', 'Item', 'ExpressionAttributeValues', 'ExclusiveStartKey']);
const STORED = new Set(['Item', 'Attributes', 'LastEvaluatedKey']);

function request(input: unknown): Record<string, unknown> {
  if (Array.isArray(input)) return input.map(request) as never;
  if (typeof input !== 'object' || input === null) return input as never;
  return Object.fromEntries(
    Object.entries(input).map(([name, value]) => {
      if (name === 'Keys') return [name, (value as object[]).map(marshalled)];
      return [name, NATIVE.has(name) ? marshalled(value as object) : request(value)];
    }),
  );
}

function document(body: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(body).map(([name, value]) => {
      if (name === 'Items') return [name, (value as Row[]).map(unmarshalled)];
      if (name === 'Responses') {
        const tables = Object.entries(value as Record<string, Row[]>);
        return [name, Object.fromEntries(tables.map(([table, rows]) => [table, rows.map(unmarshalled)]))];
      }
      return [name, STORED.has(name) ? unmarshalled(value as Row) : value];
    }),
  );
}

function marshalled(record: object): Row {
  return Object.fromEntries(
    Object.entries(record).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, attribute(value)]],
    ),
  );
}

function attribute(value: unknown): AttributeValue {
  if (typeof value === 'string') return { S: value };
  if (typeof value === 'number') return { N: String(value) };
  if (typeof value === 'boolean') return { BOOL: value };
  if (value === null) return { NULL: true };
  if (value instanceof Uint8Array) return { B: Buffer.from(value).toString('base64') };
  if (value instanceof Set) return { SS: [...value] };
  if (Array.isArray(value)) return { L: value.map(attribute) };
  return { M: marshalled(value as object) };
}

function unmarshalled(row: Row): Record<string, unknown> {
  return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, native(value)]));
}

function native(value: AttributeValue): unknown {
  const [[type, content] = []] = Object.entries(value);
  if (type === 'N') return Number(content);
  if (type === 'B') return new Uint8Array(Buffer.from(String(content), 'base64'));
  if (type === 'NULL') return null;
  if (type === 'SS') return new Set(content as string[]);
  if (type === 'L') return (content as AttributeValue[]).map(native);
  if (type === 'M') return unmarshalled(content as Row);
  return content;
}

interface ServiceError {
  readonly __type: string;
  readonly message?: string;
  readonly Message?: string;
  readonly CancellationReasons?: readonly { readonly Code?: string; readonly Item?: Row }[];
}

function serviceError(body: ServiceError): Error {
  const name = body.__type.split('#').at(-1) ?? '';
  const message = body.message ?? body.Message ?? '';
  if (name !== 'TransactionCanceledException') return Object.assign(new Error(message), { name });
  const CancellationReasons = (body.CancellationReasons ?? []).map((reason) =>
    reason.Item === undefined ? reason : { ...reason, Item: withBytes(reason.Item) },
  );
  return new TransactionCanceledException({
    message,
    $metadata: {},
    CancellationReasons: CancellationReasons as never,
  });
}

/** The SDK hands out binary attributes as bytes even where it leaves the attribute values as they are. */
function withBytes(row: Row): Row {
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => [
      name,
      typeof value.B === 'string' ? { B: new Uint8Array(Buffer.from(value.B, 'base64')) } : value,
    ]),
  );
}
