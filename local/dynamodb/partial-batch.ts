/** A batch of which a part is not done, as BatchWriteItem and BatchGetItem answer when capacity runs out. */
import type { ApiReply, Next, Request } from './call.ts';

/** One entry of a batch: a `PutRequest` or `DeleteRequest`, or the key of a get. */
export interface BatchEntry {
  readonly table: string;
  readonly entry: Readonly<Record<string, unknown>>;
}

interface TableKeys extends Record<string, unknown> {
  readonly Keys: readonly BatchEntry['entry'][];
}

type Tables = Readonly<Record<string, readonly BatchEntry['entry'][] | TableKeys>>;

const UNPROCESSED: Readonly<Record<string, string>> = {
  BatchGetItem: 'UnprocessedKeys',
  BatchWriteItem: 'UnprocessedItems',
};

/** The answer to a batch that does nothing. */
const NOTHING: ApiReply = { status: 200, body: { Responses: {} } };

export function isBatch(operation: string): boolean {
  return UNPROCESSED[operation] !== undefined;
}

/** The entries of a batch in the order of the request; none where it has not the form of one. */
export function batchEntries(request: Request): BatchEntry[] {
  const { RequestItems: tables } = request;
  if (!isObject(tables)) return [];
  return Object.entries(tables).flatMap(([table, value]) => {
    const list = isObject(value) && 'Keys' in value ? value.Keys : value;
    if (!Array.isArray(list)) return [];
    return list.filter(isObject).map((entry) => ({ table, entry }));
  });
}

/**
 * Does a batch without some of its entries, which come back as unprocessed; where none is left to do, nothing is done.
 *
 * @param left of `batchEntries` for this request
 */
export async function withoutEntries(
  operation: string,
  request: Request,
  left: ReadonlySet<BatchEntry['entry']>,
  next: Next,
): Promise<ApiReply> {
  if (left.size === 0) return next(request);
  const member = UNPROCESSED[operation] ?? '';
  const wanted = select(request, (entry) => !left.has(entry));
  const reply = Object.keys(wanted).length === 0 ? NOTHING : await next({ ...request, RequestItems: wanted });
  if (reply.status !== 200 || !isObject(reply.body)) return reply;
  const { [member]: unprocessed } = reply.body;
  const back = select(request, (entry) => left.has(entry));
  return {
    status: 200,
    body: { ...reply.body, [member]: merged(isObject(unprocessed) ? unprocessed : {}, back) },
  };
}

/** The tables of a request with some of their entries; a table without any is left out. */
function select(request: Request, wanted: (entry: BatchEntry['entry']) => boolean): Tables {
  const parts = Object.entries(request.RequestItems as Tables).map(([table, value]) => {
    const list = entriesOf(value).filter(wanted);
    return [table, list, Array.isArray(value) ? list : { ...value, Keys: list }] as const;
  });
  return Object.fromEntries(parts.flatMap(([table, list, part]) => (list.length > 0 ? [[table, part]] : [])));
}

function merged(one: Readonly<Record<string, unknown>>, other: Tables): Record<string, unknown> {
  const result: Record<string, unknown> = { ...one };
  for (const [table, value] of Object.entries(other)) {
    const known = one[table] as Tables[string] | undefined;
    if (known === undefined) result[table] = value;
    else if (Array.isArray(value)) result[table] = [...entriesOf(known), ...value];
    else result[table] = { ...value, Keys: [...entriesOf(known), ...entriesOf(value)] };
  }
  return result;
}

function entriesOf(value: Tables[string]): readonly BatchEntry['entry'][] {
  return 'Keys' in value ? (value as TableKeys).Keys : (value as readonly BatchEntry['entry'][]);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
