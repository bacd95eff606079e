/**
 * EventBridge's PutEvents: what is wrong with an entry is told by that entry, what is right goes to the rules whose
 * pattern it matches, and their functions are invoked asynchronously.
 * Source: EventBridge API reference, "PutEvents" and "PutEventsResultEntry"; sizes as of January 2026.
 */
import { randomUUID } from 'node:crypto';
import * as z from 'zod/mini';
import type { GatewayClock } from '../gateway/clock.ts';
import type { EventRuleDefinition } from '../template/deployment.ts';
import { matchesPattern } from '../template/event-pattern.ts';
import type { RuleDelivery } from './rule-delivery.ts';
import type { JsonReply } from './secrets-api.ts';

/** An event as rules match it and targets get it, and the bus it was put on. */
export interface BusEvent {
  readonly eventBus: string;
  readonly event: {
    readonly id: string;
    readonly source: string;
    readonly 'detail-type': string;
    readonly detail: unknown;
    readonly [member: string]: unknown;
  };
}

export interface EventBridgeOptions {
  /** Names of the event buses; `default` is there in any case. */
  readonly buses: readonly string[];
  readonly rules: readonly EventRuleDefinition[];
  readonly region: string;
  readonly accountId: string;
  readonly clock: GatewayClock;
  /** Told of every event that was accepted. */
  readonly accepted?: ((event: BusEvent) => void) | undefined;
  /** How an event gets to the targets of a rule. */
  readonly delivery: RuleDelivery;
}

const MAX_ENTRIES = 10;
/** Of one entry and of a whole request. */
const MAX_BYTES = 1_048_576;
/** What a time counts in the size of an entry (user guide, "Calculating PutEvents event entry size"). */
const TIME_BYTES = 14;

const entrySchema = z.looseObject({
  EventBusName: z.optional(z.string()),
  Source: z.optional(z.string()),
  DetailType: z.optional(z.string()),
  Detail: z.optional(z.string()),
  Resources: z.optional(z.array(z.string())),
  /** Seconds since the epoch. */
  Time: z.optional(z.number()),
});

const requestSchema = z.looseObject({ Entries: z.optional(z.array(entrySchema)) });

type Entry = z.output<typeof entrySchema>;

type EntryResult = { readonly EventId: string } | EntryError;
interface EntryError {
  readonly ErrorCode: string;
  readonly ErrorMessage: string;
}

export class EventBridge {
  readonly #options: EventBridgeOptions;
  readonly #buses: ReadonlySet<string>;

  constructor(options: EventBridgeOptions) {
    this.#options = options;
    this.#buses = new Set(['default', ...options.buses]);
  }

  /** Answers one operation of `AWSEvents.*`; only PutEvents exists. */
  answer(operation: string, request: unknown): JsonReply {
    if (operation !== 'PutEvents')
      return refused('UnknownOperationException', `${operation} does not run locally`);
    const parsed = requestSchema.safeParse(request);
    if (!parsed.success) return refused('SerializationException', 'the request is not one of PutEvents');
    const { Entries = [] } = parsed.data;
    const problem = requestProblem(Entries);
    if (problem !== undefined) return refused('ValidationException', problem);
    const results = Entries.map((entry) => this.#put(entry));
    const failed = results.filter((result) => 'ErrorCode' in result);
    return { status: 200, body: { FailedEntryCount: failed.length, Entries: results } };
  }

  #put(entry: Entry): EntryResult {
    const bus = busName(entry.EventBusName);
    const error = entryError(entry) ?? this.#unknownBus(bus);
    if (error !== undefined) return error;
    const event = this.#event(entry);
    this.#options.accepted?.({ eventBus: bus, event });
    for (const { ruleArn, eventBus, pattern, targets } of this.#options.rules) {
      if (eventBus !== bus || !matchesPattern(pattern, event)) continue;
      for (const target of targets) void this.#options.delivery.deliver(ruleArn, target, event);
    }
    return { EventId: event.id };
  }

  /** EventBridge takes such an event and drops it; here a name that is wrong shall be noticed. */
  #unknownBus(bus: string): EntryError | undefined {
    if (this.#buses.has(bus)) return undefined;
    return invalidArgument('EventBusName', `Event bus ${bus} does not exist.`);
  }

  /** User guide, "AWS service event metadata": the time has no milliseconds. */
  #event({ Source = '', DetailType = '', Detail = '', Resources = [], Time }: Entry): BusEvent['event'] {
    const { region, accountId, clock } = this.#options;
    return {
      version: '0',
      id: randomUUID(),
      'detail-type': DetailType,
      source: Source,
      account: accountId,
      time: new Date(Time === undefined ? clock.now() : Time * 1000).toISOString().replace(/\.\d{3}/, ''),
      region,
      resources: Resources,
      detail: JSON.parse(Detail) as unknown,
    };
  }
}

function requestProblem(entries: readonly Entry[]): string | undefined {
  const constraint = (rule: string) =>
    `1 validation error detected: Value at 'entries' failed to satisfy constraint: Member must have length ${rule}`;
  if (entries.length === 0) return constraint('greater than or equal to 1');
  if (entries.length > MAX_ENTRIES) return constraint(`less than or equal to ${MAX_ENTRIES}`);
  const bytes = entries.reduce((sum, entry) => sum + sizeOf(entry), 0);
  return bytes > MAX_BYTES ? 'Total size of the entries in the request is over the limit.' : undefined;
}

function entryError({ Source, DetailType, Detail, Time }: Entry): EntryError | undefined {
  for (const [name, value] of Object.entries({ Source, DetailType, Detail })) {
    if (value === undefined || value === '') return invalidArgument(name, `${name} is a required argument.`);
  }
  if (Source?.startsWith('aws.')) {
    return {
      ErrorCode: 'NotAuthorizedForSourceException',
      ErrorMessage: 'Not authorized for the source.',
    };
  }
  if (Time !== undefined && Number.isNaN(new Date(Time * 1000).getTime()))
    return invalidArgument('Time', 'Time is not a timestamp.');
  return isJsonObject(Detail ?? '')
    ? undefined
    : { ErrorCode: 'MalformedDetail', ErrorMessage: 'Detail is malformed.' };
}

function invalidArgument(name: string, reason: string): EntryError {
  return {
    ErrorCode: 'InvalidArgument',
    ErrorMessage: `Parameter ${name} is not valid. Reason: ${reason}`,
  };
}

function sizeOf({ Source = '', DetailType = '', Detail = '', Resources = [], Time }: Entry): number {
  const texts = [Source, DetailType, Detail, ...Resources];
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  return bytes + (Time === undefined ? 0 : TIME_BYTES);
}

/** A name, or an ARN that ends with it. */
function busName(text = 'default'): string {
  return text.replace(/^arn:[^:]+:events:[^:]*:\d*:event-bus\//, '');
}

function isJsonObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

function refused(type: string, message: string): JsonReply {
  return { status: 400, body: { __type: type, message } };
}
