import { UnavailableError } from '../bus/errors.ts';
import type { Log } from '../bus/ports.ts';
import { MAX_PUBLISH_ID_LENGTH, type PublishResult } from '../contract/publish.ts';
import {
  type PublishEvent,
  type PublishResponse,
  publishResponse,
  readPublishEvent,
} from '../wiring/publish-event.ts';
import type { Server } from '../wiring/server.ts';

/** The publish contract by Lambda invoke, EventBridge and HTTP. A refused request says which field is wrong. */
export function publishHandler(server: Server) {
  return async (event: unknown): Promise<PublishResult | PublishResponse | undefined> => {
    const incoming = readPublishEvent(event);
    if (incoming.kind === 'unreadable') return publishResponse(incoming.refusal);
    server.log.forRequest(publishKeys(incoming));
    const result = await server.publisher.handle(incoming.request);
    if (incoming.kind === 'invoke') return result;
    if (incoming.kind === 'http') return publishResponse(result);
    settle(server.log, incoming.eventId, result);
    return undefined;
  };
}

/** What its caller knows the publish by. */
function publishKeys(incoming: Exclude<PublishEvent, { kind: 'unreadable' }>): Record<string, string> {
  const { request } = incoming;
  const id = typeof request === 'object' && request !== null && 'id' in request ? request.id : undefined;
  return {
    ...(incoming.kind === 'event-bridge' ? { eventId: incoming.eventId } : {}),
    ...(typeof id === 'string' && id.length <= MAX_PUBLISH_ID_LENGTH ? { publishId: id } : {}),
  };
}

/** Nobody reads an answer to an event: what may work later is tried again, what never will is logged. */
function settle(log: Log, eventId: string, result: PublishResult): void {
  if (result.ok) return;
  const { code, message, field, retryable } = result.error;
  if (retryable === true) throw new UnavailableError(`event ${eventId} was not published: ${message}`);
  log.error('an event asks for a publish that cannot be made; it is dropped', {
    code,
    field,
    reason: message,
  });
}
