/** The events API Gateway sends, as far as they are read here. */
import * as z from 'zod/mini';

const headers = z._default(z.record(z.string(), z.optional(z.string())), {});
const requestContext = z.object({
  connectionId: z.string(),
  connectedAt: z.number(),
  requestId: z.string(),
  identity: z.optional(z.object({ sourceIp: z.optional(z.string()) })),
});

const manyOfEach = z._default(z.record(z.string(), z.array(z.string())), {});

/** The fields with one value of each name hold the last one; a gateway that merges may leave the others out. */
export const connectEventSchema = z.object({
  headers,
  multiValueHeaders: manyOfEach,
  queryStringParameters: z._default(z.record(z.string(), z.optional(z.string())), {}),
  multiValueQueryStringParameters: manyOfEach,
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
    query: queryOf(event.rawQueryString),
    body: event.isBase64Encoded ? Buffer.from(event.body ?? '', 'base64').toString('utf8') : event.body,
    address: http.sourceIp ?? '',
  };
}

/**
 * Header names as the code reads them: behind multi-level mappings API Gateway lower-cases them, else it does not. One
 * that came twice is both with a comma between them (RFC 9110, 5.3), so that nothing which is compared exactly, an origin
 * first of all, is what only one of them says.
 *
 * @param several all values of each name, where the gateway says them
 */
export function lowerCased(
  record: Readonly<Record<string, string | undefined>>,
  several: Readonly<Record<string, readonly string[]>> = {},
): Record<string, string> {
  const values = new Map<string, string>();
  for (const [name, value] of Object.entries(merged(record, several, ', '))) {
    const key = name.toLowerCase();
    const before = values.get(key);
    values.set(key, before === undefined ? value : `${before}, ${value}`);
  }
  return Object.fromEntries(values);
}

/** As with headers: a parameter that is there twice is neither of its values. */
export function parameters(
  record: Readonly<Record<string, string | undefined>>,
  several: Readonly<Record<string, readonly string[]>> = {},
): Record<string, string> {
  return merged(record, several, ',');
}

function merged(
  record: Readonly<Record<string, string | undefined>>,
  several: Readonly<Record<string, readonly string[]>>,
  comma: string,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(record).flatMap(([name, last]) => {
      const all = Object.hasOwn(several, name) ? several[name] : undefined;
      const value = all === undefined || all.length === 0 ? last : all.join(comma);
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

function queryOf(text: string): Record<string, string> {
  const query = new URLSearchParams(text);
  return Object.fromEntries([...query.keys()].map((name) => [name, query.getAll(name).join(',')]));
}
