/**
 * A deployed stack on a laptop (design D11): reads a synthesised assembly and runs what its template says, on one
 * port. Where a request goes is decided here; what happens to it is decided by the part it goes to.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { type Database, openDatabase } from './database.ts';
import type { DynamoDbFront, DynamoDbOptions } from './dynamodb/front.ts';
import { type GatewayClock, systemClock } from './gateway/clock.ts';
import { targetOf } from './gateway/handshake.ts';
import { type Integration, WebSocketApi, type WebSocketApiOptions } from './gateway/websocket-api.ts';
import { CredentialStore, type Credentials, LOCAL_CREDENTIALS, sessionArn } from './host/credentials.ts';
import { FunctionHost, type HostOptions } from './host/function-host.ts';
import type { Invocation, LogSink } from './host/invocation.ts';
import { within } from './host/within.ts';
import { AccessControl, type AuthorizedUse } from './iam/access-control.ts';
import { dynamoDbAdmission } from './iam/dynamodb-admission.ts';
import { InvokePermissions } from './iam/invoke-permissions.ts';
import { isAtHome, LocalPage } from './page/local-page.ts';
import { Port } from './port.ts';
import { type BusEvent, EventBridge } from './services/event-bridge.ts';
import { HttpApi } from './services/http-api.ts';
import { sendJson } from './services/http-message.ts';
import { LambdaApi } from './services/lambda-api.ts';
import { Schedule } from './services/schedule.ts';
import { ServiceEndpoint } from './services/service-endpoint.ts';
import { createTables } from './services/tables.ts';
import { readAssembly } from './template/assembly.ts';
import type { Deployment } from './template/deployment.ts';
import { readDeployment } from './template/deployment-reader.ts';

export interface StackOptions {
  /** Directory of the assembly (`cdk.out`); a promise lets the port be taken while it is still being synthesised. */
  readonly assembly: string | PromiseLike<string>;
  /** @default 0, any free one */
  readonly port?: number;
  /**
   * What the deployment would find in Secrets Manager (`JWT_SECRET`, `CLOUD_API_KEY`), and `WS_PATH`, the path of the front door
   * (default `/socket.io`), and `DYNAMODB_ENDPOINT`, a DynamoDB to use instead of the one inside.
   */
  readonly settings?: Readonly<Record<string, string>>;
  /** @default nobody listens */
  readonly log?: LogSink;
  /** Whether rules with a rate fire by themselves; `tick()` works either way. @default true */
  readonly schedule?: boolean;
  /** Whether one instance of each function is started in the background. @default true */
  readonly prewarm?: boolean;
  /** @default the machine's time */
  readonly clock?: GatewayClock;
  readonly host?: Partial<Omit<HostOptions, 'log' | 'credentials' | 'endpoint'>>;
  readonly gateway?: Partial<
    Pick<WebSocketApiOptions, 'admit' | 'postableDelayMs' | 'sendBufferBytes' | 'shuffle'>
  >;
  readonly dynamodb?: Pick<DynamoDbOptions, 'before'>;
  /** Told of everything that a policy allowed. @default nobody listens */
  readonly onAuthorized?: (use: AuthorizedUse) => void;
  /** Told of every event that EventBridge accepted, whether a rule wants it or not. @default nobody listens */
  readonly onEvent?: (event: BusEvent) => void;
  /** How long `close` waits for events that run or are to be retried; ms. @default 5000 */
  readonly drainMs?: number;
}

export interface LocalStack {
  readonly port: number;
  /** `http://localhost:{port}`: the front door and the HTTP API. */
  readonly origin: string;
  /** `http://127.0.0.1:{port}`, or what `DYNAMODB_ENDPOINT` says. */
  readonly dynamodbEndpoint: string;
  readonly deployment: Deployment;
  /** The DynamoDB inside; undefined where the settings name another one. */
  readonly dynamodb: DynamoDbFront | undefined;
  readonly webSocketApi: WebSocketApi | undefined;
  readonly functions: FunctionHost;
  /** Keys of the person at the laptop, always the same, with which routes that ask for IAM can be called. */
  readonly credentials: Credentials;
  /** Invokes a function and waits. @throws UnknownFunctionError */
  invoke(name: string, event: unknown): Promise<Invocation>;
  /** Fires every schedule now; resolves when the functions have handled it. */
  tick(): Promise<void>;
  /** Resolves when no event runs, waits or is to be retried, or after `timeoutMs` (default 5000). */
  settled(timeoutMs?: number): Promise<void>;
  /** Drains and ends everything; idempotent. */
  close(): Promise<void>;
}

const DRAIN_MS = 5_000;
/** How often expired items are deleted. AWS takes days: what relies on sooner is wrong, what relies on never too. */
const EXPIRY_INTERVAL_MS = 60_000;

/**
 * Starts the stack; when the promise resolves every route answers.
 *
 * @throws PortInUseError, TemplateError, TableError
 */
