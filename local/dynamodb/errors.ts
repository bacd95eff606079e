/** Errors in the form DynamoDB answers with; dynalite throws and passes the same shape (`statusCode`, `body`). */

const SERVICE = 'com.amazonaws.dynamodb.v20120810#';
const FRAMEWORK = 'com.amazon.coral.service#';
const VALIDATION = 'com.amazon.coral.validate#';

export interface ErrorBody extends Record<string, unknown> {
  readonly __type: string;
  readonly message: string;
}

/** What an operation is refused with. `code` is the AWS error type without its namespace. */
export class DynamoDbError extends Error {
  readonly code: string;
  /** Always false here: what AWS says about retrying belongs to throttling, which interceptors answer. */
  readonly retryable = false;
  readonly statusCode = 400;
  readonly body: ErrorBody;

  constructor(code: string, message: string, more: Readonly<Record<string, unknown>> = {}) {
    super(message);
    this.name = 'DynamoDbError';
    this.code = code;
    this.body = { __type: typeOfCode(code), message, ...more };
  }
}

const FRAMEWORK_CODES = ['UnknownOperationException', 'SerializationException'];

function typeOfCode(code: string): string {
  if (code === 'ValidationException') return VALIDATION + code;
  return (FRAMEWORK_CODES.includes(code) ? FRAMEWORK : SERVICE) + code;
}

/** What became of one action of a cancelled transaction. */
export interface Reason {
  readonly Code: string;
  readonly Message?: string;
  readonly Item?: unknown;
}

export const NO_REASON: Reason = { Code: 'None' };

/** One reason per action, in their order; at least one of them says why. */
export function transactionCanceled(reasons: readonly Reason[]): DynamoDbError {
  const codes = reasons.map(({ Code }) => Code).join(', ');
  return new DynamoDbError(
    'TransactionCanceledException',
    `Transaction cancelled, please refer cancellation reasons for specific reasons [${codes}]`,
    { CancellationReasons: reasons },
  );
}

/** The connection of a call ends without an answer; whether the operation has happened is not said. */
export class ConnectionCutError extends Error {
  override readonly name = 'ConnectionCutError';
  readonly code = 'connection_cut';
  readonly retryable = true;

  constructor() {
    super('the connection was cut');
  }
}

export function validationError(message: string): DynamoDbError {
  return new DynamoDbError('ValidationException', message);
}

/** Either our own error or dynalite's, which has the same two members. */
export interface RefusedOperation {
  readonly statusCode: number;
  readonly body: Record<string, unknown>;
}

export function isRefused(error: unknown): error is RefusedOperation {
  return typeof error === 'object' && error !== null && 'statusCode' in error && 'body' in error;
}

/** The AWS error type of a refusal, without its namespace. */
export function codeOf(error: RefusedOperation): string {
  return String(error.body.__type).split('#').at(-1) ?? '';
}
