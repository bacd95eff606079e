/**
 * A deployed stack on a laptop (design D11): reads a synthesised assembly and runs what its template says, on one
 * port. Where a request goes is decided here; what happens to it is decided by the part it goes to.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { StackClock } from './clock.ts';
import { type Database, openDatabase } from './database.ts';
import type { DynamoDbFront, DynamoDbOptions } from './dynamodb/front.ts';
import type { FaultControl } from './faults/engine.ts';
import { Misfortune } from './faults/misfortune.ts';
import type { FaultRules } from './faults/rules.ts';
import { FrontDoor } from './front-door/front-door.ts';
import { type Arrival, arrivalOf } from './gateway/arrival.ts';
import { targetOf } from './gateway/handshake.ts';
import { type Integration, WebSocketApi, type WebSocketApiOptions } from './gateway/websocket-api.ts';
import { CredentialStore, type Credentials, LOCAL_CREDENTIALS, sessionArn } from './host/credentials.ts';
import { FunctionHost, type HostOptions } from './host/function-host.ts';
import type { Invocation, LogSink } from './host/invocation.ts';
import { within } from './host/within.ts';
import { AccessControl, type AuthorizedUse } from './iam/access-control.ts';
import { dynamoDbAdmission } from './iam/dynamodb-admission.ts';
import { InvokeDeniedError, InvokePermissions } from './iam/invoke-permissions.ts';
import { mayUseQueue } from './iam/queue-access.ts';
import { isAtHome, LocalPage } from './page/local-page.ts';
import { Port } from './port.ts';
import { quiet, type Worker } from './quiet.ts';
import type { QuotaSettings } from './quotas/quotas.ts';
import { type BusEvent, EventBridge } from './services/event-bridge.ts';
import { HttpApi } from './services/http-api.ts';
import { sendJson } from './services/http-message.ts';
import { LambdaApi } from './services/lambda-api.ts';
import { RuleDelivery } from './services/rule-delivery.ts';
import { Schedule } from './services/schedule.ts';
import { ServiceEndpoint } from './services/service-endpoint.ts';
import { type QueueCall, Sqs } from './services/sqs.ts';
import { createTables } from './services/tables.ts';
import { readAssembly } from './template/assembly.ts';
import type { Deployment } from './template/deployment.ts';
import { readDeployment } from './template/deployment-reader.ts';

export interface StackOptions {
  /** Directory of the assembly (`cdk.out`); a promise lets the port be taken while it is still being synthesised. */
  readonly assembly: string | PromiseLike<string>;
  /** Which stack of the assembly. @default the only one */
  readonly stackName?: string | undefined;
  /** Whether resources that do not run here are left out instead of refused. @default false */
  readonly leaveOut?: boolean;
  /** @default 0, any free one */
  readonly port?: number;
  /**
   * What the deployment would find in Secrets Manager (`JWT_SECRET`, `CLOUD_API_KEY`), and `DYNAMODB_ENDPOINT`, a DynamoDB to use instead of the one inside.
   */
  readonly settings?: Readonly<Record<string, string>>;
  /** @default nobody listens */
  readonly log?: LogSink;
  /** Whether rules with a rate fire by themselves; `tick()` works either way. @default true */
  readonly schedule?: boolean;
  /** Whether one instance of each function is started in the background. @default true */
  readonly prewarm?: boolean;
  /** One that somebody else reads as well, for example what shuffles messages. @default its own */
  readonly clock?: StackClock;
  readonly host?: Partial<Omit<HostOptions, 'log' | 'credentials' | 'endpoint' | 'clock' | 'send'>>;
  /** Whether a call on a queue is allowed. @default by the policies of who calls */
  readonly authorizeQueue?: (call: QueueCall) => boolean;
  readonly gateway?: Partial<Pick<WebSocketApiOptions, 'postableDelayMs' | 'sendBufferBytes' | 'shuffle'>>;
  /** What the account may do. @default what a new AWS account may */
  readonly quotas?: QuotaSettings;
  /** What goes wrong on purpose, see docs/faults.md. @default nothing */
  readonly faults?: FaultRules;
  /** Decides when. @default a random one */
  readonly seed?: number | string;
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
  readonly queues: Sqs;
  /** The time of everything here, functions included: the machine's until `advance` is called. */
  readonly clock: StackClock;
  /** What goes wrong on purpose, to change and to count while the stack runs. */
  readonly faults: FaultControl;
  /** Keys of the person at the laptop, always the same, with which routes that ask for IAM can be called. */
  readonly credentials: Credentials;
  /** Invokes a function and waits. @throws UnknownFunctionError */
  invoke(name: string, event: unknown): Promise<Invocation>;
  /** Fires every schedule now; resolves when the functions were tried once. */
  tick(): Promise<void>;
  /**
   * Moves the time forward by `ms`, from due timer to due timer: limits of connections, schedules, retries, expiry.
   * Before the first and after each, everything that runs comes to its end. Timers of clients and inside functions are
   * real: a test that needs them to act waits for them in `between`. A function that waits for the time itself never
   * ends that way; `clock.advance` moves on whatever runs.
   *
   * @throws NotQuietError when a step is not over after `quietMs` of real time (default 5000)
   */
  advance(ms: number, options?: AdvanceOptions): Promise<void>;
  /**
   * Resolves when the gateway has handed on what it received and no event runs, waits or is to be retried within
   * `timeoutMs` (default 5000), or after that time.
   */
  settled(timeoutMs?: number): Promise<void>;
  /** Drains and ends everything; idempotent. */
  close(): Promise<void>;
}