export async function startStack(options: StackOptions): Promise<LocalStack> {
  const port = new Port();
  await port.listen(options.port ?? 0);
  try {
    return await deploy(options, port);
  } catch (error) {
    await port.close();
    throw error;
  }
}

async function deploy(options: StackOptions, port: Port): Promise<LocalStack> {
  const place = { callbackOrigin: port.serviceOrigin, httpOrigin: port.origin };
  const deployment = readDeployment(await readAssembly(await options.assembly), place);
  const { region, accountId } = deployment;
  const credentials = new CredentialStore();
  const access = new AccessControl({
    deployment,
    credentials,
    clock: options.clock ?? systemClock,
    log: options.log ?? (() => {}),
    allowed: options.onAuthorized,
  });
  const database = openDatabase(options.settings?.DYNAMODB_ENDPOINT, dynamoDbAdmission(access, deployment), {
    ...options.dynamodb,
    region,
    accountId,
  });
  const [functions] = await Promise.all([
    FunctionHost.create(deployment, {
      ...options.host,
      log: options.log ?? (() => {}),
      credentials,
      endpoint: port.serviceOrigin,
    }),
    createTables(deployment.tables, database.call),
  ]);
  return new RunningStack({ options, port, deployment, credentials, access, database, functions });
}

interface Parts {
  readonly options: StackOptions;
  readonly port: Port;
  readonly deployment: Deployment;
  readonly credentials: CredentialStore;
  readonly access: AccessControl;
  readonly database: Database;
  readonly functions: FunctionHost;
}

class RunningStack implements LocalStack {
  readonly port: number;
  readonly origin: string;
  readonly dynamodbEndpoint: string;
  readonly deployment: Deployment;
  readonly dynamodb: DynamoDbFront | undefined;
  readonly webSocketApi: WebSocketApi | undefined;
  readonly functions: FunctionHost;
  readonly credentials: Credentials;
  readonly #parts: Parts;
  readonly #clock: GatewayClock;
  readonly #frontDoor: string;
  readonly #permissions: InvokePermissions;
  readonly #schedule: Schedule;
  readonly #httpApi: HttpApi | undefined;
  readonly #lambda: LambdaApi;
  readonly #services: ServiceEndpoint;
  readonly #page: LocalPage;
  #expiry: unknown;
  #closing: Promise<void> | undefined;

  constructor(parts: Parts) {
    const { options, port, deployment, access, database, functions } = parts;
    this.#parts = parts;
    this.#clock = options.clock ?? systemClock;
    this.#frontDoor = (options.settings?.WS_PATH ?? '/socket.io').replace(/\/$/, '');
    this.port = port.number;
    this.origin = port.origin;
    this.dynamodbEndpoint = database.endpoint ?? port.serviceOrigin;
    this.deployment = deployment;
    this.dynamodb = database.front;
    this.functions = functions;
    this.credentials = LOCAL_CREDENTIALS;
    this.#permissions = new InvokePermissions(deployment, options.log ?? (() => {}));
    this.webSocketApi = this.#createWebSocketApi();
    this.#httpApi = this.#createHttpApi();
    this.#schedule = this.#createSchedule();
    this.#lambda = new LambdaApi({ host: functions, access, ...this.#home() });
    this.#services = this.#createServices();
    this.#page = this.#createPage();
    this.#start();
  }

  invoke(name: string, event: unknown): Promise<Invocation> {
    return this.functions.invoke(name, event);
  }

  tick(): Promise<void> {
    return this.#schedule.tick();
  }

  settled(timeoutMs = DRAIN_MS): Promise<void> {
    return this.functions.drain(timeoutMs);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  #home(): { readonly region: string; readonly accountId: string } {
    return { region: this.deployment.region, accountId: this.deployment.accountId };
  }

