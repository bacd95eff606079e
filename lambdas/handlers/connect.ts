import { headerCredentials, keptHandshake, type OpeningRequest, refuseHandshake } from '../bus/handshake.ts';
import { connectEventSchema, defined, lowerCased } from '../wiring/events.ts';
import type { Server } from '../wiring/server.ts';

/** `$connect`: lets a client in, or answers the upgrade with the status Engine.IO would. */
export function connectHandler(server: Server) {
  return async (event: unknown): Promise<{ statusCode: number; headers?: Record<string, string> }> => {
    const { bus, lifecycle, log } = server;
    const { headers, queryStringParameters, requestContext } = connectEventSchema.parse(event);
    const { connectionId, connectedAt, requestId } = requestContext;
    log.forRequest({ requestId, connectionId });
    const request: OpeningRequest = {
      headers: lowerCased(headers),
      query: defined(queryStringParameters),
      address: requestContext.identity?.sourceIp ?? '',
      at: connectedAt,
    };
    const refusal = refuseHandshake(bus, request);
    if (refusal !== undefined) {
      const { code, message, status } = refusal;
      log.info('handshake refused', {
        code,
        reason: message,
        origin: request.headers.origin,
        EIO: request.query.EIO,
      });
      return { statusCode: status };
    }
    try {
      const credentials = await headerCredentials(bus, request);
      await lifecycle.accept({
        id: connectionId,
        connectedAt,
        handshake: keptHandshake(request),
        credentials,
      });
    } catch (error) {
      log.error('a connection could not be opened', { error });
      return { statusCode: 500 };
    }
    // A browser fails a connection whose offered subprotocols are not answered; like `ws`, we take the first.
    const protocol = request.headers['sec-websocket-protocol']?.split(',')[0]?.trim();
    return protocol === undefined
      ? { statusCode: 200 }
      : { statusCode: 200, headers: { 'Sec-WebSocket-Protocol': protocol } };
  };
}
