import { pollHandler } from './handlers/poll.ts';
import { createServer } from './wiring/server.ts';

/** Engine.IO long polling behind the HTTP API. */
export const handler = pollHandler(createServer());
