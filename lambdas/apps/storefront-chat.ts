/** Customer chat of a shop: customers and the shop's staff in conversations, messages published by the backend. */
import * as z from 'zod/mini';
import { type AppContext, BusError, type HttpAnswer, type Millis, type Settings } from '../bus/public.ts';
import { type ConnectionInfo, newMessageSchema, STOREFRONT_ROOMS } from '../contract/storefront.ts';
import { type AppSocket, defineApp, type EventSchemas, type Id, id, type Namespace } from './define-app.ts';
import {
  joinWhileOpen,
  mayJoinConversation,
  optionalJwt,
  type Proof,
  provenIdentity,
  requireConversation,
  requireIdentity,
  verifiedToken,
} from './identity.ts';
import type { TokenIdentity } from './jwt.ts';

const { user: USER, conversation: CONVERSATION } = STOREFRONT_ROOMS;

/** Longest list of rooms that a status shows (the contract). */
const MAX_LISTED_ROOMS = 1_000;

/** An instance counts once in so long for all who have proven nothing; ms. */
const COUNT_MS = 5_000;

const conversation = z.object({ conversationId: id() });
/** Clients send either form. */
const conversationOrId = z.union(
  [conversation, id()],
  'must be { conversationId }, or a bare id: a string or a safe integer',
);
const typing = z.object({ conversationId: id(), customerId: id() });

const serverEvents = {
  authenticated: z.object({ customerId: id(), socketId: z.string() }),
  'typing-start': typing,
  'typing-stop': typing,
  'new-message': newMessageSchema,
} satisfies EventSchemas;

type StoreSocket = AppSocket<typeof serverEvents, TokenIdentity>;

export const storefrontChat = defineApp({
  name: 'storefront-chat',
  auth: optionalJwt(),
  origins: storeOrigins,
  rooms: {
    [USER]: { canJoin: (socket, customerId) => String(customerOf(socket)) === customerId },
    // Asked before `join`, in `requireOpen`: grants are in the handler's context.
    [CONVERSATION]: { canJoin: () => true },
  },
  serverEvents,

  clientEvents: {
    authenticate: {
      payload: z.object({ customerId: id(), token: z.nullish(z.string()) }),
      async handle(socket, { customerId, token }, context) {
        if (token && context.identityMode === 'token') {
          const proof = await verifiedToken(token, socket.handshake, context);
          requireIdentity(context, { ...proof.identity, username: undefined }, customerId, 'customerId');
          await socket.countAs(proof.identity.id);
          // Before it is in a room by this proof: where it fails, nobody would end that.
          if (proof.expiresAt !== undefined) await socket.expireAt(proof.expiresAt);
          await becomeCustomer(socket, customerId, proof);
        } else {
          requireIdentity(context, identityOf(socket, context), customerId, 'customerId');
          await becomeCustomer(socket, customerId);
        }
        await socket.emit('authenticated', { customerId, socketId: socket.id });
        return { ok: true, customerId, socketId: socket.id };
      },
    },
    'join-conversation': {
      payload: conversationOrId,
      async handle(socket, payload, context) {
        const conversationId = conversationOf(payload);
        const room = CONVERSATION + conversationId;
        await requireOpen(socket, conversationId, context);
        await joinWhileOpen(socket, room, async () => {
          // It may have become somebody else, who has left the rooms that there were before this one.
          await socket.refresh();
          await requireConversation(context, identityOf(socket, context), conversationId, room);
        });
        return { ok: true, conversationId };
      },
    },
    'leave-conversation': {
      payload: conversationOrId,
      async handle(socket, payload) {
        const conversationId = conversationOf(payload);
        const room = CONVERSATION + conversationId;
        // A join sent just before may still be under way: it must not outlive this.
        await socket.eventually(() => socket.rooms.has(room));
        await socket.leave(room);
        return { ok: true, conversationId };
      },
    },
    'typing-start': {
      payload: conversation,
      handle: (socket, { conversationId }, context) =>
        relayTyping(socket, 'typing-start', conversationId, context),
    },
    'typing-stop': {
      payload: conversation,
      handle: (socket, { conversationId }, context) =>
        relayTyping(socket, 'typing-stop', conversationId, context),
    },
  },

  backend: {
    getConnectionInfo: { args: z.tuple([]), handle: (io) => connectionInfo(io) },
  },

  http: [
    {
      method: 'GET',
      path: '/socket/status',
      async handle({ identity }, io, context) {
        // Where anybody is believed nothing is kept from anybody, nor for any time.
        if (context.identityMode === 'trusted') return status(await connectionInfo(io), context);
        const info = identity === undefined ? connectionCount(io, context) : recentInfo(io, context);
        return status(await info, context);
      },
    },
  ],

  startupLines: (settings) => [
    '[SOCKET LOADER] Socket.IO server successfully attached to HTTP server',
    `[SOCKET LOADER] CORS origins configured: ${JSON.stringify(storeOrigins(settings))}`,
    '[SOCKET MODULE] Socket.IO server initialized successfully',
  ],
});

/** The comma list of `STORE_CORS` as browsers write origins; what is no URL can be no origin. */
function storeOrigins({ STORE_CORS = '' }: Settings): string[] {
  const listed = STORE_CORS.split(',').map((part) => part.trim());
  return [...new Set(listed.flatMap((part) => (URL.canParse(part) ? [new URL(part).origin] : [])))];
}

function conversationOf(payload: z.output<typeof conversationOrId>): Id {
  return typeof payload === 'object' ? payload.conversationId : payload;
}

/** Who the socket has authenticated as. */
function customerOf(socket: StoreSocket): Id | undefined {
  const { customerId } = socket.data;
  return typeof customerId === 'string' || typeof customerId === 'number' ? customerId : undefined;
}

