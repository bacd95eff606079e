import { messageHandler } from './handlers/message.ts';
import { createServer } from './wiring/server.ts';

/** `$default`: one frame of a client. Never throws: API Gateway's error frame would drop the client. */
export const handler = messageHandler(createServer());
