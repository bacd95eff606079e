/** The one port of the stack, taken before there is anything to serve. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { PortInUseError } from './errors.ts';
import { sendJson } from './services/http-message.ts';

export type HttpHandler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;
export type UpgradeHandler = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

/** Loopback only: the service endpoints ask nobody who they are. */
const HOST = '127.0.0.1';
/** Connections that may wait to be accepted; of a thousand that come at once Node's 511 would lose some. */
const BACKLOG = 4_096;
/** A frozen instance cannot see that its connection was closed, so connections to us outlive every freeze. */
const KEEP_ALIVE_MS = 24 * 60 * 60_000;

/**
 * One request for each round of the event loop. In a round Node accepts one new connection and handles every request that
 * has come on the others; hundreds of busy ones would keep a newcomer waiting for longer than it waits.
 */
class Turns {
  readonly #waiting: (() => void)[] = [];

  take(turn: () => void): void {
    this.#waiting.push(turn);
    if (this.#waiting.length === 1) setImmediate(() => this.#next());
  }

  #next(): void {
    this.#waiting[0]?.();
    this.#waiting.shift();
    if (this.#waiting.length > 0) setImmediate(() => this.#next());
  }
}

export class Port {
  readonly #server: Server;
  readonly #turns = new Turns();
  #http: HttpHandler = refuse;
  #upgrade: UpgradeHandler = refuseUpgrade;
  readonly #now: () => number;
  #number = 0;

  /** @param now the time of day in answers, which SDKs correct their clock by; ms since the epoch */
  constructor(now: () => number) {
    this.#now = now;
    this.#server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
      this.#turns.take(() => void this.#answer(request, response));
    });
    this.#server.on('upgrade', (request, socket, head) => {
      // Unheard, the error of a client that leaves would end the process.
      socket.on('error', () => {});
      this.#upgrade(request, socket, head);
    });
  }

  get number(): number {
    return this.#number;
  }

  /** For people and browsers. */
  get origin(): string {
    return `http://localhost:${this.#number}`;
  }

  /** For functions, which must not depend on how `localhost` resolves. */
  get serviceOrigin(): string {
    return `http://${HOST}:${this.#number}`;
  }

  /** Takes a port; 0 is any free one. Until `serve` every request is told to come back (503). @throws PortInUseError */
  listen(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', (error: NodeJS.ErrnoException) =>
        reject(error.code === 'EADDRINUSE' ? new PortInUseError(port) : error),
      );
      this.#server.listen({ port, host: HOST, backlog: BACKLOG }, () => {
        this.#number = (this.#server.address() as AddressInfo).port;
        resolve();
      });
    });
  }

  serve(http: HttpHandler, upgrade: UpgradeHandler): void {
    this.#http = http;
    this.#upgrade = upgrade;
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  /** One broken request must not end the process that everybody else is connected to. */
  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.setHeader('date', new Date(this.#now()).toUTCString());
    try {
      await this.#http(request, response);
    } catch (error) {
      if (response.headersSent || request.destroyed) response.destroy();
      else sendJson(response, 500, { message: error instanceof Error ? error.message : String(error) });
    }
  }
}

function refuse(request: IncomingMessage, response: ServerResponse): void {
  request.resume();
  sendJson(response, 503, { message: 'The stack is starting' }, { 'retry-after': '1' });
}

function refuseUpgrade(_request: IncomingMessage, socket: Duplex): void {
  socket.end('HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\n\r\n');
}
