/** What an operator sees of an invocation, whatever function it is of. */
import type { RequestLog } from '../adapters/powertools-log.ts';
import type { RequestMetrics } from '../adapters/powertools-metrics.ts';
import type { Metrics } from '../bus/ports.ts';
import type { Deadline } from './deadline.ts';

/** What is read of Lambda's context. */
export interface InvocationContext extends Deadline {
  readonly awsRequestId: string;
}

/**
 * A handler whose log lines carry the invocation's request id and none of what an earlier one was about, and whose
 * metrics are written down when it ends, however that is. What it throws is logged here, with what it was about, and
 * counted by Lambda.
 */
export function observed<Event, Answer>(
  { log, metrics }: { readonly log: RequestLog; readonly metrics: RequestMetrics },
  handler: (event: Event, context: InvocationContext) => Promise<Answer>,
): (event: Event, context: InvocationContext) => Promise<Answer> {
  return async (event, context) => {
    log.forInvocation({ requestId: context.awsRequestId });
    try {
      return await handler(event, context);
    } catch (error) {
      log.warn('the invocation fails', { error });
      throw error;
    } finally {
      metrics.flush();
    }
  };
}

/** A log whose errors are counted: most of what fails here is answered or tried again, and seen by Lambda as a success. */
export function countingErrors(log: RequestLog, metrics: Metrics): RequestLog {
  return {
    ...log,
    error: (message, fields) => {
      metrics.count('Errors', 1);
      log.error(message, fields);
    },
  };
}
