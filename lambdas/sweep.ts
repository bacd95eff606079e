import { sweepHandler } from './handlers/sweep.ts';
import { observed } from './wiring/observed.ts';
import { createServer } from './wiring/server.ts';

const server = createServer();

/** The one-minute schedule. A tick that fails is made up for by the next. */
export const handler = observed(server, sweepHandler(server));
