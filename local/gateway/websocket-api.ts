import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { type Arrival, arrivalOf, headerValues } from './arrival.ts';
import { type GatewayClock, systemClock } from './clock.ts';
import { type Closing, Connection, MAX_MESSAGE_BYTES } from './connection.ts';
import {
  type ConnectionContext,
  connectEvent,
  disconnectEvent,
  type GatewayEvent,
  type Identity,
  messageEvent,
  type Occurrence,
} from './event.ts';
import { type GatewayFaults, NO_GATEWAY_FAULTS } from './gateway-faults.ts';
import { grantedHeaders, refuseUpgrade, upgradeFault } from './handshake.ts';
import { Identifiers } from './identifiers.ts';
import {
  type Integration,
  type Invocation,
  invoke,
  type ProxyResult,
  parseProxyResult,
} from './integration.ts';
import { ManagementApi, type ManagementCall, writeAnswer } from './management-api.ts';
import { FORBIDDEN, type Refusal, TOO_MANY_REQUESTS, UPGRADE_REQUIRED } from './refusal.ts';
import { chooseRoute, compileRouteSelection, type RouteSelector } from './route-selection.ts';
import { type CredentialLookup, SignatureVerifier } from './signature.ts';

export type { Integration, Invocation } from './integration.ts';

export interface WebSocketApiOptions {
  readonly apiId: string;
  readonly stage: string;
  readonly region: string;
  readonly accountId: string;
  /** Shown as `domainName` and `Host` in events. */
  readonly domainName: string;
  readonly routeSelectionExpression: string;
  /** By route key: `$connect`, `$disconnect`, `$default` or a custom one. */
  readonly routes: ReadonlyMap<string, Integration>;
  /** Keys that `$connect` takes, in the header `x-api-key`. @default it wants none */
  readonly apiKeys?: readonly { readonly id: string; readonly value: string }[] | undefined;
  /** Keys of two-way routes: the `body` a function returns there is sent to the client. @default none */
  readonly routeResponses?: ReadonlySet<string>;
  /** @default the machine's time */
  readonly clock?: GatewayClock;
  /** Secrets of access keys, to verify signatures with. @default signatures are checked in form, not in value */
  readonly credentials?: CredentialLookup;
  /** Whether the caller's policies allow a call on `@connections`. @default everything is allowed */
  readonly authorize?: (call: ManagementCall) => boolean;
  /**
   * Whether the account's quota and the throttle of the route, where there is one, have room for one more of these; a
   * refusal is answered as a throttle. @default always
   */
  readonly admit?: (what: 'connection' | 'message' | 'callback', routeKey?: string) => boolean;
  /** What goes wrong on purpose. @default nothing */
  readonly faults?: GatewayFaults;
  /** How long after the 101 a connection still answers 410; milliseconds. @default 0 */
  readonly postableDelayMs?: number;
  /** Bytes a client may leave unread before posts to it answer 429. @default 1 MiB; AWS documents no number */
  readonly sendBufferBytes?: number;
  /** Through which the message invocations of a connection are started, in any order. @default at once */
  readonly shuffle?: (connectionId: string, start: () => void) => void;
}

/** A connection as tests see it. */
export interface ConnectionView {
  readonly id: string;
  /** Milliseconds since the 101. */
  readonly ageMs: number;
  /** Milliseconds since the last message in either direction. */
  readonly idleMs: number;
}

/** How long `ws` waits for a client's close frame before it drops the connection; real time, whatever the clock says. */
const CLOSE_GRACE_MS = 2_000;
const SEND_BUFFER_BYTES = 1_048_576;

/** Messages of error frames, verbatim. The last is not documented for messages; it is what handshakes are told. */
const FORBIDDEN_FRAME = 'Forbidden';
const FAILURE_FRAMES = {
  error: 'Internal server error',
  timeout: 'Endpoint request timed out',
  throttled: 'Too Many Requests',
  forbidden: 'Internal server error',
} as const;

/** What a client whose `$connect` failed is told; 500 for the last two is remembered, not documented. */
const FAILURE_STATUSES = { error: 502, timeout: 504, throttled: 500, forbidden: 500 } as const;

