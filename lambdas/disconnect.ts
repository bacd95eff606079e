import { disconnectHandler } from './handlers/disconnect.ts';
import { createServer } from './wiring/server.ts';

/** `$disconnect`: cleans up. What it leaves undone, or was never called for, the sweep repeats. */
export const handler = disconnectHandler(createServer());
