import type { RoutedResponse } from '../bus/http-router.ts';
import { httpEventSchema, httpRequest } from '../wiring/events.ts';
import type { Server } from '../wiring/server.ts';

/** HTTP beside the sockets: the applications' routes. */
export function httpHandler(server: Server) {
  return async (event: unknown): Promise<RoutedResponse> => {
    const parsed = httpEventSchema.safeParse(event);
    if (!parsed.success) {
      server.log.error('not an HTTP event of API Gateway', { issues: parsed.error.issues });
      return failure();
    }
    server.log.forRequest({ gatewayRequestId: parsed.data.requestContext.requestId });
    try {
      return await server.router.handle(httpRequest(parsed.data));
    } catch (error) {
      server.log.error('a request failed', { path: parsed.data.rawPath, error });
      return failure();
    }
  };
}

function failure(): RoutedResponse {
  const body = { error: { code: 'internal', message: 'internal error' } };
  return { statusCode: 500, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
}
