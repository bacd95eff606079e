/** Requests, answers and errors of SQS's JSON protocol, as its API reference names them. */
import * as z from 'zod/mini';
import { attributesMd5, md5 } from './message-digest.ts';
import type { MessageAttributes, MessageQueue, StoredMessage } from './message-queue.ts';

/** A message was not taken. */
export class QueueError extends Error {
  override readonly name = 'QueueError';
  /** As after `com.amazonaws.sqs#`. */
  readonly code: string;
  readonly retryable = false;
  /** Of the older query protocol, which SDKs show. */
  readonly queryCode: string;

  constructor(code: string, message: string, queryCode = code) {
    super(message);
    this.code = code;
    this.queryCode = queryCode;
  }
}

const attribute = z.looseObject({
  DataType: z.string().check(z.regex(/^(String|Number|Binary)(\..+)?$/)),
  StringValue: z.optional(z.string()),
  BinaryValue: z.optional(z.string()),
});
const names = z._default(z.array(z.string()), []);
const seconds = (max: number) => z.optional(z.number().check(z.int(), z.gte(0), z.lte(max)));

export const sendSchema = z.looseObject({
  QueueUrl: z.string(),
  MessageBody: z.string().check(z.minLength(1)),
  DelaySeconds: seconds(900),
  MessageAttributes: z._default(z.record(z.string(), attribute), {}),
});
export const receiveSchema = z.looseObject({
  QueueUrl: z.string(),
  MaxNumberOfMessages: z._default(z.number().check(z.int(), z.gte(1), z.lte(10)), 1),
  VisibilityTimeout: seconds(43_200),
  WaitTimeSeconds: seconds(20),
  AttributeNames: names,
  MessageSystemAttributeNames: names,
  MessageAttributeNames: names,
});
export const deleteSchema = z.looseObject({ QueueUrl: z.string(), ReceiptHandle: z.string() });
export const visibilitySchema = z.looseObject({
  QueueUrl: z.string(),
  ReceiptHandle: z.string(),
  VisibilityTimeout: z.number().check(z.int(), z.gte(0), z.lte(43_200)),
});
export const attributesSchema = z.looseObject({ QueueUrl: z.string(), AttributeNames: names });
export const urlSchema = z.looseObject({ QueueName: z.string() });

/** A request, or what is wrong with it. @throws QueueError */
export function parsed<Schema extends z.ZodMiniType>(schema: Schema, request: unknown): z.output<Schema> {
  const result = z.safeParse(schema, request);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const text = `Value for parameter ${issue?.path.join('.') ?? ''} is invalid. Reason: ${issue?.message ?? ''}`;
  throw new QueueError('InvalidParameterValueException', text, 'InvalidParameterValue');
}

export function noQueue(): QueueError {
  const code = 'AWS.SimpleQueueService.NonExistentQueue';
  return new QueueError('QueueDoesNotExist', 'The specified queue does not exist.', code);
}

/** Of a text that was never given as a receipt. */
export function notAReceipt(receiptHandle: string): QueueError {
  const text = `The input receipt handle "${receiptHandle}" is not valid.`;
  return new QueueError('ReceiptHandleIsInvalid', text);
}

/** A received message with the attributes that were asked for: `system` ones by name, its own by name or prefix. */
export function described(
  message: StoredMessage,
  system: readonly string[],
  wanted: readonly string[],
): object {
  const all: Record<string, string> = {
    SenderId: message.senderId,
    SentTimestamp: String(message.sentMs),
    ApproximateReceiveCount: String(message.receiveCount),
    ApproximateFirstReceiveTimestamp: String(message.firstReceivedMs),
  };
  const chosen = Object.entries(all).filter(([name]) => system.includes('All') || system.includes(name));
  const attributes = Object.fromEntries(
    Object.entries(message.attributes).filter(([name]) => wanted.some((pattern) => isNamed(name, pattern))),
  );
  return {
    MessageId: message.id,
    ReceiptHandle: message.receiptHandle,
    MD5OfBody: md5(message.body),
    Body: message.body,
    ...(chosen.length === 0 ? {} : { Attributes: Object.fromEntries(chosen) }),
    ...(Object.keys(attributes).length === 0 ? {} : { MessageAttributes: attributes }),
    ...digestOf(attributes),
  };
}

/** A name, `All` or a prefix with `.*` (SQS API reference, "ReceiveMessage"). */
function isNamed(name: string, pattern: string): boolean {
  if (pattern === 'All' || pattern === '.*') return true;
  return pattern.endsWith('.*') ? name.startsWith(pattern.slice(0, -2)) : name === pattern;
}

export function digestOf(attributes: MessageAttributes): { MD5OfMessageAttributes?: string } {
  const digest = attributesMd5(attributes);
  return digest === undefined ? {} : { MD5OfMessageAttributes: digest };
}

/** What GetQueueAttributes knows; the counts are exact here. */
export function attributesOf(queue: MessageQueue): Record<string, string> {
  const { definition, createdMs } = queue;
  const { visible, notVisible, delayed } = queue.counts();
  const created = Math.floor(createdMs / 1000);
  const values = {
    QueueArn: definition.arn,
    ApproximateNumberOfMessages: visible,
    ApproximateNumberOfMessagesNotVisible: notVisible,
    ApproximateNumberOfMessagesDelayed: delayed,
    CreatedTimestamp: created,
    LastModifiedTimestamp: created,
    VisibilityTimeout: definition.visibilityTimeoutSeconds,
    MaximumMessageSize: definition.maxMessageBytes,
    MessageRetentionPeriod: definition.retentionSeconds,
    DelaySeconds: definition.delaySeconds,
    ReceiveMessageWaitTimeSeconds: definition.waitSeconds,
  };
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)]));
}

/** Bytes that count against a queue's limit: the body, and names, types and values of the attributes. */
export function sizeOf(body: string, attributes: MessageAttributes): number {
  const parts = Object.entries(attributes).map(
    ([name, { DataType, StringValue, BinaryValue = '' }]) =>
      Buffer.byteLength(name + DataType) +
      (StringValue === undefined ? Buffer.byteLength(BinaryValue, 'base64') : Buffer.byteLength(StringValue)),
  );
  return parts.reduce((sum, bytes) => sum + bytes, Buffer.byteLength(body));
}
