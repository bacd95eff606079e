import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ApiGatewayManagementApiClient } from '@aws-sdk/client-apigatewaymanagementapi';
import { WebSocket } from 'ws';
import { type Arrival, arrivalOf } from '../../../local/gateway/arrival.ts';
import type { GatewayClock } from '../../../local/gateway/clock.ts';
import {
  type Integration,
  type Invocation,
  WebSocketApi,
  type WebSocketApiOptions,
} from '../../../local/gateway/websocket-api.ts';

export const ACCESS_KEY = 'ASIAEXAMPLEKEY000000';
export const CREDENTIALS = { accessKeyId: ACCESS_KEY, secretAccessKey: 'a secret', sessionToken: 'a token' };
const LIFECYCLE = ['$connect', '$disconnect'];
export const OK: Invocation = { kind: 'result', value: { statusCode: 200 } };

/** A clock that only moves when a test says so; timers run in the order of their time. */
export class ManualClock implements GatewayClock {
  #now = Date.UTC(2026, 10, 27, 8, 9, 10);
  readonly #timers = new Map<object, { at: number; task: () => void }>();

  now(): number {
    return this.#now;
  }

  setTimeout(task: () => void, delayMs: number): unknown {
    const handle = {};
    this.#timers.set(handle, { at: this.#now + delayMs, task });
    return handle;
  }

  clearTimeout(handle: unknown): void {
    this.#timers.delete(handle as object);
  }

  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const due = [...this.#timers].filter(([, { at }]) => at <= end).sort(([, a], [, b]) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#timers.delete(due[0]);
      this.#now = due[1].at;
      due[1].task();
    }
    this.#now = end;
  }
}

/** A value that is waited for: `next()` resolves with the oldest one not yet taken. */
export class Mailbox<T> {
  readonly #items: T[] = [];
  readonly #waiting: ((item: T) => void)[] = [];

  get size(): number {
    return this.#items.length;
  }

  put(item: T): void {
    const waiter = this.#waiting.shift();
    if (waiter === undefined) this.#items.push(item);
    else waiter(item);
  }

  next(): Promise<T> {
    const item = this.#items.shift();
    return item === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(item);
  }
}

/** The parts of an event the tests look at. */
export interface SeenEvent extends Record<string, unknown> {
  readonly body?: string;
  readonly requestContext: Record<string, unknown> & {
    connectionId: string;
    requestId: string;
    routeKey: string;
  };
}

export interface Client {
  readonly ws: WebSocket;
  readonly messages: Mailbox<string>;
  readonly closed: Promise<{ code: number; reason: string }>;
  readonly upgradeHeaders: IncomingHttpHeaders;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A gateway on a port of its own, with a client side. Routes not given answer 200 and are noted. */
export class TestGateway {
  readonly api: WebSocketApi;
  readonly port: number;
  readonly connects: Mailbox<SeenEvent>;
  readonly messages: Mailbox<SeenEvent>;
  readonly disconnects: Mailbox<SeenEvent>;
  readonly #end: () => Promise<void>;