/**
 * API Gateway's WebSocket API on one machine: transport and routing. Functions are given as callables; which port
 * it is served on, and behind which front door, is the caller's affair.
 *
 * permessage-deflate is not negotiated, though AWS does: whether its size limits apply before or after inflation is not
 * known, and a client that offers it must do without it anyway (RFC 7692 §5).
 */
export class WebSocketApi {
  readonly #options: WebSocketApiOptions;
  readonly #clock: GatewayClock;
  readonly #identifiers: Identifiers;
  readonly #select: RouteSelector;
  readonly #server: WebSocketServer;
  readonly #management: ManagementApi;
  readonly #connections = new Map<string, Connection>();
  readonly #granted = new WeakMap<IncomingMessage, readonly string[]>();
  readonly #pending = new Set<Duplex>();
  readonly #lingering = new Set<Promise<unknown>>();
  readonly #working = new Set<Promise<unknown>>();
  readonly #faults: GatewayFaults;
  /** What starts each `$disconnect` that is late, by its timer. */
  readonly #late = new Map<unknown, () => void>();
  #stopped = false;

  constructor(options: WebSocketApiOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#faults = options.faults ?? NO_GATEWAY_FAULTS;
    this.#identifiers = new Identifiers(options.apiId, options.region, this.#clock);
    this.#select = compileRouteSelection(options.routeSelectionExpression);
    this.#server = this.#createServer();
    this.#management = this.#createManagementApi();
  }

