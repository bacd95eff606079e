/** The page at `/` of the local stack, for trying the applications in a browser. No part of what is deployed. */
import { readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { targetOf } from '../gateway/handshake.ts';
import type { Invocation } from '../host/invocation.ts';
import { readBody, sendJson } from '../services/http-message.ts';
import { readCatalogue } from './catalogue.ts';
import { issueToken, TokenRequestError } from './token.ts';

export interface LocalPageOptions {
  /** The environment of the functions, which says what the deployment runs. */
  readonly environment: Readonly<Record<string, string>>;
  /** Secrets and settings of this start. */
  readonly settings: Readonly<Record<string, string>>;
  /** Path of Engine.IO, without a slash at the end. */
  readonly wsPath: string;
  readonly invoke: (functionName: string, event: unknown) => Promise<Invocation>;
}

const STATIC = fileURLToPath(new URL('./static/', import.meta.url));
/** By path: nothing else is ever read from the disk. */
const FILES: ReadonlyMap<string, string> = new Map([
  ['/', join(STATIC, 'index.html')],
  ['/local/page.css', join(STATIC, 'page.css')],
  ['/local/page.js', join(STATIC, 'page.js')],
  ['/local/client-pane.js', join(STATIC, 'client-pane.js')],
  ['/local/backend-panel.js', join(STATIC, 'backend-panel.js')],
  ['/local/elements.js', join(STATIC, 'elements.js')],
  ['/socket.io-client.js', join(clientPackage(), 'dist', 'socket.io.min.js')],
]);

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
};

/** The page loads nothing from elsewhere, and no page from elsewhere may frame it. */
const HEADERS = {
  'content-security-policy':
    "default-src 'self'; connect-src 'self' ws: wss:; img-src data:; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
};

/** Largest publish request: what a synchronous invocation takes, 6 MB (Lambda quotas page). */
const MAX_PUBLISH_BYTES = 6_291_456;
const HOSTS = ['localhost', '127.0.0.1', '[::1]'];

export class LocalPage {
  readonly #options: LocalPageOptions;

  constructor(options: LocalPageOptions) {
    this.#options = options;
  }

  /** Whether a request is the page's; everything under `/local/` is. */
  static owns(request: IncomingMessage, path: string): boolean {
    if (path.startsWith('/local/')) return true;
    return FILES.has(path) && (request.method === 'GET' || request.method === 'HEAD');
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { path, query } = targetOf(request.url ?? '/');
    const file = FILES.get(path);
    const route = `${request.method === 'HEAD' ? 'GET' : request.method} ${path}`;
    const atHome = isAtHome(request);
    if (route === 'POST /local/publish' && atHome) return this.#publish(request, response);
    request.resume();
    if (route === `GET ${path}` && file !== undefined) return sendFile(request, response, file);
    if (!atHome) return this.#refuse(response, 403, 'forbidden', 'only the page of this stack may ask');
    if (route === 'GET /local/applications') return this.#applications(response);
    if (route === 'GET /local/token') return this.#token(response, new URLSearchParams(query));
    return this.#refuse(response, 404, 'not_found', 'there is nothing here');
  }

  async #applications(response: ServerResponse): Promise<void> {
    const { environment, settings, wsPath } = this.#options;
    const apps = (environment.APPS ?? '').split(',').filter((app) => app !== '');
    sendJson(
      response,
      200,
      {
        ...(await readCatalogue(apps)),
        identity: environment.IDENTITY ?? 'trusted',
        // What the page dials, and the key it may use: several may be valid, divided by commas; of some only the hash is known.
        path: `${wsPath}/`,
        apiKey: usableKey(settings.CLOUD_API_KEY ?? ''),
      },
      HEADERS,
    );
  }

  async #token(response: ServerResponse, query: URLSearchParams): Promise<void> {
    const { environment, settings } = this.#options;
    try {
      const token = await issueToken(query, settings.JWT_SECRET, environment.JWT_ID_CLAIM ?? 'sub');
      sendJson(response, 200, { token }, HEADERS);
    } catch (error) {
      if (!(error instanceof TokenRequestError)) throw error;
      this.#refuse(response, 400, error.code, error.message, error.field);
    }
  }

  async #publish(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readBody(request, MAX_PUBLISH_BYTES);
    if (body === undefined)
      return this.#refuse(response, 413, 'payload_too_large', 'the request is too large');
    let publication: unknown;
    try {
      publication = JSON.parse(body.toString('utf8'));
    } catch {
      return this.#refuse(response, 400, 'invalid_payload', 'the request is not JSON');
    }
    const invocation = await this.#options.invoke('publish', publication);
    if (invocation.kind === 'result') return sendJson(response, 200, invocation.value, HEADERS);
    this.#refuse(response, 502, 'internal', `the publish function did not answer (${invocation.kind})`);
  }

  #refuse(response: ServerResponse, status: number, code: string, message: string, field?: string): void {
    const error = field === undefined ? { code, message } : { code, message, field };
    sendJson(response, status, { ok: false, error }, HEADERS);
  }
}

/**
 * Tokens are handed out here, so only this page may ask. A foreign page in the same browser is told by its `Origin`,
 * and one whose name was made to resolve to this machine by its `Host`.
 */
export function isAtHome({ headers }: IncomingMessage): boolean {
  const { host = '', origin } = headers;
  if (!HOSTS.includes(host.replace(/:\d+$/, ''))) return false;
  return origin === undefined || origin === `http://${host}`;
}

async function sendFile(request: IncomingMessage, response: ServerResponse, file: string): Promise<void> {
  const content = await readFile(file);
  response.writeHead(200, {
    ...HEADERS,
    'content-type': TYPES[extname(file)] ?? 'application/octet-stream',
    'content-length': content.length,
  });
  response.end(request.method === 'HEAD' ? undefined : content);
}

/** Directory of the stock client, wherever npm put it. */
function clientPackage(): string {
  return dirname(createRequire(import.meta.url).resolve('socket.io-client/package.json'));
}

function usableKey(keys: string): string {
  const known = keys.split(',').map((key) => key.trim());
  return known.find((key) => !key.startsWith('sha256:')) ?? '';
}
