import { randomUUID } from 'node:crypto';
import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { FORBIDDEN, type Refusal, refusal, UPGRADE_REQUIRED } from './refusal.ts';

/** Characters (WebSocket quotas page); that the answer is 414 is remembered. */
const MAX_URL_LENGTH = 4_096;
const URL_TOO_LONG = refusal(414, 'RequestUriTooLongException', 'Request-URI Too Long');

/** A request's target in its two parts, both undecoded. */
export interface Target {
  readonly path: string;
  /** Without the question mark; empty when there is none. */
  readonly query: string;
}

export function targetOf(url: string): Target {
  const mark = url.indexOf('?');
  return mark < 0 ? { path: url, query: '' } : { path: url.slice(0, mark), query: url.slice(mark + 1) };
}

/**
 * Why an upgrade cannot reach `$connect`; nothing if it can. The path is the stage and nothing below it ("the path is
 * fixed", WebSocket Lambda authorizer page), with or without a trailing slash. The RFC 6455 §4.2.1 checks come here
 * because `ws` makes them only after `$connect` has run.
 */
export function upgradeFault(request: IncomingMessage, path: string, stage: string): Refusal | undefined {
  if ((request.url ?? '').length > MAX_URL_LENGTH) return URL_TOO_LONG;
  if (path !== `/${stage}` && path !== `/${stage}/`) return FORBIDDEN;
  const { headers } = request;
  if (request.method !== 'GET' || headers.upgrade?.toLowerCase() !== 'websocket') return UPGRADE_REQUIRED;
  const hasKey = /^[+/0-9A-Za-z]{22}==$/.test(headers['sec-websocket-key'] ?? '');
  if (hasKey && headers['sec-websocket-version'] === '13') return undefined;
  return refusal(400, 'BadRequestException', 'Bad Request');
}

/** Headers of the 101 that belong to the gateway, whatever `$connect` answers. */
const OWN_HEADERS: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'keep-alive',
  'sec-websocket-accept',
  'sec-websocket-extensions',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** The header lines that `$connect` adds to the 101: all but the ones the gateway writes itself. */
export function grantedHeaders(headers: readonly (readonly [name: string, value: string])[]): string[] {
  return headers
    .filter(([name]) => !OWN_HEADERS.has(name.toLowerCase()))
    .map(([name, value]) => `${name}: ${value}`);
}

/** Answers an upgrade with an HTTP status and ends the connection. Without `type` no error type is named. */
export function refuseUpgrade(
  socket: Duplex,
  answer: { readonly status: number; readonly type?: string; readonly body: string },
  gatewayId: string,
  nowMs: number,
): void {
  if (socket.destroyed) return;
  const lines = [
    `HTTP/1.1 ${answer.status} ${STATUS_CODES[answer.status] ?? ''}`,
    `Date: ${new Date(nowMs).toUTCString()}`,
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(answer.body)}`,
    'Connection: close',
    `x-amzn-RequestId: ${randomUUID()}`,
    ...(answer.type === undefined ? [] : [`x-amzn-ErrorType: ${answer.type}`]),
    `x-amz-apigw-id: ${gatewayId}`,
  ];
  socket.once('finish', () => socket.destroy());
  socket.end(`${lines.join('\r\n')}\r\n\r\n${answer.body}`);
}
