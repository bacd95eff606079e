/**
 * One-to-one and group chat of a clinic; every message is kept. Over the socket only those in a conversation's room
 * speak into it, whoever they say they are: joining is what proves the right to be there. Over HTTP, which has no
 * room, each request proves it. Where identities are trusted every join is allowed and every claimed id believed.
 */
import * as z from 'zod/mini';
import { type AppContext, BusError, type HttpAnswer, type Json } from '../bus/public.ts';
import {
  type AppRequest,
  type AppSocket,
  defineApp,
  type EventSchemas,
  type Id,
  id,
  type Namespace,
  timestamp,
} from './define-app.ts';
import { limitOf, parsedInput } from './http-input.ts';
import { joinWhileOpen, optionalJwt, requireConversation, requireIdentity, requireRole } from './identity.ts';
import type { TokenIdentity } from './jwt.ts';
import { isTimeOrderedId, timeOrderedId } from './time-ordered-ids.ts';

const ROOM = 'chat:';
const MESSAGES_PATH = '/api/chat/mensajes';

const PAGE_LIMIT = 50;
const MAX_PAGE = 100;
/**
 * UTF-8 bytes of a text as JSON. A client's frame holds 32 KB, and a page of the longest messages stays below the
 * 6 MB with which Lambda can answer (quotas pages of API Gateway and Lambda).
 */
const MAX_CONTENT_BYTES = 24_576;
const MAX_ROLE_LENGTH = 64;

const contenido = () =>
  z.string().check(
    z.minLength(1, 'must not be empty'),
    z.refine(
      (text) => Buffer.byteLength(JSON.stringify(text)) <= MAX_CONTENT_BYTES,
      `must not exceed ${MAX_CONTENT_BYTES} bytes`,
    ),
  );
const rol = () =>
  z
    .string()
    .check(
      z.minLength(1, 'must not be empty'),
      z.maxLength(MAX_ROLE_LENGTH, `must not exceed ${MAX_ROLE_LENGTH} characters`),
    );

const speaker = z.object({ conversacionId: id(), userId: id() });
const draft = z.object({ conversacionId: id(), contenido: contenido(), userId: id(), rol: rol() });
const mensaje = z.extend(draft, { id: z.string(), timestamp: timestamp() });

const serverEvents = {
  'chat:message-received': mensaje,
  'chat:user-typing': speaker,
  'chat:user-stop-typing': speaker,
  'chat:message-read': z.extend(speaker, { mensajeId: id(), timestamp: timestamp() }),
  'chat:error': z.object({ message: z.string(), code: z.string(), event: z.string() }),
} satisfies EventSchemas;

type Speaker = z.output<typeof speaker>;
type Draft = z.output<typeof draft>;
type Mensaje = z.output<typeof mensaje>;
type ChatSocket = AppSocket<typeof serverEvents, TokenIdentity>;
type ChatNamespace = Namespace<typeof serverEvents, TokenIdentity>;
type ChatRequest = AppRequest<TokenIdentity>;

/** A person who is in a conversation with at least one socket. */
type Presente = { readonly userId: Id };

export const clinicChat = defineApp({
  name: 'clinic-chat',
  auth: optionalJwt(),
  // A room kind sees no grants, so `join` checks the conversation before it gets here; nothing else joins.
  rooms: { [ROOM]: { canJoin: () => true } },
  serverEvents,

  clientEvents: {
    'chat:join-room': { payload: speaker, handle: join },
    'chat:send-message': {
      payload: draft,
      forward: true,
      async handle(socket, payload, context) {
        requireIdentity(context, socket.identity, payload.userId, 'userId');
        requireRole(context, socket.identity, payload.rol);
        await requirePresence(socket, payload.conversacionId);
        return { ok: true, mensaje: await sendMessage(socket.nsp, context, payload) };
      },
    },
    'chat:typing': {
      payload: speaker,
      handle: (socket, payload, context) => relay(socket, 'chat:user-typing', payload, context),
    },
    'chat:stop-typing': {
      payload: speaker,
      handle: (socket, payload, context) => relay(socket, 'chat:user-stop-typing', payload, context),
    },
    'chat:mark-read': {
      payload: z.extend(speaker, { mensajeId: id() }),
      async handle(socket, payload, context) {
        const { conversacionId, mensajeId, userId } = payload;
        requireIdentity(context, socket.identity, userId, 'userId');
        await requirePresence(socket, conversacionId);
        const read = await storeReceipt(context, { conversacionId, mensajeId, userId });
        await socket.nsp.to(ROOM + conversacionId).emit('chat:message-read', read);
      },
    },
    'chat:leave-room': {
      // Leaving speaks for nobody, so it proves nothing.
      payload: z.object({ conversacionId: id(), userId: z.optional(id()) }),
      async handle(socket, { conversacionId }) {
        const room = ROOM + conversacionId;
        // A join sent just before may still be under way; left before it, its room would never be left (design D13).
        await socket.eventually(() => socket.rooms.has(room));
        await socket.leave(room);
        delete socket.data[presenceKey(conversacionId)];
      },
    },
  },

  async onError(socket, { event, error: { message, code } }) {
    await socket.emit('chat:error', { message, code, event });
  },

  http: [
    { method: 'GET', path: MESSAGES_PATH, handle: listMessages },
    { method: 'POST', path: MESSAGES_PATH, handle: postMessage },
  ],

  backend: {
    /** Who is in a conversation now. */
    getConnectedUsers: {
      args: z.tuple([id()]),
      handle: (io, [conversacionId]) => present(io, conversacionId),
    },
  },
});

