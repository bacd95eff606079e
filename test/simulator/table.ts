/**
 * The bus table as a model of a hundred lines: the calls and expressions that the store makes, and no other. The local
 * DynamoDB checks everything as strictly as the service, and takes fifty times as long; a test holds the two against
 * each other. Rows are never changed in place.
 */
import { TransactionCanceledException } from '@aws-sdk/client-dynamodb';
import { isMet, type Names, type Row, updated } from './expressions.ts';

export interface Command {
  readonly constructor: { readonly name: string };
  readonly input: Record<string, unknown>;
}

interface Write extends Names {
  readonly Key?: Row;
  readonly Item?: Row;
  readonly ConditionExpression?: string;
  readonly UpdateExpression?: string;
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

  row(key: Row): Row | undefined {
    return this.#partitions.get(text(key.p))?.get(text(key.s));
  }

  /** Does at once what the command asks for. @throws what the SDK would. */
  perform(name: string, input: Record<string, unknown>): Record<string, unknown> {
    switch (name) {
      case 'Get':
        return { Item: this.row(input.Key as Row) };
      case 'Put':
        this.#write('Put', input as Write);
        return {};
      case 'Delete':
        this.#write('Delete', input as Write);
        return {};
      case 'Update':
        return this.#update(input as Write);
      case 'Query':
        return this.#query(input);
      case 'BatchGet':
        return { Responses: this.#batchGet(input) };
      case 'TransactWrite':
        this.#transact(input.TransactItems as TransactItem[]);
        return {};
      default:
        throw new Error(`the model knows no ${name}`);
    }
  }

  #set(row: Row): void {
    const p = text(row.p);
    const partition = this.#partitions.get(p) ?? new Map<string, Row>();
    this.#partitions.set(p, partition);
    partition.set(text(row.s), row);
  }

  #write(kind: string, write: Write): { readonly before: Row | undefined; readonly after: Row | undefined } {
    const key = write.Key ?? write.Item ?? {};
    const before = this.row(key);
    if (!isMet(write.ConditionExpression, before ?? {}, write))
      throw Object.assign(new Error('The conditional request failed'), {
        name: 'ConditionalCheckFailedException',
      });
    if (kind === 'ConditionCheck') return { before, after: before };
    if (kind === 'Delete') {
      this.#partitions.get(text(key.p))?.delete(text(key.s));
      return { before, after: undefined };
    }
    const after =
      kind === 'Put' ? write.Item! : updated(write.UpdateExpression!, before ?? write.Key!, write);
    this.#set(after);
    return { before, after };
  }

  #update(write: Write): Record<string, unknown> {
    const { before, after } = this.#write('Update', write);
    if (write.ReturnValues === 'ALL_NEW') return { Attributes: after };
    return write.ReturnValues === 'ALL_OLD' ? { Attributes: before } : {};
  }

  #query(input: Record<string, unknown>): { Items: Row[]; LastEvaluatedKey?: object } {
    const { KeyConditionExpression, ExpressionAttributeValues, Limit, ExclusiveStartKey } = input;
    const values = ExpressionAttributeValues as Row;
    const isAsked = QUERIES[KeyConditionExpression as string]?.(values);
    if (isAsked === undefined || input.ScanIndexForward === false)
      throw new Error('the model knows no such query');
    const after = ExclusiveStartKey === undefined ? '' : text((ExclusiveStartKey as Row).s);
    const found = [...(this.#partitions.get(text(values[':p'])) ?? [])]
      .filter(([order]) => order > after && isAsked(order))
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([, row]) => row);
    if (Limit === undefined || found.length < (Limit as number)) return { Items: found };
    const Items = found.slice(0, Limit as number);
    // As DynamoDB does, also where nothing comes after it.
    return { Items, LastEvaluatedKey: { p: Items.at(-1)?.p, s: Items.at(-1)?.s } };
  }

  #batchGet(input: Record<string, unknown>): Record<string, Row[]> {
    const tables = Object.entries(input.RequestItems as Record<string, { readonly Keys: readonly Row[] }>);
    const rowsOf = (keys: readonly Row[]): Row[] =>
      keys.map((key) => this.row(key)).filter((row) => row !== undefined);
    return Object.fromEntries(tables.map(([name, { Keys }]) => [name, rowsOf(Keys)]));
  }

  #transact(items: readonly TransactItem[]): void {
    const actions = items.map((item) => Object.entries(item)[0] as [string, Write]);
    const reasons = actions.map(([, write]) => {
      const row = this.row(write.Key ?? write.Item ?? {}) ?? {};
      if (isMet(write.ConditionExpression, row, write)) return { Code: 'None' };
      const wanted = write.ReturnValuesOnConditionCheckFailure === 'ALL_OLD' && Object.keys(row).length > 0;
      return { Code: 'ConditionalCheckFailed', ...(wanted ? { Item: attributes(row) } : {}) };
    });
    if (reasons.some(({ Code }) => Code !== 'None')) throw cancelled(reasons);
    for (const [kind, write] of actions) this.#write(kind, write);
  }
}

/** Which sort keys a query is about, by its condition. */
const QUERIES: Readonly<Record<string, (values: Row) => (order: string) => boolean>> = {
  'p = :p': () => () => true,
  'p = :p AND s <= :through': (values) => {
    const through = text(values[':through']);
    return (order) => order <= through;
  },
  'p = :p AND s >= :from': (values) => {
    const from = text(values[':from']);
    return (order) => order >= from;
  },
};

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
      if (typeof value === 'number') return [name, { N: String(value) }];
      return [name, value instanceof Uint8Array ? { B: value } : {}];
    }),
  );
}

function text(bytes: unknown): string {
  const { buffer, byteOffset, byteLength } = bytes as Uint8Array;
  return Buffer.from(buffer, byteOffset, byteLength).toString('latin1');
}
