import { connectHandler } from './handlers/connect.ts';
import { createServer } from './wiring/server.ts';

/** `$connect`: lets a client in, or answers the upgrade with the status Engine.IO would. */
export const handler = connectHandler(createServer());
