import type { EmitResult, FetchedSocket } from '../lambdas/contract/publish.ts';

/** How many sockets an operation reached. */
export interface SocketCount {
  readonly sockets: number;
}

/** What can be done with the sockets of a target; an `Emitter` narrowed to one socket's own room. */
export interface SocketTarget<Events extends { readonly [E in keyof Events]: (...args: never[]) => void }> {
  emit<Name extends keyof Events & string>(
    event: Name,
    ...args: Parameters<Events[Name]>
  ): Promise<EmitResult>;
  socketsJoin(rooms: string | readonly string[]): Promise<SocketCount>;
  socketsLeave(rooms: string | readonly string[]): Promise<SocketCount>;
  disconnectSockets(close?: boolean): Promise<SocketCount>;
}

/** A socket as it was when it was fetched, with what Socket.IO's `RemoteSocket` can do. */
export class RemoteSocket<Events extends { readonly [E in keyof Events]: (...args: never[]) => void }> {
  readonly id: string;
  /** Its own id and the rooms it is in. */
  readonly rooms: ReadonlySet<string>;
  readonly handshake: FetchedSocket['handshake'];
  /** By application. */
  readonly data: FetchedSocket['data'];
  /** What each application's `auth` accepted, by application. */
  readonly identities: FetchedSocket['identities'];
  readonly #itself: SocketTarget<Events>;

  constructor(socket: FetchedSocket, itself: SocketTarget<Events>) {
    this.id = socket.id;
    this.rooms = new Set(socket.rooms);
    this.handshake = socket.handshake;
    this.data = socket.data;
    this.identities = socket.identities;
    this.#itself = itself;
  }

  emit<Name extends keyof Events & string>(
    event: Name,
    ...args: Parameters<Events[Name]>
  ): Promise<EmitResult> {
    return this.#itself.emit(event, ...args);
  }

  /** Resolves to no socket where it is gone. */
  join(rooms: string | readonly string[]): Promise<SocketCount> {
    return this.#itself.socketsJoin(rooms);
  }

  leave(rooms: string | readonly string[]): Promise<SocketCount> {
    return this.#itself.socketsLeave(rooms);
  }

  /** @param close also closes the connection under it */
  disconnect(close = false): Promise<SocketCount> {
    return this.#itself.disconnectSockets(close);
  }
}