export interface AdvanceOptions {
  /** Awaited after each step. */
  readonly between?: () => Promise<void>;
  readonly quietMs?: number;
}

const DRAIN_MS = 5_000;
const QUIET_MS = 5_000;
/** How often expired items are deleted. AWS takes days: what relies on sooner is wrong, what relies on never too. */
const EXPIRY_INTERVAL_MS = 60_000;

/**
 * Starts the stack; when the promise resolves every route answers.
 *
 * @throws PortInUseError, TemplateError, TableError, FaultRulesError
 */
export async function startStack(options: StackOptions): Promise<LocalStack> {
  const clock = options.clock ?? new StackClock();
  const port = new Port(() => clock.now());
  await port.listen(options.port ?? 0);
  try {
    return await deploy(options, port, clock);
  } catch (error) {
    await port.close();
    throw error;
  }
}

async function deploy(options: StackOptions, port: Port, clock: StackClock): Promise<LocalStack> {
  const { stackName, leaveOut = false } = options;
  const place = { callbackOrigin: port.serviceOrigin, httpOrigin: port.origin, leaveOut };
  const deployment = readDeployment(await readAssembly(await options.assembly, stackName), place);
  const { region, accountId } = deployment;
  const credentials = new CredentialStore();
  const access = new AccessControl({
    deployment,
    credentials,
    clock,
    log: options.log ?? (() => {}),
    allowed: options.onAuthorized,
  });
  const misfortune: Misfortune = new Misfortune({
    faults: options.faults,
    seed: options.seed,
    quotas: options.quotas,
    functions: deployment.functions,
    clock,
    log: options.log ?? (() => {}),
    principal: (accessKeyId) => credentials.principal(accessKeyId),
    kill: (instance) => functions.kill(instance),
  });
  const database = openDatabase(options.settings?.DYNAMODB_ENDPOINT, dynamoDbAdmission(access, deployment), {
    ...options.dynamodb,
    region,
    accountId,
    now: () => clock.now(),
    quotas: misfortune.quotas,
    around: misfortune.dynamodb,
  });
  const authorize = options.authorizeQueue ?? ((call: QueueCall) => mayUseQueue(access, call));
  const queues = new Sqs({ queues: deployment.queues, clock, authorize });
  const [functions]: [FunctionHost, unknown] = await Promise.all([
    FunctionHost.create(deployment, {
      asyncDelivery: (name) => misfortune.delivery(name),
      ...options.host,
      log: options.log ?? (() => {}),
      credentials,
      endpoint: port.serviceOrigin,
      clock,
      send: (message, arn) => queues.deliver(message, { kind: 'role', arn }),
    }),
    createTables(deployment.tables, database.call),
  ]);
  return new RunningStack({
    options,
    port,
    clock,
    deployment,
    credentials,
    access,
    database,
    queues,
    functions,
    misfortune,
  });
}

interface Parts {
  readonly options: StackOptions;
  readonly port: Port;
  readonly clock: StackClock;
  readonly deployment: Deployment;
  readonly credentials: CredentialStore;
  readonly access: AccessControl;
  readonly database: Database;
  readonly queues: Sqs;
  readonly functions: FunctionHost;
  readonly misfortune: Misfortune;
}

