/** The codes an application's failures carry in acknowledgements and error events (the contract's general rules). */
export type ErrorCode =
  | 'invalid_payload'
  | 'unauthenticated'
  | 'forbidden'
  | 'not_found'
  | 'rate_limited'
  /** A message of that name is being published. */
  | 'in_progress'
  | 'internal';

/** A failure whose cause a client or a backend may be told. */
export class BusError extends Error {
  readonly code: ErrorCode;
  readonly retryable: boolean;
  /** Which part of the payload is wrong, for example `args[0].id`. */
  readonly field: string | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    options: { readonly field?: string; readonly retryable?: boolean; readonly cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'BusError';
    this.code = code;
    this.retryable = options.retryable ?? (code === 'internal' || code === 'rate_limited');
    this.field = options.field;
  }
}

export const invalidPayload = (message: string, field?: string): BusError =>
  new BusError('invalid_payload', message, field === undefined ? {} : { field });

/** What may be told to the other side: our own errors as they are, anything else as `internal` without details. */
export function asBusError(error: unknown): BusError {
  return error instanceof BusError ? error : new BusError('internal', 'internal error', { cause: error });
}

/** Who was asked has not answered in time. The message is Socket.IO's. */
export class AckTimeoutError extends Error {
  readonly code = 'ack_timeout';
  /** Nothing is asked again without the application's say: clients may have done what they were asked to. */
  readonly retryable = false;
  /** The answers that did come; of a broadcast only. */
  readonly responses: readonly unknown[];

  constructor(responses: readonly unknown[]) {
    super('operation has timed out');
    this.name = 'AckTimeoutError';
    this.responses = responses;
  }
}

/** DynamoDB or a dependency could not answer in time; nothing was half-done, and trying again may help. */
export class UnavailableError extends Error {
  readonly code = 'unavailable';
  readonly retryable = true;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'UnavailableError';
  }
}

/** A secret the deployment names does not exist or cannot be read. */
export class SecretError extends Error {
  readonly code = 'secret_unavailable';
  readonly retryable = true;

  constructor(name: string, options?: ErrorOptions) {
    super(`secret ${name} cannot be read`, options);
    this.name = 'SecretError';
  }
}

/** The keys that tokens are verified with cannot be read. */
export class KeySetError extends Error {
  readonly code = 'keys_unavailable';
  readonly retryable = true;

  constructor(url: string, options?: ErrorOptions) {
    super(`the key set at ${url} cannot be read`, options);
    this.name = 'KeySetError';
  }
}
