import { deliverHandler } from './handlers/deliver.ts';
import { observed } from './wiring/observed.ts';
import { createServer } from './wiring/server.ts';

const server = createServer();

/** Posts to large audiences, a range each, and cleans up after connections that have gone. */
export const handler = observed(server, deliverHandler(server));
