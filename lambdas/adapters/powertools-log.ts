/** Structured logs by Powertools: one JSON line each, with the request's id. */
import { Logger } from '@aws-lambda-powertools/logger';
import type { Log } from '../bus/ports.ts';

export interface RequestLog extends Log {
  /** Every line that follows carries these keys. */
  forRequest(keys: Readonly<Record<string, string>>): void;
}

/** Level and service name come from POWERTOOLS_LOG_LEVEL and POWERTOOLS_SERVICE_NAME. */
export function powertoolsLog(): RequestLog {
  const logger = new Logger();
  const write =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (message: string, fields: Readonly<Record<string, unknown>> = {}): void =>
      logger[level](message, { ...fields });
  return {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    forRequest: (keys) => logger.appendKeys({ ...keys }),
  };
}
