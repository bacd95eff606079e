/** Identifiers and how they look. */
import { createHash } from 'node:crypto';
import { hasIdForm, ID_BYTES } from '../contract/ids.ts';
import { invalidPayload } from './errors.ts';
import type { Random } from './ports.ts';

const MAX_ROOM_BYTES = 2_048;

export function newId(random: Random): string {
  return Buffer.from(random.bytes(ID_BYTES)).toString('base64url');
}

/**
 * The id of a connection that polls. Whoever knows the sid may poll in the client's name, so nothing but the client
 * keeps it: rows and logs have this.
 */
export function pollingId(sid: string): string {
  return createHash('sha256')
    .update(`long polling:${sid}`)
    .digest()
    .subarray(0, ID_BYTES)
    .toString('base64url');
}

/** Whether a room's name could be a socket's own room. */
export function looksLikeSocketId(name: string): boolean {
  return hasIdForm(name);
}

/** @throws BusError for a name that no key can be made of: empty, over 2 KB, or not well-formed Unicode. */
export function checkRoomName(room: string): void {
  if (room === '') throw invalidPayload('a room needs a name', 'room');
  if (!room.isWellFormed()) throw invalidPayload('a room name must be well-formed Unicode', 'room');
  if (Buffer.byteLength(room) > MAX_ROOM_BYTES)
    throw invalidPayload(`a room name must not exceed ${MAX_ROOM_BYTES} bytes`, 'room');
}

/** A room or a socket that an event is not for, in few bytes: its log entry has up to 90 of them. */
export function exceptionToken(name: string): string {
  return createHash('sha256').update(`except:${name}`).digest().subarray(0, 12).toString('base64url');
}
