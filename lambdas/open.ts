import { openHandler } from './handlers/open.ts';
import { observed } from './wiring/observed.ts';
import { createServer } from './wiring/server.ts';

const server = createServer();

/** Greets a connection with the open packet. Invoked asynchronously; twice is harmless. */
export const handler = observed(server, openHandler(server));
