import { defineApp, id, jwt } from 'socketbus/app';
import * as z from 'zod/mini';

/** Whoever connects with a token hears of their own orders, and has nothing to say. */
export default defineApp({
  name: 'customers',
  auth: jwt({ onFailure: () => ({ kind: 'refused', message: 'a token is needed' }) }),
  rooms: { 'customer:': { canJoin: ({ identity }, customer) => identity?.id === customer } },
  serverEvents: {
    'order-placed': z.object({ orderId: id() }),
    'order-shipped': z.object({ orderId: id(), at: z.iso.datetime() }),
  },
  onConnect: async (socket) => {
    if (socket.identity) await socket.join(`customer:${socket.identity.id}`);
  },
});
