/** The events of `marketplace`: what its backend sends and its clients hear. One definition for both sides. */
import * as z from 'zod/mini';
import { id, timestamp } from './values.ts';

/** Entities keep whatever other keys they have. */
const service = z.looseObject({ id: id(), vendorId: id(), userId: z.nullish(id()) });
const booking = z.looseObject({ id: id(), vendorId: id(), userId: id() });
const payment = z.looseObject({ id: id(), vendorId: id(), userId: id() });
/** Who did it. */
const actor = z.looseObject({ id: id(), role: z.string().check(z.minLength(1, 'must not be empty')) });

const serviceEvent = z.object({ service, actor, timestamp: timestamp() });
const bookingEvent = z.object({ booking, actor, timestamp: timestamp() });
const paymentEvent = z.object({ payment, actor, timestamp: timestamp() });

export const marketplaceEvents = {
  'service:created': serviceEvent,
  'service:updated': serviceEvent,
  'service:status_changed': serviceEvent,
  'booking:created': bookingEvent,
  'booking:status_changed': bookingEvent,
  'booking:cancelled': bookingEvent,
  'payment:completed': paymentEvent,
  'payment:failed': paymentEvent,
} as const;

/** Prefixes of the rooms of a user and of a vendor. */
export const MARKETPLACE_ROOMS = { user: 'user:', vendor: 'vendor:' } as const;
