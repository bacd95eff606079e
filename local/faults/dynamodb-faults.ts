/** Faults of DynamoDB: what every service has, conflicts of transactions, and batches that are done in part. */
import type { ApiReply, Caller, Next, Request, Surround } from '../dynamodb/call.ts';
import {
  ConnectionCutError,
  type DynamoDbError,
  NO_REASON,
  transactionCanceled,
} from '../dynamodb/errors.ts';
import { ONGOING, transactionConflict } from '../dynamodb/item-holds.ts';
import { batchEntries, withoutEntries } from '../dynamodb/partial-batch.ts';
import { throttled } from '../dynamodb/partition-throttle.ts';
import type { GatewayClock } from '../gateway/clock.ts';
import { type CallFault, carryOut, type Decision, type Failure } from './decision.ts';

const INTERNAL_ERROR: ApiReply = {
  status: 500,
  body: {
    __type: 'com.amazonaws.dynamodb.v20120810#InternalServerError',
    message: 'The request processing has failed because of an unknown error, exception or failure.',
  },
};

/** Puts each call through what is decided for it. */
export function dynamoDbFaults(
  decide: (operation: string, caller: Caller) => Decision | undefined,
  clock: GatewayClock,
): Surround {
  return (operation, request, caller, next) => {
    const decision = decide(operation, caller);
    if (decision === undefined) return next(request);
    const act = () => perform(operation, request, decision.fault, next);
    return carryOut(decision, clock, { act, fail: answerOf });
  };
}

async function perform(
  operation: string,
  request: Request,
  fault: CallFault | undefined,
  next: Next,
): Promise<ApiReply> {
  if (fault?.kind === 'conflict') return replyOf(conflict(request));
  if (fault?.kind !== 'unprocessed') return next(request);
  const entries = batchEntries(request).map(({ entry }) => entry);
  const left = new Set(entries.slice(Math.floor(fault.from * entries.length)));
  return withoutEntries(operation, request, left, next);
}

/** The first item of a transaction is the one that somebody else is busy with. */
function conflict({ TransactItems: items }: Request): DynamoDbError {
  if (!Array.isArray(items)) return transactionConflict();
  return transactionCanceled(items.map((_, index) => (index === 0 ? ONGOING : NO_REASON)));
}

function answerOf(failure: Failure): ApiReply {
  if (failure === 'cut') throw new ConnectionCutError();
  return failure === 'error' ? INTERNAL_ERROR : replyOf(throttled(undefined));
}

function replyOf({ statusCode, body }: DynamoDbError): ApiReply {
  return { status: statusCode, body };
}
