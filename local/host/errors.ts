/** No function of that name is deployed. */
export class UnknownFunctionError extends Error {
  override readonly name = 'UnknownFunctionError';
  readonly code = 'unknown_function';
  readonly retryable = false;
  readonly functionName: string;

  constructor(functionName: string) {
    super(`no function named "${functionName}" is deployed`);
    this.functionName = functionName;
  }
}

/** The event is larger than an invocation of that kind may be; Lambda answers 413 RequestTooLargeException. */
export class PayloadTooLargeError extends Error {
  override readonly name = 'PayloadTooLargeError';
  readonly code = 'payload_too_large';
  readonly retryable = false;
}
