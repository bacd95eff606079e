import type { PollAnswer } from '../bus/polling.ts';
import { httpEventSchema } from '../wiring/events.ts';
import { pollFailure, pollRequest } from '../wiring/poll-http.ts';
import type { Server } from '../wiring/server.ts';

/** Engine.IO long polling behind the HTTP API. */
export function pollHandler(server: Server) {
  return async (event: unknown): Promise<PollAnswer> => {
    const parsed = httpEventSchema.safeParse(event);
    if (!parsed.success) {
      server.log.error('not an HTTP event of API Gateway', { issues: parsed.error.issues });
      return pollFailure();
    }
    server.log.forRequest({ requestId: parsed.data.requestContext.requestId });
    try {
      return await server.polling.handle(pollRequest(parsed.data, server.bus.clock.now()));
    } catch (error) {
      server.log.error('a polling request failed', { error });
      return pollFailure();
    }
  };
}
