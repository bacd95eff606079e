/** The applications' HTTP routes: CORS, bodies, identities and errors (the contract's general rules). */
import { MAX_PACKET_BYTES } from '../contract/publish.ts';
import { isNestedTooDeep, MAX_NESTING } from '../protocol/nesting.ts';
import type { Application, HttpAnswer, HttpRoute } from './application.ts';
import { CallEffects } from './call-effects.ts';
import { appContext, type Bus } from './context.ts';
import { asBusError, BusError, type ErrorCode, invalidPayload } from './errors.ts';
import { originAllowed } from './handshake.ts';
import { readRoom, roomOf } from './history-route.ts';
import { authenticated } from './http-identity.ts';
import { Allowance } from './limits.ts';
import { NamespaceBroadcast } from './socket-session.ts';

const STATUS: Readonly<Record<ErrorCode, number>> = {
  invalid_payload: 400,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  rate_limited: 429,
  in_progress: 409,
  internal: 500,
};

/** A body may be as large as the event it becomes. */
const MAX_BODY_BYTES = MAX_PACKET_BYTES;
const PREFLIGHT_SECONDS = '600';

export interface RoutedRequest {
  readonly method: string;
  readonly path: string;
  /** Variables of the API's route, decoded. */
  readonly parameters?: Readonly<Record<string, string>>;
  /** Lower-cased names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
  readonly body: string | undefined;
  readonly address: string;
}

export interface RoutedResponse {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

interface Found {
  readonly method: string;
  answer(): Promise<HttpAnswer>;
}

export class HttpRouter {
  readonly #bus: Bus;

  constructor(bus: Bus) {
    this.#bus = bus;
  }

  /**
   * Answers always. A page of an origin that is not allowed is refused before anything is run for it: without CORS headers
   * it could not read the answer, but what it asked for would be done.
   */
  async handle(request: RoutedRequest): Promise<RoutedResponse> {
    const { origin } = request.headers;
    if (!originAllowed(this.#bus, origin)) return foreign();
    const cors = corsHeaders(this.#bus, origin);
    const routes = this.#routes(request);
    if (request.method === 'OPTIONS') return this.#preflight(routes, cors);
    const found = routes.find(({ method }) => method === request.method);
    if (found === undefined) return notFound(routes, cors);
    try {
      const { status, body } = await found.answer();
      return json(status, body, cors);
    } catch (cause) {
      return this.#failure(request, cause, cors);
    }
  }

  /** An application's own route goes before that of the rooms. */
  #routes(request: RoutedRequest): Found[] {
    const own = this.#bus.registry.applications.flatMap((application) =>
      application.http.flatMap((route) =>
        route.path === request.path
          ? [{ method: route.method, answer: () => this.#run(application, route, request) }]
          : [],
      ),
    );
    const room = roomOf(request);
    if (room === undefined) return own;
    return [...own, { method: 'GET', answer: () => readRoom(this.#bus, room, request) }];
  }

  #preflight(routes: readonly Found[], cors: Readonly<Record<string, string>>): RoutedResponse {
    if (routes.length === 0) return notFound(routes, cors);
    const allowed = Object.keys(cors).length === 0 ? {} : PREFLIGHT;
    return { statusCode: 204, headers: { ...cors, ...allowed }, body: '' };
  }

  async #run(application: Application, route: HttpRoute, request: RoutedRequest): Promise<HttpAnswer> {
    // What an event of a client may cause, a request may; it joins nothing.
    const allowance = new Allowance(this.#bus.config.limits, () => false);
    const effects = new CallEffects(this.#bus, allowance);
    const io = new NamespaceBroadcast(effects, application, { rooms: [], except: [], volatile: false });
    // What it does not accept proves nothing.
    const { outcome } = await authenticated(this.#bus, application, request);
    const identity = outcome.kind === 'accepted' ? outcome.identity : undefined;
    const { headers, query } = request;
    const answer = await route.handle(
      { headers, query, body: parsedBody(request), identity },
      io,
      appContext(this.#bus, application),
    );
    await effects.finish();
    return answer;
  }

  #failure(request: RoutedRequest, cause: unknown, cors: Readonly<Record<string, string>>): RoutedResponse {
    if (cause instanceof PayloadTooLarge) {
      return json(413, { error: { code: 'payload_too_large', message: cause.message } }, cors);
    }
    const error = asBusError(cause);
    if (error.code === 'internal')
      this.#bus.log.error('a request failed', { path: request.path, error: cause });
    if (error.code === 'rate_limited') this.#bus.metrics.count('RateLimited', 1);
    const { code, message, field } = error;
    return json(
      STATUS[code],
      { error: field === undefined ? { code, message } : { code, message, field } },
      cors,
    );
  }
}

class PayloadTooLarge extends Error {}

const PREFLIGHT = {
  'access-control-allow-methods': 'GET, POST',
  'access-control-allow-headers': 'Authorization, Content-Type',
  'access-control-max-age': PREFLIGHT_SECONDS,
};

/** Exactly the allowed origins, with credentials. */
export function corsHeaders(
  bus: Pick<Bus, 'registry' | 'config'>,
  origin: string | undefined,
): Readonly<Record<string, string>> {
  if (origin === undefined || !originAllowed(bus, origin)) return {};
  return {
    'access-control-allow-origin': origin,
    'access-control-allow-credentials': 'true',
    vary: 'Origin',
  };
}

function parsedBody({ body }: RoutedRequest): unknown {
  if (body === undefined || body === '') return undefined;
  const bytes = Buffer.byteLength(body);
  if (bytes > MAX_BODY_BYTES) {
    throw new PayloadTooLarge(`the body is ${bytes} bytes, more than ${MAX_BODY_BYTES}`);
  }
  if (isNestedTooDeep(body)) throw invalidPayload(`the body is nested deeper than ${MAX_NESTING} levels`);
  try {
    return JSON.parse(body);
  } catch {
    throw invalidPayload('the body is not JSON');
  }
}

/** Says nothing of what there is, and names no origin. */
function foreign(): RoutedResponse {
  const { code, message } = new BusError('forbidden', 'the origin is not allowed');
  return json(STATUS[code], { error: { code, message } }, {});
}

function notFound(routes: readonly Found[], cors: Readonly<Record<string, string>>): RoutedResponse {
  const known = routes.map(({ method }) => method).join(', ');
  const message = known === '' ? 'there is nothing here' : `only ${known} is answered here`;
  const { code } = new BusError('not_found', message);
  return json(404, { error: { code, message } }, cors);
}

function json(statusCode: number, body: unknown, headers: Readonly<Record<string, string>>): RoutedResponse {
  return {
    statusCode,
    headers: { ...headers, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  };
}
