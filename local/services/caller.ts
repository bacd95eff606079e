import type { IncomingMessage } from 'node:http';
import type { Caller } from '../dynamodb/call.ts';

/** Who makes a request, as far as its headers say; unverified. */
export function callerOf({ headers }: IncomingMessage): Caller {
  const accessKeyId = /Credential=([^/,\s]+)\//.exec(headers.authorization ?? '')?.[1];
  const traceId = headers['x-amzn-trace-id'];
  return {
    ...(accessKeyId === undefined ? {} : { accessKeyId }),
    ...(typeof traceId === 'string' ? { traceId } : {}),
  };
}
