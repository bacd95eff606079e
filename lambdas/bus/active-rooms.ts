/** Which rooms have members: the directory of rooms, verified. */
import pMap from 'p-map';
import type { Bus } from './context.ts';
import type { Group, NotedRoom, Store } from './ports.ts';

const VERIFY_CONCURRENCY = 32;

/**
 * Rooms that have members now. The directory is a hint: each listed room is verified, most of them in batches by
 * the socket that was noted with it, the rest by a query of one row.
 */
export async function activeRooms(
  bus: Pick<Bus, 'store'>,
  namespace: string,
  limit: number,
  matches: (room: string) => boolean,
): Promise<{ readonly rooms: string[]; readonly truncated: boolean }> {
  const noted = (await directory(bus.store, namespace)).filter(({ room }) => matches(room));
  // One more than asked for tells whether there are more; where all are verified, one round is enough.
  const round = limit + 1;
  const rooms: string[] = [];
  for (let begin = 0; begin < noted.length && rooms.length <= limit; begin += round) {
    rooms.push(...(await verifiedRooms(bus, namespace, noted.slice(begin, begin + round))));
  }
  return { rooms: rooms.slice(0, limit), truncated: rooms.length > limit };
}

/** Reads of the directory under way, by namespace. */
const reading = new WeakMap<Store, Map<string, Promise<NotedRoom[]>>>();

/**
 * The room directory, read once for who asks at the same time: an instance handles one event at a time, so these are
 * several lists of one answer.
 */
function directory(store: Store, namespace: string): Promise<NotedRoom[]> {
  const ofStore = reading.get(store) ?? new Map<string, Promise<NotedRoom[]>>();
  reading.set(store, ofStore);
  const underWay = ofStore.get(namespace);
  if (underWay !== undefined) return underWay;
  const read = store.notedRooms(namespace).finally(() => ofStore.delete(namespace));
  ofStore.set(namespace, read);
  return read;
}

async function verifiedRooms(
  bus: Pick<Bus, 'store'>,
  namespace: string,
  noted: readonly NotedRoom[],
): Promise<string[]> {
  const confirmed = await bus.store.stillMembers(namespace, noted);
  const checked = await pMap(
    noted,
    async ({ room }) =>
      confirmed.has(room) || (await hasMembers(bus, { kind: 'room', namespace, room })) ? [room] : [],
    { concurrency: VERIFY_CONCURRENCY },
  );
  return checked.flat();
}

async function hasMembers(bus: Pick<Bus, 'store'>, group: Group): Promise<boolean> {
  for (let shard = 0; shard < bus.store.shards(group); shard += 1) {
    const { members } = await bus.store.members(group, shard, { limit: 1 });
    if (members.length > 0) return true;
  }
  return false;
}
