import { openHandler } from './handlers/open.ts';
import { createServer } from './wiring/server.ts';

/** Greets a connection with the open packet. Invoked asynchronously; twice is harmless. */
export const handler = openHandler(createServer());
