import { disconnectHandler } from './handlers/disconnect.ts';
import { observed } from './wiring/observed.ts';
import { createServer } from './wiring/server.ts';

const server = createServer();

/** `$disconnect`: cleans up. What it leaves undone, or was never called for, the sweep repeats. */
export const handler = observed(server, disconnectHandler(server));
