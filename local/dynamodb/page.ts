/** Reads one page of a Query or Scan: what dynalite's `queryTable` does through streams, in one go. */
import { type Item, itemBytes } from './attribute-value.ts';
import { readUnits } from './capacity.ts';
import { satisfies } from './condition.ts';
import { type CheckedRequest, db, type TableDescription } from './dynalite.ts';
import type { Range } from './sorted-map.ts';
import type { MemoryStore } from './store.ts';

/** A page ends with the item that brings what was read to 1 MB, before any filter (ServiceQuotas). */
const PAGE_BYTES = 1_048_576;

interface Page {
  /** Everything read, before the filter. */
  readonly items: Item[];
  readonly isCut: boolean;
  readonly tableBytes: number;
  readonly indexBytes: number;
}

export interface PageSource {
  readonly store: MemoryStore;
  readonly table: TableDescription;
  readonly request: CheckedRequest;
  readonly range: Range;
  readonly indexType: 'local' | 'global';
  /** A local index that lacks attributes the caller wants. */
  readonly fetchFromTable: boolean;
  readonly startKeyNames: readonly string[];
}

/** The answer to a Query or Scan. */
export function answerPage(source: PageSource): Record<string, unknown> {
  const { request } = source;
  const page = readPage(source);
  const kept = page.items.filter((item) => passes(item, request));
  const last = page.items.at(-1);
  const paths = request._projection?.paths ?? request.AttributesToGet;
  const items = paths === undefined ? kept : kept.map((item) => db.mapPaths(paths, item));
  return {
    ScannedCount: page.items.length,
    Count: kept.length,
    ...(request.Select === 'COUNT' ? {} : { Items: items }),
    ...(page.isCut && last !== undefined ? { LastEvaluatedKey: keyOf(last, source.startKeyNames) } : {}),
    ...consumed(page, request, source.indexType),
  };
}

function readPage({ store, table, request, range, indexType, fetchFromTable }: PageSource): Page {
  const { TableName: name, IndexName: index, Limit: limit = Number.POSITIVE_INFINITY } = request;
  const tableRows = store.getItemDb(name).rows;
  const rows = index === undefined ? tableRows : store.getIndexDb(indexType, name, index).rows;
  const items: Item[] = [];
  let bytes = 0;
  let fetchedBytes = 0;
  for (const row of rows.values(range)) {
    const item = fetchFromTable ? (tableRows.get(db.createKey(row, table)) ?? row) : row;
    items.push(item);
    bytes += itemBytes(row);
    if (fetchFromTable) fetchedBytes += itemBytes(item);
    if (items.length >= limit || bytes >= PAGE_BYTES) break;
  }
  return {
    items,
    isCut: items.length >= limit || bytes >= PAGE_BYTES,
    tableBytes: index === undefined ? bytes : fetchedBytes,
    indexBytes: index === undefined ? 0 : bytes,
  };
}

function passes(item: Item, request: CheckedRequest): boolean {
  if (request._filter !== undefined) return satisfies(request._filter.expression, item);
  const filter = request.QueryFilter ?? request.ScanFilter;
  return filter === undefined || db.matchesFilter(item, filter, request.ConditionalOperator);
}

function keyOf(item: Item, names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(names.map((name) => [name, item[name]]));
}

function consumed(
  page: Page,
  request: CheckedRequest,
  indexType: 'local' | 'global',
): Record<string, unknown> {
  const detail = request.ReturnConsumedCapacity;
  if (detail !== 'TOTAL' && detail !== 'INDEXES') return {};
  const consistent = request.ConsistentRead === true;
  const index = request.IndexName;
  const tableUnits =
    index !== undefined && page.tableBytes === 0 ? 0 : readUnits(page.tableBytes, consistent);
  const indexUnits = index === undefined ? 0 : readUnits(page.indexBytes, consistent);
  const total = { TableName: request.TableName, CapacityUnits: tableUnits + indexUnits };
  if (detail === 'TOTAL') return { ConsumedCapacity: total };
  const member = indexType === 'local' ? 'LocalSecondaryIndexes' : 'GlobalSecondaryIndexes';
  const ofIndex = index === undefined ? {} : { [member]: { [index]: { CapacityUnits: indexUnits } } };
  return { ConsumedCapacity: { ...total, Table: { CapacityUnits: tableUnits }, ...ofIndex } };
}
