import { sweepHandler } from './handlers/sweep.ts';
import { createServer } from './wiring/server.ts';

/** The one-minute schedule. A tick that fails is made up for by the next. */
export const handler = sweepHandler(createServer());
