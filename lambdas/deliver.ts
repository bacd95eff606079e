import { deliverHandler } from './handlers/deliver.ts';
import { measured } from './wiring/measured.ts';
import { createServer } from './wiring/server.ts';

const server = createServer();

/** Posts to large audiences, a range each, and cleans up after connections that have gone. */
export const handler = measured(server, deliverHandler(server));
