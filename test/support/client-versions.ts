/** The stock client in the versions that people have. */
import { io as io48 } from 'socket.io-client';
import { io as io40 } from 'socket.io-client-4.0';
import { io as io45 } from 'socket.io-client-4.5';
import { io as io46 } from 'socket.io-client-4.6';
import { io as io47 } from 'socket.io-client-4.7';

/** What the tests use of a client, which is the same in all versions. */
export interface Client {
  readonly id?: string | undefined;
  readonly io: object;
  on(event: string, listener: (...args: never[]) => void): unknown;
  once(event: string, listener: (...args: never[]) => void): unknown;
  onAny(listener: (...args: unknown[]) => void): unknown;
  emit(event: string, ...args: unknown[]): unknown;
  disconnect(): unknown;
}

export type Connect = (url: string, options: Record<string, unknown>) => Client;

export const CLIENT_VERSIONS: readonly (readonly [string, Connect])[] = [
  ['4.0', io40 as unknown as Connect],
  ['4.5', io45 as unknown as Connect],
  ['4.6', io46 as unknown as Connect],
  ['4.7', io47 as unknown as Connect],
  ['4.8', io48 as unknown as Connect],
];
