/** `socketbus/app`: what whoever writes an application imports. */
export {
  AckTimeoutError,
  type Answer,
  type AppContext,
  type AuthOutcome,
  BusError,
  type HistoryEvent,
  type HistoryOptions,
  type HttpAnswer,
  type Json,
  type RoomHistory,
  type RoomPresence,
  type Settings,
} from '../bus/public.ts';
export {
  type App,
  type AppDefinition,
  type AppFailure,
  type AppRequest,
  type AppSocket,
  type Auth,
  type Broadcast,
  canonicalId,
  defineApp,
  type EventSchemas,
  type Id,
  id,
  type Namespace,
  type RemoteSocket,
  type SelfBroadcast,
  timestamp,
} from './define-app.ts';
export { type JwtOptions, jwt, type TokenFailure, type TokenIdentity } from './jwt.ts';
