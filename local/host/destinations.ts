/** What Lambda sends where, when it gives an asynchronous event up. */
import type { FunctionDefinition } from '../template/deployment.ts';
import type { DroppedEvent } from './invocation.ts';

/** A message that a service puts into a queue by itself. */
export interface QueueMessage {
  readonly queueArn: string;
  readonly body: string;
  readonly attributes: Readonly<Record<string, { readonly DataType: string; readonly StringValue: string }>>;
}

/** Of the error message, in a dead-letter queue (Lambda guide, "Dead-letter queues"). */
const MAX_ERROR_MESSAGE_BYTES = 1_024;

/** The messages that are due for an event: its record for the destination, itself for the dead-letter queue, or both. */
export function messagesFor(
  event: DroppedEvent,
  { arn, asynchronous }: FunctionDefinition,
  nowMs: number,
): QueueMessage[] {
  const { onFailure, deadLetterQueue } = asynchronous;
  const messages: QueueMessage[] = [];
  if (onFailure !== undefined)
    messages.push({ queueArn: onFailure, body: JSON.stringify(recordOf(event, arn, nowMs)), attributes: {} });
  if (deadLetterQueue !== undefined)
    messages.push({ queueArn: deadLetterQueue, body: event.payload, attributes: attributesOf(event) });
  return messages;
}

/** Lambda guide, "Capturing records of Lambda asynchronous invocations". Where the function never ran there is no response. */
function recordOf(event: DroppedEvent, functionArn: string, nowMs: number): object {
  const { requestId, reason, attempts, payload, failure } = event;
  const response = {
    responseContext: { statusCode: 200, executedVersion: '$LATEST', functionError: 'Unhandled' },
    responsePayload: failure,
  };
  return {
    version: '1.0',
    timestamp: new Date(nowMs).toISOString(),
    requestContext: {
      requestId,
      functionArn: `${functionArn}:$LATEST`,
      condition: reason,
      approximateInvokeCount: attempts,
    },
    requestPayload: JSON.parse(payload) as unknown,
    ...(failure === undefined ? {} : response),
  };
}

function attributesOf({ requestId, error, failure }: DroppedEvent): QueueMessage['attributes'] {
  const message = Buffer.from((failure ?? error).errorMessage).subarray(0, MAX_ERROR_MESSAGE_BYTES);
  return {
    RequestID: { DataType: 'String', StringValue: requestId },
    ErrorCode: { DataType: 'Number', StringValue: failure === undefined ? '429' : '200' },
    ErrorMessage: { DataType: 'String', StringValue: message.toString('utf8') },
  };
}
