import { httpHandler } from './handlers/http.ts';
import { createServer } from './wiring/server.ts';

/** HTTP beside the sockets: the applications' routes, and clients that begin with long polling. */
export const handler = httpHandler(createServer());
