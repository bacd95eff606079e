import type { SweepReport } from '../bus/sweeper.ts';
import type { Server } from '../wiring/server.ts';

/** The one-minute schedule. A tick that fails is made up for by the next. */
export function sweepHandler(server: Server) {
  return async (): Promise<SweepReport> => {
    const report = await server.sweeper.sweep();
    server.log.debug('swept', { ...report });
    return report;
  };
}
