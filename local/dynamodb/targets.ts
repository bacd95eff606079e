/** Which items an operation is about, as far as its request shows it: for quotas, before anything is checked. */
import type { AttributeValue, Item } from './attribute-value.ts';
import type { Request } from './call.ts';
import { db, type TableDescription } from './dynalite.ts';
import { batchEntries } from './partial-batch.ts';
import type { MemoryStore } from './store.ts';

/** An item, or for a query all items of one partition key. */
export interface Target {
  readonly table: TableDescription;
  /** Key attributes among others. */
  readonly key: Item;
  readonly access: 'read' | 'write';
  readonly isConsistent: boolean;
  /** The entry of a batch it comes from. */
  readonly entry?: Readonly<Record<string, unknown>>;
}

type Members = Readonly<Record<string, unknown>>;

const READS = new Set(['GetItem', 'Query', 'BatchGetItem', 'TransactGetItems']);

/** Targets in the order of the request; none where an operation has no partition key, or the request no such form. */
export function targetsOf(operation: string, request: Request, store: MemoryStore): Target[] {
  const access = READS.has(operation) ? 'read' : 'write';
  return parts(operation, request).flatMap(({ members, entry }) => {
    const table = store.tableDb.rows.get(String(members.TableName));
    const key = members.Key ?? members.Item ?? (table && queriedKey(members, table));
    if (table === undefined || !isMembers(key)) return [];
    const isConsistent = members.ConsistentRead === true;
    return [
      { table, key: key as Item, access, isConsistent, ...(entry === undefined ? {} : { entry }) } as const,
    ];
  });
}

/** The value of the partition key; undefined where the request has none. */
export function partitionOf({ table, key }: Pick<Target, 'table' | 'key'>): AttributeValue | undefined {
  const name = table.KeySchema[0]?.AttributeName;
  return name === undefined ? undefined : key[name];
}

/** The key attributes alone; undefined where they are not a key of the table, which the operation will say. */
export function keyOf({ table, key }: Pick<Target, 'table' | 'key'>): Item | undefined {
  const names = table.KeySchema.map(({ AttributeName }) => AttributeName);
  const wanted = Object.fromEntries(names.flatMap((name) => (key[name] ? [[name, key[name]]] : [])));
  const problem = db.validateKey(wanted, table);
  return problem === undefined || problem === null ? wanted : undefined;
}

interface Part {
  readonly members: Members;
  readonly entry?: Members;
}

function parts(operation: string, request: Request): Part[] {
  switch (operation) {
    case 'GetItem':
    case 'PutItem':
    case 'UpdateItem':
    case 'DeleteItem':
    case 'Query':
      return [{ members: request }];
    case 'TransactGetItems':
    case 'TransactWriteItems':
      return members(request.TransactItems).flatMap((action) =>
        Object.values(action)
          .filter(isMembers)
          .map((part) => ({ members: part })),
      );
    case 'BatchGetItem':
      return batchEntries(request).map(({ table, entry }) => {
        const { ConsistentRead } = (request.RequestItems as Readonly<Record<string, Members>>)[table] ?? {};
        return { members: { TableName: table, Key: entry, ConsistentRead }, entry };
      });
    case 'BatchWriteItem':
      return batchEntries(request).map(({ table, entry }) => {
        const [write] = Object.values(entry).filter(isMembers);
        return { members: { ...write, TableName: table }, entry };
      });
    default:
      return [];
  }
}

const EQUALITY = /([#\w.-]+)\s*=\s*(:\w+)/g;

/** The partition key of `p = :p` or of `KeyConditions`; of an index there is none, that is another partition. */
function queriedKey(query: Members, table: TableDescription): Item | undefined {
  const name = table.KeySchema[0]?.AttributeName;
  if (name === undefined || query.IndexName !== undefined) return undefined;
  const value = conditionValue(query, name) ?? legacyValue(query, name);
  return isMembers(value) ? { [name]: value as AttributeValue } : undefined;
}

function conditionValue(query: Members, name: string): unknown {
  const { ExpressionAttributeNames: names, ExpressionAttributeValues: values } = query;
  for (const [, left = '', right = ''] of String(query.KeyConditionExpression ?? '').matchAll(EQUALITY)) {
    const attribute = left.startsWith('#') && isMembers(names) ? names[left] : left;
    if (attribute === name && isMembers(values)) return values[right];
  }
  return undefined;
}

function legacyValue({ KeyConditions: conditions }: Members, name: string): unknown {
  const condition = isMembers(conditions) ? conditions[name] : undefined;
  return isMembers(condition) && Array.isArray(condition.AttributeValueList)
    ? condition.AttributeValueList[0]
    : undefined;
}

function members(list: unknown): Members[] {
  return Array.isArray(list) ? list.filter(isMembers) : [];
}

function isMembers(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
