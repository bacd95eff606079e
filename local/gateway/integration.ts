import * as z from 'zod/mini';
import type { GatewayClock } from './clock.ts';

/** How an invocation ended; the host decides which. */
export type Invocation =
  | { readonly kind: 'result'; readonly value: unknown }
  | { readonly kind: 'error' }
  | { readonly kind: 'timeout' }
  | { readonly kind: 'throttled' }
  /** API Gateway may not invoke the function. */
  | { readonly kind: 'forbidden' };

/** A function behind a route, given the event and answering how its invocation ended. */
export type Integration = (event: Record<string, unknown>) => Promise<Invocation>;

/** The longest an integration may take; not adjustable (WebSocket quotas page). */
const INTEGRATION_TIMEOUT_MS = 29_000;

const headerValue = z.union([z.string(), z.number(), z.boolean()]);

const proxyResultSchema = z.object({
  statusCode: z.coerce.number().check(z.int(), z.gte(200), z.lte(599)),
  headers: z.nullish(z.record(z.string(), headerValue)),
  multiValueHeaders: z.nullish(z.record(z.string(), z.array(headerValue))),
  body: z.nullish(z.string()),
  isBase64Encoded: z.nullish(z.boolean()),
});

/** What a function with proxy integration answers. */
export interface ProxyResult {
  /** 200 to 599. */
  readonly statusCode: number;
  /** In the order given; a name may repeat. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string | undefined;
}

/**
 * Invokes an integration and gives it 29 s. What it answers later is not heard, as on AWS; the function itself goes on,
 * which is its host's affair. A rejected promise counts as an error of the function.
 */
export function invoke(
  integration: Integration,
  event: Record<string, unknown>,
  clock: GatewayClock,
): Promise<Invocation> {
  return new Promise((resolve) => {
    const settle = (invocation: Invocation): void => {
      clock.clearTimeout(timer);
      resolve(invocation);
    };
    const timer = clock.setTimeout(() => settle({ kind: 'timeout' }), INTEGRATION_TIMEOUT_MS);
    Promise.resolve()
      .then(() => integration(event))
      .then(settle, () => settle({ kind: 'error' }));
  });
}

/** The proxy result in a function's answer; nothing where it is malformed, which API Gateway treats as a failure. */
export function parseProxyResult(value: unknown): ProxyResult | undefined {
  const parsed = proxyResultSchema.safeParse(value);
  if (!parsed.success) return undefined;
  const headers = headerLines(parsed.data.headers ?? {}, parsed.data.multiValueHeaders ?? {});
  if (headers.some(([name, text]) => !isHeader(name, text))) return undefined;
  return { statusCode: parsed.data.statusCode, headers, body: bodyOf(parsed.data) };
}

type HeaderValue = z.output<typeof headerValue>;

/** `multiValueHeaders` wins over `headers` where both name a header (REST proxy rule; names compared without case). */
function headerLines(
  single: Readonly<Record<string, HeaderValue>>,
  multiple: Readonly<Record<string, readonly HeaderValue[]>>,
): [string, string][] {
  const names = new Set(Object.keys(multiple).map((name) => name.toLowerCase()));
  return [
    ...Object.entries(single)
      .filter(([name]) => !names.has(name.toLowerCase()))
      .map(([name, value]): [string, string] => [name, String(value)]),
    ...Object.entries(multiple).flatMap(([name, values]) =>
      values.map((value): [string, string] => [name, String(value)]),
    ),
  ];
}

/** A header that can be written as it is: a token, and a value that cannot end the line (RFC 9110 §5.1, §5.5). */
function isHeader(name: string, value: string): boolean {
  return /^[!#$%&'*+.^_`|~\w-]+$/.test(name) && !/[\r\n\0]/.test(value);
}

function bodyOf(result: z.output<typeof proxyResultSchema>): string | undefined {
  if (typeof result.body !== 'string') return undefined;
  return result.isBase64Encoded === true ? Buffer.from(result.body, 'base64').toString('utf8') : result.body;
}
