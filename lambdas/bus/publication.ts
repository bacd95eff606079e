/** Publishing an event: to the sockets of a target, or to one. */
import type { Target } from './audience.ts';
import type { Bus } from './context.ts';
import { type DeliveryOutcome, deliver } from './delivery.ts';
import { type Allow, type BroadcastReport, broadcast } from './fan-out.ts';
import { type Message, noteUncut, type Publication, placed } from './message.ts';
import type { SocketKey } from './ports.ts';

export interface Published extends BroadcastReport {
  readonly message: Message;
}

/**
 * Publishes to the sockets of a target. What is not allowed is taken out of the log again: who recovers in the moment
 * between may have heard it.
 * @throws BusError `invalid_payload` where the packet is too large, or there are more than 90 rooms
 * @throws whatever kept it from the log, or a part from being handed over
 */
export async function publish(
  bus: Bus,
  target: Target,
  publication: Publication,
  allow?: Allow,
): Promise<Published> {
  const message = await placed(bus, target, publication);
  let isRefused = false;
  const asked: Allow = (posts) => {
    try {
      allow?.(posts);
    } catch (error) {
      isRefused = true;
      bus.log.warn('an emit was refused', { event: publication.event, posts, error });
      throw error;
    }
  };
  try {
    const report = await broadcast(bus, target, message, asked);
    logPublished(bus, publication.event, report);
    return { ...report, message };
  } catch (error) {
    const { offset, logs } = message;
    if (isRefused && offset !== undefined) await bus.eventLog.withdraw(logs, offset);
    throw error;
  }
}

/** What others post is found by these; of all else a line for each publish would cost more than it tells. */
function logPublished({ log }: Bus, event: string, report: BroadcastReport): void {
  const { id: messageId, gone, uncut, ...counts } = report;
  const line = { messageId, event, ...counts, gone: gone.length, uncut: uncut.length };
  log[report.ranges === 0 ? 'debug' : 'info']('published', line);
}

/** Publishes to one socket. Its row is read after the log was written: it may have moved to another connection. */
export async function publishToSocket(
  bus: Bus,
  socket: SocketKey & { readonly connectionId: string },
  publication: Publication,
): Promise<{ readonly outcome: DeliveryOutcome; readonly message: Message }> {
  const { namespace, id } = socket;
  const message = await placed(bus, { namespace, rooms: [id], except: [] }, publication);
  const { frames, volatile, deadline, logs } = message;
  bus.metrics.count('Published', 1);
  const current = logs.length === 0 ? socket : await bus.store.socket(socket);
  if (current === undefined || ('state' in current && current.state === 'closed')) {
    bus.metrics.count('Gone', 1);
    return { outcome: 'gone', message };
  }
  const options = { volatile, deadline, messageId: message.id };
  const outcome = await deliver(bus, current.connectionId, frames, options);
  bus.metrics.count(outcome === 'posted' ? 'Posted' : outcome === 'gone' ? 'Gone' : 'Failed', 1);
  if (outcome === 'uncut') await noteUncut(bus, message, [{ ...socket, connectionId: current.connectionId }]);
  return { outcome, message };
}

/** Whether everybody had been tried when it was reported, and who was not reached is cut. */
export function isDone({ ranges, uncut }: Pick<BroadcastReport, 'ranges' | 'uncut'>): boolean {
  return ranges === 0 && uncut.length === 0;
}