class RunningStack implements LocalStack {
  readonly port: number;
  readonly origin: string;
  readonly dynamodbEndpoint: string;
  readonly deployment: Deployment;
  readonly dynamodb: DynamoDbFront | undefined;
  readonly webSocketApi: WebSocketApi | undefined;
  readonly functions: FunctionHost;
  readonly queues: Sqs;
  readonly clock: StackClock;
  readonly faults: FaultControl;
  readonly credentials: Credentials;
  readonly #parts: Parts;
  readonly #frontDoor: FrontDoor | undefined;
  readonly #permissions: InvokePermissions;
  readonly #delivery: RuleDelivery;
  readonly #schedule: Schedule;
  readonly #httpApi: HttpApi | undefined;
  readonly #lambda: LambdaApi;
  readonly #services: ServiceEndpoint;
  readonly #page: LocalPage;
  #expiry: unknown;
  #closing: Promise<void> | undefined;

  constructor(parts: Parts) {
    const { options, port, deployment, access, database, misfortune } = parts;
    this.#parts = parts;
    this.clock = parts.clock;
    this.#frontDoor = deployment.frontDoor && new FrontDoor(deployment.frontDoor, options.log ?? (() => {}));
    this.port = port.number;
    this.origin = port.origin;
    this.dynamodbEndpoint = database.endpoint ?? port.serviceOrigin;
    this.deployment = deployment;
    this.dynamodb = database.front;
    this.functions = parts.functions;
    this.queues = parts.queues;
    this.faults = misfortune.control;
    misfortune.onQuotas = (quotas) => database.front?.replaceQuotas(quotas);
    this.credentials = LOCAL_CREDENTIALS;
    this.#permissions = new InvokePermissions(deployment, options.log ?? (() => {}));
    this.webSocketApi = this.#createWebSocketApi();
    this.#httpApi = this.#createHttpApi();
    this.#delivery = this.#createDelivery();
    this.#schedule = this.#createSchedule();
    this.#lambda = new LambdaApi({
      host: this.functions,
      access,
      decide: (caller) => misfortune.decide('lambda.Invoke', caller),
      clock: this.clock,
      ...this.#home(),
    });
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

  advance(ms: number, { between, quietMs = QUIET_MS }: AdvanceOptions = {}): Promise<void> {
    const workers: Worker[] = [this.functions];
    if (this.webSocketApi !== undefined) workers.push(this.webSocketApi);
    return this.clock.advance(ms, async () => {
      await quiet(workers, quietMs);
      await between?.();
    });
  }

  async settled(timeoutMs = DRAIN_MS): Promise<void> {
    const endsMs = performance.now() + timeoutMs;
    await within(this.webSocketApi?.settled() ?? Promise.resolve(), timeoutMs);
    await this.functions.drain(Math.max(0, endsMs - performance.now()));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  #home(): { readonly region: string; readonly accountId: string } {
    return { region: this.deployment.region, accountId: this.deployment.accountId };
  }

  #createWebSocketApi(): WebSocketApi | undefined {
    const { deployment, options, credentials, access, misfortune } = this.#parts;
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
      shuffle: (connectionId, start) => misfortune.shuffle(connectionId, start),
      ...options.gateway,
      admit: misfortune.admission(definition.throttling),
      faults: misfortune.gateway,
      ...this.#home(),
      ...definition,
      domainName: new URL(this.origin).host,
      routes: new Map(routes),
      clock: this.clock,
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
    const { deployment, credentials, access, misfortune } = this.#parts;
    const { httpApi } = deployment;
    if (httpApi === undefined) return undefined;
    return new HttpApi({
      ...this.#home(),
      definition: httpApi,
      access,
      mayInvoke: ({ key, functionName }) => this.#permissions.ofRoute(httpApi, key, functionName),
      domainName: new URL(this.origin).host,
      credentials,
      admit: misfortune.httpAdmission(httpApi.throttling),
      clock: this.clock,
      invoke: (name, event) => this.functions.invoke(name, event),
    });
  }

  #createDelivery(): RuleDelivery {
    return new RuleDelivery({
      clock: this.clock,
      invoke: (name, payload, ruleArn) => {
        if (!this.#permissions.ofRule(ruleArn, name)) throw new InvokeDeniedError(name);
        return this.functions.invokeLater(name, payload);
      },
      send: (message, sourceArn) =>
        this.queues.deliver(message, { kind: 'service', service: 'events.amazonaws.com', sourceArn }),
    });
  }

  #createSchedule(): Schedule {
    return new Schedule({
      ...this.#home(),
      schedules: this.#permissions.permitted(this.deployment.schedules),
      clock: this.clock,
      delivery: this.#delivery,
    });
  }

  #createEventBridge(): EventBridge {
    return new EventBridge({
      ...this.#home(),
      buses: this.deployment.eventBuses,
      rules: this.deployment.eventRules,
      clock: this.clock,
      accepted: this.#parts.options.onEvent,
      delivery: this.#delivery,
    });
  }

  #createServices(): ServiceEndpoint {
    const { options, database, access, misfortune } = this.#parts;
    return new ServiceEndpoint({
      access,
      secrets: { settings: options.settings ?? {}, ...this.#home(), now: () => this.clock.now() },
      events: this.#createEventBridge(),
      queues: this.queues,
      dynamodb: database.handle,
      decide: (callType, caller) => misfortune.decide(callType, caller),
      clock: this.clock,
    });
  }

  #createPage(): LocalPage {
    const { functions, frontDoor, webSocketApi } = this.deployment;
    const environment = functions.get('publish')?.environment ?? {};
    return new LocalPage({
      environment,
      wsPath: frontDoor === undefined ? `/${webSocketApi?.stage}` : (environment.WS_PATH ?? '/socket.io'),
      settings: this.#parts.options.settings ?? {},
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
    // A signature is for the API's own host, which the front door replaces.
    if (this.#frontDoor === undefined || isSigned(request)) return this.#pass(request, response, 'HTTP');
    const passage = this.#frontDoor.enter(request.method ?? 'GET', arrivalOf(request));
    if (passage.kind === 'origin') return this.#pass(request, response, passage.api, passage.arrival);
    request.resume();
    const { status, headers, body } = passage.response;
    response.writeHead(status, { ...headers, 'content-length': body.length });
    response.end(request.method === 'HEAD' ? undefined : body);
  }

  #pass(
    request: IncomingMessage,
    response: ServerResponse,
    api: 'HTTP' | 'WEBSOCKET',
    arrival?: Arrival,
  ): void | Promise<void> {
    if (api === 'WEBSOCKET') return this.webSocketApi?.handleHttp(request, response, arrival);
    if (this.#httpApi !== undefined) return this.#httpApi.handle(request, response, arrival);
    request.resume();
    sendJson(response, 404, { message: 'Not Found' });
  }

  #isWebSocketPath(path: string): boolean {
    const stage = `/${this.deployment.webSocketApi?.stage ?? ''}`;
    if (path === stage || path.startsWith(`${stage}/`)) return true;
    // Of another stage, or of none: the API says that it is forbidden.
    return /^(?:\/[^/]+)?\/(?:@|%40)connections(?:\/|$)/i.test(path);
  }

  /** An upgrade is for the WebSocket API, whose own URL is its stage; what the front door sends elsewhere is refused. */
  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const passage = this.#frontDoor?.enter(request.method ?? 'GET', arrivalOf(request));
    if (this.webSocketApi === undefined) socket.end('HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n');
    else if (passage?.kind === 'origin' && passage.api === 'WEBSOCKET') {
      this.webSocketApi.handleUpgrade(request, socket, head, passage.arrival);
    } else this.webSocketApi.handleUpgrade(request, socket, head);
  }

  #expireLater(): void {
    this.#expiry = this.clock.setTimeout(() => {
      if (this.#closing !== undefined) return;
      void this.dynamodb?.expireItems(this.clock.now());
      this.#expireLater();
    }, EXPIRY_INTERVAL_MS);
  }

  /** Functions call back over our own port, so it closes after them. */
  async #close(): Promise<void> {
    const { options, port, database } = this.#parts;
    const deadline = Date.now() + (options.drainMs ?? DRAIN_MS);
    const leftMs = () => Math.max(0, deadline - Date.now());
    this.#schedule.stop();
    this.#delivery.close();
    this.queues.close();
    this.clock.clearTimeout(this.#expiry);
    const disconnected = this.webSocketApi?.closeAll() ?? Promise.resolve();
    await within(disconnected, leftMs());
    await this.functions.drain(leftMs());
    await this.functions.close();
    await disconnected;
    await port.close();
    await database.close();
  }
}

/** As Signature Version 4 says it, in a header or in the query. */
function isSigned({ headers, url = '' }: IncomingMessage): boolean {
  return headers.authorization?.startsWith('AWS4-') === true || url.includes('X-Amz-Signature=');
}
