/** What is set on a table beside its items: time to live, continuous backups, deletion protection. */
import * as z from 'zod/mini';
import type { Item } from './attribute-value.ts';
import { DynamoDbError, validationError } from './errors.ts';

/** Times to live further back than this are taken for mistakes and never acted on (howitworks-ttl). */
const MAX_EXPIRED_SECONDS = 5 * 365 * 24 * 3600;

const DEFAULT_RECOVERY_DAYS = 35;

const timeToLiveRequest = z.object({
  TimeToLiveSpecification: z.object({
    AttributeName: z.string().check(z.minLength(1), z.maxLength(255)),
    Enabled: z.boolean(),
  }),
});

const backupsRequest = z.object({
  PointInTimeRecoverySpecification: z.object({
    PointInTimeRecoveryEnabled: z.boolean(),
    RecoveryPeriodInDays: z.optional(z.int().check(z.gte(1), z.lte(35))),
  }),
});

interface Backups {
  readonly sinceMs: number;
  readonly days: number;
}

/** Settings of one table. */
export class TableSettings {
  isProtected = false;
  #timeToLive: string | undefined;
  #backups: Backups | undefined;

  /** UpdateTimeToLive; refuses what changes nothing, as AWS does. */
  updateTimeToLive(request: Readonly<Record<string, unknown>>): Record<string, unknown> {
    const { TimeToLiveSpecification: wanted } = parse(timeToLiveRequest, request);
    const current = this.#timeToLive;
    if (wanted.Enabled && current === wanted.AttributeName)
      throw validationError('TimeToLive is already enabled');
    if (!wanted.Enabled && current === undefined) throw validationError('TimeToLive is already disabled');
    if (current !== undefined && current !== wanted.AttributeName) {
      throw validationError(
        `TimeToLive is active on a different AttributeName: current AttributeName is ${current}`,
      );
    }
    this.#timeToLive = wanted.Enabled ? wanted.AttributeName : undefined;
    return { TimeToLiveSpecification: wanted };
  }

  /** DescribeTimeToLive. */
  describeTimeToLive(): Record<string, unknown> {
    const name = this.#timeToLive;
    const description =
      name === undefined
        ? { TimeToLiveStatus: 'DISABLED' }
        : { TimeToLiveStatus: 'ENABLED', AttributeName: name };
    return { TimeToLiveDescription: description };
  }

  get hasTimeToLive(): boolean {
    return this.#timeToLive !== undefined;
  }

  /** Whether an item's time has passed. Only whole epoch seconds in a number count. */
  isExpired(item: Item, nowMs: number): boolean {
    const text = this.#timeToLive === undefined ? undefined : item[this.#timeToLive]?.N;
    if (text === undefined) return false;
    const seconds = Number(text);
    const now = nowMs / 1000;
    return seconds <= now && seconds > now - MAX_EXPIRED_SECONDS;
  }

  /** UpdateContinuousBackups. */
  updateBackups(request: Readonly<Record<string, unknown>>, nowMs: number): Record<string, unknown> {
    const { PointInTimeRecoverySpecification: wanted } = parse(backupsRequest, request);
    const days = wanted.RecoveryPeriodInDays ?? this.#backups?.days ?? DEFAULT_RECOVERY_DAYS;
    this.#backups = wanted.PointInTimeRecoveryEnabled
      ? { sinceMs: this.#backups?.sinceMs ?? nowMs, days }
      : undefined;
    return this.describeBackups(nowMs);
  }

  /** DescribeContinuousBackups. */
  describeBackups(nowMs: number): Record<string, unknown> {
    const recovery =
      this.#backups === undefined
        ? { PointInTimeRecoveryStatus: 'DISABLED' }
        : {
            PointInTimeRecoveryStatus: 'ENABLED',
            RecoveryPeriodInDays: this.#backups.days,
            EarliestRestorableDateTime: this.#backups.sinceMs / 1000,
            LatestRestorableDateTime: nowMs / 1000,
          };
    return {
      ContinuousBackupsDescription: {
        ContinuousBackupsStatus: 'ENABLED',
        PointInTimeRecoveryDescription: recovery,
      },
    };
  }
}

function parse<T>(schema: z.ZodMiniType<T>, request: Readonly<Record<string, unknown>>): T {
  const result = schema.safeParse(request);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const path = issue?.path.map(String).join('.') ?? '';
  throw validationError(
    `1 validation error detected: Value at '${path}' failed to satisfy constraint: ${issue?.message}`,
  );
}

/** Backups say "table" in their own words when there is none. */
export function backupsTableNotFound(name: string): DynamoDbError {
  return new DynamoDbError('TableNotFoundException', `Table not found: ${name}`);
}
