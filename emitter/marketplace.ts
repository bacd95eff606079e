/**
 * What the backend of `marketplace` calls, in the place of emits of a server of its own: `emitServiceCreated(io,
 * { service, actor })`, where `io` is an Emitter. Each function checks what it is given and throws a PayloadError that
 * names the field before anything is sent; it makes one publish to all rooms, so that a socket in two of them hears
 * the event once.
 */
import { firstIssue } from '../lambdas/contract/issues.ts';
import { MARKETPLACE_ROOMS, marketplaceEvents } from '../lambdas/contract/marketplace.ts';
import type { EmitResult } from '../lambdas/contract/publish.ts';
import type { Id } from '../lambdas/contract/values.ts';
import type { Emitter } from './emitter.ts';
import { PayloadError } from './errors.ts';

/** Who did it. */
export interface Actor {
  readonly id: Id;
  readonly role: string;
}

/** Keys of one's own are sent with it. */
export interface Service {
  readonly id: Id;
  readonly vendorId: Id;
  /** Hears of it too, where there is one. */
  readonly userId?: Id | null | undefined;
}

export interface Booking {
  readonly id: Id;
  readonly vendorId: Id;
  readonly userId: Id;
}

export interface Payment {
  readonly id: Id;
  readonly vendorId: Id;
  readonly userId: Id;
}

type ServiceEvent<S extends Service> = { readonly service: S; readonly actor: Actor };
type BookingEvent<B extends Booking> = { readonly booking: B; readonly actor: Actor };
type PaymentEvent<P extends Payment> = { readonly payment: P; readonly actor: Actor };

export function emitServiceCreated<S extends Service>(io: Emitter, about: ServiceEvent<S>) {
  return emit(io, 'service:created', 'service', about);
}

export function emitServiceUpdated<S extends Service>(io: Emitter, about: ServiceEvent<S>) {
  return emit(io, 'service:updated', 'service', about);
}

export function emitServiceStatusChanged<S extends Service>(io: Emitter, about: ServiceEvent<S>) {
  return emit(io, 'service:status_changed', 'service', about);
}

export function emitBookingCreated<B extends Booking>(io: Emitter, about: BookingEvent<B>) {
  return emit(io, 'booking:created', 'booking', about);
}

export function emitBookingStatusChanged<B extends Booking>(io: Emitter, about: BookingEvent<B>) {
  return emit(io, 'booking:status_changed', 'booking', about);
}

export function emitBookingCancelled<B extends Booking>(io: Emitter, about: BookingEvent<B>) {
  return emit(io, 'booking:cancelled', 'booking', about);
}

export function emitPaymentCompleted<P extends Payment>(io: Emitter, about: PaymentEvent<P>) {
  return emit(io, 'payment:completed', 'payment', about);
}

export function emitPaymentFailed<P extends Payment>(io: Emitter, about: PaymentEvent<P>) {
  return emit(io, 'payment:failed', 'payment', about);
}

type Entity = 'service' | 'booking' | 'payment';
type About = { readonly [E in Entity]?: Service } & { readonly actor: Actor };

function emit(
  io: Emitter,
  event: keyof typeof marketplaceEvents,
  entity: Entity,
  about: About,
): Promise<EmitResult> {
  // Callers in JavaScript may hand over nothing at all.
  const { [entity]: subject, actor } = about ?? {};
  const payload = { [entity]: subject, actor, timestamp: new Date().toISOString() };
  const parsed = marketplaceEvents[event].safeParse(payload);
  if (!parsed.success) {
    const { field, message } = firstIssue(parsed.error);
    throw new PayloadError(message, field);
  }
  return io.to(roomsOf(subject as Service)).emit(event, payload);
}

function roomsOf({ vendorId, userId }: Service): string[] {
  const vendor = MARKETPLACE_ROOMS.vendor + vendorId;
  return userId === undefined || userId === null ? [vendor] : [MARKETPLACE_ROOMS.user + userId, vendor];
}
