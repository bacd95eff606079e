/** `POST`s over a pool of kept connections. */
import {
  type ClientRequest,
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
  type RequestOptions,
} from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';

export interface PostClientOptions {
  /** Connections at once; what is posted beyond them waits for one. */
  readonly maxSockets: number;
  /** From the call on, waiting for a connection included. */
  readonly deadlineMs: number;
  /** A connection that was idle for longer is not used again. */
  readonly idleMs: number;
}

export interface Answer {
  readonly status: number;
  /** AWS's name of an error (`x-amzn-errortype`). */
  readonly type: string | undefined;
}

export class DeadlineError extends Error {
  readonly code = 'deadline';
  readonly retryable = true;

  constructor(deadlineMs: number) {
    super(`no answer within ${deadlineMs} ms`);
    this.name = 'DeadlineError';
  }
}

export class PostClient {
  readonly #base: RequestOptions;
  readonly #request: (options: RequestOptions) => ClientRequest;
  readonly #agent: HttpAgent;
  readonly #deadlineMs: number;

  /** @param origin of which only scheme, host and port count */
  constructor(origin: URL, options: PostClientOptions) {
    const secure = origin.protocol === 'https:';
    // The agent applies its timeout to idle connections only; a busy one has the deadline.
    const pool = { keepAlive: true, maxSockets: options.maxSockets, timeout: options.idleMs };
    this.#agent = secure ? new HttpsAgent(pool) : new HttpAgent(pool);
    // One host, one pool: a connection need not be looked up by everything that may tell it from others.
    this.#agent.getName = () => origin.host;
    this.#request = secure ? httpsRequest : httpRequest;
    this.#deadlineMs = options.deadlineMs;
    this.#base = {
      agent: this.#agent,
      method: 'POST',
      host: origin.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: origin.port === '' ? (secure ? 443 : 80) : Number(origin.port),
    };
  }

  /**
   * Resolves with the status as soon as it is there; whatever comes after it is read and dropped.
   *
   * @param headers names and values in turn, `host` and `content-length` among them
   * @throws DeadlineError; and what the connection says where it breaks before there was an answer. An idle one that the
   *   other side has just given up may break too: whether the request arrived is not known then either
   */
  post(path: string, headers: readonly string[], body: Buffer): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const request = this.#request({ ...this.#base, path, headers });
      const timer = setTimeout(() => {
        const error = new DeadlineError(this.#deadlineMs);
        // A request that still waits for a connection reports its end only once it has one.
        reject(error);
        request.destroy(error);
      }, this.#deadlineMs);
      request.on('response', (response) => {
        resolve(answerOf(response));
        // An answer that breaks off has told what it means already.
        response.on('error', () => {});
        response.resume();
      });
      request.on('error', reject);
      request.on('close', () => clearTimeout(timer));
      request.end(body);
    });
  }

  /** Ends all connections. */
  destroy(): void {
    this.#agent.destroy();
  }
}

function answerOf(response: IncomingMessage): Answer {
  const status = response.statusCode ?? 0;
  // Headers are taken apart when they are first looked at, and a post that went well has nothing to say in them.
  const type = status < 300 ? undefined : response.headers['x-amzn-errortype'];
  return { status, type: Array.isArray(type) ? type[0] : type };
}