/** A token given to `authenticate` is newer than the handshake's. */
function identityOf(socket: StoreSocket, context: AppContext): TokenIdentity | undefined {
  return provenIdentity(socket.data.proof, context) ?? socket.identity;
}

/**
 * A socket is one customer at a time: whoever was it before takes its rooms along. Once it is written who it is now it is looked again
 * which rooms there are: a join that was asked for as somebody else comes before that, or looks at what is written from within.
 * @throws BusError `forbidden` where another event has made it somebody else meanwhile
 */
async function becomeCustomer(socket: StoreSocket, customerId: Id, proof?: Proof): Promise<void> {
  const own = USER + customerId;
  const former = customerOf(socket);
  const wasOther = former !== undefined && String(former) !== String(customerId);
  await leaveOthers(socket, own, wasOther);
  socket.data.customerId = customerId;
  if (proof !== undefined) socket.data.proof = { ...proof };
  await requireStill(socket, customerId);
  await leaveOthers(socket, own, wasOther);
  await joinWhileOpen(socket, own, () => requireStill(socket, customerId));
}

async function requireStill(socket: StoreSocket, customerId: Id): Promise<void> {
  await socket.refresh();
  if (String(customerOf(socket)) === String(customerId)) return;
  throw new BusError('forbidden', 'the socket has become another customer meanwhile');
}

/** Where it was somebody else, which a room of theirs tells as well. */
async function leaveOthers(socket: StoreSocket, own: string, wasOther: boolean): Promise<void> {
  const users = [...socket.rooms].filter((room) => room.startsWith(USER) && room !== own);
  if (!wasOther && users.length === 0) return;
  const conversations = [...socket.rooms].filter((room) => room.startsWith(CONVERSATION));
  for (const room of [...conversations, ...users]) await socket.leave(room);
}

/** A token sent with `authenticate` just before may still be under way (design D13). */
async function requireOpen(socket: StoreSocket, conversationId: Id, context: AppContext): Promise<void> {
  const room = CONVERSATION + conversationId;
  if (await mayJoinConversation(context, identityOf(socket, context), conversationId, room)) return;
  const before = JSON.stringify(socket.data.proof);
  await socket.eventually(() => JSON.stringify(socket.data.proof) !== before);
  await requireConversation(context, identityOf(socket, context), conversationId, room);
}

/** Ephemeral: one try for each of the others. */
async function relayTyping(
  socket: StoreSocket,
  event: 'typing-start' | 'typing-stop',
  conversationId: Id,
  context: AppContext,
): Promise<void> {
  const room = CONVERSATION + conversationId;
  await socket.eventually(() => customerOf(socket) !== undefined && socket.rooms.has(room));
  const customerId = customerOf(socket);
  if (customerId === undefined) throw new BusError('unauthenticated', 'authenticate must come first');
  requireIdentity(context, identityOf(socket, context), customerId, 'customerId');
  if (!socket.rooms.has(room)) {
    throw new BusError('forbidden', `only members of the conversation ${conversationId} may type in it`);
  }
  await socket.to(room).volatile.emit(event, { conversationId, customerId });
}

type StoreNamespace = Namespace<typeof serverEvents, TokenIdentity>;

/** Real numbers of the whole namespace; a room is in exactly one of the lists. */
async function connectionInfo(io: StoreNamespace): Promise<ConnectionInfo> {
  const list = (matches: (room: string) => boolean) => io.activeRooms(MAX_LISTED_ROOMS, matches);
  const isUser = (room: string) => room.startsWith(USER);
  const isConversation = (room: string) => room.startsWith(CONVERSATION);
  const [connectedClients, others, users, conversations] = await Promise.all([
    io.countSockets(),
    list((room) => !isUser(room) && !isConversation(room)),
    list(isUser),
    list(isConversation),
  ]);
  const truncated = others.truncated || users.truncated || conversations.truncated;
  return {
    connectedClients,
    rooms: others.rooms.sort(),
    userRooms: users.rooms.sort(),
    conversationRooms: conversations.rooms.sort(),
    ...(truncated ? { truncated: true } : {}),
  };
}

/** What may be told to anybody. */
async function connectionCount(io: StoreNamespace, context: AppContext): Promise<ConnectionInfo> {
  const connectedClients = await recentCount(io, context);
  return { connectedClients, rooms: [], userRooms: [], conversationRooms: [] };
}

/** The last answers of an instance, which has its secrets for itself. */
type Recent<T> = WeakMap<AppContext['secrets'], { readonly at: Millis; readonly answer: Promise<T> }>;
const counts: Recent<number> = new WeakMap();
const infos: Recent<ConnectionInfo> = new WeakMap();

const recentCount = (io: StoreNamespace, context: AppContext): Promise<number> =>
  recent(counts, context, () => io.countSockets());

const recentInfo = (io: StoreNamespace, context: AppContext): Promise<ConnectionInfo> =>
  recent(infos, context, () => connectionInfo(io));

/** A look reads the whole namespace, which everybody's broadcasts read as well: not as often as anybody asks. */
function recent<T>(kept: Recent<T>, { secrets, now }: AppContext, look: () => Promise<T>): Promise<T> {
  const at = now();
  const last = kept.get(secrets);
  if (last !== undefined && at - last.at < COUNT_MS) return last.answer;
  const answer = look();
  kept.set(secrets, { at, answer });
  answer.catch(() => kept.delete(secrets));
  return answer;
}

function status(info: ConnectionInfo, context: AppContext): HttpAnswer {
  return {
    status: 200,
    body: {
      success: true,
      data: {
        socketServerInitialized: true,
        connectionInfo: info,
        timestamp: new Date(context.now()).toISOString(),
        message: 'Socket.IO server is running successfully',
      },
    },
  };
}
