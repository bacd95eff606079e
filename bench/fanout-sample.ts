/**
 * A broadcast in the way of AWS's sample chat application, to compare with: one table of connection ids, which is
 * scanned whole for each message, and a post to each with the SDK's client, all of them begun at once; who is gone is
 * deleted. Two things are added: pages of the scan after the first, and a room to filter by, where the sample posts to
 * everybody. `[DynamoDB endpoint, callback URL, region, key id, secret]`.
 */
import {
  ApiGatewayManagementApiClient,
  PostToConnectionCommand,
} from '@aws-sdk/client-apigatewaymanagementapi';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { DeleteCommand, DynamoDBDocumentClient, ScanCommand } from '@aws-sdk/lib-dynamodb';
import { whenAsked } from './child.ts';

export interface SampleMessage {
  readonly table: string;
  readonly room: string;
  readonly frame: string;
}

// The SDK warns of what is measured here: that requests wait for one of its 50 connections.
console.warn = () => {};

const [database = '', callback = '', region = '', accessKeyId = '', secretAccessKey = ''] =
  process.argv.slice(2);
const credentials = { accessKeyId, secretAccessKey };
const documents = DynamoDBDocumentClient.from(
  new DynamoDBClient({ endpoint: database, region, credentials }),
);
const management = new ApiGatewayManagementApiClient({ endpoint: callback, region, credentials });

interface Listed {
  readonly id: string;
  readonly connectionId: string;
}

async function listed(TableName: string, room: string): Promise<Listed[]> {
  const found: Listed[] = [];
  let ExclusiveStartKey: Record<string, unknown> | undefined;
  do {
    const page = await documents.send(
      new ScanCommand({
        TableName,
        ProjectionExpression: 'id, connectionId',
        FilterExpression: 'room = :room',
        ExpressionAttributeValues: { ':room': room },
        ...(ExclusiveStartKey === undefined ? {} : { ExclusiveStartKey }),
      }),
    );
    found.push(...((page.Items ?? []) as Listed[]));
    ExclusiveStartKey = page.LastEvaluatedKey;
  } while (ExclusiveStartKey !== undefined);
  return found;
}

async function post(TableName: string, { id, connectionId }: Listed, frame: string): Promise<void> {
  try {
    await management.send(new PostToConnectionCommand({ ConnectionId: connectionId, Data: frame }));
  } catch (error) {
    if ((error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode !== 410) throw error;
    await documents.send(new DeleteCommand({ TableName, Key: { id } }));
  }
}

/** Answers with the CPU time that it took; ms. */
whenAsked<SampleMessage>(async ({ table, room, frame }) => {
  const before = process.cpuUsage();
  const all = await listed(table, room);
  await Promise.all(all.map((each) => post(table, each, frame)));
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
});
process.once('disconnect', () => process.exit());
process.send?.('ready');
