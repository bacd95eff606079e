/** From rooms to recipients, and one packet to all of them. */

import pMap from 'p-map';
import type { Bus } from './context.ts';
import { type DeliveryReport, deliverToAll } from './delivery.ts';
import { looksLikeSocketId } from './names.ts';
import type { Group, Member, NotedRoom, SocketRecord, Store } from './ports.ts';

const VERIFY_CONCURRENCY = 32;

export interface Target {
  readonly namespace: string;
  /** Empty: the whole namespace. */
  readonly rooms: readonly string[];
  readonly except: readonly string[];
}

/** A recipient and where it was found, so that what is left of a gone one can be removed. */
export interface Found extends Member {
  readonly group: Group;
}

export interface BroadcastReport extends DeliveryReport<Found> {
  readonly audience: number;
}

type AudienceBus = Pick<Bus, 'store' | 'registry'>;

/** Each socket in the union of the rooms, minus those in any excepted room, once. */
export async function audience(bus: AudienceBus, target: Target): Promise<Found[]> {
  const { namespace } = target;
  const wanted =
    target.rooms.length === 0
      ? groupMembers(bus, { kind: 'namespace', namespace })
      : roomsMembers(bus, namespace, target.rooms);
  const [members, excepted] = await Promise.all([wanted, exceptedIds(bus, target)]);
  for (const id of excepted) members.delete(id);
  return [...members.values()];
}

export async function broadcast(
  bus: Bus,
  target: Target,
  frames: readonly string[],
  options: { readonly volatile?: boolean } = {},
): Promise<BroadcastReport> {
  const recipients = await audience(bus, target);
  const report = await deliverToAll(bus, recipients, frames, options);
  return { ...report, audience: recipients.length };
}

/** Every member of a group, page by page over all its shards. */
export async function groupMembers(bus: Pick<Bus, 'store'>, group: Group): Promise<Map<string, Found>> {
  const found = new Map<string, Found>();
  const readShard = async (shard: number): Promise<void> => {
    let after: Uint8Array | undefined;
    do {
      const page = await bus.store.members(group, shard, after === undefined ? {} : { after });
      for (const member of page.members) found.set(member.id, { ...member, group });
      after = page.next;
    } while (after !== undefined);
  };
  await Promise.all(Array.from({ length: bus.store.shards(group) }, (_, shard) => readShard(shard)));
  return found;
}

/** The open sockets of a target, with what is known of them. */
export async function openSockets(bus: AudienceBus, target: Target): Promise<SocketRecord[]> {
  const found = await audience(bus, target);
  const records = await bus.store.sockets(found.map(({ id }) => ({ namespace: target.namespace, id })));
  return records.filter((record) => record.state === 'open');
}

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

async function roomsMembers(
  bus: AudienceBus,
  namespace: string,
  rooms: readonly string[],
): Promise<Map<string, Found>> {
  const union = new Map<string, Found>();
  const parts = await Promise.all([...new Set(rooms)].map((room) => roomMembers(bus, namespace, room)));
  for (const part of parts) for (const [id, member] of part) union.set(id, member);
  return union;
}

async function roomMembers(bus: AudienceBus, namespace: string, room: string): Promise<Map<string, Found>> {
  const group: Group = { kind: 'room', namespace, room };
  // A socket's own room has no membership row: it is the socket's row. A declared prefix settles which one is meant.
  if (!looksLikeSocketId(room) || bus.registry.roomOwner(namespace, room) !== undefined)
    return groupMembers(bus, group);
  const [members, socket] = await Promise.all([
    groupMembers(bus, group),
    bus.store.socket({ namespace, id: room }),
  ]);
  if (socket !== undefined && socket.state !== 'closed') {
    members.set(socket.id, { id: socket.id, connectionId: socket.connectionId, group });
  }
  return members;
}

async function exceptedIds(bus: AudienceBus, target: Target): Promise<string[]> {
  const lists = await Promise.all(
    target.except.map(async (room) => {
      // An excepted socket id is compared, never looked up.
      const own = looksLikeSocketId(room) ? [room] : [];
      if (own.length > 0 && bus.registry.roomOwner(target.namespace, room) === undefined) return own;
      return [
        ...own,
        ...(await groupMembers(bus, { kind: 'room', namespace: target.namespace, room })).keys(),
      ];
    }),
  );
  return lists.flat();
}
