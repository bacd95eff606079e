/** What `canJoin` is shown in place of a socket, where a request asks for what a socket would have to join. */
import type { AnyBroadcast, AnyNamespace, AnySocket, HistoryOptions } from './application.ts';
import { BusError } from './errors.ts';
import type { Handshake, Json } from './ports.ts';

function refuse(): never {
  throw new BusError('internal', 'a request has no socket: canJoin may look at it, and do nothing with it', {
    retryable: false,
  });
}

/** Emits nothing. */
class Mute implements AnyBroadcast {
  readonly to = refuse;
  readonly in = refuse;
  readonly except = refuse;
  readonly emit = refuse;
  readonly timeout = refuse;
  readonly emitWithAck = refuse;

  get volatile(): AnyBroadcast {
    return refuse();
  }
}

/** Reads of a namespace, and nothing else. */
class ReadOnlyNamespace extends Mute implements AnyNamespace {
  readonly #io: AnyNamespace;

  constructor(io: AnyNamespace) {
    super();
    this.#io = io;
  }

  get name(): string {
    return this.#io.name;
  }

  fetchSockets(room?: string): ReturnType<AnyNamespace['fetchSockets']> {
    return this.#io.fetchSockets(room);
  }

  countSockets(): Promise<number> {
    return this.#io.countSockets();
  }

  activeRooms(limit: number, matches: (room: string) => boolean): ReturnType<AnyNamespace['activeRooms']> {
    return this.#io.activeRooms(limit, matches);
  }

  presence(room: string): ReturnType<AnyNamespace['presence']> {
    return this.#io.presence(room);
  }

  history(room: string, options?: HistoryOptions): ReturnType<AnyNamespace['history']> {
    return this.#io.history(room, options);
  }
}

/** In no room and without data. What acts throws BusError `internal`; changing `data` throws as well. */
export class ReadOnlySocket extends Mute implements AnySocket {
  readonly id = '';
  readonly nsp: AnyNamespace;
  readonly handshake: Handshake;
  readonly identity: Json | undefined;
  readonly data: Record<string, Json> = Object.freeze({});
  readonly rooms: ReadonlySet<string> = new Set();
  readonly recovered = false;
  readonly join = refuse;
  readonly leave = refuse;
  readonly disconnect = refuse;
  readonly expireAt = refuse;
  readonly countAs = refuse;
  readonly refresh = refuse;

  constructor(io: AnyNamespace, handshake: Handshake, identity: Json | undefined) {
    super();
    this.nsp = new ReadOnlyNamespace(io);
    this.handshake = handshake;
    this.identity = identity;
  }

  get broadcast(): AnyBroadcast {
    return refuse();
  }

  /** Nothing changes while it is waited for. */
  async eventually(predicate: () => boolean): Promise<boolean> {
    return predicate();
  }
}
