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
