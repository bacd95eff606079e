import { answerEngineRequest, isEngineRequest } from './wiring/engine-http.ts';
import { type HttpEvent, httpEventSchema } from './wiring/events.ts';
import { createServer } from './wiring/server.ts';

const server = createServer();

interface HttpResponse {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** HTTP beside the sockets: requests of clients that begin with long polling. */
export async function handler(event: unknown): Promise<HttpResponse> {
  const parsed = httpEventSchema.safeParse(event);
  if (!parsed.success) return json(400, { error: { code: 'invalid_payload', message: 'not an HTTP event' } });
  server.log.forRequest({ requestId: parsed.data.requestContext.requestId });
  try {
    return route(parsed.data);
  } catch (error) {
    server.log.error('a request failed', { path: parsed.data.rawPath, error });
    return json(500, { error: { code: 'internal', message: 'internal error' } });
  }
}

function route(event: HttpEvent): HttpResponse {
  if (isEngineRequest(event, process.env.WS_PATH)) return answerEngineRequest(event, server.bus);
  return json(404, { error: { code: 'not_found', message: 'there is nothing here' } });
}

function json(statusCode: number, body: unknown): HttpResponse {
  return { statusCode, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
}
