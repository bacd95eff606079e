/**
 * The local DynamoDB: dynalite's request rules and actions, called in-process on tables in memory, with what it lacks
 * (transactions, time to live, items of failed conditions) and what it gets wrong (corrections.ts) put right.
 *
 * An operation runs from start to end in one turn of the event loop. So every operation is atomic against every
 * other, transactions included, and reads are strongly consistent whatever they ask for.
 */
import type { Item } from './attribute-value.ts';
import { batchGet } from './batch.ts';
import { correctDynalite } from './corrections.ts';
import { db } from './dynalite.ts';
import { DynamoDbError, isRefused, validationError } from './errors.ts';
import { DYNALITE_OPERATIONS, type DynaliteOperation, perform } from './operation.ts';
import { MemoryStore } from './store.ts';
import { backupsTableNotFound, TableSettings } from './table-settings.ts';
import { Transactions } from './transaction.ts';

/** An HTTP status with the JSON of the answer; errors are `{ __type, message, … }`. Not to be changed: it may be shared. */
export interface ApiReply {
  readonly status: number;
  readonly body: unknown;
}

type Request = Readonly<Record<string, unknown>>;

/** Who calls, as far as the request says. */
export interface Caller {
  /** From the credential of the signature. */
  readonly accessKeyId?: string;
}

/** Looks at every call first: permissions, throttling and faults. An answer is given instead of the operation's. */
export type Interceptor = (
  operation: string,
  request: Request,
  caller: Caller,
) => Promise<ApiReply | undefined>;

export interface DynamoDbOptions {
  /** Region and account in the names of tables. @default us-east-1, 000000000000 */
  readonly region?: string;
  readonly accountId?: string;
  /** @default none */
  readonly before?: Interceptor;
  /** Epoch milliseconds: how long transaction tokens last, when backups began. @default Date.now */
  readonly now?: () => number;
}

type Handler = (request: Request) => unknown;

export class DynamoDbFront {
  readonly #store: MemoryStore;
  readonly #before: Interceptor | undefined;
  readonly #now: () => number;
  readonly #settings = new Map<string, TableSettings>();
  readonly #transactions: Transactions;
  readonly #handlers: ReadonlyMap<string, Handler>;
  #isClosed = false;

  private constructor(options: DynamoDbOptions) {
    correctDynalite();
    this.#store = new MemoryStore(options.region ?? 'us-east-1', options.accountId ?? '000000000000');
    this.#before = options.before;
    this.#now = options.now ?? Date.now;
    this.#transactions = new Transactions(this.#store, this.#now);
    this.#handlers = this.#operations();
  }

  /** A DynamoDB without tables. */
  static create(options: DynamoDbOptions = {}): DynamoDbFront {
    return new DynamoDbFront(options);
  }

