import { httpHandler } from './handlers/http.ts';
import { observed } from './wiring/observed.ts';
import { createServer } from './wiring/server.ts';

const server = createServer();

/** HTTP beside the sockets: the applications' routes. */
export const handler = observed(server, httpHandler(server));