  static async start(
    options: Partial<WebSocketApiOptions> & {
      readonly entry?: Partial<Arrival>;
      readonly without?: readonly string[];
    } = {},
  ): Promise<TestGateway> {
    const boxes = [new Mailbox<SeenEvent>(), new Mailbox<SeenEvent>(), new Mailbox<SeenEvent>()] as const;
    const noted = (box: Mailbox<SeenEvent>, then: Integration = async () => OK): Integration => {
      return (event) => {
        box.put(event as SeenEvent);
        return then(event);
      };
    };
    const routes = new Map(options.routes);
    for (const key of new Set(['$default', ...routes.keys()])) {
      if (!LIFECYCLE.includes(key)) routes.set(key, noted(boxes[1], routes.get(key)));
    }
    routes.set('$connect', noted(boxes[0], routes.get('$connect')));
    routes.set('$disconnect', noted(boxes[2], routes.get('$disconnect')));
    const { entry, without, ...rest } = options;
    for (const key of without ?? []) routes.delete(key);
    const api = new WebSocketApi({
      apiId: 'a1b2c3d4e5',
      stage: 'prod',
      region: 'eu-west-1',
      accountId: '123456788512',
      domainName: 'a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com',
      routeSelectionExpression: '$request.body.action',
      credentials: (id) => (id === ACCESS_KEY ? CREDENTIALS : undefined),
      ...rest,
      routes,
    });
    const server = createServer((req, res) => void api.handleHttp(req, res));
    server.on('upgrade', (req, socket, head) =>
      api.handleUpgrade(req, socket, head, { ...arrivalOf(req), ...entry }),
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const end = async () => {
      await api.closeAll();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    };
    return new TestGateway(api, (server.address() as AddressInfo).port, boxes, end);
  }

  constructor(
    api: WebSocketApi,
    port: number,
    boxes: readonly [Mailbox<SeenEvent>, Mailbox<SeenEvent>, Mailbox<SeenEvent>],
    end: () => Promise<void>,
  ) {
    this.api = api;
    this.port = port;
    [this.connects, this.messages, this.disconnects] = boxes;
    this.#end = end;
  }

  /** Opens a client; rejects with the response's status where the upgrade is refused. */
  async open(
    path = '/prod',
    protocols: string[] = [],
    headers: Record<string, string> = {},
  ): Promise<Client> {
    const ws = new WebSocket(`ws://127.0.0.1:${this.port}${path}`, protocols, {
      headers,
      perMessageDeflate: false,
    });
    const messages = new Mailbox<string>();
    ws.on('message', (data) => messages.put(data.toString()));
    const closed = new Promise<{ code: number; reason: string }>((resolve) => {
      ws.once('close', (code, reason) => resolve({ code, reason: reason.toString() }));
    });
    let upgradeHeaders: IncomingHttpHeaders = {};
    ws.once('upgrade', (response) => {
      upgradeHeaders = response.headers;
    });
    await once(ws, 'open');
    ws.on('error', () => {});
    return { ws, messages, closed, upgradeHeaders };
  }

  /** Tries an upgrade by hand and gives the HTTP answer. */
  upgrade(path = '/prod', headers: Record<string, string> = {}): Promise<HttpAnswer> {
    return this.http('GET', path, {
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Key': 'DM+9PqsQtaZrN+IMZbWTzg==',
      'Sec-WebSocket-Version': '13',
      ...headers,
    });
  }

  http(
    method: string,
    path: string,
    headers: Record<string, string> = {},
    body?: string | Buffer,
  ): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
      const call = request({
        host: '127.0.0.1',
        port: this.port,
        method,
        path,
        headers: { ...headers, ...length },
        agent: false,
      });
      call.on('error', reject);
      call.on('upgrade', (response, socket) => {
        socket.destroy();
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: '' });
      });
      call.on('response', (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8');
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text });
        });
      });
      call.end(body);
    });
  }

  /** The SDK's own client, pointed here. One try per call, so that an answer is seen as it is. */
  management(credentials = CREDENTIALS): ApiGatewayManagementApiClient {
    return new ApiGatewayManagementApiClient({
      endpoint: `http://127.0.0.1:${this.port}/prod`,
      region: 'eu-west-1',
      credentials,
      maxAttempts: 1,
    });
  }

  /** Headers of a request signed by the signer of the SDK, for a path the SDK itself would not send. */
  async sign(
    call: { readonly method: string; readonly path: string; readonly body?: string },
    at: { readonly now?: number; readonly service?: string; readonly region?: string } = {},
    credentials = CREDENTIALS,
  ): Promise<Record<string, string>> {
    const signer = await this.management(credentials).config.signer();
    const signed = await signer.sign(
      {
        method: call.method,
        protocol: 'http:',
        hostname: '127.0.0.1',
        port: this.port,
        path: call.path,
        query: {},
        headers: { host: `127.0.0.1:${this.port}` },
        body: call.body ?? '',
      } as Parameters<typeof signer.sign>[0],
      {
        signingDate: new Date(at.now ?? Date.now()),
        signingService: at.service ?? 'execute-api',
        signingRegion: at.region ?? 'eu-west-1',
      },
    );
    return signed.headers;
  }

  /** Signs and makes one call on a path below the stage. */
  async call(method: string, path: string, body?: string, now?: number): Promise<HttpAnswer> {
    const request = { method, path: `/prod${path}`, ...(body === undefined ? {} : { body }) };
    const headers = await this.sign(request, now === undefined ? {} : { now });
    return this.http(method, request.path, headers, body);
  }

  async stop(): Promise<void> {
    await this.#end();
  }
}

/** An integration that waits until the test lets it end. */
export function held(): { integration: Integration; release: (invocation?: Invocation) => void } {
  let release: (invocation?: Invocation) => void = () => {};
  const promise = new Promise<Invocation>((resolve) => {
    release = (invocation = OK) => resolve(invocation);
  });
  return { integration: () => promise, release };
}

export function answering(value: unknown): Integration {
  return async () => ({ kind: 'result', value });
}

/** The request of an upgrade, for clients that write their own bytes. */
export function rawUpgrade(path: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: DM+9PqsQtaZrN+IMZbWTzg==\r\nSec-WebSocket-Version: 13\r\n\r\n`;
}

/** A text frame with an all-zero mask. */
export function maskedText(text: string): Buffer {
  return Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]);
}
