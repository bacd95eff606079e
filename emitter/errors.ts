/** The call itself is wrong: nothing was sent. Thrown synchronously. */
export class PayloadError extends TypeError {
  readonly code = 'invalid_payload';
  readonly retryable = false;
  /** Which part of the request is wrong, for example `rooms[1]` or `args`. */
  readonly field: string;

  constructor(message: string, field: string) {
    super(message);
    this.name = 'PayloadError';
    this.field = field;
  }
}

/** The deployment refused the request, or could not be reached. */
export class PublishError extends Error {
  readonly code: string;
  /** Whether the same request may succeed when it is sent again. */
  readonly retryable: boolean;
  readonly field: string | undefined;

  constructor(
    code: string,
    message: string,
    options: { readonly retryable: boolean; readonly field?: string | undefined; readonly cause?: unknown },
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'PublishError';
    this.code = code;
    this.retryable = options.retryable;
    this.field = options.field;
  }
}

/** Not everybody has answered in time. */
export class AckTimeoutError extends Error {
  readonly code = 'ack_timeout';
  /** The clients that were reached have been asked: asking again is the caller's decision. */
  readonly retryable = false;
  /** The answers that did come, in no order. */
  readonly responses: readonly unknown[];
  /** How many sockets have not answered. */
  readonly missing: number;

  constructor(responses: readonly unknown[], missing: number) {
    super('operation has timed out');
    this.name = 'AckTimeoutError';
    this.responses = responses;
    this.missing = missing;
  }
}

/** What an emitter was made with cannot work: a URL that is none, no region, no credentials. */
export class EmitterOptionsError extends TypeError {
  readonly code = 'invalid_options';
  readonly retryable = false;

  constructor(message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.name = 'EmitterOptionsError';
  }
}
