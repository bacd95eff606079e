import { pollHandler } from './handlers/poll.ts';
import { measured } from './wiring/measured.ts';
import { createServer } from './wiring/server.ts';

const server = createServer();

/** Engine.IO long polling behind the HTTP API. */
export const handler = measured(server, pollHandler(server));
