/**
 * TransactWriteItems and TransactGetItems, which dynalite lacks. Actions are dynalite's own, one after the other in
 * one turn of the event loop; if one fails, those before it are taken back. Nobody can look in between.
 *
 * What is refused outright and what cancels follows the service: anything wrong with the request alone (syntax,
 * an empty key, a Put that is too large) is a ValidationException; anything found out while running (a key of the
 * wrong type, a condition, an Update that does not fit the item) is a reason of a TransactionCanceledException.
 */
import { createHash } from 'node:crypto';
import { type Item, itemBytes } from './attribute-value.ts';
import { readUnits, TRANSACTION_FACTOR, writeUnits } from './capacity.ts';
import { emptyKey } from './corrections.ts';
import {
  type CheckedRequest,
  type CustomCheck,
  db,
  type MemberTypes,
  type RequestRules,
  rulesOf,
  type TableDescription,
} from './dynalite.ts';
import {
  codeOf,
  DynamoDbError,
  isRefused,
  NO_REASON,
  type Reason,
  type RefusedOperation,
  transactionCanceled,
  validationError,
} from './errors.ts';
import { type ItemHolds, itemId, ONGOING } from './item-holds.ts';
import { checkRequest, type Outcome, performNow } from './operation.ts';
import type { MemoryStore } from './store.ts';

/** ServiceQuotas: actions of one transaction, and the bytes of all items it touches. */
const MAX_ACTIONS = 100;
const MAX_TRANSACTION_BYTES = 4 * 1024 * 1024;

/** For how long a token stands for the request it came with (API_TransactWriteItems). */
const TOKEN_LIFETIME_MS = 10 * 60_000;

const KINDS = ['ConditionCheck', 'Put', 'Delete', 'Update'] as const;
type Kind = (typeof KINDS)[number];

interface Target {
  readonly request: CheckedRequest;
  readonly table: TableDescription;
  /** Key attributes, or for a Put the item, which contains them. */
  readonly key: Item;
}

interface Write extends Target {
  readonly kind: Kind;
}

interface Done extends Write {
  readonly storedKey: string;
  readonly before: Item | undefined;
  readonly after: Item | undefined;
}

function typesOf(file: string, names: readonly string[]): MemberTypes {
  const types = rulesOf(file).types;
  return Object.fromEntries(
    names.flatMap((name) => (types[name] === undefined ? [] : [[name, types[name]]])),
  );
}

const CONDITION = [
  'TableName',
  'ConditionExpression',
  'ExpressionAttributeNames',
  'ExpressionAttributeValues',
  'ReturnValuesOnConditionCheckFailure',
];

function structOf(name: string, children: MemberTypes): MemberTypes[string] {
  return { type: `FieldStruct<${name}>`, children };
}

/** Made on first use: the corrections add a member to the types these are picked from. */
function writeRules(): RequestRules {
  const required = { ConditionExpression: { type: 'String', notNull: true } };
  return rulesOfList('TransactWriteItem', {
    ConditionCheck: structOf('ConditionCheck', {
      ...typesOf('deleteItem', ['Key', ...CONDITION]),
      ...required,
    }),
    Put: structOf('Put', typesOf('putItem', ['Item', ...CONDITION])),
    Delete: structOf('Delete', typesOf('deleteItem', ['Key', ...CONDITION])),
    Update: structOf('Update', {
      ...typesOf('updateItem', ['Key', ...CONDITION]),
      UpdateExpression: { type: 'String', notNull: true },
    }),
  });
}

function readRules(): RequestRules {
  const names = ['TableName', 'Key', 'ProjectionExpression', 'ExpressionAttributeNames'];
  return rulesOfList('TransactGetItem', {
    Get: { ...Object(structOf('Get', typesOf('getItem', names))), notNull: true },
  });
}

function rulesOfList(member: string, children: MemberTypes): RequestRules {
  const write = rulesOf('putItem').types;
  return {
    types: {
      ClientRequestToken: { type: 'String', lengthGreaterThanOrEqual: 1, lengthLessThanOrEqual: 36 },
      ...typesOf('putItem', [
        'ReturnConsumedCapacity',
        ...(write.ReturnItemCollectionMetrics ? ['ReturnItemCollectionMetrics'] : []),
      ]),
      TransactItems: {
        type: 'List',
        notNull: true,
        lengthGreaterThanOrEqual: 1,
        lengthLessThanOrEqual: MAX_ACTIONS,
        children: { type: `ValueStruct<${member}>`, children },
      },
    },
  };
}

/** Custom checks by kind; a ConditionCheck is checked as a Delete that deletes nothing. */
const CHECKS: Readonly<Record<Kind, CustomCheck | undefined>> = {
  ConditionCheck: rulesOf('deleteItem').custom,
  Put: rulesOf('putItem').custom,
  Delete: rulesOf('deleteItem').custom,
  Update: rulesOf('updateItem').custom,
};

