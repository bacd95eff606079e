/**
 * Keys of the bus table. Every partition key begins with a byte that tells the kind of row, and names chosen by
 * clients or applications enter it only as a hash, so that no name can reach another row (design D5).
 */
import { createHash } from 'node:crypto';
import type {
  AckKey,
  CountedGroup,
  Due,
  Group,
  LoggedGroup,
  Millis,
  PresenceKey,
  SocketKey,
} from '../bus/ports.ts';
import { ID_BYTES, isPollingId } from '../contract/ids.ts';

export interface RowKey {
  readonly p: Uint8Array;
  readonly s: Uint8Array;
}

const KIND = {
  connection: 0x63,
  socket: 0x73,
  membership: 0x6d,
  due: 0x64,
  sweep: 0x77,
  directory: 0x72,
  poll: 0x70,
  checkpoint: 0x6b,
  log: 0x6c,
  message: 0x65,
  publication: 0x69,
  ack: 0x61,
  presence: 0x6f,
} as const;
const ONLY = Uint8Array.of(0);

/** Shards of groups that many join at once; known to every publisher without a read. */
export const HOT_SHARDS = 16;
/** Partitions of one minute's due rows: 500 new connections/s write two each. */
export const DUE_SHARDS = 16;
const CONNECTION_ID_BYTES = 11;

/** Marks a connection id that is not API Gateway's usual 11 bytes of base64url; a byte that UTF-8 never has. */
const TEXT_MARK = 0xff;

/** 16 bytes of SHA-256; the parts are length-prefixed, so that no two lists of parts read the same. */
function hash16(...parts: readonly string[]): Buffer {
  const digest = createHash('sha256');
  for (const part of parts) digest.update(`${Buffer.byteLength(part)}:`).update(part);
  return digest.digest().subarray(0, 16);
}

export function connectionKey(connectionId: string): RowKey {
  return { p: Buffer.concat([Uint8Array.of(KIND.connection), connectionBytes(connectionId)]), s: ONLY };
}

export function socketKey({ namespace, id }: SocketKey): RowKey {
  return {
    p: Buffer.concat([Uint8Array.of(KIND.socket), hash16('namespace', namespace), idBytes(id)]),
    s: ONLY,
  };
}

/** A member's row: the socket id's bytes, or in a slot a hash of the connection id, both random to DynamoDB. */
export function memberKey(group: Group | CountedGroup, id: Uint8Array, shards: number): RowKey {
  return { p: groupKey(group, shardOf(id, shards)), s: id };
}

export function groupKey(group: Group | CountedGroup, shard: number): Uint8Array {
  return Buffer.concat([Uint8Array.of(KIND.membership), groupHash(group), Uint8Array.of(shard)]);
}

/** Rows of slots and of addresses are ordered by this. */
export function slotMemberId(connectionId: string): Uint8Array {
  return createHash('sha256').update('slot member:').update(connectionId).digest().subarray(0, ID_BYTES);
}

export function dueKey(due: Due): RowKey {
  const parts = [
    due.kind,
    due.connectionId,
    ...('socket' in due ? [due.socket.namespace, due.socket.id] : []),
    // A join that is done must not take away what a leave of the same minute left.
    ...(due.kind === 'presence' ? [due.room, String(due.who), String(due.at)] : []),
  ];
  const s = hash16('due', ...parts);
  return { p: duePartition(Math.ceil(due.at / 60_000), shardOf(s, DUE_SHARDS)), s };
}

export function duePartition(minute: number, shard: number): Uint8Array {
  const p = Buffer.alloc(6);
  p.writeUInt8(KIND.due, 0);
  p.writeUInt32BE(minute, 1);
  p.writeUInt8(shard, 5);
  return p;
}

/** Partitions of one namespace's room directory. */
export const DIRECTORY_SHARDS = 16;

export function directoryKey(namespace: string, room: string): RowKey {
  const s = hash16('directory', namespace, room);
  return { p: directoryPartition(namespace, shardOf(s, DIRECTORY_SHARDS)), s };
}

export function directoryPartition(namespace: string, shard: number): Uint8Array {
  return Buffer.concat([
    Uint8Array.of(KIND.directory),
    hash16('directory of', namespace),
    Uint8Array.of(shard),
  ]);
}

/** Somebody in a room; listed by its partitions, as many as its memberships have. */
export function presenceKey({ namespace, room, who }: PresenceKey, shards: number): RowKey {
  const s = hash16('who', String(who));
  return { p: presencePartition(namespace, room, shardOf(s, shards)), s };
}

