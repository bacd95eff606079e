/** The events API Gateway sends, as far as they are read here. */
import * as z from 'zod/mini';

const headers = z._default(z.record(z.string(), z.optional(z.string())), {});
const requestContext = z.object({
  connectionId: z.string(),
  connectedAt: z.number(),
  requestId: z.string(),
  identity: z.optional(z.object({ sourceIp: z.optional(z.string()) })),
});

export const connectEventSchema = z.object({
  headers,
  queryStringParameters: z._default(z.record(z.string(), z.optional(z.string())), {}),
  requestContext,
});

export const messageEventSchema = z.object({
  body: z._default(z.string(), ''),
  requestContext,
});

export const disconnectEventSchema = z.object({
  requestContext: z.extend(requestContext, {
    disconnectStatusCode: z.optional(z.number()),
    disconnectReason: z.optional(z.string()),
  }),
});

export const openWorkSchema = z.object({
  v: z.literal(1),
  connectionId: z.string(),
  sid: z.string(),
  connectedAt: z.number(),
});

/** Payload format 2.0 (HTTP API developer guide, "Lambda proxy integrations"). */
export const httpEventSchema = z.object({
  rawPath: z.string(),
  rawQueryString: z._default(z.string(), ''),
  /** Decoded. */
  pathParameters: z._default(z.record(z.string(), z.string()), {}),
  headers,
  cookies: z.optional(z.array(z.string())),
  body: z.optional(z.string()),
  isBase64Encoded: z._default(z.boolean(), false),
  requestContext: z.object({
    requestId: z.string(),
    domainName: z.optional(z.string()),
    http: z.object({ method: z.string(), sourceIp: z.optional(z.string()) }),
  }),
});

/** What the applications' routes and long polling read of an HTTP event. */
export function httpRequest(event: z.output<typeof httpEventSchema>) {
  const { http } = event.requestContext;
  return {
    method: http.method,
    path: event.rawPath,
    parameters: event.pathParameters,
    headers: lowerCased(event.headers),
    query: Object.fromEntries(new URLSearchParams(event.rawQueryString)),
    body: event.isBase64Encoded ? Buffer.from(event.body ?? '', 'base64').toString('utf8') : event.body,
    address: http.sourceIp ?? '',
  };
}

/** Header names as the code reads them: behind multi-level mappings API Gateway lower-cases them, else it does not. */
export function lowerCased(record: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(record).flatMap(([name, value]) =>
      value === undefined ? [] : [[name.toLowerCase(), value]],
    ),
  );
}

export function defined(record: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(record).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}
