/**
 * What the items of one partition key can take: so many read and write units a second. A call is refused while the key
 * is in debt; what it has cost is charged afterwards, when it is known, as DynamoDB does with a read of unknown size.
 * On-demand tables say ThrottlingException (developer guide, "Error handling") and name the key range as the reason.
 */
import type { PartitionQuota } from '../quotas/quotas.ts';
import { TokenBucket } from '../quotas/token-bucket.ts';
import { type Item, itemBytes } from './attribute-value.ts';
import type { ApiReply, Request } from './call.ts';
import { readUnits, TRANSACTION_FACTOR, writeUnits } from './capacity.ts';
import { db } from './dynalite.ts';
import { DynamoDbError, NO_REASON, type Reason, transactionCanceled } from './errors.ts';
import { isBatch, withoutEntries } from './partial-batch.ts';
import type { MemoryStore } from './store.ts';
import { keyOf, partitionOf, type Target, targetsOf } from './targets.ts';

/** Keys that are remembered before those at rest are forgotten. */
const MOST_KEYS = 10_000;

const MESSAGE =
  'Throughput exceeds the current capacity of your table or index. DynamoDB is automatically scaling your table or ' +
  'index so please try again shortly.';

/** What a call is refused with that comes too soon. */
export function throttled(target: Pick<Target, 'table' | 'access'> | undefined): DynamoDbError {
  const reason = `Table${target?.access === 'read' ? 'Read' : 'Write'}KeyRangeThroughputExceeded`;
  const reasons = target === undefined ? [] : [{ reason, resource: target.table.TableArn }];
  return new DynamoDbError('ThrottlingException', MESSAGE, { throttlingReasons: reasons });
}

/** Why a transaction is cancelled that comes too soon (API reference, TransactWriteItems). */
export const THROTTLED: Reason = { Code: 'ThrottlingError', Message: MESSAGE };

interface Metered extends Target {
  readonly bucket: TokenBucket;
  readonly before: Item | undefined;
}

export class PartitionThrottle {
  readonly #store: MemoryStore;
  readonly #now: () => number;
  readonly #buckets = new Map<string, TokenBucket>();
  #quota: PartitionQuota | undefined;

  /** @param quota undefined: nothing is throttled */
  constructor(store: MemoryStore, now: () => number, quota: PartitionQuota | undefined) {
    this.#store = store;
    this.#now = now;
    this.#quota = quota;
  }

  /** Another quota from now on, with full buckets. */
  replace(quota: PartitionQuota | undefined): void {
    this.#quota = quota;
    this.#buckets.clear();
  }

  /** Does an operation, or as much of it as the keys have capacity for. */
  async run(
    operation: string,
    request: Request,
    next: (request: Request) => Promise<ApiReply>,
  ): Promise<ApiReply> {
    const quota = this.#quota;
    if (quota === undefined) return next(request);
    const metered = targetsOf(operation, request, this.#store).flatMap((one) => this.#meter(one, quota));
    if (metered.length === 0) return next(request);
    const spent = metered.filter(({ bucket }) => !bucket.hasAny);
    if (spent.length > 0 && (!isBatch(operation) || spent.length === metered.length))
      return this.#refuse(operation, metered);
    const left = new Set(spent.flatMap(({ entry }) => (entry === undefined ? [] : [entry])));
    const reply = await withoutEntries(operation, measured(operation, request), left, next);
    this.#charge(
      operation,
      metered.filter(({ entry }) => entry === undefined || !left.has(entry)),
      reply,
    );
    return asAsked(operation, request, reply);
  }

  #meter(target: Target, quota: PartitionQuota): Metered[] {
    const partition = partitionOf(target);
    if (partition === undefined) return [];
    const { table, access } = target;
    const id = `${access} ${table.TableName} ${JSON.stringify(partition)}`;
    const bucket = this.#buckets.get(id) ?? this.#newBucket(id, access, quota);
    return [{ ...target, bucket, before: access === 'write' ? this.#stored(target) : undefined }];
  }

  #newBucket(id: string, access: Target['access'], quota: PartitionQuota): TokenBucket {
    if (this.#buckets.size >= MOST_KEYS) this.#forgetResting();
    const perSecond = access === 'read' ? quota.readUnits : quota.writeUnits;
    const bucket = new TokenBucket({ perSecond, burst: perSecond * quota.burstSeconds }, this.#now);
    this.#buckets.set(id, bucket);
    return bucket;
  }

  /** A full bucket is no different from a new one. */
  #forgetResting(): void {
    for (const [id, bucket] of this.#buckets) if (bucket.isFull) this.#buckets.delete(id);
  }

  #refuse(operation: string, metered: readonly Metered[]): ApiReply {
    const error = operation.startsWith('Transact')
      ? transactionCanceled(metered.map(({ bucket }) => (bucket.hasAny ? NO_REASON : THROTTLED)))
      : throttled(metered.find(({ bucket }) => !bucket.hasAny));
    return { status: error.statusCode, body: error.body };
  }

  /** A refused request costs nothing, unless its condition was looked at: that is a write of one unit at least. */
  #charge(operation: string, metered: readonly Metered[], reply: ApiReply): void {
    if (reply.status === 200 || isConditional(reply)) {
      const factor = operation.startsWith('Transact') ? TRANSACTION_FACTOR : 1;
      for (const one of metered) one.bucket.spend(factor * this.#units(operation, one, reply));
    }
  }

  #units(operation: string, { before, ...target }: Metered, reply: ApiReply): number {
    if (operation === 'Query') return queryUnits(reply);
    if (target.access === 'write') return writeUnits(before, this.#stored(target));
    const item = this.#stored(target);
    const isConsistent = target.isConsistent || operation === 'TransactGetItems';
    return readUnits(item === undefined ? 0 : itemBytes(item), isConsistent);
  }

  #stored(target: Target): Item | undefined {
    const key = keyOf(target);
    if (key === undefined) return undefined;
    return this.#store.getItemDb(target.table.TableName).rows.get(db.createKey(key, target.table));
  }
}

/** What a query reads only the query itself can tell. */
function measured(operation: string, request: Request): Request {
  return operation !== 'Query' || isMeasured(request)
    ? request
    : { ...request, ReturnConsumedCapacity: 'TOTAL' };
}

function asAsked(operation: string, request: Request, reply: ApiReply): ApiReply {
  if (operation !== 'Query' || isMeasured(request) || reply.status !== 200) return reply;
  const { ConsumedCapacity: _, ...body } = reply.body as Record<string, unknown>;
  return { status: 200, body };
}

function isMeasured({ ReturnConsumedCapacity: detail }: Request): boolean {
  return detail === 'TOTAL' || detail === 'INDEXES';
}

function queryUnits({ body }: ApiReply): number {
  const { ConsumedCapacity } = body as { ConsumedCapacity?: { CapacityUnits?: number } };
  return ConsumedCapacity?.CapacityUnits ?? 0;
}

function isConditional({ body }: ApiReply): boolean {
  const type = String((body as { __type?: unknown }).__type);
  return type.endsWith('#ConditionalCheckFailedException') || type.endsWith('#TransactionCanceledException');
}
