import { messageHandler } from './handlers/message.ts';
import { observed } from './wiring/observed.ts';
import { createServer } from './wiring/server.ts';

const server = createServer();

/** `$default`: one frame of a client. Never throws: API Gateway's error frame would drop the client. */
export const handler = observed(server, messageHandler(server));
