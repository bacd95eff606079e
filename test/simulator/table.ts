/**
 * The bus table as a model of a hundred lines: the calls and expressions that the store makes, and no other. The local
 * DynamoDB checks everything as strictly as the service, and takes fifty times as long; a test holds the two against
 * each other. Rows are never changed in place.
 */
import { TransactionCanceledException } from '@aws-sdk/client-dynamodb';

export type Row = Readonly<Record<string, unknown>>;

export interface Command {
  readonly constructor: { readonly name: string };
  readonly input: Record<string, unknown>;
}

interface Write {
  readonly Key?: Row;
  readonly Item?: Row;
  readonly ConditionExpression?: string;
  readonly UpdateExpression?: string;
  readonly ExpressionAttributeNames?: Readonly<Record<string, string>>;
  readonly ExpressionAttributeValues?: Row;
  readonly ReturnValues?: string;
  readonly ReturnValuesOnConditionCheckFailure?: string;
}

export type TransactItem = Readonly<
  Record<'Put' | 'Update' | 'Delete' | 'ConditionCheck', Write | undefined>
>;

export class ModelTable {
  readonly #partitions = new Map<string, Map<string, Row>>();

  rows(): Row[] {
    return [...this.#partitions.values()].flatMap((partition) => [...partition.values()]);
  }

  /** Does at once what the command asks for. @throws what the SDK would. */
  perform(name: string, input: Record<string, unknown>): Record<string, unknown> {
    switch (name) {
      case 'Get':
        return { Item: this.#row(input.Key as Row) };
      case 'Put':
        this.#write('Put', input as Write);
        return {};
      case 'Delete':
        this.#write('Delete', input as Write);
        return {};
      case 'Update':
        return this.#update(input as Write);
      case 'Query':
        return { Items: this.#query(input) };
      case 'BatchGet':
        return { Responses: this.#batchGet(input) };
      case 'TransactWrite':
        this.#transact(input.TransactItems as TransactItem[]);
        return {};
      default:
        throw new Error(`the model knows no ${name}`);
    }
  }

  #row(key: Row): Row | undefined {
    return this.#partitions.get(text(key.p))?.get(text(key.s));
  }

  #set(row: Row): void {
    const p = text(row.p);
    const partition = this.#partitions.get(p) ?? new Map<string, Row>();
    this.#partitions.set(p, partition);
    partition.set(text(row.s), row);
  }

  #write(kind: string, write: Write): { readonly before: Row | undefined; readonly after: Row | undefined } {
    const key = write.Key ?? write.Item ?? {};
    const before = this.#row(key);
    if (!isMet(write, before ?? {}))
      throw Object.assign(new Error('The conditional request failed'), {
        name: 'ConditionalCheckFailedException',
      });
    if (kind === 'ConditionCheck') return { before, after: before };
    if (kind === 'Delete') {
      this.#partitions.get(text(key.p))?.delete(text(key.s));
      return { before, after: undefined };
    }
    const after = kind === 'Put' ? write.Item! : updated(write, before ?? write.Key!);
    this.#set(after);
    return { before, after };
  }

  #update(write: Write): Record<string, unknown> {
    const { before, after } = this.#write('Update', write);
    if (write.ReturnValues === 'ALL_NEW') return { Attributes: after };
    return write.ReturnValues === 'ALL_OLD' ? { Attributes: before } : {};
  }

  #query(input: Record<string, unknown>): Row[] {
    const { KeyConditionExpression, ExpressionAttributeValues, Limit, ExclusiveStartKey } = input;
    if (KeyConditionExpression !== 'p = :p' || ExclusiveStartKey !== undefined)
      throw new Error('the model knows no such query');
    const partition = this.#partitions.get(text((ExpressionAttributeValues as Row)[':p']));
    if (partition === undefined) return [];
    const sorted = [...partition].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, row]) => row);
    return Limit === undefined ? sorted : sorted.slice(0, Limit as number);
  }

  #batchGet(input: Record<string, unknown>): Record<string, Row[]> {
    const tables = Object.entries(input.RequestItems as Record<string, { readonly Keys: readonly Row[] }>);
    const rowsOf = (keys: readonly Row[]): Row[] =>
      keys.map((key) => this.#row(key)).filter((row) => row !== undefined);
    return Object.fromEntries(tables.map(([name, { Keys }]) => [name, rowsOf(Keys)]));
  }

  #transact(items: readonly TransactItem[]): void {
    const actions = items.map((item) => Object.entries(item)[0] as [string, Write]);
    const reasons = actions.map(([, write]) => {
      const row = this.#row(write.Key ?? write.Item ?? {}) ?? {};
      if (isMet(write, row)) return { Code: 'None' };
      const wanted = write.ReturnValuesOnConditionCheckFailure === 'ALL_OLD' && Object.keys(row).length > 0;
      return { Code: 'ConditionalCheckFailed', ...(wanted ? { Item: attributes(row) } : {}) };
    });
    if (reasons.some(({ Code }) => Code !== 'None')) throw cancelled(reasons);
    for (const [kind, write] of actions) this.#write(kind, write);
  }
}

