/**
 * The local DynamoDB: dynalite's request rules and actions, called in-process on tables in memory, with what it lacks
 * (transactions, time to live, items of failed conditions) and what it gets wrong (corrections.ts) put right.
 *
 * An operation runs from start to end in one turn of the event loop. So every operation is atomic against every
 * other, transactions included, and reads are strongly consistent whatever they ask for.
 */
import type { Quotas } from '../quotas/quotas.ts';
import type { Item } from './attribute-value.ts';
import { batchGet } from './batch.ts';
import type { ApiReply, Caller, Interceptor, Next, Request, Surround } from './call.ts';
import { correctDynalite } from './corrections.ts';
import { db } from './dynalite.ts';
import { DynamoDbError, isRefused, validationError } from './errors.ts';
import { ItemHolds, itemId, transactionConflict } from './item-holds.ts';
import { DYNALITE_OPERATIONS, type DynaliteOperation, perform } from './operation.ts';
import { withoutEntries } from './partial-batch.ts';
import { PartitionThrottle } from './partition-throttle.ts';
import { MemoryStore } from './store.ts';
import { backupsTableNotFound, TableSettings } from './table-settings.ts';
import { keyOf, type Target, targetsOf } from './targets.ts';
import { Transactions } from './transaction.ts';

export type { ApiReply, Caller } from './call.ts';

export interface DynamoDbOptions {
  /** Region and account in the names of tables. @default us-east-1, 000000000000 */
  readonly region?: string;
  readonly accountId?: string;
  /** Asked first, before quotas. @default none */
  readonly before?: Interceptor;
  /** What a call goes through that quotas let pass. @default none */
  readonly around?: Surround;
  /** @default nothing is throttled, and transactions take no time */
  readonly quotas?: DynamoDbQuotas;
  /** Epoch milliseconds: how long transaction tokens last, when backups began. @default Date.now */
  readonly now?: () => number;
}

export type DynamoDbQuotas = Pick<Quotas, 'partition' | 'transactionMs'>;

type Handler = (request: Request) => unknown;

export class DynamoDbFront {
  readonly #store: MemoryStore;
  readonly #before: Interceptor | undefined;
  readonly #around: Surround | undefined;
  readonly #throttle: PartitionThrottle;
  readonly #holds: ItemHolds;
  #transactionMs: number;
  readonly #now: () => number;
  readonly #settings = new Map<string, TableSettings>();
  readonly #transactions: Transactions;
  readonly #handlers: ReadonlyMap<string, Handler>;
  #isClosed = false;

  private constructor(options: DynamoDbOptions) {
    correctDynalite();
    this.#store = new MemoryStore(options.region ?? 'us-east-1', options.accountId ?? '000000000000');
    this.#before = options.before;
    this.#around = options.around;
    this.#now = options.now ?? Date.now;
    this.#throttle = new PartitionThrottle(this.#store, this.#now, options.quotas?.partition);
    this.#transactionMs = options.quotas?.transactionMs ?? 0;
    this.#holds = new ItemHolds(() => this.#transactionMs);
    this.#transactions = new Transactions(this.#store, this.#now, this.#holds);
    this.#handlers = this.#operations();
  }

  /** A DynamoDB without tables. */
  static create(options: DynamoDbOptions = {}): DynamoDbFront {
    return new DynamoDbFront(options);
  }

  /**
   * Answers one call of the API. `operation` is the name after `DynamoDB_20120810.` in X-Amz-Target. Refusals are
   * answers; it rejects only when something here is broken, the front is closed, or what is around the operations cuts
   * the connection.
   */
  async handle(operation: string, request: Request, caller: Caller = {}): Promise<ApiReply> {
    if (this.#isClosed) throw new Error('the local DynamoDB is closed');
    const instead = await this.#before?.(operation, request, caller);
    if (instead !== undefined) return instead;
    const perform: Next = (admitted) => this.#perform(operation, admitted);
    const around = this.#around;
    const next: Next =
      around === undefined ? perform : (admitted) => around(operation, admitted, caller, perform);
    return this.#throttle.run(operation, request, next);
  }

  /** Other quotas from now on. */
  replaceQuotas({ partition, transactionMs }: DynamoDbQuotas): void {
    this.#throttle.replace(partition);
    this.#transactionMs = transactionMs;
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

  async #perform(operation: string, request: Request): Promise<ApiReply> {
    try {
      if (!this.#holds.isEmpty) return await this.#performBesideTransactions(operation, request);
      return { status: 200, body: (await this.#handlerOf(operation)(request)) ?? {} };
    } catch (error) {
      if (isRefused(error)) return { status: error.statusCode, body: error.body };
      throw error;
    }
  }

  /** Transactions see to it themselves; a batch leaves out the items that an ongoing transaction holds. */
  async #performBesideTransactions(operation: string, request: Request): Promise<ApiReply> {
    const perform: Next = async (admitted) => {
      return { status: 200, body: (await this.#handlerOf(operation)(admitted)) ?? {} };
    };
    if (!isSingleWrite(operation) && operation !== 'BatchWriteItem') return perform(request);
    const held = targetsOf(operation, request, this.#store).filter((one) => this.#isHeld(one));
    if (held.length > 0 && isSingleWrite(operation)) throw transactionConflict();
    const left = new Set(held.flatMap(({ entry }) => (entry === undefined ? [] : [entry])));
    return withoutEntries(operation, request, left, perform);
  }

  #isHeld(target: Target): boolean {
    const key = keyOf(target);
    return key !== undefined && this.#holds.has(itemId(target.table, key));
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

function isSingleWrite(operation: string): boolean {
  return operation === 'PutItem' || operation === 'UpdateItem' || operation === 'DeleteItem';
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
