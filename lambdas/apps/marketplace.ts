/** A marketplace of services: users and vendors hear of their services, bookings and payments. */
import * as z from 'zod/mini';
import type { Settings } from '../bus/public.ts';
import { MARKETPLACE_ROOMS, marketplaceEvents } from '../contract/marketplace.ts';
import { defineApp, id } from './define-app.ts';
import { optionalJwt, requireIdentity, requireVendor } from './identity.ts';

/** Asked before `join`, in the handler: what has to be proven depends on the deployment's identity mode. */
const ASKED_BEFORE = { canJoin: () => true };

export const marketplace = defineApp({
  name: 'marketplace',
  auth: optionalJwt(),
  origins: clientOrigins,
  rooms: { [MARKETPLACE_ROOMS.user]: ASKED_BEFORE, [MARKETPLACE_ROOMS.vendor]: ASKED_BEFORE },
  serverEvents: marketplaceEvents,
  clientEvents: {
    join: {
      payload: z.object({ type: z.enum(['user', 'vendor'], "must be 'user' or 'vendor'"), id: id() }),
      async handle(socket, { type, id: joined }, context) {
        if (type === 'user') requireIdentity(context, socket.identity, joined);
        else requireVendor(context, socket.identity, joined);
        await socket.join(MARKETPLACE_ROOMS[type] + joined);
        return { ok: true, type, id: joined };
      },
    },
    ping: {
      payload: z.unknown(),
      handle: (_socket, _payload, context) => ({
        ok: true,
        timestamp: new Date(context.now()).toISOString(),
      }),
    },
  },
});

/** A comma list, as browsers write origins; what is no URL can be no origin. */
function clientOrigins({ CLIENT_ORIGIN = '' }: Settings): string[] {
  const listed = CLIENT_ORIGIN.split(',').map((part) => part.trim());
  return listed.flatMap((part) => (URL.canParse(part) ? [new URL(part).origin] : []));
}