/** Runs transactions against one store, and remembers tokens for as long as they are valid. */
export class Transactions {
  readonly #store: MemoryStore;
  readonly #now: () => number;
  /** Token → hash of the request it came with and when it stops standing for it, oldest first. */
  readonly #tokens = new Map<string, { readonly hash: string; readonly until: number }>();
  readonly #holds: ItemHolds;
  #writeRules: RequestRules | undefined;
  #readRules: RequestRules | undefined;

  constructor(store: MemoryStore, now: () => number, holds: ItemHolds) {
    this.#store = store;
    this.#now = now;
    this.#holds = holds;
  }

  /**
   * TransactWriteItems: everything or nothing. It is done when this returns; while its items are held (see
   * item-holds.ts) the answer is a promise. Throws a refusal.
   */
  write(raw: Readonly<Record<string, unknown>>): Record<string, unknown> | Promise<Record<string, unknown>> {
    this.#writeRules ??= writeRules();
    const request = checkRequest(raw, this.#writeRules, this.#store);
    const actions = request.TransactItems as readonly Readonly<Record<Kind, CheckedRequest>>[];
    const checked = actions.map((action) => this.#checkedAction(action));
    const writes = checked.map(([kind, action]) => ({ kind, ...this.#target(action) }));
    refuseEmptyKeys(writes);
    cancelOn(writes.map(keyReason));
    refuseDuplicates(writes);
    const token = request.ClientRequestToken as string | undefined;
    if (token !== undefined && this.#isRepeated(token, raw)) return this.#repeated(writes, request);
    this.#refuseHeld(writes);
    const done = this.#run(writes);
    if (token !== undefined) this.#remember(token, raw);
    const answer = consumed(done.map(unitsWritten), request, 'WriteCapacityUnits');
    const released = this.#holds.hold(done.map(({ table, key }) => itemId(table, key)));
    return released === undefined ? answer : released.then(() => answer);
  }

  /** TransactGetItems: all items as they are at one moment. Throws a refusal. */
  read(raw: Readonly<Record<string, unknown>>): Record<string, unknown> {
    this.#readRules ??= readRules();
    const request = checkRequest(raw, this.#readRules, this.#store);
    const gets = (request.TransactItems as readonly { readonly Get: CheckedRequest }[]).map(({ Get }) => {
      refuse(rulesOf('getItem').custom?.(Get, this.#store));
      return Get;
    });
    const targets = gets.map((get) => this.#target(get));
    refuseEmptyKeys(targets);
    cancelOn(targets.map(keyReason));
    refuseDuplicates(targets);
    this.#refuseHeld(targets);
    const items = targets.map((target) => this.#stored(target));
    refuseOversized(items);
    const outcomes = targets.map(({ request: get }) => performNow('GetItem', get, this.#store));
    cancelOn(outcomes.map(reasonOf));
    const units = targets.map((target, index) => unitsRead(target, items[index]));
    return { Responses: outcomes.map(responseOf), ...consumed(units, request, 'ReadCapacityUnits') };
  }

  #checkedAction(action: Readonly<Record<Kind, CheckedRequest>>): [Kind, CheckedRequest] {
    const kinds = KINDS.filter((kind) => action[kind] !== undefined);
    const kind = kinds[0];
    if (kind === undefined || kinds.length > 1) {
      throw validationError('TransactItems can only contain one of Check, Put, Update or Delete');
    }
    refuse(CHECKS[kind]?.(action[kind], this.#store));
    return [kind, action[kind]];
  }

  #target(request: CheckedRequest): Target {
    return {
      request,
      table: this.#store.openTable(request.TableName),
      key: request.Item ?? request.Key ?? {},
    };
  }

  #stored({ table, key }: Target): Item | undefined {
    return this.#store.getItemDb(table.TableName).rows.get(db.createKey(key, table));
  }

  #refuseHeld(targets: readonly Target[]): void {
    if (this.#holds.isEmpty) return;
    cancelOn(targets.map(({ table, key }) => (this.#holds.has(itemId(table, key)) ? ONGOING : NO_REASON)));
  }

  #run(writes: readonly Write[]): readonly Done[] {
    const done: Done[] = [];
    const reasons = writes.map((write) => {
      const before = this.#stored(write);
      const outcome = this.#apply(write, before);
      const storedKey = db.createKey(write.key, write.table);
      if (!('error' in outcome)) done.push({ ...write, storedKey, before, after: this.#stored(write) });
      return reasonOf(outcome);
    });
    try {
      cancelOn(reasons);
      refuseOversized(done.map(({ before, after }) => after ?? before));
    } catch (error) {
      for (const write of done) this.#takeBack(write);
      throw error;
    }
    return done;
  }

  #apply({ kind, request }: Write, before: Item | undefined): Outcome {
    if (kind !== 'ConditionCheck') return performNow(`${kind}Item`, request, this.#store);
    const error = db.checkConditional(request, before);
    return error === undefined ? { answer: {} } : { error };
  }

  #takeBack({ table, storedKey, before, after }: Done): void {
    const { rows } = this.#store.getItemDb(table.TableName);
    db.updateIndexes(this.#store, table, after, before, () => {});
    if (before === undefined) rows.delete(storedKey);
    else rows.set(storedKey, before);
  }

  #isRepeated(token: string, raw: Readonly<Record<string, unknown>>): boolean {
    const known = this.#tokens.get(token);
    if (known === undefined || known.until <= this.#now()) return false;
    if (known.hash === hashOf(raw)) return true;
    throw new DynamoDbError(
      'IdempotentParameterMismatchException',
      'The request uses the same client token as a previous, but non-identical request. Do not reuse a client token ' +
        'with different requests, unless the requests are identical',
    );
  }

  /** A repeat changes nothing, and is charged for reading what it would have written. */
  #repeated(writes: readonly Write[], request: CheckedRequest): Record<string, unknown> {
    const units = writes.map((write) => unitsRead(write, this.#stored(write)));
    return consumed(units, request, 'ReadCapacityUnits');
  }

  #remember(token: string, raw: Readonly<Record<string, unknown>>): void {
    const now = this.#now();
    for (const [old, { until }] of this.#tokens) {
      if (until > now) break;
      this.#tokens.delete(old);
    }
    this.#tokens.delete(token);
    this.#tokens.set(token, { hash: hashOf(raw), until: now + TOKEN_LIFETIME_MS });
  }
}

function hashOf(raw: Readonly<Record<string, unknown>>): string {
  return createHash('sha1').update(JSON.stringify(raw)).digest('base64');
}

function refuse(message: string | undefined): void {
  if (message !== undefined && message !== null) throw validationError(message);
}

function refuseEmptyKeys(targets: readonly Target[]): void {
  for (const { key, table } of targets) {
    const error = emptyKey(key, table);
    if (error !== undefined) throw error;
  }
}

function refuseDuplicates(targets: readonly Target[]): void {
  const seen = new Set<string>();
  for (const { key, table } of targets) seen.add(itemId(table, key));
  if (seen.size < targets.length) {
    throw validationError('Transaction request cannot include multiple operations on one item');
  }
}

function refuseOversized(items: readonly (Item | undefined)[]): void {
  let bytes = 0;
  for (const item of items) bytes += item === undefined ? 0 : itemBytes(item);
  if (bytes > MAX_TRANSACTION_BYTES) {
    throw validationError(
      `Aggregate size of the items in the transaction cannot exceed ${MAX_TRANSACTION_BYTES} bytes`,
    );
  }
}

function keyReason({ request, table, key }: Target): Reason {
  const error = request.Item === undefined ? db.validateKey(key, table) : db.validateItem(key, table);
  return isRefused(error) ? reasonOfRefusal(error) : NO_REASON;
}

function reasonOf(outcome: Outcome): Reason {
  if (!('error' in outcome)) return NO_REASON;
  if (isRefused(outcome.error)) return reasonOfRefusal(outcome.error);
  throw outcome.error;
}

function reasonOfRefusal(error: RefusedOperation): Reason {
  const code = codeOf(error);
  const Message = String(error.body.message);
  if (code === 'ValidationException') return { Code: 'ValidationError', Message };
  if (code !== 'ConditionalCheckFailedException') throw error;
  const { Item } = error.body;
  return { Code: 'ConditionalCheckFailed', Message, ...(Item === undefined ? {} : { Item }) };
}

function cancelOn(reasons: readonly Reason[]): void {
  if (reasons.some(({ Code }) => Code !== NO_REASON.Code)) throw transactionCanceled(reasons);
}

function responseOf(outcome: Outcome): Record<string, unknown> {
  if ('error' in outcome) throw outcome.error;
  const { Item } = outcome.answer;
  return Item === undefined ? {} : { Item };
}

interface Units {
  readonly table: string;
  readonly units: number;
}

function unitsWritten({ table, before, after }: Done): Units {
  return { table: table.TableName, units: TRANSACTION_FACTOR * writeUnits(before, after) };
}

function unitsRead({ table }: Target, item: Item | undefined): Units {
  const bytes = item === undefined ? 0 : itemBytes(item);
  return { table: table.TableName, units: TRANSACTION_FACTOR * readUnits(bytes, true) };
}

function consumed(
  all: readonly Units[],
  request: CheckedRequest,
  member: 'ReadCapacityUnits' | 'WriteCapacityUnits',
): Record<string, unknown> {
  const detail = request.ReturnConsumedCapacity;
  if (detail !== 'TOTAL' && detail !== 'INDEXES') return {};
  const sums = new Map<string, number>();
  for (const { table, units } of all) sums.set(table, (sums.get(table) ?? 0) + units);
  return {
    ConsumedCapacity: [...sums].map(([TableName, CapacityUnits]) => {
      const total = { TableName, CapacityUnits, [member]: CapacityUnits };
      return detail === 'TOTAL' ? total : { ...total, Table: { CapacityUnits, [member]: CapacityUnits } };
    }),
  };
}
