import { pollHandler } from './handlers/poll.ts';
import { observed } from './wiring/observed.ts';
import { createServer } from './wiring/server.ts';

const server = createServer();

/** Engine.IO long polling behind the HTTP API. */
export const handler = observed(server, pollHandler(server));
