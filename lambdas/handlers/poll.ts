import { pollingId } from '../bus/names.ts';
import type { PollAnswer } from '../bus/polling.ts';
import { httpEventSchema, httpRequest } from '../wiring/events.ts';
import type { Server } from '../wiring/server.ts';

/** Engine.IO long polling behind the HTTP API. */
export function pollHandler(server: Server) {
  return async (event: unknown): Promise<PollAnswer> => {
    const parsed = httpEventSchema.safeParse(event);
    if (!parsed.success) {
      server.log.error('not an HTTP event of API Gateway', { issues: parsed.error.issues });
      return failure();
    }
    const request = httpRequest(parsed.data);
    const { sid } = request.query;
    server.log.forRequest({
      gatewayRequestId: parsed.data.requestContext.requestId,
      // Of the sid, which is secret, the connection's id says nothing.
      ...(sid === undefined ? {} : { connectionId: pollingId(sid) }),
    });
    try {
      return await server.polling.handle({ ...request, at: server.bus.clock.now() });
    } catch (error) {
      server.log.error('a polling request failed', { error });
      return failure();
    }
  };
}

/** A client that is answered with this gives the connection up and opens another one. */
function failure(): PollAnswer {
  return { statusCode: 500, headers: { 'cache-control': 'no-store' }, body: '' };
}
