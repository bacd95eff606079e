/** What calls of the smaller services need to be allowed (Service Authorization Reference, one page per service). */
import type { Home } from './dynamodb-needs.ts';
import type { Need } from './policy.ts';

/** PutEvents needs every bus that an entry names; malformed entries are the operation's affair. */
export function putEventsNeeds(request: unknown, { region, accountId }: Home): Need[] {
  const entries = typeof request === 'object' && request !== null && 'Entries' in request && request.Entries;
  const buses = (Array.isArray(entries) ? entries : []).map((entry: unknown) => busOf(entry));
  return [...new Set(buses)].map((bus) => ({
    action: 'events:PutEvents',
    resource: bus.startsWith('arn:') ? bus : `arn:aws:events:${region}:${accountId}:event-bus/${bus}`,
  }));
}

function busOf(entry: unknown): string {
  const named = typeof entry === 'object' && entry !== null && 'EventBusName' in entry;
  return named && typeof entry.EventBusName === 'string' ? entry.EventBusName : 'default';
}

/** @param resource what follows the API's ARN: `{stage}/{method}/{path}` */
export function executeApiArn({ region, accountId }: Home, apiId: string, resource: string): string {
  return `arn:aws:execute-api:${region}:${accountId}:${apiId}/${resource}`;
}