export function cancelled(reasons: readonly object[]): TransactionCanceledException {
  return new TransactionCanceledException({
    message: 'Transaction cancelled',
    $metadata: {},
    CancellationReasons: reasons as never,
  });
}

/** The SDK hands out the row of a failed condition as attribute values; the store reads these kinds of it. */
function attributes(row: Row): Record<string, object> {
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => {
      if (typeof value === 'string') return [name, { S: value }];
      if (typeof value === 'boolean') return [name, { BOOL: value }];
      return [name, value instanceof Uint8Array ? { B: value } : {}];
    }),
  );
}

function text(bytes: unknown): string {
  const { buffer, byteOffset, byteLength } = bytes as Uint8Array;
  return Buffer.from(buffer, byteOffset, byteLength).toString('latin1');
}

function pathOf(write: Write, path: string): string[] {
  return path
    .split('.')
    .map((part) => (part.startsWith('#') ? write.ExpressionAttributeNames![part]! : part));
}

function valueAt(row: Row, path: readonly string[]): unknown {
  let value: unknown = row;
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Row)[part];
  }
  return value;
}

function isEqual(one: unknown, other: unknown): boolean {
  if (one instanceof Uint8Array && other instanceof Uint8Array) return Buffer.compare(one, other) === 0;
  return one === other;
}

function isMet(write: Write, row: Row): boolean {
  if (write.ConditionExpression === undefined) return true;
  return write.ConditionExpression.split(' AND ').every((term) => {
    const [, test, path] = /^(attribute_exists|attribute_not_exists)\((.+)\)$/.exec(term) ?? [];
    if (path !== undefined) {
      return (valueAt(row, pathOf(write, path)) !== undefined) === (test === 'attribute_exists');
    }
    const [left = '', sign, right = ''] = term.split(' ');
    const value = write.ExpressionAttributeValues?.[right];
    if (sign === '=') return isEqual(valueAt(row, pathOf(write, left)), value);
    const map = valueAt(row, pathOf(write, /^size\((.+)\)$/.exec(left)?.[1] ?? ''));
    if (sign !== '<=') throw new Error(`the model does not understand ${term}`);
    return map !== undefined && Object.keys(map as object).length <= (value as number);
  });
}

function updated(write: Write, before: Row): Row {
  const [, sets = '', removes = ''] =
    /^(?:SET (.+?))?\s*(?:REMOVE (.+))?$/.exec(write.UpdateExpression!) ?? [];
  let row = before;
  for (const clause of sets.matchAll(/(\S+) = (?:if_not_exists\((\S+), (\S+)\)|([^\s,]+))/g)) {
    const [, path = '', existing, fallback, direct] = clause;
    const value = write.ExpressionAttributeValues?.[direct ?? fallback ?? ''];
    const current = existing === undefined ? undefined : valueAt(before, pathOf(write, existing));
    row = replaced(row, pathOf(write, path), current ?? value);
  }
  for (const path of removes.split(', '))
    if (path !== '') row = replaced(row, pathOf(write, path), undefined);
  return row;
}

/** The row with another value at a path, or none; everything else is shared with the row before. */
function replaced(row: Row, path: readonly string[], value: unknown): Row {
  const [first = '', ...rest] = path;
  if (rest.length === 0 && value === undefined) {
    const { [first]: _, ...others } = row;
    return others;
  }
  if (rest.length === 0) return { ...row, [first]: value };
  const inner = row[first];
  if (typeof inner !== 'object' || inner === null) throw new Error(`no map at ${first} to write into`);
  return { ...row, [first]: replaced(inner as Row, rest, value) };
}
