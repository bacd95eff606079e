/**
 * What a message of the dead-letter queue is about, and what doing it again takes. Sources: Lambda guide, "Capturing
 * records of Lambda asynchronous invocations"; EventBridge user guide, "Using dead-letter queues".
 */
import type { Message } from '@aws-sdk/client-sqs';
import * as z from 'zod/mini';
import { PUBLISH_DETAIL_TYPE, PUBLISH_SOURCE } from '../lambdas/contract/event-bridge.ts';

/** Whoever gave it up, and so the form that it has in the queue. */
export type Kind = 'lambda' | 'eventbridge';

export interface Replayable {
  readonly kind: Kind;
  /** ARN of the function to invoke. */
  readonly functionArn: string;
  /** JSON to invoke it with. */
  readonly payload: string;
  /** Of the broadcast, the event or the publish; undefined where the payload has none. */
  readonly id: string | undefined;
  /** The type or code of the last error, never its message: that may quote the payload. */
  readonly error: string | undefined;
  readonly attempts: number | undefined;
  /** Of the invocation that failed, to find its log by; EventBridge never came to one. */
  readonly requestId: string | undefined;
}

/** What nothing is known to do for. */
export interface Foreign {
  readonly kind: 'unknown';
  readonly reason: string;
  /** Of an event that is left: what it was for, its id and why it was given up. */
  readonly function?: string;
  readonly id?: string | undefined;
  readonly error?: string | undefined;
}

const FUNCTION_ARN = /^arn:[^:]+:lambda:[^:]+:(\d{12}):function:[\w-]+(?::[\w$-]+)?$/;
/** Ids of our own are short; whatever else stands there is not printed at length. */
const MAX_ID_LENGTH = 256;

const recordSchema = z.looseObject({
  version: z.literal('1.0'),
  requestContext: z.looseObject({
    requestId: z.optional(z.string()),
    functionArn: z.string(),
    condition: z.optional(z.string()),
    approximateInvokeCount: z.optional(z.number()),
  }),
  responsePayload: z.optional(z.unknown()),
});
const withPayload = z.looseObject({ requestPayload: z.unknown() });
const failureSchema = z.looseObject({ errorType: z.string() });
const identified = z.looseObject({ id: z.string() });
/** EventBridge's envelope (user guide, "Events in Amazon EventBridge"), which is no input that a rule has made. */
const eventSchema = z.looseObject({ source: z.string(), 'detail-type': z.string(), detail: z.unknown() });

/** @param accountId of the queue: a function elsewhere is none that this queue is for */
export function readDeadLetter(message: Message, accountId: string | undefined): Replayable | Foreign {
  const body = jsonOf(message.Body ?? '');
  if (body === undefined) return foreign('its body is not JSON');
  const target = message.MessageAttributes?.TARGET_ARN?.StringValue;
  const found = target === undefined ? ofLambda(body.value) : ofEventBridge(message, target, body.value);
  if (found.kind === 'unknown') return found;
  const [, owner] = FUNCTION_ARN.exec(found.functionArn) ?? [];
  if (owner === undefined) return foreign('what it was for is no Lambda function');
  if (accountId !== undefined && owner !== accountId) return foreign('its function is of another account');
  return found;
}

/** `deliver` and `publish` were tried as often as they may be, and failed. */
function ofLambda(body: unknown): Replayable | Foreign {
  const record = z.safeParse(recordSchema, body);
  if (!record.success) return foreign('it is neither a record of Lambda nor an event of EventBridge');
  if (!Object.hasOwn(record.data, 'requestPayload')) return foreign('the record has no payload');
  const { requestPayload } = z.parse(withPayload, record.data);
  const { requestId, functionArn, condition, approximateInvokeCount } = record.data.requestContext;
  const failure = z.safeParse(failureSchema, record.data.responsePayload);
  return {
    kind: 'lambda',
    // Who may invoke a function need not have been allowed to name its version.
    functionArn: functionArn.replace(/:\$LATEST$/, ''),
    payload: JSON.stringify(requestPayload),
    id: idOf(requestPayload),
    error: failure.success ? failure.data.errorType : condition,
    attempts: approximateInvokeCount,
    requestId,
  };
}

/**
 * EventBridge could not hand it to Lambda. The guide does not say what the body is where the rule has an input transformer;
 * those who looked saw the event itself (docs/verify-on-aws.md). `publish` would take any event and drop what asks for no
 * publish, so an event is replayed only where the rule hands it on as it is: one that asks for a publish.
 */
function ofEventBridge(message: Message, functionArn: string, body: unknown): Replayable | Foreign {
  const attribute = (name: string) => message.MessageAttributes?.[name]?.StringValue;
  const id = idOf(body);
  const error = attribute('ERROR_CODE');
  if (isEventOfOthers(body)) {
    const rule = attribute('RULE_ARN') ?? 'its rule';
    const reason = `it is an event as it was put on its bus, and not what ${rule} makes of it for the function`;
    return { ...foreign(reason), function: functionArn, id, error };
  }
  const retries = Number.parseInt(attribute('RETRY_ATTEMPTS') ?? '', 10);
  return {
    kind: 'eventbridge',
    functionArn,
    payload: message.Body ?? '',
    id,
    error,
    attempts: Number.isNaN(retries) ? undefined : retries + 1,
    requestId: undefined,
  };
}

function isEventOfOthers(body: unknown): boolean {
  const { success, data } = z.safeParse(eventSchema, body);
  return success && !(data.source === PUBLISH_SOURCE && data['detail-type'] === PUBLISH_DETAIL_TYPE);
}

function idOf(payload: unknown): string | undefined {
  const found = z.safeParse(identified, payload);
  return found.success ? found.data.id.slice(0, MAX_ID_LENGTH) : undefined;
}

function jsonOf(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) as unknown };
  } catch {
    return undefined;
  }
}

function foreign(reason: string): Foreign {
  return { kind: 'unknown', reason };
}
