import { beforeDeadline, type Deadline } from '../wiring/deadline.ts';
import { messageEventSchema } from '../wiring/events.ts';
import type { Server } from '../wiring/server.ts';

/** `$default`: one frame of a client. Never throws: API Gateway's error frame would drop the client. */
export function messageHandler(server: Server) {
  return async (event: unknown, context: Deadline): Promise<{ statusCode: number }> => {
    const parsed = messageEventSchema.safeParse(event);
    if (!parsed.success) {
      server.log.error('not a message event of API Gateway', { issues: parsed.error.issues });
      return { statusCode: 200 };
    }
    const { connectionId, requestId: gatewayRequestId } = parsed.data.requestContext;
    server.log.forRequest({ gatewayRequestId, connectionId });
    const done = await beforeDeadline(server.messages.handle(connectionId, parsed.data.body), context);
    if (!done) server.log.error('a frame took longer than the function may run');
    // What is cut off here is left to the sweep.
    await beforeDeadline(server.lifecycle.presences.linger(), context);
    return { statusCode: 200 };
  };
}
