import type { SweepReport } from './bus/sweeper.ts';
import { createServer } from './wiring/server.ts';

const server = createServer();

/** The one-minute schedule. A tick that fails is made up for by the next. */
export async function handler(): Promise<SweepReport> {
  const report = await server.sweeper.sweep();
  server.log.debug('swept', { ...report });
  return report;
}
