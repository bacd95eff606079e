import { openWorkSchema } from '../wiring/events.ts';
import type { Server } from '../wiring/server.ts';

/** Greets a connection with the open packet. Invoked asynchronously; twice is harmless. */
export function openHandler(server: Server) {
  return async (event: unknown): Promise<void> => {
    const work = openWorkSchema.parse(event);
    server.log.forRequest({ connectionId: work.connectionId });
    await server.lifecycle.greet(work);
  };
}
