/** Events of the HTTP API as long-polling requests. */
import type { PollAnswer, PollRequest } from '../bus/polling.ts';
import { type HttpEvent, lowerCased } from './events.ts';

export function pollRequest(event: HttpEvent, now: number): PollRequest {
  const { http } = event.requestContext;
  const body = event.isBase64Encoded ? Buffer.from(event.body ?? '', 'base64').toString('utf8') : event.body;
  return {
    method: http.method,
    headers: lowerCased(event.headers),
    query: Object.fromEntries(new URLSearchParams(event.rawQueryString)),
    address: http.sourceIp ?? '',
    body,
    at: now,
  };
}

/** A client that is answered with this gives the connection up and opens another one. */
export function pollFailure(): PollAnswer {
  return { statusCode: 500, headers: { 'cache-control': 'no-store' }, body: '' };
}
