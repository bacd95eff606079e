/**
 * What a call of DynamoDB needs to be allowed. Source: Service Authorization Reference, "Actions, resources, and condition
 * keys for Amazon DynamoDB"; developer guide, "IAM policies for transactions": a transaction needs the actions of its
 * parts, and no action of its own.
 */
import type { Need } from './policy.ts';

export interface Home {
  readonly region: string;
  readonly accountId: string;
}

type Fields = Readonly<Record<string, unknown>>;

const TRANSACTION_ACTIONS: Readonly<Record<string, string>> = {
  Put: 'PutItem',
  Update: 'UpdateItem',
  Delete: 'DeleteItem',
  ConditionCheck: 'ConditionCheckItem',
  Get: 'GetItem',
};

/**
 * The needs of one operation, each once. What is malformed needs nothing: the operation itself refuses it. An operation
 * that names no table at all, like `ListTables` or PartiQL, needs its action on `*`.
 */
export function dynamoDbNeeds(operation: string, request: Fields, home: Home): Need[] {
  if (operation === 'TransactWriteItems' || operation === 'TransactGetItems')
    return distinct(listOf(request.TransactItems).flatMap((item) => partNeeds(item, home)));
  if (operation === 'BatchGetItem' || operation === 'BatchWriteItem') {
    const tables = Object.keys(fieldsOf(request.RequestItems));
    return tables.map((name) => need(operation, tableArn(name, home)));
  }
  if (request.ResourceArn !== undefined) return [need(operation, String(request.ResourceArn))];
  if (typeof request.TableName !== 'string') return [need(operation, '*')];
  const table = tableArn(request.TableName, home);
  const index = request.IndexName;
  return [need(operation, typeof index === 'string' ? `${table}/index/${index}` : table)];
}

function partNeeds(item: unknown, home: Home): Need[] {
  return Object.entries(fieldsOf(item)).flatMap(([kind, part]) => {
    const { TableName: name } = fieldsOf(part);
    const action = TRANSACTION_ACTIONS[kind];
    return action === undefined || typeof name !== 'string' ? [] : [need(action, tableArn(name, home))];
  });
}

/** A table may be named by its ARN as well. */
function tableArn(name: string, { region, accountId }: Home): string {
  return name.startsWith('arn:') ? name : `arn:aws:dynamodb:${region}:${accountId}:table/${name}`;
}

function need(operation: string, resource: string): Need {
  return { action: `dynamodb:${operation}`, resource };
}

function distinct(needs: readonly Need[]): Need[] {
  return [...new Map(needs.map((one) => [`${one.action} ${one.resource}`, one])).values()];
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {};
}
