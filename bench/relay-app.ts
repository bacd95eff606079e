/** What the bench of an event runs on the local stack: a client's event goes to the others of its room, and nothing else. */
import { defineApp } from 'socketbus/app';
import * as z from 'zod/mini';

const relay = z.object({ pair: z.string(), n: z.number() });

export default defineApp({
  name: 'relay',
  rooms: { 'pair:': { canJoin: () => true } },
  serverEvents: { relay },
  clientEvents: {
    enter: {
      payload: z.object({ pair: z.string() }),
      async handle(socket, { pair }) {
        await socket.join(`pair:${pair}`);
        return { ok: true };
      },
    },
    relay: {
      payload: relay,
      async handle(socket, event) {
        await socket.to(`pair:${event.pair}`).emit('relay', event);
      },
    },
  },
});
