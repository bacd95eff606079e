/** What applications keep, in the apps table: string keys, values as JSON text. */
import {
  DeleteCommand,
  type DynamoDBDocumentClient,
  GetCommand,
  PutCommand,
  QueryCommand,
  type QueryCommandInput,
} from '@aws-sdk/lib-dynamodb';
import pMap from 'p-map';
import type { Clock, Json, RowQuery, Rows, StoredRow } from '../bus/ports.ts';
import { errorName } from './patience.ts';
import { expired } from './rows.ts';

const VERSION = 1;
/** Deletes in flight at once. */
const CONCURRENCY = 16;

export class DynamoRows implements Rows {
  readonly #client: DynamoDBDocumentClient;
  readonly #table: string;
  readonly #clock: Clock;

  constructor(client: DynamoDBDocumentClient, table: string, clock: Clock) {
    this.#client = client;
    this.#table = table;
    this.#clock = clock;
  }

  async put(
    partition: string,
    sort: string,
    value: Json,
    options: { readonly expiresAt?: number; readonly ifAbsent?: boolean } = {},
  ): Promise<boolean> {
    const expiry = options.expiresAt === undefined ? {} : { t: Math.ceil(options.expiresAt / 1_000) };
    try {
      await this.#client.send(
        new PutCommand({
          TableName: this.#table,
          Item: { p: partition, s: sort, v: VERSION, value: JSON.stringify(value), ...expiry },
          ...(options.ifAbsent === true ? { ConditionExpression: 'attribute_not_exists(p)' } : {}),
        }),
      );
      return true;
    } catch (error) {
      if (errorName(error) === 'ConditionalCheckFailedException') return false;
      throw error;
    }
  }

  async get(partition: string, sort: string): Promise<Json | undefined> {
    const { Item } = await this.#client.send(
      new GetCommand({ TableName: this.#table, Key: { p: partition, s: sort }, ConsistentRead: true }),
    );
    return Item === undefined || expired(Item, this.#clock.now()) ? undefined : storedValue(Item);
  }

  async query(partition: string, query: RowQuery): Promise<StoredRow[]> {
    const rows: StoredRow[] = [];
    let start: Record<string, unknown> | undefined;
    do {
      const page = await this.#client.send(
        new QueryCommand({
          ...this.#range(partition, query),
          Limit: query.limit - rows.length,
          ExclusiveStartKey: start,
        }),
      );
      for (const item of page.Items ?? []) {
        if (!expired(item, this.#clock.now())) rows.push({ sort: String(item.s), value: storedValue(item) });
      }
      start = page.LastEvaluatedKey;
    } while (start !== undefined && rows.length < query.limit);
    return rows;
  }

  async delete(partition: string, sorts: readonly string[]): Promise<number> {
    const removed = await pMap([...new Set(sorts)], (sort) => this.#deleteOne(partition, sort), {
      concurrency: CONCURRENCY,
    });
    return removed.filter(Boolean).length;
  }

  /** One by one, because a batch does not tell what was there; the write units are the same. */
  async #deleteOne(partition: string, sort: string): Promise<boolean> {
    const { Attributes } = await this.#client.send(
      new DeleteCommand({ TableName: this.#table, Key: { p: partition, s: sort }, ReturnValues: 'ALL_OLD' }),
    );
    return Attributes !== undefined && !expired(Attributes, this.#clock.now());
  }

  #range(partition: string, { after, descending = false }: RowQuery): QueryCommandInput {
    return {
      TableName: this.#table,
      ConsistentRead: true,
      ScanIndexForward: !descending,
      KeyConditionExpression:
        after === undefined ? 'p = :p' : `p = :p AND s ${descending ? '<' : '>'} :after`,
      ExpressionAttributeValues: { ':p': partition, ...(after === undefined ? {} : { ':after': after }) },
    };
  }
}

function storedValue(item: Record<string, unknown>): Json {
  return JSON.parse(String(item.value)) as Json;
}
