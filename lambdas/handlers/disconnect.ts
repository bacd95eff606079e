import { beforeDeadline, type Deadline } from '../wiring/deadline.ts';
import { disconnectEventSchema } from '../wiring/events.ts';
import type { Server } from '../wiring/server.ts';

/** `$disconnect`: cleans up. What it leaves undone, or was never called for, the sweep repeats. */
export function disconnectHandler(server: Server) {
  return async (event: unknown, context: Deadline): Promise<{ statusCode: number }> => {
    const parsed = disconnectEventSchema.safeParse(event);
    if (!parsed.success) {
      server.log.error('not a disconnect event of API Gateway', { issues: parsed.error.issues });
      return { statusCode: 200 };
    }
    const {
      connectionId,
      requestId: gatewayRequestId,
      disconnectStatusCode,
      disconnectReason,
    } = parsed.data.requestContext;
    server.log.forRequest({ gatewayRequestId, connectionId });
    server.log.debug('disconnected', { status: disconnectStatusCode, reason: disconnectReason });
    try {
      await server.lifecycle.disconnected(connectionId);
    } catch (error) {
      server.log.error('a connection could not be cleaned up; the sweep will repeat it', { error });
    }
    // Who comes back within 3 s has not left; what is cut off here is left to the sweep.
    await beforeDeadline(server.lifecycle.presences.linger(), context);
    return { statusCode: 200 };
  };
}
