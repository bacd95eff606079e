/** What a check of a deployment is, and what comes of it. */

/** The deployment that is looked at. */
export interface Target {
  /** What clients dial, without a slash at the end. */
  readonly url: string;
  /** Path of the front door, with a slash at the end. */
  readonly path: string;
  readonly namespace: string;
  readonly token: string | undefined;
  /** An event that is acknowledged, with its payload. */
  readonly event: string;
  readonly data: unknown;
  /** The APIs by their own names; undefined where they are not known. */
  readonly httpUrl: string | undefined;
  readonly webSocketUrl: string | undefined;
  /** Whether the WebSocket API wants the key of the front door. */
  readonly apiKey: boolean;
  /** How long to stay connected without a word; minutes. */
  readonly stayMinutes: number;
}

export interface Check {
  readonly name: string;
  /**
   * Resolves to what was seen.
   * @throws CheckSkippedError where there is nothing to see, anything else where it is not as it should be
   */
  run(target: Target): Promise<string>;
}

/** It cannot be told here. */
export class CheckSkippedError extends Error {
  override readonly name = 'CheckSkippedError';
  readonly code = 'skipped';
  readonly retryable = false;
}

/** It is not as it should be; the message says what was seen, and what that means where it is known. */
export class CheckFailedError extends Error {
  override readonly name = 'CheckFailedError';
  readonly code = 'failed';
  readonly retryable = true;
}

export interface CheckResult {
  readonly name: string;
  readonly status: 'OK' | 'FAILED' | 'SKIPPED';
  readonly detail: string;
}

/** Never rejects. */
export async function resultOf({ name, run }: Check, target: Target): Promise<CheckResult> {
  try {
    return { name, status: 'OK', detail: await run(target) };
  } catch (error) {
    const status = error instanceof CheckSkippedError ? 'SKIPPED' : 'FAILED';
    return { name, status, detail: error instanceof Error ? messageOf(error) : String(error) };
  }
}

/** `fetch` and some sockets say only that they failed, and why in the cause, or as a code. */
function messageOf(error: Error): string {
  const { message, cause } = error;
  if (cause instanceof Error) return `${message}: ${cause.message || codeOf(cause)}`;
  return message || codeOf(error);
}

function codeOf(error: Error): string {
  return 'code' in error ? String(error.code) : error.name;
}
