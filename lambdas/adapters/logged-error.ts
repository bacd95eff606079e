/** An error as it may stand in a log: what it is and where it was thrown, and none of what it was about. */
interface LoggedError {
  readonly name: string;
  readonly message: string;
  readonly stack?: string;
  readonly code?: string;
  readonly cause?: LoggedError;
}

/** Causes of causes that are kept. */
const MOST_CAUSES = 4;

/**
 * An allow-list: errors of the SDK carry the row that failed their condition, with the data of a socket or the hash of its
 * secret, and a malformed JSON text is quoted in the message.
 */
export function loggedError(error: unknown, causes = MOST_CAUSES): LoggedError {
  if (!(error instanceof Error)) return { name: typeof error, message: 'no error was thrown, but a value' };
  const { name, stack, cause } = error;
  const message = error instanceof SyntaxError ? 'malformed text' : error.message;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  const frames = stack?.slice(Math.max(0, stack.indexOf('\n    at ') + 1));
  return {
    name,
    message,
    ...(code === undefined ? {} : { code }),
    ...(frames?.startsWith('    at ') === true ? { stack: frames } : {}),
    ...(cause === undefined || causes === 0 ? {} : { cause: loggedError(cause, causes - 1) }),
  };
}
