/** How an instance fails, in the words of Lambda. */
import type { FunctionError } from './invocation.ts';

/** The instance could not load its function; no event ran. */
export class InstanceStartError extends Error {
  override readonly name = 'InstanceStartError';
  readonly code = 'instance_start';
  readonly retryable = true;
  readonly error: FunctionError;

  constructor(error: FunctionError) {
    super(error.errorMessage);
    this.error = error;
  }
}

/** What Lambda's sandbox answers for a function that took too long. */
export function timeoutError(requestId: string | undefined, timeoutMs: number): FunctionError {
  const errorMessage = `${named(requestId)}Error: Task timed out after ${(timeoutMs / 1000).toFixed(2)} seconds`;
  return { errorType: 'Sandbox.Timedout', errorMessage };
}

/** What it answers for a process that ended under an event. */
export function exitError(requestId: string | undefined, reason: string): FunctionError {
  return {
    errorType: 'Runtime.ExitError',
    errorMessage: `${named(requestId)}Error: Runtime exited ${reason}`,
  };
}

export function exitReason(code: number): string {
  return code === 0 ? 'without providing a reason' : `with error: exit status ${code}`;
}

/** Out of memory is the one crash that the instance cannot report itself; Lambda kills the process. */
export function crashReason(error: Error): string {
  const killed = 'code' in error && error.code === 'ERR_WORKER_OUT_OF_MEMORY';
  return `with error: ${killed ? 'signal: killed' : error.message}`;
}

function named(requestId: string | undefined): string {
  return requestId === undefined ? '' : `RequestId: ${requestId} `;
}
