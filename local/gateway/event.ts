import { traceId } from './identifiers.ts';

/** Who is at the other end of a connection. */
export interface Identity {
  /** Absent when the client sent no User-Agent; the key is then absent in events too. */
  readonly userAgent?: string;
  readonly sourceIp: string;
  /** The key that `$connect` was shown, and its id, where it wants one. */
  readonly apiKey?: string;
  readonly apiKeyId?: string;
}

/** What every event of one connection repeats. */
export interface ConnectionContext {
  readonly connectionId: string;
  /** Milliseconds since the epoch. */
  readonly connectedAt: number;
  readonly identity: Identity;
  readonly stage: string;
  readonly domainName: string;
  readonly apiId: string;
}

/** What is new with every event. */
export interface Occurrence {
  readonly requestId: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** The handshake, as far as `$connect` is shown it. */
export interface Handshake {
  /** Names and values in turn, as they were sent. */
  readonly rawHeaders: readonly string[];
  /** Without the question mark; empty when there is none. */
  readonly query: string;
}

export type GatewayEvent = Record<string, unknown>;

/**
 * The keys of the events and their order are those captured on AWS: CONNECT and DISCONNECT in 2024, MESSAGE in 2020 with
 * the identity of 2024. What has no value is left out, never null.
 */
export function connectEvent(
  context: ConnectionContext,
  occurrence: Occurrence,
  handshake: Handshake,
): GatewayEvent {
  const headers = headersOf(handshake, context, occurrence.at);
  const query = queryOf(handshake.query);
  return {
    headers: lastOf(headers),
    multiValueHeaders: Object.fromEntries(headers),
    ...(query.size === 0
      ? {}
      : { queryStringParameters: lastOf(query), multiValueQueryStringParameters: Object.fromEntries(query) }),
    requestContext: {
      routeKey: '$connect',
      eventType: 'CONNECT',
      extendedRequestId: occurrence.requestId,
      requestTime: commonLogTime(occurrence.at),
      messageDirection: 'IN',
      ...contextTail(context, occurrence),
    },
    isBase64Encoded: false,
  };
}

/** The event of one text message; `routeKey` is the route it took. */
export function messageEvent(
  context: ConnectionContext,
  occurrence: Occurrence,
  message: { readonly routeKey: string; readonly messageId: string; readonly body: string },
): GatewayEvent {
  return {
    requestContext: {
      routeKey: message.routeKey,
      messageId: message.messageId,
      eventType: 'MESSAGE',
      extendedRequestId: occurrence.requestId,
      requestTime: commonLogTime(occurrence.at),
      messageDirection: 'IN',
      ...contextTail(context, occurrence),
    },
    body: message.body,
    isBase64Encoded: false,
  };
}

/** The event of a closed connection. Its headers are blanks around `Host`, as captured. */
export function disconnectEvent(
  context: ConnectionContext,
  occurrence: Occurrence,
  closing: { readonly code: number; readonly reason: string },
): GatewayEvent {
  const headers = { Host: context.domainName, 'x-api-key': '', 'X-Forwarded-For': '', 'x-restapi': '' };
  return {
    headers,
    multiValueHeaders: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value]])),
    requestContext: {
      routeKey: '$disconnect',
      disconnectStatusCode: closing.code,
      eventType: 'DISCONNECT',
      extendedRequestId: occurrence.requestId,
      requestTime: commonLogTime(occurrence.at),
      messageDirection: 'IN',
      disconnectReason: closing.reason,
      ...contextTail(context, occurrence),
    },
    isBase64Encoded: false,
  };
}

/** A time in the Common Log Format, UTC: `19/Feb/2024:07:11:42 +0000`. */
export function commonLogTime(atMs: number): string {
  // toUTCString is fixed by ECMAScript: "Mon, 19 Feb 2024 07:11:42 GMT".
  const [, day, month, year, time] = new Date(atMs).toUTCString().split(' ');
  return `${day}/${month}/${year}:${time} +0000`;
}

function contextTail(context: ConnectionContext, occurrence: Occurrence): GatewayEvent {
  return {
    stage: context.stage,
    connectedAt: context.connectedAt,
    requestTimeEpoch: occurrence.at,
    // A copy: what one function does to its event must not show in the next one.
    identity: { ...context.identity },
    requestId: occurrence.requestId,
    domainName: context.domainName,
    connectionId: context.connectionId,
    apiId: context.apiId,
  };
}

/**
 * The headers the integration sees: in the client's own spelling, sorted without regard to case, repeated names merged,
 * without `Connection` and `Upgrade`, with what the edge adds. Only TLS is served by API Gateway, hence 443 and https.
 */
function headersOf(handshake: Handshake, context: ConnectionContext, at: number): Map<string, string[]> {
  const headers = new Map<string, { name: string; values: string[] }>();
  for (let at = 0; at + 1 < handshake.rawHeaders.length; at += 2) {
    const name = handshake.rawHeaders[at] ?? '';
    const entry = headers.get(name.toLowerCase()) ?? { name, values: [] };
    entry.values.push(handshake.rawHeaders[at + 1] ?? '');
    headers.set(name.toLowerCase(), entry);
  }
  const set = (name: string, value: string) => headers.set(name.toLowerCase(), { name, values: [value] });
  const forwarded = headers.get('x-forwarded-for')?.values ?? [];
  headers.delete('connection');
  headers.delete('upgrade');
  set('Host', context.domainName);
  set('X-Amzn-Trace-Id', traceId(at));
  set('X-Forwarded-For', [...forwarded, context.identity.sourceIp].join(', '));
  set('X-Forwarded-Port', '443');
  set('X-Forwarded-Proto', 'https');
  const sorted = [...headers].sort(([left], [right]) => (left < right ? -1 : 1));
  return new Map(sorted.map(([, { name, values }]) => [name, values]));
}

function queryOf(query: string): Map<string, string[]> {
  const parameters = new Map<string, string[]>();
  for (const [name, value] of new URLSearchParams(query)) {
    parameters.set(name, [...(parameters.get(name) ?? []), value]);
  }
  return parameters;
}

/** The single-value form of a multi-value map: the last value of each name. */
function lastOf(values: ReadonlyMap<string, readonly string[]>): Record<string, string> {
  return Object.fromEntries(Array.from(values, ([name, list]) => [name, list.at(-1) ?? '']));
}
