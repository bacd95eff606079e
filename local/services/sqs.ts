/**
 * The part of SQS that dead-letter queues need, in its JSON protocol (`AmazonSQS.*`, AWS JSON 1.0).
 * Source: SQS API reference, the six operations; errors as the service's JSON protocol names them.
 */
import type { GatewayClock } from '../gateway/clock.ts';
import type { QueueMessage } from '../host/destinations.ts';
import type { QueueDefinition } from '../template/deployment.ts';
import { md5 } from './message-digest.ts';
import { type MessageAttributes, MessageQueue, type StoredMessage } from './message-queue.ts';
import type { JsonReply } from './secrets-api.ts';
import {
  attributesOf,
  attributesSchema,
  deleteSchema,
  described,
  digestOf,
  noQueue,
  notAReceipt,
  parsed,
  QueueError,
  receiveSchema,
  sendSchema,
  sizeOf,
  urlSchema,
  visibilitySchema,
} from './sqs-shapes.ts';

/** Who acts on a queue: keys at our port, the role of a function, or a service for a resource of its own. */
export type QueueCaller =
  | { readonly kind: 'keys'; readonly accessKeyId: string | undefined }
  | { readonly kind: 'role'; readonly arn: string }
  | { readonly kind: 'service'; readonly service: string; readonly sourceArn: string };

export interface QueueCall {
  readonly caller: QueueCaller;
  /** For example `sqs:SendMessage`. */
  readonly action: string;
  /** ARN of the queue. */
  readonly resource: string;
}

export interface SqsOptions {
  readonly queues: readonly QueueDefinition[];
  readonly clock: GatewayClock;
  /** Whether policies allow a call. @default everything is allowed */
  readonly authorize?: ((call: QueueCall) => boolean) | undefined;
}

type Operation = (sqs: Sqs, request: unknown, caller: QueueCaller) => object | Promise<object>;

/** SQS guide, "Message quotas": ten attributes, which count in the size. */
const MAX_ATTRIBUTES = 10;

export class Sqs {
  readonly #options: SqsOptions;
  readonly #queues: readonly MessageQueue[];

  constructor(options: SqsOptions) {
    this.#options = options;
    this.#queues = options.queues.map((definition) => new MessageQueue(definition, options.clock));
  }

  /** Answers one operation of `AmazonSQS.*`. */
  async answer(operation: string, request: unknown, caller: QueueCaller): Promise<JsonReply> {
    try {
      const run = OPERATIONS[operation];
      if (run === undefined)
        throw new QueueError('UnknownOperationException', `${operation} does not run locally`);
      return { status: 200, body: { ...(await run(this, request, caller)) } };
    } catch (error) {
      if (!(error instanceof QueueError)) throw error;
      return {
        status: 400,
        body: { __type: `com.amazonaws.sqs#${error.code}`, message: error.message },
        headers: { 'x-amzn-query-error': `${error.queryCode};Sender` },
      };
    }
  }

  /** Puts a service's own message into a queue. @throws QueueError */
  deliver({ queueArn, body, attributes }: QueueMessage, caller: QueueCaller): void {
    const queue = this.#queues.find(({ definition }) => definition.arn === queueArn);
    if (queue === undefined) throw noQueue();
    this.#send(queue, { body, attributes, caller });
  }

