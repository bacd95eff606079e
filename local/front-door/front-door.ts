/** CloudFront in front of the two APIs, as far as a request is changed by it: which origin it goes to, and how. */
import { randomBytes } from 'node:crypto';
import type { Arrival } from '../gateway/arrival.ts';
import type { LogSink } from '../host/invocation.ts';
import type { FrontDoorDefinition, FrontDoorOrigin } from '../template/deployment.ts';
import { pairs, returnedRequest, viewerRequest } from './viewer-event.ts';
import { ViewerFunction, type ViewerResponse } from './viewer-function.ts';

/** A request on its way to an API, or the answer that it gets at the door. */
export type Passage =
  | { readonly kind: 'origin'; readonly api: FrontDoorOrigin['api']; readonly arrival: Arrival }
  | { readonly kind: 'response'; readonly response: ViewerResponse };

/** Where the APIs see requests come from: an address that nobody has (RFC 5737), so that none is taken for a client's. */
export const EDGE_ADDRESS = '203.0.113.1';

export class FrontDoor {
  readonly #definition: FrontDoorDefinition;
  readonly #functions = new Map<string, ViewerFunction>();

  /**
   * @param log told of every request that a function failed on
   * @throws SyntaxError for a function that is no script
   */
  constructor(definition: FrontDoorDefinition, log: LogSink) {
    this.#definition = definition;
    const say = (requestId: string, line: string) =>
      log({ function: 'front-door', requestId, stream: 'platform', line });
    for (const { viewerRequest: code } of definition.behaviors) {
      if (code !== undefined && !this.#functions.has(code))
        this.#functions.set(code, new ViewerFunction(code, say));
    }
  }

  /** The first behaviour whose pattern fits decides; a function on it may change the path and choose the origin. */
  enter(method: string, arrival: Arrival): Passage {
    const behavior = this.#definition.behaviors.find(({ pathPattern }) => matches(pathPattern, arrival.path));
    const requestId = randomBytes(42).toString('base64url');
    const code = behavior?.viewerRequest;
    const viewerFunction = code === undefined ? undefined : this.#functions.get(code);
    if (viewerFunction === undefined) return this.#pass(behavior?.originId, arrival, requestId);
    const given = viewerRequest(method, arrival);
    const outcome = viewerFunction.run(given, arrival.sourceIp, requestId);
    if (outcome.kind === 'response') return outcome;
    const changed = returnedRequest(given, outcome.request, arrival);
    return this.#pass(outcome.originId ?? behavior?.originId, changed, requestId);
  }

  #pass(originId: string | undefined, arrival: Arrival, requestId: string): Passage {
    const origin = this.#definition.origins.get(originId ?? '');
    if (origin === undefined) return BAD_GATEWAY;
    const rawHeaders = originHeaders(arrival, origin, requestId);
    const path = `${origin.path}${arrival.path}`;
    return {
      kind: 'origin',
      api: origin.api,
      arrival: { path, query: arrival.query, rawHeaders, sourceIp: EDGE_ADDRESS },
    };
  }
}

/** An origin that the function selected and the distribution does not have. */
const BAD_GATEWAY: Passage = {
  kind: 'response',
  response: {
    status: 502,
    headers: { 'content-type': 'text/plain' },
    body: Buffer.from('The front door has no such origin'),
  },
};

/**
 * All headers of the viewer except `Host`, and what CloudFront adds ("Request and response behavior for custom
 * origins"); an origin's own headers replace those of a viewer.
 */
function originHeaders(
  { rawHeaders, sourceIp }: Arrival,
  origin: FrontDoorOrigin,
  requestId: string,
): string[] {
  const viewer = pairs(rawHeaders);
  const forwarded = viewer
    .filter(([name]) => name.toLowerCase() === 'x-forwarded-for')
    .map(([, value]) => value);
  const own: [string, string][] = [
    ['Host', origin.domainName],
    ['X-Forwarded-For', [...forwarded, sourceIp].join(', ')],
    ['Via', '1.1 local.cloudfront.net (CloudFront)'],
    ['X-Amz-Cf-Id', requestId],
    ...Object.entries(origin.headers),
  ];
  const replaced = new Set(own.map(([name]) => name.toLowerCase()));
  return [...viewer.filter(([name]) => !replaced.has(name.toLowerCase())), ...own].flat();
}

/** `*` stands for any characters, `?` for one; case counts (developer guide, "Path pattern"). */
function matches(pattern: string, path: string): boolean {
  const literal = pattern.replace(/[.+^${}()|[\]\\]/g, '\\$&');
  const wild = literal.replaceAll('*', '.*').replaceAll('?', '.');
  return new RegExp(`^/?${wild.replace(/^\//, '')}$`, 's').test(path);
}
