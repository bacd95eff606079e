/** What a simulated client needs of Engine.IO, whichever transport carries it. */
import type { Connection, Gateway } from './gateway.ts';

/** What a transport tells its client. */
export interface EngineEvents {
  refused(status: number): void;
  receive(frame: string): void;
  closed(reason: string): void;
}

export interface Engine {
  /** What the server's rows call the connection; of one that polls it is known with the open packet. */
  readonly id: string;
  /** The WebSocket that carries it, where one does. */
  readonly socket: Connection | undefined;
  send(frame: string): void;
  /** Says goodbye. */
  leave(): void;
  /** Is gone without a word. */
  vanish(): void;
  /** Breaks the rules of the transport, as no stock client does. */
  askOddly(): void;
  /** Nothing is told to the client any more. */
  detach(): void;
}

export class WebSocketEngine implements Engine {
  readonly socket: Connection;
  readonly #gateway: Gateway;

  constructor(gateway: Gateway, events: EngineEvents) {
    this.#gateway = gateway;
    this.socket = gateway.connect({
      opened: () => {},
      refused: (status) => events.refused(status),
      receive: (frame) => events.receive(frame),
      closed: (code) => events.closed(`closed with ${code}`),
    });
  }

  get id(): string {
    return this.socket.id;
  }

  send(frame: string): void {
    this.#gateway.send(this.socket, frame);
  }

  leave(): void {
    this.#gateway.leave(this.socket);
  }

  vanish(): void {
    this.#gateway.vanish(this.socket);
  }

  askOddly(): void {}

  detach(): void {
    this.socket.peer = undefined;
  }
}
