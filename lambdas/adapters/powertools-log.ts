/** Structured logs by Powertools: one JSON line each, with the ids of the invocation and of what it is about. */
import { Logger } from '@aws-lambda-powertools/logger';
import type { Log } from '../bus/ports.ts';
import { loggedError } from './logged-error.ts';

type Keys = Readonly<Record<string, string>>;

export interface RequestLog extends Log {
  /** Every line that follows carries these keys, and none of the invocation before. */
  forInvocation(keys: Keys): void;
  /** Every line that follows carries these keys as well. */
  forRequest(keys: Keys): void;
}

/** Level and service name come from POWERTOOLS_LOG_LEVEL and POWERTOOLS_SERVICE_NAME. */
export function powertoolsLog(): RequestLog {
  const logger = new Logger();
  const write =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (message: string, fields: Readonly<Record<string, unknown>> = {}): void =>
      logger[level](
        message,
        'error' in fields ? { ...fields, error: loggedError(fields.error) } : { ...fields },
      );
  return {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    forInvocation: (keys) => {
      logger.resetKeys();
      logger.appendKeys({ ...keys });
    },
    forRequest: (keys) => logger.appendKeys({ ...keys }),
  };
}