  /**
   * Answers one call of the API. `operation` is the name after `DynamoDB_20120810.` in X-Amz-Target. Refusals are
   * answers; it rejects only when something here is broken or the front is closed.
   */
  async handle(operation: string, request: Request, caller: Caller = {}): Promise<ApiReply> {
    if (this.#isClosed) throw new Error('the local DynamoDB is closed');
    const instead = await this.#before?.(operation, request, caller);
    if (instead !== undefined) return instead;
    try {
      return { status: 200, body: (await this.#handlerOf(operation)(request)) ?? {} };
    } catch (error) {
      if (isRefused(error)) return { status: error.statusCode, body: error.body };
      throw error;
    }
  }

  /** Deletes the items whose time to live has passed, which AWS does within days; tells how many. */
  async expireItems(nowMs: number): Promise<number> {
    let deleted = 0;
    for (const [name, settings] of this.#settings) {
      if (settings.hasTimeToLive) deleted += this.#expireTable(name, settings, nowMs);
    }
    return deleted;
  }

  /** Refuses further calls; what was stored is gone. */
  async close(): Promise<void> {
    this.#isClosed = true;
  }

  #handlerOf(operation: string): Handler {
    const handler = this.#handlers.get(operation);
    if (handler === undefined) throw new DynamoDbError('UnknownOperationException', '');
    return handler;
  }

  #operations(): Map<string, Handler> {
    const run =
      (name: DynaliteOperation): Handler =>
      (request) =>
        perform(name, request, this.#store);
    return new Map<string, Handler>([
      ...DYNALITE_OPERATIONS.map((name): [string, Handler] => [name, run(name)]),
      ['BatchGetItem', (request) => batchGet(request, this.#store)],
      ['TransactWriteItems', (request) => this.#transactions.write(request)],
      ['TransactGetItems', (request) => this.#transactions.read(request)],
      ['CreateTable', (request) => this.#createTable(request)],
      ['DescribeTable', (request) => this.#describeTable(request)],
      ['UpdateTable', (request) => this.#updateTable(request)],
      ['DeleteTable', (request) => this.#deleteTable(request)],
      ['UpdateTimeToLive', (request) => this.#settingsOf(request).updateTimeToLive(request)],
      ['DescribeTimeToLive', (request) => this.#settingsOf(request).describeTimeToLive()],
      ['UpdateContinuousBackups', (request) => this.#backupsOf(request).updateBackups(request, this.#now())],
      ['DescribeContinuousBackups', (request) => this.#backupsOf(request).describeBackups(this.#now())],
    ]);
  }

  /** Answered as `CREATING`, like AWS does; the table can be used at once. */
  async #createTable(request: Request): Promise<unknown> {
    if (isStreamed(request)) throw validationError('Streams are not available in the local DynamoDB');
    const answer = structuredClone(await perform('CreateTable', request, this.#store));
    const name = String(request.TableName);
    this.#store.activate(name);
    const settings = new TableSettings();
    settings.isProtected = request.DeletionProtectionEnabled === true;
    this.#settings.set(name, settings);
    return answer;
  }

  async #describeTable(request: Request): Promise<unknown> {
    const { Table } = (await perform('DescribeTable', request, this.#store)) as { Table: object };
    const isProtected = this.#settings.get(String(request.TableName))?.isProtected ?? false;
    return { Table: { ...Table, DeletionProtectionEnabled: isProtected } };
  }

  /** dynalite knows nothing of deletion protection and refuses an update of nothing else. */
  async #updateTable(request: Request): Promise<unknown> {
    const { DeletionProtectionEnabled: isProtected, ...rest } = request;
    if (isProtected === undefined) return perform('UpdateTable', request, this.#store);
    const settings = this.#settingsOf(request);
    if (Object.keys(rest).length > 1) await perform('UpdateTable', rest, this.#store);
    settings.isProtected = isProtected === true;
    const { Table } = (await this.#describeTable({ TableName: request.TableName })) as { Table: object };
    return { TableDescription: Table };
  }

  async #deleteTable(request: Request): Promise<unknown> {
    const name = String(request.TableName);
    if (this.#settings.get(name)?.isProtected === true) {
      throw validationError(
        'Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.',
      );
    }
    const answer = await perform('DeleteTable', request, this.#store);
    this.#settings.delete(name);
    return answer;
  }

  #settingsOf(request: Request): TableSettings {
    const { TableName: name } = this.#store.describedTable(String(request.TableName));
    const settings = this.#settings.get(name) ?? new TableSettings();
    this.#settings.set(name, settings);
    return settings;
  }

  #backupsOf(request: Request): TableSettings {
    const settings = this.#settings.get(String(request.TableName));
    if (settings === undefined) throw backupsTableNotFound(String(request.TableName));
    return settings;
  }

  #expireTable(name: string, settings: TableSettings, nowMs: number): number {
    const table = this.#store.openTable(name);
    const { rows } = this.#store.getItemDb(name);
    const expired: Item[] = [...rows.values()].filter((item) => settings.isExpired(item, nowMs));
    for (const item of expired) {
      db.updateIndexes(this.#store, table, item, undefined, () => {});
      rows.delete(db.createKey(item, table));
    }
    return expired.length;
  }
}

function isStreamed(request: Request): boolean {
  const { StreamSpecification: streams } = request;
  return (
    typeof streams === 'object' &&
    streams !== null &&
    'StreamEnabled' in streams &&
    streams.StreamEnabled === true
  );
}
