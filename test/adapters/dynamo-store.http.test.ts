/** The same behaviour through the SDK: its own conversions and errors. DYNAMODB_ENDPOINT names another table service. */
import { randomBytes } from 'node:crypto';
import { CreateTableCommand, DynamoDBClient, waitUntilTableExists } from '@aws-sdk/client-dynamodb';
import { DynamoDBDocumentClient, GetCommand, PutCommand } from '@aws-sdk/lib-dynamodb';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { DynamoStore } from '../../lambdas/adapters/dynamo-store.ts';
import {
  connectionRow,
  type Row,
  readConnection,
  readSocket,
  socketRow,
} from '../../lambdas/adapters/rows.ts';
import { DynamoDbFront } from '../../local/dynamodb/front.ts';
import { serveDynamoDb } from '../../local/dynamodb/server.ts';
import { FakeClock, SeededRandom } from '../support/world.ts';
import { connectionRecord, socketRecord } from './arbitraries.ts';
import { storeCases } from './store.cases.ts';

const given = process.env.DYNAMODB_ENDPOINT;
const service = given === undefined ? await serveDynamoDb(DynamoDbFront.create({})) : undefined;
const client = new DynamoDBClient({
  endpoint: given ?? service?.endpoint ?? '',
  region: 'us-east-1',
  credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
});
const documents = DynamoDBDocumentClient.from(client, { marshallOptions: { removeUndefinedValues: true } });

afterAll(async () => {
  client.destroy();
  await service?.close();
});

async function emptyTable(): Promise<string> {
  const TableName = `bus-${randomBytes(6).toString('hex')}`;
  await client.send(
    new CreateTableCommand({
      TableName,
      AttributeDefinitions: [
        { AttributeName: 'p', AttributeType: 'B' },
        { AttributeName: 's', AttributeType: 'B' },
      ],
      KeySchema: [
        { AttributeName: 'p', KeyType: 'HASH' },
        { AttributeName: 's', KeyType: 'RANGE' },
      ],
      BillingMode: 'PAY_PER_REQUEST',
    }),
  );
  await waitUntilTableExists({ client, maxWaitTime: 30, minDelay: 0.05, maxDelay: 0.5 }, { TableName });
  return TableName;
}

describe('through the SDK', () => {
  storeCases(async ({ isHot }) => {
    const table = await emptyTable();
    const clock = new FakeClock();
    return {
      clock,
      store: new DynamoStore({ client: documents, table, clock, random: new SeededRandom(1), isHot }),
    };
  });
});

describe('a row that went to the table and back through the SDK is read as it was', async () => {
  const TableName = await emptyTable();
  const stored = async (row: Row): Promise<Row> => {
    await documents.send(new PutCommand({ TableName, Item: row }));
    const { Item } = await documents.send(new GetCommand({ TableName, Key: { p: row.p, s: row.s } }));
    return Item!;
  };

  test('for a connection', async () => {
    await fc.assert(
      fc.asyncProperty(connectionRecord, async (connection) => {
        expect(readConnection(await stored(connectionRow(connection)))).toStrictEqual(connection);
      }),
    );
  });

  test('for a socket', async () => {
    await fc.assert(
      fc.asyncProperty(socketRecord, async (socket) => {
        expect(readSocket(await stored(socketRow(socket)))).toStrictEqual(socket);
      }),
    );
  });
});