  #createWebSocketApi(): WebSocketApi | undefined {
    const { deployment, options, credentials, access } = this.#parts;
    const definition = deployment.webSocketApi;
    if (definition === undefined) return undefined;
    const routes = [...definition.routes].map(([key, name]) => {
      const integration: Integration = async (event) =>
        this.#permissions.ofRoute(definition, key, name)
          ? this.functions.invoke(name, event)
          : { kind: 'forbidden' };
      return [key, integration] as const;
    });
    return new WebSocketApi({
      ...options.gateway,
      ...this.#home(),
      ...definition,
      domainName: new URL(this.origin).host,
      routes: new Map(routes),
      clock: this.#clock,
      credentials: (key) => {
        const found = credentials.credentials(key);
        const principal = credentials.principal(key);
        return found && principal && { ...found, principalArn: sessionArn(principal) };
      },
      authorize: ({ accessKeyId, resource }) =>
        access.denial(accessKeyId, [{ action: 'execute-api:ManageConnections', resource }]) === undefined,
    });
  }

  #createHttpApi(): HttpApi | undefined {
    const { deployment, credentials, access } = this.#parts;
    const { httpApi } = deployment;
    if (httpApi === undefined) return undefined;
    return new HttpApi({
      ...this.#home(),
      definition: httpApi,
      access,
      mayInvoke: ({ key, functionName }) => this.#permissions.ofRoute(httpApi, key, functionName),
      domainName: new URL(this.origin).host,
      credentials,
      clock: this.#clock,
      invoke: (name, event) => this.functions.invoke(name, event),
    });
  }

  #createSchedule(): Schedule {
    return new Schedule({
      ...this.#home(),
      schedules: this.#permissions.permitted(this.deployment.schedules),
      clock: this.#clock,
      invoke: (name, payload) => this.functions.invokeLater(name, payload).handled,
    });
  }

  #createEventBridge(): EventBridge {
    return new EventBridge({
      ...this.#home(),
      buses: this.deployment.eventBuses,
      rules: this.deployment.eventRules,
      clock: this.#clock,
      accepted: this.#parts.options.onEvent,
      mayInvoke: (ruleArn, name) => this.#permissions.ofRule(ruleArn, name),
      invoke: (name, payload) => this.functions.invokeLater(name, payload),
    });
  }

  #createServices(): ServiceEndpoint {
    const { options, database, access } = this.#parts;
    return new ServiceEndpoint({
      access,
      secrets: { settings: options.settings ?? {}, ...this.#home() },
      events: this.#createEventBridge(),
      dynamodb: database.handle,
    });
  }

  #createPage(): LocalPage {
    return new LocalPage({
      environment: this.deployment.functions.get('publish')?.environment ?? {},
      settings: this.#parts.options.settings ?? {},
      wsPath: this.#frontDoor,
      invoke: (name, event) => this.functions.invoke(name, event),
    });
  }

  #start(): void {
    const { options, port } = this.#parts;
    port.serve(
      (request, response) => this.#http(request, response),
      (request, socket, head) => this.#upgrade(request, socket, head),
    );
    if (options.prewarm !== false) void this.functions.prewarm(this.#byUrgency());
    if (options.schedule !== false) this.#schedule.start();
    this.#expireLater();
  }

  /** Functions behind the WebSocket API first: a client that connects at once waits for them. */
  #byUrgency(): string[] {
    const first = this.deployment.webSocketApi?.routes.values() ?? [];
    return [...new Set([...first, ...this.functions.names])];
  }

  #http(request: IncomingMessage, response: ServerResponse): void | Promise<void> {
    const { path } = targetOf(request.url ?? '/');
    const isService = ServiceEndpoint.owns(request, path) || LambdaApi.owns(path);
    if (isService && !isAtHome(request)) {
      request.resume();
      sendJson(response, 403, { message: 'only programs and the page of this stack may ask' });
      return;
    }
    if (ServiceEndpoint.owns(request, path)) return this.#services.handle(request, response);
    if (LambdaApi.owns(path)) return this.#lambda.handle(request, response, path);
    if (this.webSocketApi !== undefined && this.#isWebSocketPath(path)) {
      return this.webSocketApi.handleHttp(request, response);
    }
    if (LocalPage.owns(request, path)) return this.#page.handle(request, response);
    if (this.#httpApi !== undefined) return this.#httpApi.handle(request, response);
    request.resume();
    sendJson(response, 404, { message: 'Not Found' });
  }

  #isWebSocketPath(path: string): boolean {
    const stage = `/${this.deployment.webSocketApi?.stage ?? ''}`;
    if (path === stage || path === `${stage}/`) return true;
    return path.startsWith(stage) && /^\/(?:@|%40)connections(?:\/|$)/i.test(path.slice(stage.length));
  }

  /** The front door sends its one path to the stage; everything else is the WebSocket API's own URL or nothing. */
  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { path } = targetOf(request.url ?? '/');
    const atFrontDoor = path === this.#frontDoor || path === `${this.#frontDoor}/`;
    const stage = this.deployment.webSocketApi?.stage;
    if (this.webSocketApi === undefined) socket.end('HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n');
    else if (atFrontDoor) this.webSocketApi.handleUpgrade(request, socket, head, { path: `/${stage}` });
    else this.webSocketApi.handleUpgrade(request, socket, head);
  }

  #expireLater(): void {
    this.#expiry = this.#clock.setTimeout(() => {
      if (this.#closing !== undefined) return;
      void this.dynamodb?.expireItems(this.#clock.now());
      this.#expireLater();
    }, EXPIRY_INTERVAL_MS);
  }

  /** Functions call back over our own port, so it closes after them. */
  async #close(): Promise<void> {
    const { options, port, database } = this.#parts;
    const deadline = Date.now() + (options.drainMs ?? DRAIN_MS);
    const leftMs = () => Math.max(0, deadline - Date.now());
    this.#schedule.stop();
    this.#clock.clearTimeout(this.#expiry);
    const disconnected = this.webSocketApi?.closeAll() ?? Promise.resolve();
    await within(disconnected, leftMs());
    await this.functions.drain(leftMs());
    await this.functions.close();
    await disconnected;
    await port.close();
    await database.close();
  }
}
