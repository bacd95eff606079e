import { UnavailableError } from '../bus/errors.ts';
import type { Log } from '../bus/ports.ts';
import type { PublishResult } from '../contract/publish.ts';
import { type PublishResponse, publishResponse, readPublishEvent } from '../wiring/publish-event.ts';
import type { Server } from '../wiring/server.ts';

/** The publish contract by Lambda invoke, EventBridge and HTTP. A refused request says which field is wrong. */
export function publishHandler(server: Server) {
  return async (event: unknown): Promise<PublishResult | PublishResponse | undefined> => {
    const incoming = readPublishEvent(event);
    if (incoming.kind === 'unreadable') return publishResponse(incoming.refusal);
    const result = await server.publisher.handle(incoming.request);
    if (incoming.kind === 'invoke') return result;
    if (incoming.kind === 'http') return publishResponse(result);
    settle(server.log, incoming.eventId, result);
    return undefined;
  };
}

/** Nobody reads an answer to an event: what may work later is tried again, what never will is logged. */
function settle(log: Log, eventId: string, result: PublishResult): void {
  if (result.ok) return;
  const { code, message, field, retryable } = result.error;
  if (retryable === true) throw new UnavailableError(`event ${eventId} was not published: ${message}`);
  log.error('an event asks for a publish that cannot be made; it is dropped', {
    eventId,
    code,
    field,
    reason: message,
  });
}
