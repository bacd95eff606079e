import { httpHandler } from './handlers/http.ts';
import { measured } from './wiring/measured.ts';
import { createServer } from './wiring/server.ts';

const server = createServer();

/** HTTP beside the sockets: the applications' routes. */
export const handler = measured(server, httpHandler(server));
