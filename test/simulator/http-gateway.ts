/** The front door and the HTTP API behind it: one answer for each request, or none. */
import { pollingId } from '../../lambdas/bus/names.ts';
import type { Functions } from './functions.ts';
import type { Ground } from './ground.ts';

const NETWORK_MS = 15;
/** The longest an HTTP API waits for a function (HTTP API quotas page). */
const LONGEST_MS = 30_000;
/** When a client finds out that no answer will come. */
const LOST_MS = { from: 100, to: 20_000 };

export interface HttpRequest {
  readonly method: 'GET' | 'POST';
  readonly query: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** Status 0: no answer. */
export type Answered = (status: number, body: string) => void;

export class HttpGateway {
  readonly #ground: Ground;
  readonly #askedAgain: (connectionId: string) => void;
  #functions: Functions | undefined;
  #requests = 0;

  /** @param askedAgain told of connections of which a poll comes twice */
  constructor(ground: Ground, askedAgain: (connectionId: string) => void) {
    this.#ground = ground;
    this.#askedAgain = askedAgain;
  }

  attach(functions: Functions): void {
    this.#functions = functions;
  }

  request(request: HttpRequest, answered: Answered): void {
    const { chance, faults, scheduler } = this.#ground;
    if (chance.hits(faults.requestLost)) {
      this.#lose(answered);
      return;
    }
    scheduler.after(chance.latency(NETWORK_MS), () => this.#arrived(request, answered));
  }

  #arrived(request: HttpRequest, answered: Answered): void {
    const { chance, faults, scheduler } = this.#ground;
    const back: Answered = (status, body) => {
      if (chance.hits(faults.answerLost)) {
        this.#lose(answered);
        return;
      }
      scheduler.after(chance.latency(NETWORK_MS), () => answered(status, body));
    };
    if (chance.hits(faults.requestThrottled)) {
      back(429, '{"message":"Too Many Requests"}');
      return;
    }
    // CloudFront asks again where the answer to a GET did not reach it (developer guide, "origin response timeout").
    if (request.method !== 'GET' || !chance.hits(faults.requestRepeated)) {
      this.#call(request, back);
      return;
    }
    const { sid } = request.query;
    if (sid !== undefined) this.#askedAgain(pollingId(sid));
    if (chance.hits(0.4)) {
      // Both copies arrive; the client is answered by one, and the other is under way at the same time or late.
      scheduler.after(chance.between(0, chance.pick([2_000, 15_000])), () => this.#call(request, () => {}));
      this.#call(request, back);
      return;
    }
    this.#call(request, () => {
      this.#ground.trace(() => `front door: asks again ${JSON.stringify(request.query)}`);
      scheduler.after(chance.latency(NETWORK_MS), () => this.#call(request, back));
    });
  }

  #call(request: HttpRequest, answered: Answered): void {
    let isAnswered = false;
    const once: Answered = (status, body) => {
      if (isAnswered) return;
      isAnswered = true;
      timeout.cancelled = true;
      answered(status, body);
    };
    const timeout = this.#ground.scheduler.after(LONGEST_MS, () =>
      once(504, '{"message":"Gateway Timeout"}'),
    );
    this.#functions?.invoke('poll', this.#event(request), (how) => {
      if (how.kind !== 'answered') {
        once(500, '{"message":"Internal Server Error"}');
        return;
      }
      const { statusCode, body } = how.value as { readonly statusCode: number; readonly body: string };
      once(statusCode, body);
    });
  }

  #event({ method, query, body }: HttpRequest): object {
    this.#requests += 1;
    return {
      rawPath: '/socket.io/',
      rawQueryString: new URLSearchParams(query).toString(),
      headers: {
        host: 'simulated',
        ...(body === undefined ? {} : { 'content-type': 'text/plain;charset=UTF-8' }),
      },
      ...(body === undefined ? {} : { body }),
      isBase64Encoded: false,
      requestContext: { requestId: `h${this.#requests}`, http: { method, sourceIp: '192.0.2.1' } },
    };
  }

  #lose(answered: Answered): void {
    const { chance, scheduler } = this.#ground;
    scheduler.after(chance.between(LOST_MS.from, LOST_MS.to), () => answered(0, ''));
  }
}
