/** How the services that speak JSON at `POST /` refuse a caller: always 400, with the error in `__type`. */
import type { Verdict } from '../gateway/signature.ts';

export interface JsonRefusal {
  readonly status: number;
  readonly body: { readonly __type: string } & Readonly<Record<string, string>>;
}

type JsonService = 'dynamodb' | 'events' | 'secretsmanager' | 'sqs';

/** DynamoDB names the namespace of errors that the front of the service gives (captured by many). */
function typeOf(service: JsonService, code: string): string {
  return service === 'dynamodb' ? `com.amazon.coral.service#${code}` : code;
}

/** The answer to a request that is not signed, or signed wrongly. Texts but DynamoDB's are remembered, not captured. */
export function signatureRefusal(
  service: JsonService,
  { refusal, message }: Verdict & { kind: 'refused' },
): JsonRefusal {
  const isUnsigned = refusal.type === 'MissingAuthenticationTokenException';
  const text = isUnsigned && service === 'dynamodb' ? 'Request is missing Authentication Token' : message;
  return { status: 400, body: { __type: typeOf(service, refusal.type), message: text } };
}

/** The answer to a call that policies do not allow; with a capital M (captured for DynamoDB, remembered for the others). */
export function denialRefusal(service: JsonService, text: string): JsonRefusal {
  return { status: 400, body: { __type: typeOf(service, 'AccessDeniedException'), Message: text } };
}
