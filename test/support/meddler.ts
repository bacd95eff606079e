/** Something between a client and the stack, as company networks have it: it refuses, holds up and cuts. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse, request as send } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocket, WebSocketServer } from 'ws';

type Verdict = 'pass' | 'cut before' | 'cut after';

export interface Meddler {
  readonly origin: string;
  /** Whether a WebSocket may be opened; a promise holds its handshake up. */
  handshake: () => boolean | Promise<boolean>;
  /** What becomes of a frame, and of the TCP connections it came and goes by. */
  frame: (from: 'client' | 'server', text: string) => Verdict;
  /** Requests to receive that wait for their answer. */
  waiting(): number;
  /** Cuts the clients' connections under them. */
  cutWaiting(): void;
  close(): Promise<void>;
}

/** @param port where the stack listens, on loopback */
export async function startMeddler(port: number): Promise<Meddler> {
  const waiting = new Set<ServerResponse>();
  const tcp = new Set<Socket>();
  const webSockets = new WebSocketServer({ noServer: true });
  const server = createServer((incoming, answer) => {
    if (incoming.method === 'GET' && incoming.url?.includes('sid=')) {
      waiting.add(answer);
      answer.on('close', () => waiting.delete(answer));
    }
    forward(incoming, answer, port);
  });
  const meddler: Meddler = {
    origin: '',
    handshake: () => true,
    frame: () => 'pass',
    waiting: () => waiting.size,
    cutWaiting: () => {
      for (const answer of waiting) answer.socket?.resetAndDestroy();
    },
    close: async () => {
      server.close();
      // Those of WebSockets, open or held up, are no longer the server's own.
      for (const socket of tcp) socket.destroy();
      await once(server, 'close');
    },
  };
  server.on('connection', (socket) => {
    tcp.add(socket);
    socket.on('close', () => tcp.delete(socket));
  });
  server.on('upgrade', async (incoming: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => {});
    if (!(await meddler.handshake())) {
      socket.end('HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
      return;
    }
    const { origin } = incoming.headers;
    const stack = new WebSocket(
      `ws://127.0.0.1:${port}${incoming.url}`,
      origin === undefined ? {} : { origin },
    );
    stack.on('error', () => socket.destroy());
    stack.once('open', () => {
      webSockets.handleUpgrade(incoming, socket, head, (client) => {
        client.on('error', () => {});
        join(meddler, client, stack);
      });
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return Object.assign(meddler, { origin: `http://localhost:${(server.address() as AddressInfo).port}` });
}

function join(meddler: Meddler, client: WebSocket, stack: WebSocket): void {
  const cut = () => {
    client.terminate();
    stack.terminate();
  };
  const pass = (from: 'client' | 'server', to: WebSocket) => (data: Buffer, isBinary: boolean) => {
    const verdict = isBinary ? 'pass' : meddler.frame(from, data.toString());
    if (verdict === 'cut before') cut();
    else to.send(data, { binary: isBinary }, verdict === 'cut after' ? cut : () => {});
  };
  client.on('message', pass('client', stack));
  stack.on('message', pass('server', client));
  client.on('close', () => stack.terminate());
  stack.on('close', () => client.terminate());
}

/** A client that is cut off does not end its request: it is on its way. */
function forward(incoming: IncomingMessage, answer: ServerResponse, port: number): void {
  const { method, url, headers } = incoming;
  const onward = send({ host: '127.0.0.1', port, method, path: url, headers, agent: false }, (reply) => {
    answer.writeHead(reply.statusCode ?? 502, reply.headers);
    reply.pipe(answer);
  });
  onward.on('error', () => answer.destroy());
  incoming.pipe(onward);
}
