import {
  clientAddress,
  ENGINE_ERRORS,
  type EngineError,
  headerCredentials,
  keptHandshake,
  noteRefusal,
  type OpeningRequest,
  refuseHandshake,
} from '../bus/handshake.ts';
import { connectEventSchema, lowerCased, parameters } from '../wiring/events.ts';
import type { Server } from '../wiring/server.ts';

/** `$connect`: lets a client in, or answers the upgrade with the status Engine.IO would. */
export function connectHandler(server: Server) {
  return async (event: unknown): Promise<{ statusCode: number; headers?: Record<string, string> }> => {
    const { bus, log, trustForwarded } = server;
    const parsed = connectEventSchema.parse(event);
    const { headers, queryStringParameters, requestContext } = parsed;
    const { connectionId, connectedAt, requestId: gatewayRequestId } = requestContext;
    log.forRequest({ gatewayRequestId, connectionId });
    const lower = lowerCased(headers, parsed.multiValueHeaders);
    const { sourceIp = '' } = requestContext.identity ?? {};
    const request: OpeningRequest = {
      headers: lower,
      query: parameters(queryStringParameters, parsed.multiValueQueryStringParameters),
      address: clientAddress(lower['x-forwarded-for'], sourceIp, trustForwarded),
      at: connectedAt,
    };
    try {
      const refusal =
        refuseHandshake(bus, request, 'websocket') ?? (await accepted(server, connectionId, request));
      if (refusal !== undefined) {
        noteRefusal(bus, request, refusal);
        return { statusCode: refusal.status };
      }
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

/** A new connection, or a WebSocket that wants to take over from long polling; or why it is neither. */
async function accepted(
  { bus, lifecycle, upgrades }: Server,
  connectionId: string,
  request: OpeningRequest,
): Promise<EngineError | undefined> {
  const { sid } = request.query;
  if (sid !== undefined) return upgrades.begin(connectionId, sid);
  if (await lifecycle.isFull(request.address)) return ENGINE_ERRORS.tooMany;
  const credentials = await headerCredentials(bus, request);
  const handshake = keptHandshake(request);
  await lifecycle.accept({ id: connectionId, connectedAt: request.at, handshake, credentials });
  return undefined;
}
