import { randomBytes } from 'node:crypto';
import {
  type AttributeDefinition,
  CreateTableCommand,
  DeleteTableCommand,
  DynamoDBClient,
  type KeySchemaElement,
  waitUntilTableExists,
} from '@aws-sdk/client-dynamodb';
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { DynamoDbFront } from '../../../local/dynamodb/front.ts';
import { serveDynamoDb } from '../../../local/dynamodb/server.ts';

/** A DynamoDB to test: the one at DYNAMODB_ENDPOINT, or a new local one. */
export interface Harness {
  readonly client: DynamoDBClient;
  readonly documents: DynamoDBDocumentClient;
  /**
   * Whether it is ours. DynamoDB Local refuses the same requests in other words than DynamoDB, has no backups, checks
   * keys before it begins a transaction and counts a transaction's units twice: what AWS documents is held to by ours.
   */
  readonly isOurs: boolean;
  /** The front behind it, unless it is somebody else's. */
  readonly front: DynamoDbFront | undefined;
  /** Makes a table with a partition key `p` and a sort key `s` of a type, ready for use; gives its name. */
  table(type?: 'S' | 'N' | 'B'): Promise<string>;
  close(): Promise<void>;
}

export async function startHarness(): Promise<Harness> {
  const { DYNAMODB_ENDPOINT: given } = process.env;
  const front = given === undefined ? DynamoDbFront.create() : undefined;
  const server = front === undefined ? undefined : await serveDynamoDb(front);
  const client = new DynamoDBClient({
    endpoint: given ?? server!.endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
    maxAttempts: 1,
  });
  const names: string[] = [];
  return {
    client,
    documents: DynamoDBDocumentClient.from(client),
    front,
    isOurs: front !== undefined,
    async table(type = 'S') {
      const name = `test-${randomBytes(6).toString('hex')}`;
      await client.send(
        new CreateTableCommand({
          TableName: name,
          BillingMode: 'PAY_PER_REQUEST',
          KeySchema: keys,
          AttributeDefinitions: attributesOf(type),
        }),
      );
      if (front === undefined) await waitUntilTableExists({ client, maxWaitTime: 30 }, { TableName: name });
      names.push(name);
      return name;
    },
    async close() {
      await Promise.all(names.map((name) => client.send(new DeleteTableCommand({ TableName: name }))));
      client.destroy();
      await server?.close();
      await front?.close();
    },
  };
}

const keys: KeySchemaElement[] = [
  { AttributeName: 'p', KeyType: 'HASH' },
  { AttributeName: 's', KeyType: 'RANGE' },
];

function attributesOf(type: 'S' | 'N' | 'B'): AttributeDefinition[] {
  return keys.map(({ AttributeName }) => ({ AttributeName, AttributeType: type }));
}

/** The error a call is refused with; fails if it is not refused. */
export async function refusalOf<T extends Error>(call: Promise<unknown>): Promise<T> {
  return call.then(
    () => {
      throw new Error('the call was not refused');
    },
    (error: T) => error,
  );
}