async function join(socket: ChatSocket, { conversacionId, userId }: Speaker, context: AppContext) {
  const room = ROOM + conversacionId;
  requireIdentity(context, socket.identity, userId, 'userId');
  await requireConversation(context, socket.identity, conversacionId, room);
  await joinWhileOpen(socket, room, () =>
    requireConversation(context, socket.identity, conversacionId, room),
  );
  socket.data[presenceKey(conversacionId)] = userId;
  return { ok: true, usuarios: await present(socket.nsp, conversacionId, { socket, userId }) };
}

/**
 * The one way a message is sent, whichever way it came: kept first, then told to the room, its sender included.
 * @returns the message as it is kept
 */
async function sendMessage(
  io: ChatNamespace,
  context: AppContext,
  { conversacionId, contenido, userId, rol }: Draft,
): Promise<Mensaje> {
  const timestamp = isoTime(context);
  const sent = { id: timeOrderedId(context), conversacionId, contenido, userId, rol, timestamp };
  await context.rows.put(messagesOf(conversacionId), sent.id, sent);
  await io.to(ROOM + conversacionId).emit('chat:message-received', sent);
  return sent;
}

/** Read once is read: marking again tells the room of the first time. @throws BusError `not_found` */
async function storeReceipt(
  context: AppContext,
  { conversacionId, mensajeId, userId }: Speaker & { readonly mensajeId: Id },
) {
  const kept = await context.rows.get(messagesOf(conversacionId), String(mensajeId));
  if (kept === undefined) {
    throw new BusError('not_found', `the conversation has no message ${mensajeId}`, { field: 'mensajeId' });
  }
  const receipt = { conversacionId, mensajeId, userId, timestamp: isoTime(context) };
  const [partition, sort] = [`receipts#${conversacionId}`, `${mensajeId}#${userId}`];
  if (await context.rows.put(partition, sort, receipt, { ifAbsent: true })) return receipt;
  const first = (await context.rows.get(partition, sort)) as { readonly timestamp: string } | undefined;
  return { ...receipt, timestamp: first?.timestamp ?? receipt.timestamp };
}

async function relay(
  socket: ChatSocket,
  event: 'chat:user-typing' | 'chat:user-stop-typing',
  { conversacionId, userId }: Speaker,
  context: AppContext,
): Promise<void> {
  requireIdentity(context, socket.identity, userId, 'userId');
  await requirePresence(socket, conversacionId);
  await socket.to(ROOM + conversacionId).volatile.emit(event, { conversacionId, userId });
}

/** Only those in the room speak into it; a join sent just before may still be under way (design D13). */
async function requirePresence(socket: ChatSocket, conversacionId: Id): Promise<void> {
  if (await socket.eventually(() => socket.rooms.has(ROOM + conversacionId))) return;
  throw new BusError('forbidden', `join the conversation ${conversacionId} first`);
}

/** Everybody in the room once, however many sockets they have there. A socket that joins now is not saved yet. */
async function present(
  io: ChatNamespace,
  conversacionId: Id,
  joining?: { readonly socket: ChatSocket; readonly userId: Id },
): Promise<Presente[]> {
  const users = new Map<string, Presente>();
  for (const { id: socketId, data } of await io.fetchSockets(ROOM + conversacionId)) {
    const userId = socketId === joining?.socket.id ? joining.userId : data[presenceKey(conversacionId)];
    if (typeof userId === 'string' || typeof userId === 'number') users.set(String(userId), { userId });
  }
  return [...users.values()];
}

const listing = z.object({ conversacionId: id(), before: z.optional(z.string()) });

async function listMessages(
  { identity, query }: ChatRequest,
  _io: ChatNamespace,
  context: AppContext,
): Promise<HttpAnswer> {
  const { conversacionId, before = '' } = parsedInput(listing, query);
  if (before !== '' && !isTimeOrderedId(before)) {
    throw new BusError('invalid_payload', 'before: is no id of a message', { field: 'before' });
  }
  const limit = limitOf(query.limit, PAGE_LIMIT, MAX_PAGE);
  await requireConversation(context, identity, conversacionId, ROOM + conversacionId);
  // One more than asked for tells whether there is an older page.
  const rows = await context.rows.query(messagesOf(conversacionId), {
    ...(before === '' ? {} : { after: before }),
    limit: limit + 1,
    descending: true,
  });
  const mensajes = rows
    .slice(0, limit)
    .map(({ value }) => value as Mensaje & Json)
    .reverse();
  return { status: 200, body: { mensajes, before: rows.length > limit ? (mensajes[0]?.id ?? null) : null } };
}

async function postMessage(
  { identity, body }: ChatRequest,
  io: ChatNamespace,
  context: AppContext,
): Promise<HttpAnswer> {
  const payload = parsedInput(draft, body);
  const { conversacionId, userId, rol } = payload;
  requireIdentity(context, identity, userId, 'userId');
  requireRole(context, identity, rol);
  await requireConversation(context, identity, conversacionId, ROOM + conversacionId);
  return { status: 201, body: await sendMessage(io, context, payload) };
}

function messagesOf(conversacionId: Id): string {
  return `messages#${conversacionId}`;
}

/** Under which a socket's data says as whom it is in a conversation. */
function presenceKey(conversacionId: Id): string {
  return `userId:${conversacionId}`;
}

function isoTime(context: AppContext): string {
  return new Date(context.now()).toISOString();
}
