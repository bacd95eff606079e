/** Engine.IO requests that reach the HTTP API: the answers a server with `transports: ['websocket']` gives. */
import type { Bus } from '../bus/context.ts';
import { ENGINE_ERRORS, type EngineError } from '../bus/handshake.ts';
import { corsHeaders } from '../bus/http-router.ts';
import { type HttpEvent, lowerCased } from './events.ts';

const DEFAULT_PATH = '/socket.io';

interface EngineResponse {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Whether the request is for the Engine.IO endpoint, with or without its trailing slash. */
export function isEngineRequest(event: HttpEvent, wsPath: string = DEFAULT_PATH): boolean {
  return trimmed(event.rawPath) === trimmed(wsPath);
}

export function answerEngineRequest(
  event: HttpEvent,
  bus: Pick<Bus, 'registry' | 'config' | 'log'>,
): EngineResponse {
  const origin = lowerCased(event.headers).origin;
  const { code, message, status } = engineError(event);
  if (code === ENGINE_ERRORS.unknownTransport.code) {
    bus.log.warn("a client began with long polling: set transports: ['websocket'] in its options", {
      origin,
    });
  }
  return {
    statusCode: status,
    headers: { 'content-type': 'application/json', ...corsHeaders(bus, origin) },
    body: JSON.stringify({ code, message }),
  };
}

/** The version first: a client of Socket.IO 2 is better told that than that its transport is unknown. */
function engineError(event: HttpEvent): EngineError {
  const query = new URLSearchParams(event.rawQueryString);
  if (query.get('EIO') !== null && query.get('EIO') !== '4') return ENGINE_ERRORS.unsupportedVersion;
  if (query.get('transport') !== 'websocket') return ENGINE_ERRORS.unknownTransport;
  // A WebSocket handshake without an upgrade; real ones never come this way.
  return event.requestContext.http.method === 'GET' ? ENGINE_ERRORS.badRequest : ENGINE_ERRORS.badMethod;
}

function trimmed(path: string): string {
  return path.replace(/\/+$/, '');
}
