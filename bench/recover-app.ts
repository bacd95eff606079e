/** What the bench of recovery runs on the local stack: clients enter a room, and a backend tells the room something. */
import { defineApp } from 'socketbus/app';
import * as z from 'zod/mini';

export default defineApp({
  name: 'recover',
  namespace: '/recover',
  rooms: { 'room:': { canJoin: () => true } },
  serverEvents: { told: z.object({ n: z.number() }) },
  clientEvents: {
    enter: {
      payload: z.object({ room: z.string() }),
      async handle(socket, { room }) {
        await socket.join(room);
        return { ok: true };
      },
    },
  },
});
