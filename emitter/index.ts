/** What a backend imports. */
export type { EmitResult, RoomPresence } from '../lambdas/contract/publish.ts';
export { type AnyEvents, Emitter, type EmitterOptions, type EventMap } from './emitter.ts';
export { AckTimeoutError, EmitterOptionsError, PayloadError, PublishError } from './errors.ts';
export type { History, HistoryEvent, HistoryOptions } from './history.ts';
export { type HttpTransportOptions, httpTransport } from './http-transport.ts';
export {
  type Actor,
  type Booking,
  emitBookingCancelled,
  emitBookingCreated,
  emitBookingStatusChanged,
  emitPaymentCompleted,
  emitPaymentFailed,
  emitServiceCreated,
  emitServiceStatusChanged,
  emitServiceUpdated,
  type Payment,
  type Service,
} from './marketplace.ts';
export { type NewChange, type OrderSync, orderSync, type RecordedChange } from './order-sync.ts';
export { RemoteSocket, type SocketCount } from './remote-socket.ts';
export { type RetryPolicy, retrying } from './retry.ts';
export { type ConnectionInfo, type Storefront, type StorefrontEvents, storefront } from './storefront.ts';
export {
  type Credentials,
  type LambdaTransportOptions,
  lambdaTransport,
  type Transport,
} from './transport.ts';
export { type ConnectedClient, type Id, type WatchGroups, watchGroups } from './watch-groups.ts';
