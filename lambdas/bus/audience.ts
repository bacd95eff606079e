/** From the rooms of a target to the groups that hold its members, and those that it leaves out. */
import type { Bus } from './context.ts';
import { Exceptions } from './exceptions.ts';
import { looksLikeSocketId } from './names.ts';
import type { Group, IdRange, SocketRecord } from './ports.ts';
import { type Found, UnionReader } from './union-reader.ts';

export interface Target {
  readonly namespace: string;
  /** Empty: the whole namespace. */
  readonly rooms: readonly string[];
  readonly except: readonly string[];
}

/** What has to be read for a target. */
export interface Sources {
  readonly groups: readonly Group[];
  /** Sockets whose own rooms are meant: they have no membership row, their sockets' rows are read. */
  readonly own: readonly string[];
  readonly exceptIds: readonly string[];
  readonly exceptGroups: readonly Group[];
}

type AudienceBus = Pick<Bus, 'store' | 'registry'>;

export function sourcesOf({ registry }: Pick<Bus, 'registry'>, target: Target): Sources {
  const { namespace } = target;
  const rooms = [...new Set(target.rooms)];
  const except = [...new Set(target.except)];
  const group = (room: string): Group => ({ kind: 'room', namespace, room });
  const whole: Group = { kind: 'namespace', namespace };
  // A declared prefix settles which one is meant, where a room's name looks like a socket's own.
  const isOwned = (room: string) => registry.roomOwner(namespace, room) !== undefined;
  return {
    groups: rooms.length === 0 ? [whole] : rooms.map(group),
    own: rooms.filter((room) => looksLikeSocketId(room) && !isOwned(room)),
    exceptIds: except.filter(looksLikeSocketId),
    exceptGroups: except.filter((room) => !looksLikeSocketId(room) || isOwned(room)).map(group),
  };
}

/** The sockets that are meant by their own rooms; from `members` of no group, so that they are nobody's rows to remove. */
export async function ownSockets(
  { store }: Pick<Bus, 'store'>,
  namespace: string,
  { own, exceptIds }: Sources,
): Promise<Found[]> {
  const ids = own.filter((id) => !exceptIds.includes(id));
  const records = await Promise.all(ids.map((id) => store.socket({ namespace, id })));
  return records.flatMap((record) =>
    record === undefined || record.state === 'closed' ? [] : [ownMember(record)],
  );
}

function ownMember({ namespace, id, connectionId }: SocketRecord): Found {
  return { id, connectionId, group: { kind: 'room', namespace, room: id } };
}

/**
 * Each socket in the union of the rooms, minus those in any excepted one, once.
 * @param most reads no further once there are more
 */
export async function audience(
  bus: AudienceBus,
  target: Target,
  most = Number.POSITIVE_INFINITY,
): Promise<Found[]> {
  const sources = sourcesOf(bus, target);
  const range: IdRange = {};
  const exceptions = new Exceptions(bus.store, sources.exceptIds, sources.exceptGroups, range);
  const reader = new UnionReader(bus.store, sources.groups);
  const found = new Map<string, Found>();
  for (let more = true; more; ) {
    const block = await reader.next();
    for (const member of await exceptions.without(block)) found.set(member.id, member);
    more = block.through !== undefined && found.size <= most;
  }
  for (const member of await withoutExcepted(
    bus,
    await ownSockets(bus, target.namespace, sources),
    sources,
  )) {
    found.set(member.id, member);
  }
  return [...found.values()];
}

/** Own sockets that are in no excepted room. */
export async function withoutExcepted(
  { store }: Pick<Bus, 'store'>,
  members: readonly Found[],
  { exceptGroups }: Sources,
): Promise<readonly Found[]> {
  if (members.length === 0) return members;
  const excepted = await Promise.all(
    exceptGroups.map((group) =>
      store.membersAmong(
        group,
        members.map(({ id }) => id),
      ),
    ),
  );
  return members.filter(({ id }) => !excepted.some((ids) => ids.has(id)));
}

/** The open sockets of a target, with what is known of them. */
export async function openSockets(bus: AudienceBus, target: Target): Promise<SocketRecord[]> {
  return (await socketsOf(bus, target)).filter((record) => record.state === 'open');
}

/** The sockets of a target, those among them that are not let in yet as well. */
export async function socketsOf(bus: AudienceBus, target: Target): Promise<SocketRecord[]> {
  const found = await audience(bus, target);
  const records = await bus.store.sockets(found.map(({ id }) => ({ namespace: target.namespace, id })));
  return records.filter((record) => record.state !== 'closed');
}
