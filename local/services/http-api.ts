/** API Gateway's HTTP API on one machine: routes, Lambda proxy integrations and IAM authorisation. */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { type Arrival, arrivalOf } from '../gateway/arrival.ts';
import { type GatewayClock, systemClock } from '../gateway/clock.ts';
import { Identifiers, traceId } from '../gateway/identifiers.ts';
import type { CredentialStore } from '../host/credentials.ts';
import type { Invocation } from '../host/invocation.ts';
import type { AccessControl } from '../iam/access-control.ts';
import { executeApiArn } from '../iam/service-needs.ts';
import type { HttpApiDefinition, HttpRoute } from '../template/deployment.ts';
import {
  type HttpAnswer,
  type HttpEventContext,
  type HttpRequestParts,
  httpAnswer,
  httpEvent,
} from './http-event.ts';
import { readBody } from './http-message.ts';
import { HttpRoutes, type RouteMatch } from './http-routes.ts';

export interface HttpApiOptions {
  readonly definition: HttpApiDefinition;
  readonly region: string;
  readonly accountId: string;
  /** Host and port that clients use. */
  readonly domainName: string;
  readonly credentials: CredentialStore;
  readonly access: AccessControl;
  /** Whether the function of a route lets this API invoke it. */
  readonly mayInvoke: (route: HttpRoute) => boolean;
  readonly invoke: (functionName: string, event: unknown) => Promise<Invocation>;
  /** Whether the account's quota and the throttle of the route have room for one more request. @default always */
  readonly admit?: (routeKey: string) => boolean;
  /** @default the machine's time */
  readonly clock?: GatewayClock;
}

/** Largest body: 10 MB for the API, and 6 MB for a function's event, which the body is part of (quotas pages). */
const MAX_BODY_BYTES = 6_291_456;
/** Longest integration: 30 s (HTTP API quotas page). */
const INTEGRATION_TIMEOUT_MS = 30_000;

const NOT_FOUND = answer(404, 'Not Found');
const FORBIDDEN = answer(403, 'Forbidden');
const TOO_LARGE = answer(413, 'Request Entity Too Large');
const TOO_MANY_REQUESTS = answer(429, 'Too Many Requests');
const FAILED = answer(500, 'Internal Server Error');
const UNAVAILABLE = answer(503, 'Service Unavailable');

export class HttpApi {
  readonly #options: HttpApiOptions;
  readonly #clock: GatewayClock;
  readonly #routes: HttpRoutes;
  readonly #identifiers: Identifiers;

  constructor(options: HttpApiOptions) {
    const { definition, region, clock = systemClock } = options;
    this.#options = options;
    this.#clock = clock;
    this.#routes = new HttpRoutes(definition.routes);
    this.#identifiers = new Identifiers(definition.apiId, region, clock);
  }

  /**
   * Answers one request; never rejects for what a function or a client does.
   *
   * @param arrival the request as the front door passed it on
   */
  async handle(
    request: IncomingMessage,
    response: ServerResponse,
    arrival: Arrival = arrivalOf(request),
  ): Promise<void> {
    const requestId = this.#identifiers.request();
    const body = await readBody(request, MAX_BODY_BYTES);
    const answer =
      body === undefined ? TOO_LARGE : await this.#answer(request, { ...arrival, body }, requestId);
    const headers: OutgoingHttpHeaders = {
      ...answer.headers,
      'content-length': answer.body.length,
      'apigw-requestid': requestId,
    };
    response.writeHead(answer.status, headers);
    response.end(request.method === 'HEAD' ? undefined : answer.body);
  }

  async #answer(request: IncomingMessage, parts: HttpRequestParts, requestId: string): Promise<HttpAnswer> {
    const path = this.#withoutStage(parts.path);
    const match = path === undefined ? undefined : this.#routes.match(request.method ?? 'GET', path);
    if (match === undefined) return NOT_FOUND;
    const caller = this.#caller(request, parts, match);
    if (caller === 'refused') return FORBIDDEN;
    if (this.#options.admit?.(match.route.key) === false) return TOO_MANY_REQUESTS;
    if (!this.#options.mayInvoke(match.route)) return FAILED;
    const event = httpEvent(request, parts, match, this.#context(requestId, caller));
    return this.#invoke(match.route.functionName, event);
  }

  /** A stage other than `$default` is the first part of every path. */
  #withoutStage(path: string): string | undefined {
    const { stage } = this.#options.definition;
    if (stage === '$default') return path;
    if (path === `/${stage}`) return '/';
    return path.startsWith(`/${stage}/`) ? path.slice(stage.length + 1) : undefined;
  }

  #caller(request: IncomingMessage, { path, body }: HttpRequestParts, { route }: RouteMatch) {
    if (route.authorization === 'NONE') return undefined;
    const { access, credentials, definition } = this.#options;
    const verdict = access.verify('execute-api', request, body);
    if (verdict.kind === 'refused') return 'refused';
    const call = `${definition.stage}/${request.method}${this.#withoutStage(path)}`;
    const resource = executeApiArn(this.#options, definition.apiId, call);
    const denial = access.denial(verdict.accessKeyId, [{ action: 'execute-api:Invoke', resource }]);
    if (denial !== undefined) return 'refused';
    const principal = credentials.principal(verdict.accessKeyId);
    return principal === undefined ? 'refused' : { accessKeyId: verdict.accessKeyId, principal };
  }

  #context(requestId: string, caller: HttpEventContext['caller']): HttpEventContext {
    const { accountId, domainName, definition } = this.#options;
    const { apiId, stage } = definition;
    const nowMs = this.#clock.now();
    return { accountId, apiId, stage, domainName, requestId, traceId: traceId(nowMs), nowMs, caller };
  }

  async #invoke(functionName: string, event: Record<string, unknown>): Promise<HttpAnswer> {
    let timer: unknown;
    const late = new Promise<undefined>((resolve) => {
      timer = this.#clock.setTimeout(() => resolve(undefined), INTEGRATION_TIMEOUT_MS);
    });
    const invocation = await Promise.race([this.#options.invoke(functionName, event), late]);
    this.#clock.clearTimeout(timer);
    if (invocation === undefined || invocation.kind === 'throttled') return UNAVAILABLE;
    if (invocation.kind === 'error' && invocation.error.errorType === 'RequestTooLargeException')
      return TOO_LARGE;
    return invocation.kind === 'result' ? (httpAnswer(invocation.value) ?? FAILED) : FAILED;
  }
}

function answer(status: number, message: string): HttpAnswer {
  return {
    status,
    headers: { 'content-type': 'application/json' },
    body: Buffer.from(JSON.stringify({ message })),
  };
}
