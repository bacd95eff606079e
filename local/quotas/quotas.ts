/** The quotas that the stack keeps, with the values of a new AWS account. */
import * as z from 'zod/mini';
import type { Rate } from './token-bucket.ts';

const positive = z.number().check(z.gt(0));
const rate = z.optional(z.strictObject({ perSecond: z.optional(positive), burst: z.optional(positive) }));

/** As in StackOptions and in a file of faults; what is left out has its default. */
export const quotasSchema = z.strictObject({
  requests: rate,
  connections: rate,
  partition: z.optional(
    z.strictObject({
      readUnits: z.optional(positive),
      writeUnits: z.optional(positive),
      burstSeconds: z.optional(positive),
    }),
  ),
  transactionMs: z.optional(z.number().check(z.gte(0))),
});

export type QuotaSettings = z.output<typeof quotasSchema>;

/** What the items of one partition key can take (Developer guide, "Designing partition keys"). */
export interface PartitionQuota {
  readonly readUnits: number;
  readonly writeUnits: number;
  /** Seconds of unused capacity that a key may spend at once. */
  readonly burstSeconds: number;
}

export interface Quotas {
  /** Messages, calls of `@connections` and HTTP API requests together, of the whole account. */
  readonly requests: Rate;
  /** New WebSocket connections of the whole account. */
  readonly connections: Rate;
  readonly partition: PartitionQuota;
  /** How long the items of a transaction are held; ms. 0: nothing ever conflicts. */
  readonly transactionMs: number;
}

/**
 * API Gateway: 10,000 requests a second with a bucket of 5,000, and 500 new connections a second, for which no bucket
 * is documented (facts: quotas). DynamoDB: 1,000 write and 3,000 read units a second and key. Its burst capacity of five
 * minutes is lent by the table to a partition that stays under the partition's own maximum, so a hot key gets none of
 * it: one second, which only evens out within the second. Transactions hold nothing: see docs/faults.md.
 */
export const DEFAULT_QUOTAS: Quotas = {
  requests: { perSecond: 10_000, burst: 5_000 },
  connections: { perSecond: 500, burst: 500 },
  partition: { readUnits: 3_000, writeUnits: 1_000, burstSeconds: 1 },
  transactionMs: 0,
};

/** The defaults under what each of the settings says; later ones win. */
export function quotasOf(...settings: readonly (QuotaSettings | undefined)[]): Quotas {
  return settings.reduce<Quotas>(
    (quotas, given) => ({
      requests: { ...quotas.requests, ...defined(given?.requests) },
      connections: { ...quotas.connections, ...defined(given?.connections) },
      partition: { ...quotas.partition, ...defined(given?.partition) },
      transactionMs: given?.transactionMs ?? quotas.transactionMs,
    }),
    DEFAULT_QUOTAS,
  );
}

type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> };

function defined<T extends object>(given: T | undefined): Partial<Defined<T>> {
  const entries = Object.entries(given ?? {}).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as Partial<Defined<T>>;
}
