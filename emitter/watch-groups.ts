import type { EmitResult } from '../lambdas/contract/publish.ts';
import type { Emitter } from './emitter.ts';

export type Id = string | number;

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
    emitToGroup: (groupId, event, data) => emitter.to(`group:${groupId}`).emit(event, data),
    emitToUser: (userId, event, data) => emitter.to(`member:${userId}`).emit(event, data),
    getConnectedClients: async () =>
      (await emitter.call('watch-groups', 'getConnectedClients')) as ConnectedClient[],
  };
}
