import * as z from 'zod/mini';
import { firstIssue } from '../lambdas/contract/issues.ts';
import type { EmitResult } from '../lambdas/contract/publish.ts';
import { type Id, id } from '../lambdas/contract/values.ts';
import type { Emitter } from './emitter.ts';
import { PayloadError } from './errors.ts';

export type { Id } from '../lambdas/contract/values.ts';

export interface ConnectedClient {
  readonly socketId: string;
  readonly userId: Id;
  readonly username?: string;
  readonly groups: readonly Id[];
}

/** The backend of `watch-groups`. */
export interface WatchGroups {
  /** Any event, to everybody in the group. */
  emitToGroup(groupId: Id, event: string, data: unknown): Promise<EmitResult>;
  /** Any event, to every socket of the authenticated user. */
  emitToUser(userId: Id, event: string, data: unknown): Promise<EmitResult>;
  getConnectedClients(): Promise<ConnectedClient[]>;
}

/** Takes the place of the injected gateway of a server of one's own. */
export function watchGroups(emitter: Emitter): WatchGroups {
  return {
    emitToGroup: (groupId, event, data) =>
      emitter.to(`group:${checkedId('groupId', groupId)}`).emit(event, checked(event, data)),
    emitToUser: (userId, event, data) =>
      emitter.to(`member:${checkedId('userId', userId)}`).emit(event, checked(event, data)),
    getConnectedClients: async () =>
      (await emitter.call('watch-groups', 'getConnectedClients')) as ConnectedClient[],
  };
}

/** The payloads of the events that the documents name for backends; any other event takes any payload. */
const DOCUMENTED: Readonly<Record<string, z.ZodMiniType>> = {
  'series-added': z.object({ seriesName: z.string(), addedBy: z.union([id(), z.json()]) }),
  notification: z.object({ message: z.string() }),
};

function checked(event: string, data: unknown): unknown {
  const schema = Object.hasOwn(DOCUMENTED, event) ? DOCUMENTED[event] : undefined;
  if (schema === undefined) return data;
  const parsed = z.safeParse(schema, data);
  if (parsed.success) return data;
  const { field, message } = firstIssue(parsed.error);
  throw new PayloadError(message, field === '' ? 'data' : field);
}

/** A missing id would name a room as well, `group:undefined`. */
function checkedId(field: string, value: unknown): Id {
  const parsed = z.safeParse(id(), value);
  if (parsed.success) return parsed.data;
  throw new PayloadError(`${field}: must be a string or a safe integer`, field);
}
