/** How large what goes into a function and comes out of it may be (Lambda quotas page). */
import { PayloadTooLargeError } from './errors.ts';
import type { Outcome } from './invocation.ts';

/** Largest request of a synchronous invocation: 6 MB. */
export const MAX_SYNC_BYTES = 6_291_456;
/** Largest answer; it may be a little more than a request (the error message of the service names this number). */
const MAX_RESPONSE_BYTES = 6_291_556;
/** Largest asynchronous event: 1 MB since October 2025. */
export const MAX_EVENT_BYTES = 1_048_576;

export type InvocationType = 'RequestResponse' | 'Event';

/** @throws PayloadTooLargeError */
export function assertEventFits(payload: string, type: InvocationType): void {
  const limit = type === 'Event' ? MAX_EVENT_BYTES : MAX_SYNC_BYTES;
  if (exceeds(payload, limit)) throw new PayloadTooLargeError(tooLarge(type, limit));
}

/** The service's own words. */
export function tooLarge(type: string, limit: number): string {
  return `Request must be smaller than ${limit} bytes for the ${type} invocation type`;
}

/** The outcome, or the error that a function's too large answer becomes. */
export function withinAnswerLimit(outcome: Outcome): Outcome {
  if (outcome.kind !== 'result' || !exceeds(outcome.payload, MAX_RESPONSE_BYTES)) return outcome;
  const errorMessage = `Response payload size exceeded maximum allowed payload size (${MAX_RESPONSE_BYTES} bytes).`;
  const error = { errorType: 'Function.ResponseSizeTooLarge', errorMessage };
  return { kind: 'error', requestId: outcome.requestId, error };
}

/** A character of JSON text has at most three bytes in UTF-8 per UTF-16 unit: most texts need no counting. */
function exceeds(text: string, limit: number): boolean {
  return text.length * 3 > limit && Buffer.byteLength(text) > limit;
}
