/** Faults of the services that speak JSON at `POST /`, in the words of each. */
import type { Failure } from './decision.ts';

interface JsonAnswer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

/** What each service calls a failure of its own (API references, "Common errors" and "Errors"). */
const INTERNAL: Readonly<Record<string, string>> = {
  'secrets.GetSecretValue': 'InternalServiceError',
  'events.PutEvents': 'InternalException',
  'sqs.SendMessage': 'InternalFailure',
};

const SERVICES: Readonly<Record<string, string>> = {
  secretsmanager: 'secrets',
  AWSEvents: 'events',
  AmazonSQS: 'sqs',
};

/** The type of call in an X-Amz-Target: `events.PutEvents` for `AWSEvents.PutEvents`. */
export function callTypeOf(target: string): string {
  const [service = '', operation = ''] = target.split('.');
  return `${SERVICES[service] ?? service}.${operation}`;
}

export function serviceFailure(callType: string, failure: Exclude<Failure, 'cut'>): JsonAnswer {
  if (failure === 'error') {
    const type = INTERNAL[callType] ?? 'InternalFailure';
    return { status: 500, body: { __type: type, message: 'An error occurred on the server side.' } };
  }
  return { status: 400, body: { __type: 'ThrottlingException', message: 'Rate exceeded' } };
}
