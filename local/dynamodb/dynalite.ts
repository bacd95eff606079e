/**
 * dynalite's insides, typed as far as we use them. It publishes no types and no public entry to its parts;
 * the version is pinned exactly.
 */
import { createRequire } from 'node:module';
import type { AttributeValue, Item } from './attribute-value.ts';
import type { Expression } from './expression.ts';

export type Callback<T> = (error: unknown, value?: T) => void;

interface KeyElement {
  readonly AttributeName: string;
  readonly KeyType: 'HASH' | 'RANGE';
}

interface IndexDescription {
  readonly IndexName: string;
  readonly KeySchema: readonly KeyElement[];
  IndexStatus?: string;
}

/** A table as DescribeTable reports it. */
export interface TableDescription extends Record<string, unknown> {
  readonly TableName: string;
  readonly TableId: string;
  readonly TableArn: string;
  readonly KeySchema: readonly KeyElement[];
  readonly AttributeDefinitions: readonly {
    readonly AttributeName: string;
    readonly AttributeType: 'S' | 'N' | 'B';
  }[];
  readonly GlobalSecondaryIndexes?: readonly IndexDescription[];
  readonly LocalSecondaryIndexes?: readonly IndexDescription[];
  TableStatus: string;
}

/** The keyed store dynalite's actions work on. Ours answers every callback before the call returns. */
export interface KeyedStore<V> {
  get(key: string, callback: Callback<V>): void;
  put(key: string, value: V, callback: Callback<void>): void;
  del(key: string, callback: Callback<void>): void;
  batch(
    operations: readonly { readonly type: 'put' | 'del'; readonly key: string; readonly value?: V }[],
    callback: Callback<void>,
  ): void;
  lock(key: string, body: (release: <T>(callback: Callback<T>) => Callback<T>) => void): void;
}

interface StoreOptions {
  readonly createTableMs: number;
  readonly deleteTableMs: number;
  readonly updateTableMs: number;
  readonly maxItemSize: number;
}

export interface Store {
  readonly options: StoreOptions;
  readonly tableDb: KeyedStore<TableDescription> & {
    readonly awsRegion: string;
    readonly awsAccountId: string;
  };
  getTable(
    name: string,
    checkStatus: boolean | Callback<TableDescription>,
    callback?: Callback<TableDescription>,
  ): void;
  getItemDb(table: string): KeyedStore<Item>;
  getIndexDb(type: string, table: string, index: string): KeyedStore<Item>;
}

/** One clause of an update expression. */
export interface UpdateSection {
  readonly type: 'set' | 'remove' | 'add' | 'delete';
  readonly path: readonly (string | number)[];
}

/** A request after dynalite's validation: plain members, and expressions parsed into the members with an underscore. */
export interface CheckedRequest extends Record<string, unknown> {
  readonly TableName: string;
  readonly Key?: Item;
  readonly Item?: Item;
  readonly ConsistentRead?: boolean;
  readonly ReturnConsumedCapacity?: string;
  readonly ReturnValuesOnConditionCheckFailure?: string;
  readonly IndexName?: string;
  readonly Limit?: number;
  readonly Select?: string;
  readonly AttributesToGet?: readonly string[];
  readonly ConditionalOperator?: string;
  readonly QueryFilter?: unknown;
  readonly ScanFilter?: unknown;
  readonly _updates?: { sections: readonly UpdateSection[] };
  readonly _condition?: { readonly expression: Expression };
  readonly _filter?: { readonly expression: Expression };
  readonly _projection?: { readonly paths: readonly unknown[] };
}

export interface ConsumedCapacity {
  readonly TableName: string;
  readonly CapacityUnits: number;
  readonly [detail: string]: unknown;
}

/** The exports of dynalite/db. Its other files reach these through the object, so replacing one corrects them all. */
export interface Db {
  itemSize(item: Item, ...compression: unknown[]): number;
  compare(
    operator: string,
    value: AttributeValue | undefined,
    operands: AttributeValue | AttributeValue[],
  ): boolean;
  checkConditional(request: CheckedRequest, item: Item | undefined): unknown;
  addConsumedCapacity(
    request: CheckedRequest,
    isRead: boolean,
    before: Item | undefined,
    after?: Item,
  ): ConsumedCapacity | undefined;
  queryTable(
    store: Store,
    table: TableDescription,
    request: CheckedRequest,
    range: Record<string, unknown>,
    isLocal: boolean | undefined,
    fetchFromTable: boolean,
    startKeyNames: readonly string[],
    callback: Callback<Record<string, unknown>>,
  ): void;
  validateKey(key: Item, table: TableDescription, schema?: readonly KeyElement[]): unknown;
  validateItem(item: Item, table: TableDescription): unknown;
  readonly createKey: (keyOrItem: Item, table: TableDescription) => string;
  readonly mapPaths: (paths: readonly unknown[], item: Item) => Item;
  readonly matchesFilter: (item: Item, filter: unknown, operator: string | undefined) => boolean;
  readonly toLexiStr: (value: string, type: string) => string;
  readonly updateIndexes: (
    store: Store,
    table: TableDescription,
    before: Item | undefined,
    after: Item | undefined,
    callback: Callback<void>,
  ) => void;
}

/** dynalite's description of a request member: a type name, constraints and nested members. */
export type MemberType =
  | string
  | { readonly type: string; readonly children?: unknown; readonly [constraint: string]: unknown };
export type MemberTypes = Record<string, MemberType>;

/** Custom checks of an operation: the message of what is wrong, if anything is. */
export type CustomCheck = (request: CheckedRequest, store: Store) => string | undefined;

export interface RequestRules {
  readonly types: MemberTypes;
  readonly custom?: CustomCheck;
}

export interface Validations {
  /** Throws a ValidationException. */
  readonly checkValidations: (
    request: CheckedRequest,
    types: MemberTypes,
    custom: CustomCheck | undefined,
    store: Store,
  ) => void;
  validateAttributeValue(value: AttributeValue): string | undefined;
  validateExpressions(request: CheckedRequest): string | undefined;
}

export type Action = (store: Store, request: CheckedRequest, callback: Callback<unknown>) => void;

const require = createRequire(import.meta.url);

export const db = require('dynalite/db') as Db;
export const validations = require('dynalite/validations') as Validations;

/** dynalite's code for one operation, by the name of its file (`putItem`). */
export function actionOf(file: string): Action {
  return require(`dynalite/actions/${file}`) as Action;
}

/** dynalite's rules for the request of one operation, by the name of its file. */
export function rulesOf(file: string): RequestRules {
  return require(`dynalite/validations/${file}`) as RequestRules;
}
