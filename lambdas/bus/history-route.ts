/** `GET /rooms/{room}/history`: what was published to a room, for whom could join it. */
import { historyQuerySchema } from '../contract/history.ts';
import type { HttpAnswer } from './application.ts';
import { CallEffects } from './call-effects.ts';
import { appContext, type Bus } from './context.ts';
import { BusError } from './errors.ts';
import { roomHistory } from './history.ts';
import { authenticated, type IdentifiedRequest } from './http-identity.ts';
import { checkRoomName } from './names.ts';
import { parsePayload } from './payloads.ts';
import { ReadOnlySocket } from './read-only-socket.ts';
import type { RoomOwner } from './registry.ts';
import { NamespaceBroadcast } from './socket-session.ts';

export interface RoomPath {
  readonly path: string;
  /** The variables of the route's path, decoded. */
  readonly parameters?: Readonly<Record<string, string>>;
}

const PATH = /^\/rooms\/(.+)\/history$/s;

/**
 * The room that a path is about; undefined where it is about none. API Gateway decodes a variable once. A room with a
 * slash in its name may come as more segments than the route has, in a path that it has decoded (middleapi/standard-server#93).
 */
export function roomOf({ path, parameters }: RoomPath): string | undefined {
  const [, rest] = PATH.exec(path) ?? [];
  return rest === undefined ? undefined : (parameters?.room ?? rest);
}

/**
 * Answers as if a socket asked to join: 404 for rooms that no kind with `history` has the prefix of, 401 and 403 where it
 * might not. Whether there are such a room's members or events makes no difference.
 * @throws BusError of those codes, and `invalid_payload` for a wrong query
 */
export async function readRoom(bus: Bus, room: string, request: IdentifiedRequest): Promise<HttpAnswer> {
  const { namespace = '/', since, limit } = request.query;
  checkRoomName(room);
  const owner = bus.registry.roomOwner(namespace, room);
  if (owner?.kind.history !== true) throw new BusError('not_found', 'there is nothing here');
  await checkReader(bus, owner, room, request);
  const query = parsePayload(historyQuerySchema, {
    since,
    limit: limit === undefined ? undefined : Number(limit),
  });
  return { status: 200, body: await roomHistory(bus, { namespace, room }, query) };
}

async function checkReader(
  bus: Bus,
  { application, kind, prefix }: RoomOwner,
  room: string,
  request: IdentifiedRequest,
): Promise<void> {
  const { handshake, outcome } = await authenticated(bus, application, request);
  if (outcome.kind !== 'accepted') throw unauthenticated();
  const effects = new CallEffects(bus);
  const io = new NamespaceBroadcast(effects, application, { rooms: [], except: [], volatile: false });
  const socket = new ReadOnlySocket(io, handshake, outcome.identity);
  const rest = room.slice(prefix.length);
  if ((await kind.canJoin?.(socket, rest, appContext(bus, application))) === true) return;
  if (application.auth !== undefined && outcome.identity === undefined) throw unauthenticated();
  throw new BusError('forbidden', `the room ${room} is not open to whom the request is of`);
}

function unauthenticated(): BusError {
  return new BusError('unauthenticated', 'the request does not prove who it is of');
}
