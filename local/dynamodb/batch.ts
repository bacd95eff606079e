/** BatchGetItem. dynalite's stops at one megabyte, as the service did long ago. */
import { type Item, itemBytes } from './attribute-value.ts';
import { type CheckedRequest, db, rulesOf } from './dynalite.ts';
import { checkRequest, performNow } from './operation.ts';
import type { MemoryStore } from './store.ts';

/** What one answer holds (ServiceQuotas); further keys come back unprocessed. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

interface TableRequest extends Record<string, unknown> {
  readonly Keys: readonly Item[];
}

/** Items in no order anybody may rely on: it is never the one asked for. Throws a refusal. */
export function batchGet(
  raw: Readonly<Record<string, unknown>>,
  store: MemoryStore,
): Record<string, unknown> {
  const request = checkRequest(raw, rulesOf('batchGetItem'), store);
  const tables = Object.entries(request.RequestItems as Tables);
  for (const [name, { Keys }] of tables) refuseKeys(name, Keys, store);
  const room = { bytes: MAX_ANSWER_BYTES };
  const parts = tables.map(([name, wanted]) => readTable(name, wanted, request, store, room));
  const unprocessed = parts.filter(({ left }) => left.length > 0);
  const sent = raw.RequestItems as Tables;
  return {
    Responses: Object.fromEntries(parts.map(({ name, found }) => [name, found])),
    UnprocessedKeys: Object.fromEntries(
      unprocessed.map(({ name, left }) => [name, { ...sent[name], Keys: left }]),
    ),
    ...(isMeasured(request)
      ? { ConsumedCapacity: parts.map(({ name, units }) => capacityOf(name, units, request)) }
      : {}),
  };
}

type Tables = Readonly<Record<string, TableRequest>>;

interface Part {
  readonly name: string;
  readonly found: readonly Item[];
  readonly left: readonly Item[];
  readonly units: number;
}

function readTable(
  name: string,
  wanted: TableRequest,
  batch: CheckedRequest,
  store: MemoryStore,
  room: { bytes: number },
): Part {
  const found: Item[] = [];
  const left: Item[] = [];
  let units = 0;
  for (const key of wanted.Keys) {
    const { item, bytes, consumed } = read(name, key, wanted, batch, store);
    if (bytes > room.bytes) {
      left.push(key);
      continue;
    }
    room.bytes -= bytes;
    units += consumed;
    if (item !== undefined) found.push(item);
  }
  return { name, found: found.reverse(), left, units };
}

function refuseKeys(name: string, keys: readonly Item[], store: MemoryStore): void {
  const table = store.openTable(name);
  for (const key of keys) {
    const error = db.validateKey(key, table);
    if (error !== undefined && error !== null) throw error;
  }
}

interface Read {
  readonly item: Item | undefined;
  /** Of the whole item, before the projection. */
  readonly bytes: number;
  readonly consumed: number;
}

function read(
  name: string,
  key: Item,
  wanted: TableRequest,
  batch: CheckedRequest,
  store: MemoryStore,
): Read {
  const { ReturnConsumedCapacity } = batch;
  const get = {
    ...wanted,
    TableName: name,
    Key: key,
    ...(isMeasured(batch) ? { ReturnConsumedCapacity } : {}),
  };
  const outcome = performNow('GetItem', get as CheckedRequest, store);
  if ('error' in outcome) throw outcome.error;
  const { Item: item, ConsumedCapacity } = outcome.answer as {
    readonly Item?: Item;
    readonly ConsumedCapacity?: { readonly CapacityUnits: number };
  };
  const stored = store.getItemDb(name).rows.get(db.createKey(key, store.openTable(name)));
  return {
    item,
    bytes: stored === undefined ? 0 : itemBytes(stored),
    consumed: ConsumedCapacity?.CapacityUnits ?? 0,
  };
}

function isMeasured(request: CheckedRequest): boolean {
  return request.ReturnConsumedCapacity === 'TOTAL' || request.ReturnConsumedCapacity === 'INDEXES';
}

function capacityOf(TableName: string, CapacityUnits: number, request: CheckedRequest): unknown {
  const total = { TableName, CapacityUnits };
  return request.ReturnConsumedCapacity === 'INDEXES' ? { ...total, Table: { CapacityUnits } } : total;
}
