import { httpHandler } from './handlers/http.ts';
import { createServer } from './wiring/server.ts';

/** HTTP beside the sockets: the applications' routes. */
export const handler = httpHandler(createServer());
