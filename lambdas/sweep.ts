import { sweepHandler } from './handlers/sweep.ts';
import { measured } from './wiring/measured.ts';
import { createServer } from './wiring/server.ts';

const server = createServer();

/** The one-minute schedule. A tick that fails is made up for by the next. */
export const handler = measured(server, sweepHandler(server));
