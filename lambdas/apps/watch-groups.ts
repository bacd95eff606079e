/** Groups of people who watch series together; users prove who they are with a JWT. */
import * as z from 'zod/mini';
import { type AppContext, type AuthOutcome, BusError } from '../bus/public.ts';
import {
  type AppSocket,
  canonicalId,
  defineApp,
  type EventSchemas,
  type Id,
  id,
  timestamp,
} from './define-app.ts';
import { jwt, type TokenFailure, type TokenIdentity } from './jwt.ts';

const GROUP = 'group:';
const MEMBER = 'member:';

/** The texts clients show; by what failed. */
const TEXTS = {
  missing: 'Token no proporcionado',
  invalid: 'Token inválido',
  connected: 'Conectado exitosamente',
  joined: 'Te has unido al grupo exitosamente',
} as const;

const EVENT_FAILURES: Readonly<Record<string, string>> = {
  connect: 'Error de autenticación',
  'join-group': 'Error al unirse al grupo',
  'leave-group': 'Error al salir del grupo',
  'watch-episode': 'Error al registrar el episodio visto',
  'group-activity': 'Error al enviar la actividad del grupo',
};

const user = { userId: id(), username: z.optional(z.string()) };
const groupPayload = z.object({ groupId: id() });

const serverEvents = {
  connected: z.object({
    message: z.string(),
    user: z.object({ id: id(), username: z.optional(z.string()) }),
  }),
  'joined-group': z.object({ groupId: id(), message: z.string() }),
  'user-joined-group': z.object({ ...user, groupId: id(), timestamp: timestamp() }),
  'episode-watched': z.object({
    ...user,
    groupId: id(),
    seriesId: id(),
    episodeId: id(),
    timestamp: timestamp(),
  }),
  'group-activity': z.object({
    ...user,
    groupId: id(),
    type: z.string(),
    data: z.optional(z.json()),
    timestamp: timestamp(),
  }),
  'series-added': z.object({ seriesName: z.string(), addedBy: z.union([id(), z.json()]) }),
  notification: z.object({ message: z.string() }),
  error: z.object({ message: z.string(), timestamp: timestamp() }),
} satisfies EventSchemas;

type WatchSocket = AppSocket<typeof serverEvents, TokenIdentity>;

export const watchGroups = defineApp({
  name: 'watch-groups',
  origins: ({ FRONTEND_URL }) => [
    'http://localhost:3000',
    ...(FRONTEND_URL ? [new URL(FRONTEND_URL).origin] : []),
  ],
  auth: jwt({ onFailure: refuseToken }),
  rooms: {
    [GROUP]: { canJoin: mayJoinGroup },
    [MEMBER]: {
      canJoin: (socket, userId) => socket.identity !== undefined && String(socket.identity.id) === userId,
    },
  },
  serverEvents,

  async onConnect(socket) {
    const { identity } = socket;
    if (identity === undefined) return;
    await socket.join(MEMBER + identity.id);
    if (socket.recovered) return;
    await socket.emit('connected', {
      message: TEXTS.connected,
      user: { id: identity.id, username: identity.username },
    });
  },

  clientEvents: {
    'join-group': {
      payload: groupPayload,
      async handle(socket, { groupId }, context) {
        const { id: userId, username } = authenticated(socket);
        await socket.join(GROUP + groupId);
        await socket.emit('joined-group', { groupId, message: TEXTS.joined });
        const notice = { userId, username, groupId, timestamp: isoTime(context) };
        await socket.to(GROUP + groupId).emit('user-joined-group', notice);
        return { ok: true, groupId };
      },
    },
    'leave-group': {
      payload: groupPayload,
      async handle(socket, { groupId }) {
        authenticated(socket);
        // A join sent just before may still be under way: leaving first would leave nothing.
        await socket.eventually(() => socket.rooms.has(GROUP + groupId));
        await socket.leave(GROUP + groupId);
        return { ok: true, groupId };
      },
    },
    'watch-episode': {
      payload: z.object({ groupId: id(), seriesId: id(), episodeId: id() }),
      forward: true,
      async handle(socket, { groupId, seriesId, episodeId }, context) {
        const { id: userId, username } = authenticated(socket);
        await requireMember(socket, groupId);
        const watched = { userId, username, groupId, seriesId, episodeId, timestamp: isoTime(context) };
        await socket.nsp.to(GROUP + groupId).emit('episode-watched', watched);
      },
    },
    'group-activity': {
      payload: z.object({ groupId: id(), type: z.string(), data: z.optional(z.json()) }),
      async handle(socket, { groupId, type, data }, context) {
        const { id: userId, username } = authenticated(socket);
        await requireMember(socket, groupId);
        const activity = { userId, username, groupId, type, data, timestamp: isoTime(context) };
        await socket.nsp.to(GROUP + groupId).emit('group-activity', activity);
      },
    },
  },

  async onError(socket, { event }, context) {
    // Whatever else is wrong with the event: without a token it is the first thing to be told.
    const missing = socket.identity === undefined;
    const message = missing ? TEXTS.missing : (EVENT_FAILURES[event] ?? 'Error interno');
    await socket.emit('error', { message, timestamp: isoTime(context) });
    if (missing) await socket.disconnect();
  },

  backend: {
    getConnectedClients: {
      args: z.tuple([]),
      async handle(io) {
        const sockets = await io.fetchSockets();
        return sockets.flatMap(({ id: socketId, identity, rooms }) => {
          if (identity === undefined) return [];
          const groups = [...rooms].flatMap((room) =>
            room.startsWith(GROUP) ? [canonicalId(room.slice(GROUP.length))] : [],
          );
          return [{ socketId, userId: identity.id, username: identity.username, groups }];
        });
      },
    },
  },
});

/** A bad token always ends the socket; a missing one only where nobody else on the namespace could want it. */
function refuseToken(failure: TokenFailure, context: AppContext): AuthOutcome {
  if (failure === 'missing' && context.neighbours.length > 0) return { kind: 'accepted' };
  const body = { message: TEXTS[failure], timestamp: isoTime(context) };
  return { kind: 'expelled', event: 'error', args: [body] };
}

function authenticated(socket: WatchSocket): TokenIdentity {
  if (socket.identity === undefined) throw new BusError('unauthenticated', TEXTS.missing);
  return socket.identity;
}

/** The `groups` claim decides where the token has one; tokens without it come from issuers that keep none. */
function mayJoinGroup(socket: WatchSocket, group: string): boolean {
  if (socket.identity === undefined) return false;
  const { groups } = socket.identity.claims;
  return groups === undefined || (Array.isArray(groups) && groups.some((each) => String(each) === group));
}

/** Only members emit to a group; a join sent just before may still be under way (design D13). */
async function requireMember(socket: WatchSocket, groupId: Id): Promise<void> {
  if (await socket.eventually(() => socket.rooms.has(GROUP + groupId))) return;
  throw new BusError('forbidden', `only members of the group ${groupId} may emit to it`);
}

function isoTime(context: AppContext): string {
  return new Date(context.now()).toISOString();
}
