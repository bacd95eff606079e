/** Calls of the bus table: rows that have expired count as absent, conflicts are waited out, refusals are answers. */
import {
  BatchGetCommand,
  DeleteCommand,
  type DeleteCommandInput,
  type DynamoDBDocumentClient,
  GetCommand,
  PutCommand,
  QueryCommand,
  type QueryCommandInput,
  TransactWriteCommand,
  type TransactWriteCommandInput,
  UpdateCommand,
  type UpdateCommandInput,
} from '@aws-sdk/lib-dynamodb';
import pMap from 'p-map';
import { UnavailableError } from '../bus/errors.ts';
import type { Clock, Random } from '../bus/ports.ts';
import type { RowKey } from './keys.ts';
import { errorName, Patience, type Reasons, refusalOf } from './patience.ts';
import { expired, type Row } from './rows.ts';

/** BatchGetItem takes 100 keys (DynamoDB quotas page). */
const BATCH_GET = 100;
/** Batches in flight at once. */
const CONCURRENCY = 16;

export type TransactItem = NonNullable<TransactWriteCommandInput['TransactItems']>[number];
export type Update = Omit<UpdateCommandInput, 'TableName'>;

export interface TableCallsOptions {
  readonly client: DynamoDBDocumentClient;
  readonly table: string;
  readonly clock: Clock;
  readonly random: Random;
}

/** Every read is consistent. */
export class TableCalls {
  readonly #client: DynamoDBDocumentClient;
  readonly #table: string;
  readonly #clock: Clock;
  readonly #patience: Patience;

  constructor({ client, table, clock, random }: TableCallsOptions) {
    this.#client = client;
    this.#table = table;
    this.#clock = clock;
    this.#patience = new Patience(clock, random);
  }

  /** Pauses between attempts at a row that others write to as well, as those of {@link Patience.pauses}. */
  pauses(): () => Promise<boolean> {
    return this.#patience.pauses();
  }

  async get(key: RowKey): Promise<Row | undefined> {
    const { Item } = await this.#client.send(
      new GetCommand({ TableName: this.#table, Key: key, ConsistentRead: true }),
    );
    return Item === undefined || expired(Item, this.#clock.now()) ? undefined : Item;
  }

  /** The rows of any number of keys that are there, in no order. @throws UnavailableError where they took over 2 s */
  async batchGet(keys: readonly RowKey[]): Promise<Row[]> {
    const chunks = Array.from({ length: Math.ceil(keys.length / BATCH_GET) }, (_, index) =>
      keys.slice(index * BATCH_GET, (index + 1) * BATCH_GET),
    );
    return (await pMap(chunks, (chunk) => this.#batch(chunk), { concurrency: CONCURRENCY })).flat();
  }

  async #batch(keys: readonly RowKey[]): Promise<Row[]> {
    const rows: Row[] = [];
    let left: Record<string, unknown>[] = keys.map((key) => ({ ...key }));
    const pause = this.pauses();
    while (left.length > 0) {
      const { Responses, UnprocessedKeys } = await this.#client.send(
        new BatchGetCommand({ RequestItems: { [this.#table]: { Keys: left, ConsistentRead: true } } }),
      );
      rows.push(...(Responses?.[this.#table] ?? []));
      left = UnprocessedKeys?.[this.#table]?.Keys ?? [];
      if (left.length === 0) break;
      if (!(await pause())) throw new UnavailableError('rows could not be read in time');
    }
    const now = this.#clock.now();
    return rows.filter((row) => !expired(row, now));
  }

  /** One page of at most 1 MB; `next` is the sort key after which the next one begins. */
  async query(
    input: Omit<QueryCommandInput, 'TableName'>,
  ): Promise<{ readonly rows: Row[]; readonly next: Uint8Array | undefined }> {
    const { Items = [], LastEvaluatedKey } = await this.#client.send(
      new QueryCommand({ TableName: this.#table, ConsistentRead: true, ...input }),
    );
    const now = this.#clock.now();
    const next = LastEvaluatedKey?.s as Uint8Array | undefined;
    return { rows: Items.filter((row) => !expired(row, now)), next };
  }

  /** Every row of a partition. */
  async queryAll(p: Uint8Array): Promise<Row[]> {
    const all: Row[] = [];
    let after: Uint8Array | undefined;
    do {
      const { rows, next } = await this.query({
        KeyConditionExpression: 'p = :p',
        ExpressionAttributeValues: { ':p': p },
        ...(after === undefined ? {} : { ExclusiveStartKey: { p, s: after } }),
      });
      all.push(...rows);
      after = next;
    } while (after !== undefined);
    return all;
  }

  /** How many rows of a partition a filter lets through; expired ones are for the filter to leave out. */
  async count(
    p: Uint8Array,
    FilterExpression: string,
    values: Readonly<Record<string, unknown>>,
  ): Promise<number> {
    let count = 0;
    let ExclusiveStartKey: Record<string, unknown> | undefined;
    do {
      const page = await this.#client.send(
        new QueryCommand({
          TableName: this.#table,
          ConsistentRead: true,
          Select: 'COUNT',
          KeyConditionExpression: 'p = :p',
          FilterExpression,
          ExpressionAttributeValues: { ':p': p, ...values },
          ...(ExclusiveStartKey === undefined ? {} : { ExclusiveStartKey }),
        }),
      );
      count += page.Count ?? 0;
      ExclusiveStartKey = page.LastEvaluatedKey;
    } while (ExclusiveStartKey !== undefined);
    return count;
  }

  async put(row: Row): Promise<void> {
    await this.#client.send(new PutCommand({ TableName: this.#table, Item: row }));
  }

  async delete(key: RowKey): Promise<void> {
    await this.#client.send(new DeleteCommand({ TableName: this.#table, Key: key }));
  }

  /**
   * Leaves the row where it is if the condition fails, and is false then.
   * @throws UnavailableError where other transactions held the row for over 2 s
   */
  async deleteIf(input: Omit<DeleteCommandInput, 'TableName'>): Promise<boolean> {
    const answer = await this.#unlessRefused(() =>
      this.#client.send(new DeleteCommand({ TableName: this.#table, ...input })),
    );
    return answer !== undefined;
  }

  /**
   * The returned attributes (empty where none were asked for); undefined where the condition failed.
   * @throws UnavailableError where other transactions held the row for over 2 s
   */
  async update(input: Update): Promise<Row | undefined> {
    const answer = await this.#unlessRefused(() =>
      this.#client.send(new UpdateCommand({ TableName: this.#table, ...input })),
    );
    return answer === undefined ? undefined : (answer.Attributes ?? {});
  }

  /**
   * Undefined where it was written; the reasons where a condition refused it.
   * @throws UnavailableError where other transactions held one of the rows for over 2 s, or there was no capacity
   */
  transactOr(items: TransactItem[]): Promise<Reasons | undefined> {
    return this.#patience.call(async () => {
      try {
        await this.#client.send(new TransactWriteCommand({ TransactItems: items }));
        return undefined;
      } catch (error) {
        return refusalOf(error);
      }
    });
  }

  #unlessRefused<T>(call: () => Promise<T>): Promise<T | undefined> {
    return this.#patience.call(async () => {
      try {
        return await call();
      } catch (error) {
        if (errorName(error) === 'ConditionalCheckFailedException') return undefined;
        throw error;
      }
    });
  }
}
