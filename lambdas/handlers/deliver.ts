import type { RangeReport } from '../bus/range-delivery.ts';
import { beforeDeadline, type Deadline } from '../wiring/deadline.ts';
import type { Server } from '../wiring/server.ts';
import { deliverEventSchema } from '../wiring/work.ts';

/**
 * Posts a packet to a range of its audience, or cleans up after recipients that have gone. Invoked asynchronously. A
 * failure is thrown: the platform tries it twice again, and what still fails is kept in the dead-letter queue.
 */
export function deliverHandler(server: Server) {
  return async (event: unknown, context: Deadline): Promise<RangeReport | undefined> => {
    const work = deliverEventSchema.parse(event);
    if (work.kind === 'reap') {
      await server.lifecycle.reap(work.gone);
      await beforeDeadline(server.lifecycle.presences.linger(), context);
      return undefined;
    }
    const { id, name } = work;
    server.log.forRequest({ messageId: id, ...(name === undefined ? {} : { publishId: name }) });
    const report = await server.ranges.run(work, () => context.getRemainingTimeInMillis());
    server.log.info('a range was posted', { ...report, range: work.range, expected: work.expected });
    return report;
  };
}
