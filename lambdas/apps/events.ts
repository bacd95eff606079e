/**
 * The event maps of the built-in applications, for frontends and typed emitters, made of the schemas the server
 * checks with. Only types: importing this file loads nothing.
 *
 * ```ts
 * import { io, type Socket } from 'socket.io-client';
 * import type { ClientToServerEvents, ServerToClientEvents } from 'socketbus/events';
 *
 * const socket: Socket<ServerToClientEvents<'watch-groups'>, ClientToServerEvents<'watch-groups'>> = io(url);
 * ```
 */
import type { BusError, Schema } from '../bus/public.ts';
import type { BuiltInApplication } from '../contract/applications.ts';
import type { clinicChat } from './clinic-chat.ts';
import type { App } from './define-app.ts';
import type { marketplace } from './marketplace.ts';
import type { orderSync } from './order-sync.ts';
import type { storefrontChat } from './storefront-chat.ts';
import type { watchGroups } from './watch-groups.ts';

/** The built-in applications by name. */
export interface BuiltIns {
  readonly 'storefront-chat': typeof storefrontChat;
  readonly 'clinic-chat': typeof clinicChat;
  readonly 'order-sync': typeof orderSync;
  readonly 'watch-groups': typeof watchGroups;
  readonly marketplace: typeof marketplace;
}

// biome-ignore lint/suspicious/noExplicitAny: schemas of any payload, in either direction
type AnyApp = App<any, any>;

/** An application: the name of a built-in one, or the type of one's own (`typeof todo`). */
export type ApplicationType = BuiltInApplication | AnyApp;

/** Why an action failed. */
export interface EventFailure {
  readonly code: BusError['code'];
  readonly message: string;
  /** Which part of the payload is wrong. */
  readonly field?: string;
}

/** What a client event is acknowledged with. */
export type Ack =
  | { readonly ok: true; readonly [key: string]: unknown }
  | { readonly ok: false; readonly error: EventFailure };

/** The event of a failure where an application documents no error event of its own. */
export interface ErrorEvent {
  readonly message: string;
  readonly code: BusError['code'];
  readonly event: string;
  /** ISO 8601, UTC. */
  readonly timestamp: string;
}

/** What the server emits to clients of an application, or of several on one namespace (`'a' | 'b'`). */
export type ServerToClientEvents<A extends ApplicationType> = Merged<
  A extends ApplicationType ? Listeners<SchemasOf<A>['server']> & Failures<SchemasOf<A>['server']> : never
>;

/**
 * What clients emit to an application, or to several on one namespace (`'a' | 'b'`). The acknowledgement callback is
 * optional; of what `emitWithAck` resolves with, socket.io-client knows no more than `any`: declare it as `Ack`.
 */
export type ClientToServerEvents<A extends ApplicationType> = Merged<
  A extends ApplicationType ? Actions<SchemasOf<A>['client']> : never
>;

type AppOf<A extends ApplicationType> = A extends BuiltInApplication ? BuiltIns[A] : A;
type SchemasOf<A extends ApplicationType> =
  AppOf<A> extends { readonly events: infer Events extends Schemas } ? Events : never;
interface Schemas {
  readonly server: object;
  readonly client: object;
}

type Listeners<Events> = { [Name in keyof Events]: (...args: Arguments<Events[Name]>) => void };

/** An application with an error event of its own emits no other (`AppDefinition.onError`). */
type Failures<Events> = [Extract<keyof Events, `${string}error`>] extends [never]
  ? { error: (failure: ErrorEvent) => void }
  : unknown;

type Actions<Events> = {
  [Name in keyof Events]: (...args: Arguments<Events[Name]> | Acknowledged<Arguments<Events[Name]>>) => void;
};

/** The callback comes last; where there may be no payload, it may be all there is. */
type Acknowledged<Args extends readonly unknown[]> =
  | [...Required<Args>, acknowledge: (answer: Ack) => void]
  | ([] extends Args ? [acknowledge: (answer: Ack) => void] : never);

/** What is sent after the name. What arrives is what was sent: the server checks payloads, it never rewrites them. */
type Arguments<S> =
  S extends Schema<unknown, infer Input>
    ? [Input] extends [undefined]
      ? []
      : undefined extends Input
        ? [payload?: Exclude<Input, undefined>]
        : [payload: Input]
    : never;

/** Several maps as one; what two applications emit under one name may be heard as either. */
type Merged<Maps> = {
  [Name in Maps extends unknown ? keyof Maps : never]: Maps extends { [N in Name]: infer Action }
    ? Action
    : never;
};
