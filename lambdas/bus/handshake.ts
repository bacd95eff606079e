/** Whether a request may open a connection, and what is kept of it. Engine.IO's checks, in its order. */
import { isIP } from 'node:net';
import type { Authentication } from './application.ts';
import { appContext, type Bus, type Transport } from './context.ts';
import type { Handshake, Json } from './ports.ts';

/** Engine.IO's handshake errors (engine.io `lib/server.ts`, `Server.errors`). */
export const ENGINE_ERRORS = {
  unknownTransport: { status: 400, code: 0, message: 'Transport unknown' },
  unknownSid: { status: 400, code: 1, message: 'Session ID unknown' },
  badMethod: { status: 400, code: 2, message: 'Bad handshake method' },
  badRequest: { status: 400, code: 3, message: 'Bad request' },
  forbidden: { status: 403, code: 4, message: 'Forbidden' },
  unsupportedVersion: { status: 400, code: 5, message: 'Unsupported protocol version' },
  /** Not Engine.IO's, which has no bound; the code of what is forbidden is what its clients know. */
  tooMany: { status: 429, code: 4, message: 'Too many connections' },
} as const;

export type EngineError = (typeof ENGINE_ERRORS)[keyof typeof ENGINE_ERRORS];

/** A request as any of the gateways hands it over. Header names are lower-cased. */
export interface OpeningRequest {
  readonly headers: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
  readonly address: string;
  readonly at: number;
}

/** Headers an application may see; everything else, tokens and cookies first of all, stays out of the rows. */
const KEPT_HEADERS = [
  'host',
  'origin',
  'user-agent',
  'accept-language',
  'x-forwarded-for',
  'x-forwarded-proto',
];
const KEPT_QUERY = ['EIO', 'transport', 'b64'];
/** Characters of each that are kept: every CONNECT writes them again, into the row of its socket. */
const MOST_CHARACTERS = 256;

/** The first reason to refuse a handshake over a transport; undefined where there is none. */
export function refuseHandshake(
  bus: Pick<Bus, 'registry' | 'config'>,
  request: Pick<OpeningRequest, 'headers' | 'query'>,
  transport: Transport,
): EngineError | undefined {
  const offered = bus.config.transports.includes(transport);
  if (request.query.transport !== transport || !offered) return ENGINE_ERRORS.unknownTransport;
  if (!originAllowed(bus, request.headers.origin)) return ENGINE_ERRORS.forbidden;
  if (request.query.EIO !== '4') return ENGINE_ERRORS.unsupportedVersion;
  return undefined;
}

/** What an operator sees of a handshake that was refused. */
export function noteRefusal(
  { log, metrics }: Pick<Bus, 'log' | 'metrics'>,
  { headers, query }: Pick<OpeningRequest, 'headers' | 'query'>,
  { code, message }: EngineError,
): void {
  metrics.count('RefusedHandshakes', 1);
  log.info('handshake refused', { code, reason: message, origin: headers.origin, EIO: query.EIO });
}

/** Exact match with the allow-list. Programs that are no browser send no Origin; their tokens are what counts. */
export function originAllowed(bus: Pick<Bus, 'registry' | 'config'>, origin: string | undefined): boolean {
  if (origin === undefined) return true;
  const { origins, settings } = bus.config;
  return origins.includes('*') || origins.includes(origin) || bus.registry.origins(settings).has(origin);
}

/**
 * What applications see of the request, cut to 256 characters for each value. Whatever is to be decided by a header is
 * decided by the request's own.
 */
export function keptHandshake(request: OpeningRequest): Handshake {
  return {
    headers: pick(request.headers, KEPT_HEADERS),
    query: pick(request.query, KEPT_QUERY),
    address: request.address,
    secure: request.headers['x-forwarded-proto'] !== 'http',
    xdomain: request.headers.origin !== undefined,
    issued: request.at,
  };
}

/**
 * The address of a client behind the front door. CloudFront appends that of its viewer to `X-Forwarded-For`, and API
 * Gateway that of CloudFront (CloudFront developer guide, "X-Forwarded-For"; that API Gateway appends as well is
 * inferred from its events). So the client's is the last but one, and all to the left of it is what the client wrote.
 * Where an entry is missing or is no address, the address of the connection, which is CloudFront's, is all there is.
 *
 * @param trusted whether the request must have come through the front door; without it the header proves nothing
 */
export function clientAddress(forwardedFor: string | undefined, sourceIp: string, trusted: boolean): string {
  if (!trusted) return sourceIp;
  const entries = (forwardedFor ?? '').split(',').map((entry) => entry.trim());
  const [viewer = '', edge] = entries.slice(-2);
  return entries.length > 1 && edge === sourceIp && isIP(viewer) > 0 ? viewer : sourceIp;
}

/** What each application makes of the headers, which only the opening request carries. */
export async function headerCredentials(bus: Bus, request: OpeningRequest): Promise<Record<string, Json>> {
  const credentials: Record<string, Json> = {};
  for (const application of bus.registry.applications) {
    const auth: Authentication | undefined = application.auth;
    const credential = await auth?.credential?.(request.headers, appContext(bus, application));
    if (credential !== undefined) credentials[application.name] = credential;
  }
  return credentials;
}

function pick(from: Readonly<Record<string, string>>, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = Object.hasOwn(from, name) ? from[name] : undefined;
      return value === undefined ? [] : [[name, cut(name, value)]];
    }),
  );
}

function cut(name: string, value: string): string {
  if (value.length <= MOST_CHARACTERS) return value;
  if (name !== 'x-forwarded-for') return value.slice(0, MOST_CHARACTERS);
  // The last of its entries are the gateways' own, and half an address would be another one.
  return value.slice(-MOST_CHARACTERS).replace(/^[^,]*,? */, '');
}
