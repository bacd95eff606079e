/** Whom a socket counts as: in a room, and among the connections of its user. */
import type { AnySocket, PresenceKind } from './application.ts';
import type { Who } from './ports.ts';

const MAX_BYTES = 256;

/**
 * What the room's kind says, else the id of the application's identity, else the socket itself.
 * @throws TypeError where the kind says nothing that can be a key: neither a safe integer nor 1 to 256 bytes of text
 */
export function whoOf(kind: PresenceKind, socket: AnySocket): Who {
  const id = idOf(socket.identity);
  const who: unknown = kind.who === undefined ? (isShort(id) ? id : socket.id) : kind.who(socket);
  if (isWho(who) && isShort(who)) return who;
  throw new TypeError(`who is in a room is a text of at most ${MAX_BYTES} bytes or a safe integer`);
}

function idOf(identity: unknown): Who | undefined {
  const id = typeof identity === 'object' && identity !== null && 'id' in identity ? identity.id : undefined;
  return isWho(id) ? id : undefined;
}

function isWho(value: unknown): value is Who {
  if (typeof value === 'number') return Number.isSafeInteger(value);
  return typeof value === 'string' && value !== '' && value.isWellFormed();
}

function isShort(who: Who | undefined): who is Who {
  return who !== undefined && Buffer.byteLength(String(who)) <= MAX_BYTES;
}

/**
 * Whom the connections of a socket are counted as: who its applications say that it is, the first of them; however long that is, for
 * of a user the rows' keys have a hash.
 */
export function userOf(identities: Readonly<Record<string, unknown>>): string | undefined {
  const [user] = Object.values(identities).flatMap((identity) => idOf(identity) ?? []);
  return user === undefined ? undefined : String(user);
}
