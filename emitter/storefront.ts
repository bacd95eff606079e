import * as z from 'zod/mini';
import { firstIssue } from '../lambdas/contract/issues.ts';
import type { EmitResult } from '../lambdas/contract/publish.ts';
import { type ConnectionInfo, newMessageSchema, STOREFRONT_ROOMS } from '../lambdas/contract/storefront.ts';
import { type Id, id } from '../lambdas/contract/values.ts';
import type { Emitter } from './emitter.ts';
import { PayloadError } from './errors.ts';

export type { ConnectionInfo } from '../lambdas/contract/storefront.ts';

/** The payloads of the events that the documents name; any other event takes any payload. */
export interface StorefrontEvents {
  readonly 'new-message': {
    readonly messageId: Id;
    readonly content: string;
    readonly senderId: Id;
    /** Sent as ISO 8601 in UTC. */
    readonly timestamp: string | Date;
  };
}

type Payload<Name extends string> = Name extends keyof StorefrontEvents ? StorefrontEvents[Name] : unknown;

/**
 * The backend of `storefront-chat`. Each function throws a PayloadError at once where an id, the event or the payload
 * cannot be sent, and rejects with a PublishError where the deployment cannot be reached.
 */
export interface Storefront {
  /** Any event, to every socket that has authenticated as the customer. */
  emitToUser<Name extends string>(customerId: Id, event: Name, data: Payload<Name>): Promise<EmitResult>;
  /** Any event, to everybody in the conversation. */
  emitToConversation<Name extends string>(
    conversationId: Id,
    event: Name,
    data: Payload<Name>,
  ): Promise<EmitResult>;
  /** Any event, to every socket of the namespace, those of other applications too. */
  emitToAll<Name extends string>(event: Name, data: Payload<Name>): Promise<EmitResult>;
  getConnectionInfo(): Promise<ConnectionInfo>;
}

/** Takes the place of the `socketModuleService` of a server of one's own. */
export function storefront(emitter: Emitter): Storefront {
  const { user, conversation } = STOREFRONT_ROOMS;
  const emit = (target: Emitter, event: string, data: unknown) => target.emit(event, checked(event, data));
  return {
    emitToUser: (customerId, event, data) =>
      emit(emitter.to(user + checkedId('customerId', customerId)), event, data),
    emitToConversation: (conversationId, event, data) =>
      emit(emitter.to(conversation + checkedId('conversationId', conversationId)), event, data),
    emitToAll: (event, data) => emit(emitter, event, data),
    getConnectionInfo: async () =>
      (await emitter.call('storefront-chat', 'getConnectionInfo')) as ConnectionInfo,
  };
}

/** A missing id would name a room as well, `user_undefined`. */
function checkedId(field: string, value: unknown): Id {
  const parsed = z.safeParse(id(), value);
  if (parsed.success) return parsed.data;
  throw new PayloadError(`${field}: ${firstIssue(parsed.error).message}`, field);
}

function checked(event: string, data: unknown): unknown {
  if (event !== 'new-message') return data;
  const parsed = newMessageSchema.safeParse(withIsoTimestamp(data));
  if (parsed.success) return data;
  const { field, message } = firstIssue(parsed.error);
  if (field === '') throw new PayloadError(`data: ${message}`, 'data');
  throw new PayloadError(`data.${message}`, `data.${field}`);
}

/** As it will be once it is JSON. */
function withIsoTimestamp(data: unknown): unknown {
  if (typeof data !== 'object' || data === null) return data;
  const { timestamp } = data as { readonly timestamp?: unknown };
  return timestamp instanceof Date ? { ...data, timestamp: timestamp.toJSON() } : data;
}
