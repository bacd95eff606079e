/** What a backend imports. */
export type { EmitResult } from '../lambdas/contract/publish.ts';
export { type AnyEvents, Emitter, type EmitterOptions, type EventMap } from './emitter.ts';
export { PayloadError, PublishError } from './errors.ts';
export { type LambdaTransportOptions, lambdaTransport, type Transport } from './transport.ts';
export { type ConnectedClient, type Id, type WatchGroups, watchGroups } from './watch-groups.ts';
