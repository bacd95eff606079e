import { connectHandler } from './handlers/connect.ts';
import { observed } from './wiring/observed.ts';
import { createServer } from './wiring/server.ts';

const server = createServer();

/** `$connect`: lets a client in, or answers the upgrade with the status Engine.IO would. */
export const handler = observed(server, connectHandler(server));
