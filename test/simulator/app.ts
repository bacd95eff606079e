/** A small application with rooms, whose handlers tell the ledger what they publish and when. */
import * as z from 'zod/mini';
import { defineApp } from '../../lambdas/apps/define-app.ts';
import type { Ledger } from './ledger.ts';

export const NAMESPACES = ['/', '/b'];
/** Hot rooms are spread over shards. */
export const ROOMS = ['room:1', 'room:2', 'room:3', 'hot:1'];

const entry = z.object({ room: z.string(), nonce: z.number() });

/** @param recovered namespaces whose clients come back to their sessions */
export function testApplications(ledger: Ledger, recovered: ReadonlySet<string>) {
  return NAMESPACES.map((namespace, number) =>
    defineApp({
      name: `rooms-${number}`,
      namespace,
      ...(recovered.has(namespace) ? {} : { recovery: false as const }),
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
            /** One after the other. */
            publishes: z.array(z.number()),
            to: z.enum(['all', 'others', 'self']),
            nonce: z.optional(z.number()),
          }),
          handle: async (socket, { room, publishes, to, nonce }) => {
            const rooms = [to === 'self' ? socket.id : room];
            const exceptSid = to === 'others' ? socket.id : undefined;
            const series = {};
            const target = { all: socket.nsp.to(room), others: socket.to(room), self: socket }[to];
            for (const publish of publishes) {
              ledger.begin({ id: publish, namespace, rooms, exceptSid, series });
              let isOut = false;
              try {
                await target.emit('said', { publish });
                isOut = true;
              } finally {
                ledger.end(publish, isOut);
              }
            }
            return { ok: true, ...(nonce === undefined ? {} : { nonce }) };
          },
        },
        note: {
          payload: z.object({ value: z.number(), nonce: z.number() }),
          handle: (socket, { value, nonce }) => {
            socket.data.noted = value;
            return { ok: true, nonce };
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
