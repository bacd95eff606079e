import { openWorkSchema } from './wiring/events.ts';
import { createServer } from './wiring/server.ts';

const server = createServer();

/** Greets a connection with the open packet. Invoked asynchronously; twice is harmless. */
export async function handler(event: unknown): Promise<void> {
  const work = openWorkSchema.parse(event);
  server.log.forRequest({ connectionId: work.connectionId });
  await server.lifecycle.greet(work);
}
