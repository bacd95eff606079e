/** Makes the tables of the template, in whichever DynamoDB there is. */
import type { TableDefinition } from '../template/deployment.ts';

/** One DynamoDB operation, as after `DynamoDB_20120810.` in the target. */
export type DynamoDbCall = (
  operation: string,
  request: Readonly<Record<string, unknown>>,
) => Promise<{ readonly status: number; readonly body: unknown }>;

/** A table could not be made. */
class TableError extends Error {
  override readonly name = 'TableError';
  readonly code = 'table_not_created';
  readonly retryable = false;
}

/** Creates each table that is not there yet, and its TTL, recovery and protection settings. @throws TableError */
export async function createTables(tables: readonly TableDefinition[], call: DynamoDbCall): Promise<void> {
  await Promise.all(tables.map((table) => createTable(table, call)));
}

async function createTable(table: TableDefinition, call: DynamoDbCall): Promise<void> {
  const { name: TableName, partitionKey, sortKey, timeToLiveAttribute } = table;
  const keys = [partitionKey, ...(sortKey === undefined ? [] : [sortKey])];
  const existed = await send(call, 'CreateTable', {
    TableName,
    AttributeDefinitions: keys.map(({ name, type }) => ({ AttributeName: name, AttributeType: type })),
    KeySchema: keys.map(({ name }, index) => ({
      AttributeName: name,
      KeyType: index === 0 ? 'HASH' : 'RANGE',
    })),
    BillingMode: 'PAY_PER_REQUEST',
    ...(table.deletionProtection ? { DeletionProtectionEnabled: true } : {}),
  });
  // A table that outlived an earlier start has its settings, and DynamoDB refuses to enable its TTL again.
  if (existed) return;
  if (timeToLiveAttribute !== undefined) {
    await send(call, 'UpdateTimeToLive', {
      TableName,
      TimeToLiveSpecification: { AttributeName: timeToLiveAttribute, Enabled: true },
    });
  }
  if (table.pointInTimeRecovery) await enableRecovery(TableName, call);
}

/** DynamoDB Local has no backups and says so; a laptop can do without. */
async function enableRecovery(TableName: string, call: DynamoDbCall): Promise<void> {
  await call('UpdateContinuousBackups', {
    TableName,
    PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
  });
}

/** Whether the thing had been there already. */
async function send(
  call: DynamoDbCall,
  operation: string,
  request: Record<string, unknown>,
): Promise<boolean> {
  const { status, body } = await call(operation, request);
  if (status < 300) return false;
  const text = JSON.stringify(body);
  if (text.includes('ResourceInUseException')) return true;
  throw new TableError(`${operation} of ${String(request.TableName)} answered ${status}: ${text}`);
}
