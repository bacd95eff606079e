/** A small application with rooms, whose handlers tell the ledger what they publish and when. */
import * as z from 'zod/mini';
import { defineApp } from '../../lambdas/apps/define-app.ts';
import type { Ledger } from './ledger.ts';

export const NAMESPACES = ['/', '/b'];
/** Hot rooms are spread over shards. */
export const ROOMS = ['room:1', 'room:2', 'room:3', 'hot:1'];

const entry = z.object({ room: z.string(), nonce: z.number() });

export function testApplications(ledger: Ledger) {
  return NAMESPACES.map((namespace, number) =>
    defineApp({
      name: `rooms-${number}`,
      namespace,
      rooms: { 'room:': { canJoin: () => true }, 'hot:': { canJoin: () => true, hot: true } },
      serverEvents: { said: z.object({ publish: z.number() }) },
      onConnect: (socket) => {
        socket.data.visits = 1;
      },
      clientEvents: {
        join: {
          payload: entry,
          handle: async (socket, { room, nonce }) => {
            await socket.join(room);
            return { ok: true, nonce };
          },
        },
        leave: {
          payload: entry,
          handle: async (socket, { room, nonce }) => {
            await socket.leave(room);
            return { ok: true, nonce };
          },
        },
        say: {
          payload: z.object({
            room: z.string(),
            publish: z.number(),
            toOthers: z.boolean(),
            nonce: z.optional(z.number()),
          }),
          handle: async (socket, { room, publish, toOthers, nonce }) => {
            const exceptSid = toOthers ? socket.id : undefined;
            ledger.begin({ id: publish, namespace, rooms: [room], exceptSid });
            let isOut = false;
            try {
              await (toOthers ? socket.to(room) : socket.nsp.to(room)).emit('said', { publish });
              isOut = true;
            } finally {
              ledger.end(publish, isOut);
            }
            return { ok: true, ...(nonce === undefined ? {} : { nonce }) };
          },
        },
        quit: {
          payload: z.object({ close: z.boolean() }),
          handle: (socket, { close }) => socket.disconnect(close),
        },
      },
    }),
  );
}
