/** How many, and who: what is known of rooms without reading sockets. */

import type { RoomPresence } from './application.ts';
import { audience, sourcesOf, type Target } from './audience.ts';
import type { Bus } from './context.ts';
import { invalidPayload } from './errors.ts';
import { checkRoomName } from './names.ts';
import type { Store } from './ports.ts';
import { LEAVE_GRACE_MS } from './presence-grace.ts';
import { userOf } from './who.ts';

/**
 * Whether as many connections of a user as there may be are in a namespace; not asked where any number may.
 * @param without a socket that does not count: its own, or the one that its client had before, of whose end nobody may know yet
 */
export async function hasTooMany(
  { config, log, store }: Pick<Bus, 'config' | 'log' | 'store'>,
  namespace: string,
  user: string,
  without?: string,
): Promise<boolean> {
  const most = config.limits.connectionsPerUser;
  if (most === 0) return false;
  const isFull = await store.countsTo({ kind: 'user', namespace, user }, most, without);
  if (isFull) log.info('too many connections of a user', { namespace, user, most });
  return isFull;
}

/** From where a connection comes, and whose it is: what an operator needs to shut it out. Nothing where it cannot be read. */
export async function whoseIs(
  store: Store,
  connectionId: string,
): Promise<{ readonly address?: string; readonly user?: string }> {
  try {
    const connection = await store.connection(connectionId);
    if (connection === undefined) return {};
    const { handshake, namespaces } = connection;
    const sockets = await store.sockets(
      Object.entries(namespaces).map(([namespace, id]) => ({ namespace, id })),
    );
    const [user] = sockets.flatMap(({ countedAs, identities }) => countedAs ?? userOf(identities) ?? []);
    return { address: handshake.address, ...(user === undefined ? {} : { user }) };
  } catch {
    return {};
  }
}

/** Members that are listed of one room; the count is of all. */
const MOST_LISTED = 1_000;

/**
 * How many sockets a target has. One room, or a whole namespace, is counted where it is kept (13 read units for 1,000
 * sockets); a union, or one with exceptions, is read, because who is in two rooms counts once.
 */
export async function countSockets(bus: Pick<Bus, 'store' | 'registry'>, target: Target): Promise<number> {
  const { groups, own } = sourcesOf(bus, target);
  const [group] = groups;
  if (group !== undefined && groups.length === 1 && own.length === 0 && target.except.length === 0)
    return bus.store.countMembers(group);
  return (await audience(bus, target)).length;
}

/**
 * Who is in a room: the first 1,000, in no order, and how many there are. Who left less than 3 s ago is among them,
 * without sockets.
 * @throws BusError where the room's kind keeps no presence
 */
export async function roomPresence(
  { clock, registry, store }: Pick<Bus, 'clock' | 'registry' | 'store'>,
  namespace: string,
  room: string,
): Promise<RoomPresence> {
  checkRoomName(room);
  if (registry.roomOwner(namespace, room)?.kind.presence === undefined)
    throw invalidPayload(`room: it is not kept who is in ${room}`, 'room');
  const { count, members } = await store.presence.list(namespace, room, {
    leftAfter: clock.now() - LEAVE_GRACE_MS,
    limit: MOST_LISTED,
  });
  return { count, members: members.map(({ who, sockets }) => ({ who, sockets })) };
}
