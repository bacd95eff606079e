/** A CloudFront Function (JavaScript runtime 2.0) as its template has it, run on each request of a viewer. */
import { createContext, Script } from 'node:vm';
import * as z from 'zod/mini';
import type { ViewerRequest } from './viewer-event.ts';

const value = z.looseObject({
  value: z.string(),
  multiValue: z.optional(z.array(z.looseObject({ value: z.string() }))),
});
const values = z._default(z.record(z.string(), value), {});

const requestSchema = z.looseObject({
  method: z.string(),
  uri: z.string().check(z.startsWith('/')),
  querystring: values,
  headers: values,
  cookies: values,
});

const responseSchema = z.looseObject({
  statusCode: z.int().check(z.gte(100), z.lte(599)),
  headers: values,
  body: z.optional(
    z.union([
      z.string(),
      z.looseObject({ data: z.string(), encoding: z._default(z.enum(['text', 'base64']), 'text') }),
    ]),
  ),
});

export interface ViewerResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

export type ViewerOutcome =
  | { readonly kind: 'request'; readonly request: ViewerRequest; readonly originId: string | undefined }
  | { readonly kind: 'response'; readonly response: ViewerResponse };

/** What a viewer is told of a function that throws, takes too long or returns nonsense (troubleshooting page: 503). */
const FAILED: ViewerOutcome = {
  kind: 'response',
  response: {
    status: 503,
    headers: { 'content-type': 'text/plain', 'x-cache': 'FunctionExecutionError from cloudfront' },
    body: Buffer.from('The function of the front door failed'),
  },
};

/**
 * Only so that a function that never ends holds up nobody for ever. CloudFront measures a share of under a millisecond of
 * a processor, while this is time on the wall: on a busy machine a function that does nothing may wait long for its turn.
 */
const LIMIT_MS = 1_000;
const IMPORT = /^\s*import\s+(\w+)\s+from\s+['"]cloudfront['"];?\s*$/m;

export class ViewerFunction {
  readonly #selected: { id: string | undefined } = { id: undefined };
  readonly #context: Record<string, unknown>;
  readonly #say: (requestId: string, line: string) => void;
  readonly #call = new Script('handler(event)');

  /**
   * @param code with `import cf from 'cloudfront'` and a function named `handler`
   * @param say told why a request failed
   */
  constructor(code: string, say: (requestId: string, line: string) => void) {
    this.#say = say;
    const helpers = { selectRequestOriginById: (id: string) => (this.#selected.id = id) };
    const name = IMPORT.exec(code)?.[1];
    this.#context = { ...(name === undefined ? {} : { [name]: helpers }), event: undefined };
    createContext(this.#context);
    new Script(code.replace(IMPORT, ''), { filename: 'front-door-function.js' }).runInContext(this.#context);
  }

  /** What becomes of a request. Runs to its end at once, so that no two requests share what it selected. */
  run(request: ViewerRequest, viewerIp: string, requestId: string): ViewerOutcome {
    this.#selected.id = undefined;
    this.#context.event = {
      version: '1.0',
      context: { eventType: 'viewer-request', requestId },
      viewer: { ip: viewerIp },
      request: structuredClone(request),
    };
    try {
      const returned: unknown = this.#call.runInContext(this.#context, { timeout: LIMIT_MS });
      const result = outcome(request, returned, this.#selected.id);
      if (result === FAILED) this.#say(requestId, 'FunctionExecutionError: neither a request nor a response');
      return result;
    } catch (error) {
      this.#say(requestId, `FunctionExecutionError: ${String(error)}`);
      return FAILED;
    }
  }
}

function outcome(given: ViewerRequest, returned: unknown, originId: string | undefined): ViewerOutcome {
  const request = z.safeParse(requestSchema, returned);
  if (request.success) {
    return request.data.method === given.method
      ? { kind: 'request', request: request.data, originId }
      : FAILED;
  }
  const response = z.safeParse(responseSchema, returned);
  if (!response.success) return FAILED;
  const { statusCode: status, headers, body } = response.data;
  const plain = Object.fromEntries(Object.entries(headers).map(([name, { value: text }]) => [name, text]));
  const content = typeof body === 'string' ? { data: body, encoding: 'text' as const } : body;
  return {
    kind: 'response',
    response: {
      status,
      headers: plain,
      body: Buffer.from(content?.data ?? '', content?.encoding === 'base64' ? 'base64' : 'utf8'),
    },
  };
}