  /** Lets every waiting receiver go. */
  close(): void {
    for (const queue of this.#queues) queue.close();
  }

  send(request: unknown, caller: QueueCaller): object {
    const {
      QueueUrl,
      MessageBody: body,
      MessageAttributes: attributes,
      DelaySeconds,
    } = parsed(sendSchema, request);
    const message = this.#send(this.#queue(QueueUrl), {
      body,
      attributes,
      caller,
      delaySeconds: DelaySeconds,
    });
    return { MessageId: message.id, MD5OfMessageBody: md5(body), ...digestOf(attributes) };
  }

  async receive(request: unknown, caller: QueueCaller): Promise<object> {
    const asked = parsed(receiveSchema, request);
    const queue = this.#queue(asked.QueueUrl);
    this.#authorize(queue, 'ReceiveMessage', caller);
    const { clock } = this.#options;
    const endsMs = clock.now() + (asked.WaitTimeSeconds ?? queue.definition.waitSeconds) * 1000;
    const take = () => queue.receive(asked.MaxNumberOfMessages, asked.VisibilityTimeout);
    let messages = take();
    if (messages.length === 0 && clock.now() < endsMs) {
      await queue.wait((endsMs - clock.now()) / 1000);
      messages = take();
    }
    if (messages.length === 0) return {};
    const system = [...asked.AttributeNames, ...asked.MessageSystemAttributeNames];
    return { Messages: messages.map((message) => described(message, system, asked.MessageAttributeNames)) };
  }

  delete(request: unknown, caller: QueueCaller): object {
    const { QueueUrl, ReceiptHandle } = parsed(deleteSchema, request);
    const queue = this.#queue(QueueUrl);
    this.#authorize(queue, 'DeleteMessage', caller);
    if (queue.delete(ReceiptHandle)) return {};
    throw notAReceipt(ReceiptHandle);
  }

  changeVisibility(request: unknown, caller: QueueCaller): object {
    const { QueueUrl, ReceiptHandle, VisibilityTimeout } = parsed(visibilitySchema, request);
    const queue = this.#queue(QueueUrl);
    this.#authorize(queue, 'ChangeMessageVisibility', caller);
    switch (queue.changeVisibility(ReceiptHandle, VisibilityTimeout)) {
      case 'changed':
        return {};
      case 'malformed':
        throw notAReceipt(ReceiptHandle);
      case 'gone': {
        const text = `Value ${ReceiptHandle} for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for visibility timeout change.`;
        throw new QueueError('InvalidParameterValueException', text, 'InvalidParameterValue');
      }
      case 'visible': {
        const text = 'The specified message is not in flight.';
        throw new QueueError('MessageNotInflight', text, 'AWS.SimpleQueueService.MessageNotInflight');
      }
    }
  }

  attributes(request: unknown, caller: QueueCaller): object {
    const { QueueUrl, AttributeNames } = parsed(attributesSchema, request);
    const queue = this.#queue(QueueUrl);
    this.#authorize(queue, 'GetQueueAttributes', caller);
    const all = Object.entries(attributesOf(queue));
    const wanted = all.filter(([name]) => AttributeNames.includes('All') || AttributeNames.includes(name));
    return wanted.length === 0 ? {} : { Attributes: Object.fromEntries(wanted) };
  }

  url(request: unknown, caller: QueueCaller): object {
    const { QueueName } = parsed(urlSchema, request);
    const queue = this.#queues.find(({ definition }) => definition.name === QueueName);
    if (queue === undefined) throw noQueue();
    this.#authorize(queue, 'GetQueueUrl', caller);
    return { QueueUrl: queue.definition.url };
  }

  #send(
    queue: MessageQueue,
    message: {
      readonly body: string;
      readonly attributes: MessageAttributes;
      readonly caller: QueueCaller;
      readonly delaySeconds?: number | undefined;
    },
  ): StoredMessage {
    const { body, attributes, caller, delaySeconds } = message;
    this.#authorize(queue, 'SendMessage', caller);
    const { maxMessageBytes } = queue.definition;
    if (sizeOf(body, attributes) > maxMessageBytes) {
      const text = `One or more parameters are invalid. Reason: Message must be shorter than ${maxMessageBytes} bytes.`;
      throw new QueueError('InvalidParameterValueException', text, 'InvalidParameterValue');
    }
    if (Object.keys(attributes).length > MAX_ATTRIBUTES) {
      const text = `Number of message attributes exceeds the allowed maximum [${MAX_ATTRIBUTES}].`;
      throw new QueueError('InvalidParameterValueException', text, 'InvalidParameterValue');
    }
    return queue.send({ body, attributes, senderId: senderOf(caller) }, delaySeconds);
  }

  /** A queue URL is known by its end: account and name. Which host a client reaches us by is its affair. */
  #queue(url: string): MessageQueue {
    const path = (text: string) => text.split('/').slice(-2).join('/');
    const queue = this.#queues.find(({ definition }) => path(definition.url) === path(url));
    if (queue === undefined) throw noQueue();
    return queue;
  }

  #authorize({ definition }: MessageQueue, operation: string, caller: QueueCaller): void {
    const action = `sqs:${operation}`;
    if (this.#options.authorize?.({ caller, action, resource: definition.arn }) !== false) return;
    const text = `User: ${senderOf(caller)} is not authorized to perform: ${action} on resource: ${definition.arn}`;
    throw new QueueError('AccessDeniedException', text, 'AccessDenied');
  }
}

const OPERATIONS: Readonly<Record<string, Operation>> = {
  SendMessage: (sqs, request, caller) => sqs.send(request, caller),
  ReceiveMessage: (sqs, request, caller) => sqs.receive(request, caller),
  DeleteMessage: (sqs, request, caller) => sqs.delete(request, caller),
  ChangeMessageVisibility: (sqs, request, caller) => sqs.changeVisibility(request, caller),
  GetQueueAttributes: (sqs, request, caller) => sqs.attributes(request, caller),
  GetQueueUrl: (sqs, request, caller) => sqs.url(request, caller),
};

function senderOf(caller: QueueCaller): string {
  if (caller.kind === 'role') return caller.arn;
  return caller.kind === 'service' ? caller.service : (caller.accessKeyId ?? 'anonymous');
}
