/** The part of the bus that applications may use. */
export type {
  Acknowledgement,
  Answer,
  AnyBroadcast,
  AnyNamespace,
  AnySocket,
  AppContext,
  Application,
  Authentication,
  AuthOutcome,
  BackendCall,
  ClientEvent,
  Credentials,
  Failure,
  HistoryEvent,
  HistoryOptions,
  HttpAnswer,
  HttpRequest,
  HttpRoute,
  RemoteSocket,
  RoomHistory,
  RoomKind,
  RoomPresence,
  Schema,
  Settings,
} from './application.ts';
export { AckTimeoutError, BusError, invalidPayload } from './errors.ts';
export type { Handshake, Json, KeySet, Log, Millis } from './ports.ts';
