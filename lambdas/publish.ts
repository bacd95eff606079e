import { publishHandler } from './handlers/publish.ts';
import { createServer } from './wiring/server.ts';

/** The publish contract by Lambda invoke, EventBridge and HTTP. A refused request says which field is wrong. */
export const handler = publishHandler(createServer());
