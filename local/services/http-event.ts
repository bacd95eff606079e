/**
 * The event and the answer of a Lambda proxy integration, payload format 2.0.
 * Source: HTTP API developer guide, "Create AWS Lambda proxy integrations for HTTP APIs".
 */
import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import * as z from 'zod/mini';
import { type Arrival, headerValues } from '../gateway/arrival.ts';
import { commonLogTime } from '../gateway/event.ts';
import { type Principal, sessionArn } from '../host/credentials.ts';
import type { RouteMatch } from './http-routes.ts';

export interface HttpEventContext {
  readonly accountId: string;
  readonly apiId: string;
  readonly stage: string;
  /** Host and port that clients use. */
  readonly domainName: string;
  readonly requestId: string;
  readonly traceId: string;
  readonly nowMs: number;
  /** Who signed the request, on routes that ask for it. */
  readonly caller: { readonly accessKeyId: string; readonly principal: Principal } | undefined;
}

export interface HttpRequestParts extends Arrival {
  readonly body: Buffer;
}

/** The event, with its members in the documented order; optional ones are omitted, not null. */
export function httpEvent(
  request: IncomingMessage,
  parts: HttpRequestParts,
  match: RouteMatch,
  context: HttpEventContext,
): Record<string, unknown> {
  const { path, query, body } = parts;
  const headers = headersOf(request, parts, context);
  const text = isText(headers['content-type']);
  const cookies = headerValues(parts, 'cookie').flatMap((header) => header.split(/;\s*/));
  const parameters = queryParameters(query);
  return {
    version: '2.0',
    routeKey: match.route.key,
    rawPath: path,
    rawQueryString: query,
    ...(cookies.length === 0 ? {} : { cookies }),
    headers,
    ...(parameters === undefined ? {} : { queryStringParameters: parameters }),
    requestContext: requestContext(request, parts, match, context),
    ...(body.length === 0 ? {} : { body: body.toString(text ? 'utf8' : 'base64') }),
    ...(Object.keys(match.parameters).length === 0 ? {} : { pathParameters: match.parameters }),
    isBase64Encoded: body.length > 0 && !text,
  };
}

function requestContext(
  request: IncomingMessage,
  { path, sourceIp }: HttpRequestParts,
  match: RouteMatch,
  { accountId, apiId, stage, domainName, requestId, nowMs, caller }: HttpEventContext,
): Record<string, unknown> {
  return {
    accountId,
    apiId,
    ...(caller === undefined ? {} : { authorizer: { iam: iamOf(caller, accountId) } }),
    domainName,
    domainPrefix: apiId,
    http: {
      method: request.method ?? 'GET',
      path,
      protocol: `HTTP/${request.httpVersion}`,
      sourceIp,
      userAgent: request.headers['user-agent'] ?? '',
    },
    requestId,
    routeKey: match.route.key,
    stage,
    time: commonLogTime(nowMs),
    timeEpoch: nowMs,
  };
}

function iamOf(caller: NonNullable<HttpEventContext['caller']>, accountId: string): Record<string, unknown> {
  return {
    accessKey: caller.accessKeyId,
    accountId,
    callerId: caller.accessKeyId,
    cognitoIdentity: null,
    principalOrgId: null,
    userArn: sessionArn(caller.principal),
    userId: caller.accessKeyId,
  };
}

/** Lower-cased, repeated ones joined by commas; cookies have a member of their own. */
function headersOf(
  request: IncomingMessage,
  { rawHeaders, sourceIp }: HttpRequestParts,
  { traceId }: HttpEventContext,
): Record<string, string> {
  const headers: Record<string, string> = {};
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] ?? '').toLowerCase();
    const value = rawHeaders[index + 1] ?? '';
    if (HOP_BY_HOP.has(name) || name === 'cookie') continue;
    headers[name] = headers[name] === undefined ? value : `${headers[name]},${value}`;
  }
  const forwarded = headers['x-forwarded-for'];
  headers['x-amzn-trace-id'] ??= traceId;
  headers['x-forwarded-for'] = forwarded === undefined ? sourceIp : `${forwarded}, ${sourceIp}`;
  headers['x-forwarded-port'] = String(request.socket.localPort ?? '');
  headers['x-forwarded-proto'] = 'http';
  return headers;
}

/** They concern one TCP connection, and API Gateway ends it (RFC 9110 §7.6.1). */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
]);

/** Repeated names are joined by commas. */
function queryParameters(query: string): Record<string, string> | undefined {
  if (query === '') return undefined;
  const parameters: Record<string, string> = {};
  for (const [name, value] of new URLSearchParams(query)) {
    parameters[name] = parameters[name] === undefined ? value : `${parameters[name]},${value}`;
  }
  return parameters;
}

/** Everything else arrives as base64, form data included. */
function isText(contentType: string | undefined): boolean {
  const [type = ''] = (contentType ?? '').toLowerCase().split(';');
  return (
    type.startsWith('text/') ||
    ['application/json', 'application/javascript', 'application/xml'].includes(type.trim()) ||
    /\+(json|xml)$/.test(type.trim())
  );
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: OutgoingHttpHeaders;
  readonly body: Buffer;
}

const headerValue = z.union([z.string(), z.number(), z.boolean()]);

const answerSchema = z.looseObject({
  statusCode: z.coerce.number().check(z.int(), z.gte(200), z.lte(599)),
  headers: z.nullish(z.record(z.string(), headerValue)),
  cookies: z.nullish(z.array(z.string())),
  body: z.nullish(z.string()),
  isBase64Encoded: z.nullish(z.boolean()),
});

/** What API Gateway makes of a function's answer; undefined where it is malformed, which is a 500. */
export function httpAnswer(value: unknown): HttpAnswer | undefined {
  if (typeof value !== 'object' || value === null || !('statusCode' in value)) return inferred(value);
  const parsed = answerSchema.safeParse(value);
  if (!parsed.success) return undefined;
  const { statusCode, headers, cookies, body, isBase64Encoded } = parsed.data;
  const answered = Object.entries(headers ?? {}).map(
    ([name, text]) => [name.toLowerCase(), String(text)] as const,
  );
  if (
    answered.some(([name, text]) => !isHeader(name, text)) ||
    cookies?.some((text) => !isHeader('x', text))
  ) {
    return undefined;
  }
  return {
    status: statusCode,
    headers: {
      'content-type': 'text/plain;charset=utf-8',
      ...Object.fromEntries(answered.filter(([name]) => !FRAMING.has(name))),
      ...(cookies?.length ? { 'set-cookie': cookies } : {}),
    },
    body: Buffer.from(body ?? '', isBase64Encoded === true ? 'base64' : 'utf8'),
  };
}

/** API Gateway frames the message itself. */
const FRAMING = new Set(['connection', 'content-length', 'keep-alive', 'transfer-encoding']);

/** An answer without a status code is the body, as JSON. */
function inferred(value: unknown): HttpAnswer {
  const body = typeof value === 'string' ? value : JSON.stringify(value);
  return { status: 200, headers: { 'content-type': 'application/json' }, body: Buffer.from(body) };
}

/** A token, and a value that cannot end the line (RFC 9110 §5.1, §5.5). */
function isHeader(name: string, value: string): boolean {
  return /^[!#$%&'*+.^_`|~\w-]+$/.test(name) && /^[\t\x20-\x7e\x80-\xff]*$/.test(value);
}