export function presencePartition(namespace: string, room: string, shard: number): Uint8Array {
  return Buffer.concat([
    Uint8Array.of(KIND.presence),
    hash16('presence', namespace, room),
    Uint8Array.of(shard),
  ]);
}

export const SWEEP_KEY: RowKey = { p: Uint8Array.of(KIND.sweep), s: ONLY };

/** How far a piece of work has come. */
export function checkpointKey(work: string): RowKey {
  return { p: Buffer.concat([Uint8Array.of(KIND.checkpoint), hash16('checkpoint', work)]), s: ONLY };
}

/** Bytes of a time in milliseconds: good until the year 10889. */
const TIME_BYTES = 6;

/** The log of a room or a namespace: its entries are ordered by their position, then by the message's id. */
export function logKey(group: LoggedGroup, position: Millis, id: string): RowKey {
  return { p: logPartition(group), s: Buffer.concat([logPosition(position), idBytes(id)]) };
}

export function logPartition(group: LoggedGroup): Uint8Array {
  return Buffer.concat([Uint8Array.of(KIND.log), groupHash(group)]);
}

/** Sorts before every entry of that position. */
export function logPosition(position: Millis): Uint8Array {
  const bytes = Buffer.alloc(TIME_BYTES);
  bytes.writeUIntBE(position, 0, TIME_BYTES);
  return bytes;
}

export function readLogKey(s: Uint8Array): { readonly position: Millis; readonly id: string } {
  const bytes = Buffer.from(s.buffer, s.byteOffset, s.byteLength);
  return { position: bytes.readUIntBE(0, TIME_BYTES), id: idText(bytes.subarray(TIME_BYTES)) };
}

/** A message that is in the logs of several rooms. */
export function messageKey(id: string): RowKey {
  return { p: Buffer.concat([Uint8Array.of(KIND.message), idBytes(id)]), s: ONLY };
}

/** A message that its publisher has given a name. */
export function publicationKey(namespace: string, name: string): RowKey {
  return {
    p: Buffer.concat([Uint8Array.of(KIND.publication), hash16('publication', namespace, name)]),
    s: ONLY,
  };
}

/** That answers to an event are awaited; their rows are beside it. */
export function ackKey({ namespace, id }: AckKey): RowKey {
  return { p: Buffer.concat([Uint8Array.of(KIND.ack), hash16('ack', namespace, String(id))]), s: ONLY };
}

/** A socket's one answer to an event. */
export function ackAnswerKey(key: AckKey, socketId: string): RowKey {
  return { p: ackKey(key).p, s: idBytes(socketId) };
}

/** 20 characters of base64url are 15 bytes. */
export function idBytes(id: string): Buffer {
  return Buffer.from(id, 'base64url');
}

export function idText(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url');
}

/** The long-polling part of a connection. */
export function pollKey(connectionId: string): RowKey {
  return { p: Buffer.concat([Uint8Array.of(KIND.poll), connectionBytes(connectionId)]), s: ONLY };
}

/**
 * API Gateway's ids are 11 bytes of base64url with padding, those of connections that poll 15 bytes without; anything
 * else is kept as text.
 */
export function connectionBytes(connectionId: string): Buffer {
  if (isPollingId(connectionId)) return Buffer.from(connectionId, 'base64url');
  const bytes = Buffer.from(connectionId, 'base64url');
  if (bytes.length === CONNECTION_ID_BYTES && `${bytes.toString('base64url')}=` === connectionId)
    return bytes;
  const text = Buffer.from(connectionId, 'utf8');
  // With one mark some texts would have the length of a usual id, and be taken for it.
  const marks = [CONNECTION_ID_BYTES, ID_BYTES].includes(text.length + 1) ? 2 : 1;
  return Buffer.concat([Buffer.alloc(marks, TEXT_MARK), text]);
}

export function connectionText(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (buffer.length === CONNECTION_ID_BYTES) return `${buffer.toString('base64url')}=`;
  if (buffer.length === ID_BYTES) return buffer.toString('base64url');
  return buffer.subarray(buffer[1] === TEXT_MARK ? 2 : 1).toString('utf8');
}

/** The last byte decides, so that a shard is spread over the whole range of ids. */
function shardOf(id: Uint8Array, shards: number): number {
  return (id.at(-1) ?? 0) % shards;
}

function groupHash(group: Group | CountedGroup): Buffer {
  switch (group.kind) {
    case 'room':
      return hash16('room', group.namespace, group.room);
    case 'namespace':
      return hash16('whole namespace', group.namespace);
    case 'slot':
      return hash16('slot', String(group.slot));
    case 'address':
      return hash16('address', group.address);
    case 'user':
      return hash16('user', group.namespace, group.user);
  }
}
