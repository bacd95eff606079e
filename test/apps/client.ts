/** A client on the wire of a test's world: what it sends are frames, what it hears are decoded frames. */
import { Decoder, type Packet, PacketType } from 'socket.io-parser';
import { headerCredentials, keptHandshake } from '../../lambdas/bus/handshake.ts';
import { connectionId, type World } from '../support/world.ts';

export interface Heard {
  readonly event: string;
  readonly args: readonly unknown[];
}

export interface ClientOptions {
  readonly auth?: unknown;
  /** Headers of the opening request, lower-cased. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly namespace?: string;
}

export class Client {
  readonly connectionId: string;
  readonly #at: World;
  readonly #namespace: string;
  #acknowledgements = 0;

  private constructor(at: World, id: string, namespace: string) {
    this.#at = at;
    this.connectionId = id;
    this.#namespace = namespace;
  }

  /** `$connect`, the open packet, and CONNECT, as a deployment runs them. */
  static async connect(at: World, n: number, options: ClientOptions = {}): Promise<Client> {
    const { headers = {}, namespace = '/' } = options;
    const client = new Client(at, connectionId(n), namespace);
    const query = { EIO: '4', transport: 'websocket' };
    const request = { headers, query, address: '127.0.0.1', at: at.clock.now() };
    await at.lifecycle.accept({
      id: client.connectionId,
      connectedAt: request.at,
      handshake: keptHandshake(request),
      credentials: await headerCredentials(at.bus, request),
    });
    await at.lifecycle.greet(at.opened.at(-1)!);
    await client.join(options.auth);
    return client;
  }

  /** CONNECT to the namespace. */
  async join(auth?: unknown): Promise<void> {
    await this.#send(`0${this.#prefix}${auth === undefined ? '' : JSON.stringify(auth)}`);
  }

  /** The id in the last CONNECT reply. */
  get id(): string {
    const reply = this.packets().findLast(({ type }) => type === PacketType.CONNECT)!;
    return (reply.data as { readonly sid: string }).sid;
  }

  async emit(event: string, ...args: readonly unknown[]): Promise<void> {
    await this.#send(`2${this.#prefix}${JSON.stringify([event, ...args])}`);
  }

  /** Emits and resolves with the acknowledgement; undefined where none came. */
  async ask(event: string, ...args: readonly unknown[]): Promise<unknown> {
    const id = this.#acknowledgements++;
    await this.#send(`2${this.#prefix}${id}${JSON.stringify([event, ...args])}`);
    const packet = this.packets().find((each) => each.type === PacketType.ACK && each.id === id);
    return (packet?.data as readonly unknown[] | undefined)?.[0];
  }

  /** Packets of its namespace, in the order they were posted. */
  packets(): Packet[] {
    const packets: Packet[] = [];
    const decoder = new Decoder();
    decoder.on('decoded', (packet: Packet) => packets.push(packet));
    for (const frame of this.#at.wire.to(this.connectionId)) {
      if (frame.startsWith('b')) decoder.add(Buffer.from(frame.slice(1), 'base64'));
      else if (frame.startsWith('4')) decoder.add(frame.slice(1));
    }
    return packets.filter(({ nsp }) => nsp === this.#namespace);
  }

  /** Events it heard, in order. */
  events(): Heard[] {
    return this.packets().flatMap(({ type, data }) => {
      if (type !== PacketType.EVENT && type !== PacketType.BINARY_EVENT) return [];
      const [event, ...args] = data as [string, ...unknown[]];
      return [{ event, args }];
    });
  }

  /** The first argument of each event of this name. */
  heard(event: string): unknown[] {
    return this.events().flatMap((each) => (each.event === event ? [each.args[0]] : []));
  }

  /** Whether the server sent DISCONNECT last. */
  get dismissed(): boolean {
    return this.packets().at(-1)?.type === PacketType.DISCONNECT;
  }

  /** Whether the connection was cut. */
  get cut(): boolean {
    return this.#at.wire.closed.includes(this.connectionId);
  }

  get #prefix(): string {
    return this.#namespace === '/' ? '' : `${this.#namespace},`;
  }

  #send(packet: string): Promise<void> {
    return this.#at.messages.handle(this.connectionId, `4${packet}`);
  }
}
