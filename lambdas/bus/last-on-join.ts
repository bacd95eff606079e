/** What a socket that joins a room is told of it: the last event, where the room's kind says so (design D10). */
import type { Bus } from './context.ts';
import { deliver } from './delivery.ts';
import { UnavailableError } from './errors.ts';
import { lastEvent } from './history.ts';
import { withOffset } from './message.ts';
import { exceptionToken } from './names.ts';
import type { LogEntry, SocketRecord } from './ports.ts';

/**
 * Posts the last event of each room to a socket whose memberships are written: what is published from then on it hears
 * anyway, so that no event is missed, and one may be heard twice, with the same id. The offset has that id, and the time
 * of the join as its position: with the event's own, a client that comes back would say that it has heard nothing since.
 * @throws whatever kept a log from being read, or an event from being posted
 */
export async function postLastEvents(
  bus: Bus,
  socket: SocketRecord,
  joined: readonly string[],
): Promise<void> {
  const { namespace, id, connectionId } = socket;
  for (const room of joined) {
    const wanted = bus.registry.roomOwner(namespace, room)?.kind.lastOnJoin ?? false;
    if (wanted === false) continue;
    const now = bus.stamp();
    const entry = await lastEvent(bus, { namespace, room }, wanted === true ? undefined : wanted);
    // An older one in place of one that was for others would be a state that is over.
    if (entry === undefined || isForOthers(entry, socket)) continue;
    const offset = { position: Math.max(now, entry.position), id: entry.id };
    const outcome = await deliver(bus, connectionId, withOffset(entry.frames, offset));
    if (outcome !== 'posted')
      throw new UnavailableError(`the last event of a room did not reach the socket ${id}: ${outcome}`);
  }
}

function isForOthers({ except }: LogEntry, { id, rooms }: SocketRecord): boolean {
  return [id, ...Object.keys(rooms)].some((name) => except.includes(exceptionToken(name)));
}
