/** What `storefront-chat` and its backend have in common. */
import * as z from 'zod/mini';
import { id, timestamp } from './values.ts';

/** Prefixes of the rooms of a customer and of a conversation. */
export const STOREFRONT_ROOMS = { user: 'user_', conversation: 'conversation_' } as const;

export const newMessageSchema = z.object({
  messageId: id(),
  content: z.string(),
  senderId: id(),
  timestamp: timestamp(),
});

/** Who is connected to the namespace, and which rooms have members; room lists end at 1,000 names. */
export interface ConnectionInfo {
  readonly connectedClients: number;
  /** Rooms of other applications. */
  readonly rooms: readonly string[];
  readonly userRooms: readonly string[];
  readonly conversationRooms: readonly string[];
  /** There where a list was cut. */
  readonly truncated?: true;
}
