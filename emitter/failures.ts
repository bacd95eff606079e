/** What went wrong on the way to a deployment, told apart: whether to try again depends on it. */
import { PublishError } from './errors.ts';

/** The connection broke while the request was under way: it may have been carried out. */
const INTERRUPTIONS = new Set(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET', 'ERR_HTTP2_STREAM_ERROR']);
/** Names of what `AbortSignal.timeout` and the SDK's request handler reject with. */
const TIMEOUTS = new Set(['TimeoutError', 'AbortError']);

/**
 * Of a call that ended without an answer.
 * @param what the address or function, for the message
 */
export function networkFailure(cause: unknown, what: string): PublishError {
  const { name, code } = described(cause);
  if (TIMEOUTS.has(name))
    return new PublishError('timeout', `${what} did not answer in time`, { retryable: true, cause });
  if (INTERRUPTIONS.has(code)) {
    return new PublishError('interrupted', `the connection to ${what} broke before it answered`, {
      retryable: true,
      cause,
    });
  }
  return new PublishError('unreachable', `${what} could not be reached: ${words(cause)}`, {
    retryable: true,
    cause,
  });
}

/** Of an Invoke that the Lambda API refused, or that never got there. */
export function invokeFailure(cause: unknown, functionName: string): PublishError {
  const { name, status } = described(cause);
  if (name === 'CredentialsProviderError' || /region is missing/i.test(words(cause))) {
    return new PublishError('not_configured', `${functionName}: ${words(cause)}`, {
      retryable: false,
      cause,
    });
  }
  return status === undefined
    ? networkFailure(cause, functionName)
    : statusFailure(status, functionName, words(cause), cause);
}

/** Of an answer that is not of the publish contract, by its HTTP status. */
export function statusFailure(status: number, what: string, detail: string, cause?: unknown): PublishError {
  const { code, retryable, meaning } = kindOf(status);
  const said = detail === '' ? '' : `: ${detail}`;
  return new PublishError(code, `${what} ${meaning} (HTTP ${status})${said}`, { retryable, cause });
}

function kindOf(status: number): {
  readonly code: string;
  readonly retryable: boolean;
  readonly meaning: string;
} {
  if (status === 401 || status === 403) return { code: 'forbidden', retryable: false, meaning: 'refuses us' };
  if (status === 404) return { code: 'not_found', retryable: false, meaning: 'does not exist' };
  if (status === 413) return { code: 'too_large', retryable: false, meaning: 'takes nothing that large' };
  if (status === 429) return { code: 'throttled', retryable: true, meaning: 'takes no more at the moment' };
  return { code: 'unavailable', retryable: status >= 500, meaning: 'failed' };
}

function described(cause: unknown): {
  readonly name: string;
  readonly code: string;
  readonly status?: number;
} {
  if (!(cause instanceof Error)) return { name: '', code: '' };
  const { name } = cause;
  // `fetch` says "fetch failed" and keeps the reason in `cause`.
  const inner = cause.cause instanceof Error ? cause.cause : cause;
  const code = 'code' in inner && typeof inner.code === 'string' ? inner.code : '';
  const metadata =
    '$metadata' in cause ? (cause.$metadata as { httpStatusCode?: unknown } | undefined) : undefined;
  const status = metadata?.httpStatusCode;
  // A status of success means that the answer could not be read.
  return typeof status === 'number' && status >= 400 ? { name, code, status } : { name, code };
}

/** The reason in one line. */
export function words(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const inner = cause.cause instanceof Error ? cause.cause : cause;
  // Several addresses that all refuse are an AggregateError without a message.
  const code = 'code' in inner && typeof inner.code === 'string' ? inner.code : inner.name;
  return inner.message === '' ? code : inner.message;
}