  /**
   * Takes an HTTP upgrade: 403 outside the stage, else `$connect` decides. The 101 is written when it has answered 2xx;
   * its other statuses are passed on without their body.
   *
   * @param arrival the request as the front door passed it on
   */
  handleUpgrade(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    arrival: Arrival = arrivalOf(request),
  ): void {
    // A client that leaves before the 101 is nobody's error, but unheard it would end the process.
    socket.on('error', ignore);
    this.#pending.add(socket);
    socket.once('close', () => this.#pending.delete(socket));
    const fault = this.#entryFault(request, arrival);
    if (fault === undefined) this.#work(this.#connect(request, socket, head, arrival));
    else this.#refuse(socket, fault);
  }

  /** Answers plain HTTP: `@connections`, 426 for a GET of the stage, 403 for everything else. */
  async handleHttp(
    request: IncomingMessage,
    response: ServerResponse,
    { path, query }: Arrival = arrivalOf(request),
  ): Promise<void> {
    const stage = `/${this.#options.stage}`;
    const callback = path.startsWith(`${stage}/`)
      ? /^\/(?:@|%40)connections\/(.+)$/i.exec(path.slice(stage.length))
      : null;
    if (callback?.[1] !== undefined) {
      await this.#management.handle(request, response, path, query, callback[1]);
      return;
    }
    const onStage = path === stage || path.startsWith(`${stage}/`);
    const answer = request.method === 'GET' && onStage ? UPGRADE_REQUIRED : FORBIDDEN;
    request.resume();
    writeAnswer(response, answer, this.#identifiers.request(), this.#clock.now());
  }

  /** The open connections. */
  *connections(): IterableIterator<ConnectionView> {
    const now = this.#clock.now();
    for (const [id, connection] of this.#connections) {
      yield { id, ageMs: now - connection.openedAt, idleMs: now - connection.lastActiveAt };
    }
  }

  /** Handshakes, messages and farewells that were taken and have not ended yet, as a text. */
  busy(): readonly string[] {
    return this.#working.size === 0 ? [] : [`gateway (${this.#working.size})`];
  }

  /** Resolves when they have ended. */
  async settled(): Promise<void> {
    await Promise.all(this.#working);
  }

  /** Closes every connection at once, as API Gateway does with those that have had their two hours. */
  cut(): void {
    for (const connection of this.#connections.values()) connection.goAway();
  }

  /**
   * Ends the gateway: no upgrades any more, every connection closed with 1001. Resolves when the `$disconnect`
   * invocations, each at most 29 s long, have ended and the TCP connections are gone.
   */
  async closeAll(): Promise<void> {
    this.#stopped = true;
    this.cut();
    for (const socket of this.#pending) socket.destroy();
    for (const [timer, start] of this.#late) {
      this.#clock.clearTimeout(timer);
      start();
    }
    while (this.#lingering.size > 0) await Promise.allSettled(this.#lingering);
  }

  #createServer(): WebSocketServer {
    const options = {
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: MAX_MESSAGE_BYTES,
      closeTimeout: CLOSE_GRACE_MS,
    };
    const server = new WebSocketServer(options);
    server.on('headers', (lines, request) => lines.push(...(this.#granted.get(request) ?? [])));
    return server;
  }

  #createManagementApi(): ManagementApi {
    const { apiId, stage, region, accountId, authorize, admit, credentials } = this.#options;
    return new ManagementApi({
      apiId,
      stage,
      region,
      accountId,
      clock: this.#clock,
      identifiers: this.#identifiers,
      verifier: new SignatureVerifier(region, this.#clock, credentials),
      connections: this.#connections,
      authorize: authorize ?? (() => true),
      admit: () => admit?.('callback') ?? true,
      faults: this.#faults,
      postableDelayMs: this.#options.postableDelayMs ?? 0,
      sendBufferBytes: this.#options.sendBufferBytes ?? SEND_BUFFER_BYTES,
    });
  }

  #entryFault(request: IncomingMessage, arrival: Arrival): Refusal | undefined {
    const { admit, apiKeys, stage } = this.#options;
    const fault = upgradeFault(request, arrival.path, stage);
    if (fault !== undefined) return fault;
    if (admit?.('connection', '$connect') === false) return TOO_MANY_REQUESTS;
    return apiKeys !== undefined && this.#keyOf(arrival) === undefined ? FORBIDDEN : undefined;
  }

  #keyOf(arrival: Arrival) {
    const [shown] = headerValues(arrival, 'x-api-key');
    return this.#options.apiKeys?.find(({ value }) => value === shown);
  }

  async #connect(request: IncomingMessage, socket: Duplex, head: Buffer, arrival: Arrival): Promise<void> {
    const context = this.#contextOf(arrival);
    const occurrence = this.#occurrence();
    const connect = this.#options.routes.get('$connect');
    const answer =
      connect === undefined
        ? { statusCode: 200, headers: [], body: undefined }
        : settled(await invoke(connect, connectEvent(context, occurrence, arrival), this.#clock));
    if (typeof answer === 'string') {
      const body = errorFrame(FAILURE_FRAMES[answer], context.connectionId, occurrence.requestId);
      this.#refuse(socket, { status: FAILURE_STATUSES[answer], body });
    } else if (answer.statusCode > 299) {
      this.#refuse(socket, { status: answer.statusCode, body: '' });
    } else {
      this.#open(context, request, socket, head, answer);
    }
  }

  /**
   * Sends the 101. For a client that has gone meanwhile `ws` drops the socket: it was never connected, so there is no
   * `$disconnect` for it either, and what `$connect` wrote is left to the application's own clean-up.
   */
  #open(
    context: ConnectionContext,
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    answer: ProxyResult,
  ): void {
    if (this.#stopped) {
      socket.destroy();
      return;
    }
    this.#pending.delete(socket);
    this.#granted.set(request, grantedHeaders(answer.headers));
    // The subprotocol comes from the function alone; `ws` would choose the first one that was offered.
    delete request.headers['sec-websocket-protocol'];
    this.#server.handleUpgrade(request, socket, head, (ws) => this.#adopt(context, ws, socket));
  }

  #adopt(context: ConnectionContext, ws: WebSocket, socket: Duplex): void {
    const { connectionId } = context;
    const events = {
      message: (body: string) => this.#route(connection, body),
      closed: (closing: Closing) => this.#disconnect(connection, closing),
    };
    const fate = this.#faults.connection();
    const connection: Connection = new Connection(context, ws, socket, this.#clock, events, fate);
    this.#connections.set(connectionId, connection);
    this.#linger(connection.finished);
  }

  #route(connection: Connection, body: string): void {
    const { routes, shuffle } = this.#options;
    const occurrence = this.#occurrence();
    const routeKey = chooseRoute(this.#select(body), routes);
    if (this.#options.admit?.('message', routeKey) === false) {
      this.#sendError(connection, FAILURE_FRAMES.throttled, occurrence);
      return;
    }
    const integration = routeKey === undefined ? undefined : routes.get(routeKey);
    if (routeKey === undefined || integration === undefined) {
      this.#sendError(connection, FORBIDDEN_FRAME, occurrence);
      return;
    }
    const messageId = this.#identifiers.connection();
    const event = messageEvent(connection.context, occurrence, { routeKey, messageId, body });
    const deliver = () => this.#deliver(connection, routeKey, integration, event, occurrence);
    if (shuffle === undefined) this.#work(deliver());
    else {
      const { connectionId } = connection.context;
      this.#work(new Promise((resolve) => shuffle(connectionId, () => resolve(deliver()))));
    }
  }

  /** Messages of one connection run at the same time: nothing here waits for the previous one. */
  async #deliver(
    connection: Connection,
    routeKey: string,
    integration: Integration,
    event: GatewayEvent,
    occurrence: Occurrence,
  ): Promise<void> {
    const answer = settled(await invoke(integration, event, this.#clock));
    if (typeof answer === 'string') {
      this.#sendError(connection, FAILURE_FRAMES[answer], occurrence);
    } else if (answer.body !== undefined && this.#options.routeResponses?.has(routeKey)) {
      this.#reply(connection, answer.body, occurrence);
    }
  }

  #reply(connection: Connection, body: string, occurrence: Occurrence): void {
    if (Buffer.byteLength(body) <= MAX_MESSAGE_BYTES) connection.send(body);
    else this.#sendError(connection, FAILURE_FRAMES.error, occurrence);
  }

  /** Error frames go to the client on one-way routes too; the connection stays open. */
  #sendError(connection: Connection, message: string, occurrence: Occurrence): void {
    connection.send(errorFrame(message, connection.context.connectionId, occurrence.requestId));
  }

  /** May run beside the connection's last messages, as on AWS. What the function answers is ignored. */
  #disconnect(connection: Connection, closing: Closing): void {
    this.#connections.delete(connection.context.connectionId);
    const integration = this.#options.routes.get('$disconnect');
    if (integration === undefined) return;
    for (const delayMs of this.#faults.disconnect()) {
      const start = () => {
        const event = disconnectEvent(connection.context, this.#occurrence(), closing);
        const told = invoke(integration, event, this.#clock);
        this.#linger(told);
        this.#work(told);
      };
      if (delayMs > 0 && !this.#stopped) this.#startLate(start, delayMs);
      else start();
    }
  }

  #startLate(start: () => void, delayMs: number): void {
    const run = (): void => {
      this.#late.delete(timer);
      start();
    };
    const timer = this.#clock.setTimeout(run, delayMs);
    this.#late.set(timer, run);
  }

  #contextOf(arrival: Arrival): ConnectionContext {
    const { stage, domainName, apiId } = this.#options;
    const { sourceIp } = arrival;
    const [userAgent] = headerValues(arrival, 'user-agent');
    const key = this.#keyOf(arrival);
    const identity: Identity = {
      ...(userAgent === undefined ? {} : { userAgent }),
      sourceIp,
      ...(key === undefined ? {} : { apiKey: key.value, apiKeyId: key.id }),
    };
    const connectionId = this.#identifiers.connection();
    return { connectionId, connectedAt: this.#clock.now(), identity, stage, domainName, apiId };
  }

  #occurrence(): Occurrence {
    return { requestId: this.#identifiers.request(), at: this.#clock.now() };
  }

  #refuse(socket: Duplex, answer: { status: number; type?: string; body: string }): void {
    refuseUpgrade(socket, answer, this.#identifiers.request(), this.#clock.now());
  }

  #work(work: Promise<unknown>): void {
    this.#working.add(work);
    void work.finally(() => this.#working.delete(work));
  }

  #linger(work: Promise<unknown>): void {
    this.#lingering.add(work);
    void work.finally(() => this.#lingering.delete(work));
  }
}

/** The proxy result of an invocation, or how it failed; a malformed result is a failure of the function. */
function settled(invocation: Invocation): ProxyResult | keyof typeof FAILURE_FRAMES {
  if (invocation.kind !== 'result') return invocation.kind;
  return parseProxyResult(invocation.value) ?? 'error';
}

/** The gateway's own frame, with AWS's spacing: after the first colon and after commas only (captured by many). */
function errorFrame(message: string, connectionId: string, requestId: string): string {
  return `{"message": "${message}", "connectionId":"${connectionId}", "requestId":"${requestId}"}`;
}

function ignore(): void {}
