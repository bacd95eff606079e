/**
 * The tables in memory, with the face that dynalite's actions expect of their LevelDB. Three things are ours:
 * items are kept as the objects they are (LevelDB's wrapper parses JSON on every read), every callback is
 * answered before the call returns, and so an action that has started is done before anything else runs. That is
 * what makes single operations and whole transactions atomic here, without a lock.
 */
import { Readable } from 'node:stream';
import { type Item, MAX_ITEM_BYTES } from './attribute-value.ts';
import type { Callback, KeyedStore, Store, TableDescription } from './dynalite.ts';
import { DynamoDbError } from './errors.ts';
import { type Range, SortedMap } from './sorted-map.ts';

/** One keyed collection. Values are replaced, never changed: whoever holds one holds a snapshot. */
export class Rows<V> implements KeyedStore<V> {
  readonly rows = new SortedMap<V>();

  get(key: string, callback: Callback<V>): void {
    callback(null, this.rows.get(key));
  }

  put(key: string, value: V, callback: Callback<void>): void {
    this.rows.set(key, value);
    callback(null);
  }

  del(key: string, callback: Callback<void>): void {
    this.rows.delete(key);
    callback(null);
  }

  batch(
    operations: readonly { readonly type: 'put' | 'del'; readonly key: string; readonly value?: V }[],
    callback: Callback<void>,
  ): void {
    for (const { type, key, value } of operations) {
      if (type === 'put' && value !== undefined) this.rows.set(key, value);
      else this.rows.delete(key);
    }
    callback(null);
  }

  /** Nothing to wait for: see the head of this file. */
  lock(_key: string, body: (release: <T>(callback: Callback<T>) => Callback<T>) => void): void {
    body((callback) => callback);
  }

  createKeyStream(range: Range = {}): Readable {
    return Readable.from([...this.rows.keys(range)]);
  }

  createValueStream(range: Range = {}): Readable {
    return Readable.from([...this.rows.values(range)]);
  }
}

class Tables extends Rows<TableDescription> {
  readonly awsRegion: string;
  readonly awsAccountId: string;
  /** Descriptions that were removed: dynalite's timers may still want to report a change of their status. */
  readonly #removed = new WeakSet<TableDescription>();

  constructor(awsRegion: string, awsAccountId: string) {
    super();
    this.awsRegion = awsRegion;
    this.awsAccountId = awsAccountId;
  }

  override put(key: string, value: TableDescription, callback: Callback<void>): void {
    if (this.#removed.has(value)) callback(null);
    else super.put(key, value, callback);
  }

  override del(key: string, callback: Callback<void>): void {
    const table = this.rows.get(key);
    if (table !== undefined) this.#removed.add(table);
    super.del(key, callback);
  }
}

/** All tables of one local DynamoDB. */
export class MemoryStore implements Store {
  readonly options = { createTableMs: 0, deleteTableMs: 0, updateTableMs: 0, maxItemSize: MAX_ITEM_BYTES };
  readonly tableDb: Tables;
  readonly #items = new Map<string, Rows<Item>>();
  readonly #tags = new Map<string, Rows<string>>();

  constructor(region: string, accountId: string) {
    this.tableDb = new Tables(region, accountId);
  }

  getTable(
    name: string,
    checkStatus: boolean | Callback<TableDescription>,
    callback?: Callback<TableDescription>,
  ): void {
    const answer = typeof checkStatus === 'function' ? checkStatus : callback;
    const table = this.tableDb.rows.get(name);
    const isUsable = table !== undefined && (checkStatus === false || isOpen(table));
    answer?.(isUsable ? null : tableNotFound(name, checkStatus === false), isUsable ? table : undefined);
  }

  /** A table that takes reads and writes; throws ResourceNotFoundException. */
  openTable(name: string): TableDescription {
    const table = this.tableDb.rows.get(name);
    if (table === undefined || !isOpen(table)) throw tableNotFound(name, false);
    return table;
  }

  /** A table in any status; throws ResourceNotFoundException with its name. */
  describedTable(name: string): TableDescription {
    const table = this.tableDb.rows.get(name);
    if (table === undefined) throw tableNotFound(name, true);
    return table;
  }

  /** Makes a table usable that dynalite has just made, instead of when its timer fires. */
  activate(name: string): void {
    const table = this.describedTable(name);
    table.TableStatus = 'ACTIVE';
    for (const index of table.GlobalSecondaryIndexes ?? []) index.IndexStatus = 'ACTIVE';
  }

  getItemDb(table: string): Rows<Item> {
    return existing(this.#items, table);
  }

  getIndexDb(type: string, table: string, index: string): Rows<Item> {
    return existing(this.#items, `${table}~${type.toLowerCase()}~${index}`);
  }

  getTagDb(table: string): Rows<string> {
    return existing(this.#tags, table);
  }

  deleteItemDb(table: string, callback: Callback<void>): void {
    this.#items.delete(table);
    callback(null);
  }

  deleteIndexDb(type: string, table: string, index: string, callback: Callback<void>): void {
    this.#items.delete(`${table}~${type.toLowerCase()}~${index}`);
    callback(null);
  }

  deleteTagDb(table: string, callback: Callback<void>): void {
    this.#tags.delete(table);
    callback(null);
  }
}

function existing<V>(collections: Map<string, Rows<V>>, name: string): Rows<V> {
  const found = collections.get(name) ?? new Rows<V>();
  collections.set(name, found);
  return found;
}

function isOpen(table: TableDescription): boolean {
  return table.TableStatus !== 'CREATING' && table.TableStatus !== 'DELETING';
}

/** Operations on data do not name the table, operations on tables do. */
function tableNotFound(name: string, isNamed: boolean): DynamoDbError {
  const detail = isNamed ? `: Table: ${name} not found` : '';
  return new DynamoDbError('ResourceNotFoundException', `Requested resource not found${detail}`);
}
