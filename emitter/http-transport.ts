import type { SignatureV4 } from '@smithy/signature-v4';
import { EmitterOptionsError, PublishError } from './errors.ts';
import { networkFailure, statusFailure, words } from './failures.ts';
import {
  type Credentials,
  DEFAULT_TIMEOUT_MS,
  parseResult,
  resultOf,
  type Transport,
  waitOf,
} from './transport.ts';

export interface HttpTransportOptions {
  /** The stack's output `PublishUrl`, `https://{id}.execute-api.{region}.amazonaws.com/publish`. */
  readonly url: string;
  /** @default the one in the host's name, else AWS_REGION, else `us-east-1` for this machine */
  readonly region?: string | undefined;
  /** Whose role or user needs `execute-api:Invoke` on the route. @default the SDK's usual chain */
  readonly credentials?: Credentials | undefined;
  /** How long to wait for an answer; ms. @default 10000 */
  readonly timeoutMs?: number | undefined;
}

const SERVICE = 'execute-api';

/**
 * Publishes by `POST /publish`, signed with Signature Version 4.
 * @throws EmitterOptionsError at once for a URL that is none, or a region that nothing tells
 */
export function httpTransport(options: HttpTransportOptions): Transport {
  const url = parseUrl(options.url);
  const region = options.region ?? regionOf(url);
  let signer: Promise<SignatureV4> | undefined;
  return {
    async send(request) {
      const body = JSON.stringify(request);
      const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
      signer ??= createSigner(region, options.credentials);
      const headers = await signedHeaders(await signer, url, body);
      const { status, text } = await post(url, headers, body, timeoutMs + waitOf(request));
      // A refusal of the contract comes with a status of its own; what is not of the contract is the gateway's.
      if (status !== 200 && resultOf(request.op, text) === undefined) {
        throw statusFailure(status, url.href, messageIn(text));
      }
      return parseResult(request.op, text);
    },
  };
}

/** Credentials and hash come from a client, since only those know the SDK's provider chain. */
async function createSigner(region: string, given: Credentials | undefined): Promise<SignatureV4> {
  const [{ LambdaClient }, { SignatureV4 }] = await Promise.all([
    import('@aws-sdk/client-lambda'),
    import('@smithy/signature-v4'),
  ]);
  const client = new LambdaClient({ region, ...(given === undefined ? {} : { credentials: given }) });
  const { credentials, sha256 } = client.config;
  return new SignatureV4({ region, credentials, sha256, service: SERVICE });
}

async function signedHeaders(signer: SignatureV4, url: URL, body: string): Promise<Record<string, string>> {
  const signed = await signer
    .sign({
      method: 'POST',
      protocol: url.protocol,
      hostname: url.hostname,
      path: url.pathname,
      query: Object.fromEntries(url.searchParams),
      headers: { host: url.host, 'content-type': 'application/json' },
      body,
    })
    .catch((cause: unknown) => {
      throw new PublishError('not_configured', `nothing to sign with: ${words(cause)}`, {
        retryable: false,
        cause,
      });
    });
  // `fetch` writes the same host by itself and lets nobody else do it.
  const { host: _host, ...headers } = signed.headers;
  return headers;
}

async function post(
  url: URL,
  headers: Record<string, string>,
  body: string,
  timeoutMs: number,
): Promise<{ readonly status: number; readonly text: string }> {
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    // A signature is good for one address: a redirect is an error.
    const response = await fetch(url, { method: 'POST', headers, body, signal, redirect: 'error' });
    return { status: response.status, text: await response.text() };
  } catch (cause) {
    throw networkFailure(cause, url.href);
  }
}

/** API Gateway explains itself as `{ "message": … }`. */
function messageIn(text: string): string {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && 'message' in value ? String(value.message) : '';
  } catch {
    // Not JSON: a proxy's page, which explains nothing in one line.
    return '';
  }
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && /^https?:$/.test(url.protocol)) return url;
  throw new EmitterOptionsError(`url must be an http or https URL, not "${text}"`);
}

function regionOf({ hostname }: URL): string {
  const [, named] = /\.execute-api\.([a-z0-9-]+)\.amazonaws\./.exec(hostname) ?? [];
  const region = named ?? process.env.AWS_REGION ?? process.env.AWS_DEFAULT_REGION;
  if (region !== undefined && region !== '') return region;
  if (/^(localhost|127\.0\.0\.1|\[::1\])$/.test(hostname)) return 'us-east-1';
  throw new EmitterOptionsError(`region is needed: neither ${hostname} nor AWS_REGION tells it`);
}
