import { publishHandler } from './handlers/publish.ts';
import { observed } from './wiring/observed.ts';
import { createServer } from './wiring/server.ts';

const server = createServer();

/** The publish contract by Lambda invoke, EventBridge and HTTP. A refused request says which field is wrong. */
export const handler = observed(server, publishHandler(server));
