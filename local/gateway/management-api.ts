import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Caller } from '../dynamodb/call.ts';
import { carryOut, type Decision } from '../faults/decision.ts';
import { callerOf } from '../services/caller.ts';
import { readBody } from '../services/http-message.ts';
import type { GatewayClock } from './clock.ts';
import { CLOSED_NORMALLY, type Connection, MAX_MESSAGE_BYTES } from './connection.ts';
import type { GatewayFaults } from './gateway-faults.ts';
import { type Identifiers, isConnectionId, traceId } from './identifiers.ts';
import { FORBIDDEN, GONE, LIMIT_EXCEEDED, type Refusal, refusal, TOO_LARGE } from './refusal.ts';
import type { SignatureVerifier, Verdict } from './signature.ts';

export type ManagementMethod = 'POST' | 'GET' | 'DELETE';

/** A call on one connection, as IAM sees it. */
export interface ManagementCall {
  readonly accessKeyId: string;
  readonly method: ManagementMethod;
  /** `arn:aws:execute-api:{region}:{account}:{api}/{stage}/{method}/@connections/{id}`. */
  readonly resource: string;
}

export interface ManagementApiOptions {
  readonly apiId: string;
  readonly stage: string;
  readonly region: string;
  readonly accountId: string;
  readonly clock: GatewayClock;
  readonly identifiers: Identifiers;
  readonly verifier: SignatureVerifier;
  /** Open connections by id. */
  readonly connections: ReadonlyMap<string, Connection>;
  readonly authorize: (call: ManagementCall) => boolean;
  /** Whether the account's quota has room for one more call. */
  readonly admit: () => boolean;
  /** Asked after `admit`. */
  readonly faults: GatewayFaults;
  readonly postableDelayMs: number;
  /** A client that leaves more than this unread is a slow consumer: 429. */
  readonly sendBufferBytes: number;
}

interface Admitted {
  readonly method: ManagementMethod;
  readonly id: string;
  readonly body: Buffer;
  readonly caller: Caller;
}

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly type?: string;
}

/** Posts of the size API Gateway takes are verified before they are refused as too long; larger ones are not. */
const MAX_READ_BYTES = 10 * 1024 * 1024;
const FAILURES: Readonly<Record<'gone' | 'throttled' | 'error', Answer>> = {
  gone: GONE,
  throttled: LIMIT_EXCEEDED,
  error: refusal(500, 'InternalServerException', 'Internal server error'),
};
const POSTED: Answer = { status: 200, body: '' };
const DELETED: Answer = { status: 204, body: '' };

/**
 * `@connections`: POST, GET and DELETE on one connection, signed with Signature Version 4. From the moment a body has
 * arrived everything is synchronous, so posts reach a connection in the order in which their bodies arrived; all but
 * calls with which something goes wrong on purpose.
 */
export class ManagementApi {
  readonly #options: ManagementApiOptions;

  constructor(options: ManagementApiOptions) {
    this.#options = options;
  }

  /**
   * Answers a request whose path is below `/{stage}/@connections/`.
   *
   * @param path the path as sent, undecoded, without the query: the signature covers it
   * @param query the query as sent
   * @param rawId what follows `connections/`, undecoded
   */
  async handle(
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
    query: string,
    rawId: string,
  ): Promise<void> {
    let body: Buffer | undefined;
    try {
      body = await readBody(request, MAX_READ_BYTES);
    } catch {
      // The caller has hung up: there is nobody to answer.
      return;
    }
    const admitted = this.#admit(request, path, query, rawId, body);
    if ('status' in admitted) {
      this.#answer(response, admitted);
      return;
    }
    const decision = this.#options.faults.call(admitted.method, admitted.caller);
    if (decision === undefined) this.#answer(response, this.#perform(admitted));
    else await this.#performAmiss(response, admitted, decision);
  }

  async #performAmiss(response: ServerResponse, admitted: Admitted, decision: Decision): Promise<void> {
    const answer = await carryOut<Answer | undefined>(decision, this.#options.clock, {
      act: () => this.#perform(admitted),
      fail: (failure) => (failure === 'cut' ? undefined : FAILURES[failure]),
    });
    if (answer === undefined) response.destroy();
    else this.#answer(response, answer);
  }

  /** A call that signature, policies and quota let pass, or the refusal. */
  #admit(
    request: IncomingMessage,
    path: string,
    query: string,
    rawId: string,
    body: Buffer | undefined,
  ): Admitted | Answer {
    if (body === undefined) return TOO_LARGE;
    const method = methodOf(request.method);
    const { headers } = request;
    if (method === undefined || rawId.includes('/')) return FORBIDDEN;
    const verdict = this.#options.verifier.verify({ method, path, query, headers, body });
    if (verdict.kind === 'refused') return verdict.refusal;
    const id = decode(rawId);
    const denial = this.#deny(method, id, verdict);
    if (denial !== undefined) return denial;
    if (!this.#options.admit()) return LIMIT_EXCEEDED;
    return { method, id, body, caller: callerOf(request) };
  }

  #perform({ method, id, body }: Admitted): Answer {
    if (!isConnectionId(id)) return refusal(400, 'BadRequestException', `Invalid connectionId: ${id}`);
    if (method === 'POST' && body.length > MAX_MESSAGE_BYTES) return TOO_LARGE;
    const connection = this.#find(id);
    return connection === undefined ? GONE : this.#act(method, connection, body);
  }

  #act(method: ManagementMethod, connection: Connection, body: Buffer): Answer {
    if (method === 'GET') return { status: 200, body: describe(connection) };
    if (method === 'DELETE') {
      connection.close(CLOSED_NORMALLY);
      return DELETED;
    }
    // "…or the WebSocket client side buffer is full": the service model's text for this error.
    const isFull = connection.isSlow || connection.backlogBytes > this.#options.sendBufferBytes;
    if (isFull) return LIMIT_EXCEEDED;
    connection.send(body);
    return POSTED;
  }

  #find(id: string): Connection | undefined {
    const connection = this.#options.connections.get(id);
    if (connection === undefined || !connection.isOpen) return undefined;
    const age = this.#options.clock.now() - connection.openedAt;
    return age < Math.max(this.#options.postableDelayMs, this.#options.faults.postableDelayMs)
      ? undefined
      : connection;
  }

  /** The refusal of a call no policy allows, with AWS's capital M, masked account and literal `{connectionId}`. */
  #deny(method: ManagementMethod, id: string, verdict: Verdict & { kind: 'signed' }): Refusal | undefined {
    const { accountId, apiId, authorize, region, stage } = this.#options;
    const { accessKeyId, credential } = verdict;
    const arn = (account: string, last: string) =>
      `arn:aws:execute-api:${region}:${account}:${apiId}/${stage}/${method}/@connections/${last}`;
    if (authorize({ accessKeyId, method, resource: arn(accountId, id) })) return undefined;
    const user = credential?.principalArn ?? `arn:aws:iam::${accountId}:user/${accessKeyId}`;
    const resource = arn(`********${accountId.slice(-4)}`, '{connectionId}');
    const message = `User: ${user} is not authorized to perform: execute-api:ManageConnections on resource: ${resource}`;
    return { status: 403, type: 'AccessDeniedException', body: JSON.stringify({ Message: message }) };
  }

  #answer(response: ServerResponse, answer: Answer): void {
    const { clock, identifiers } = this.#options;
    writeAnswer(response, answer, identifiers.request(), clock.now());
  }
}

/** Writes an answer with the headers every answer of API Gateway has. */
export function writeAnswer(
  response: ServerResponse,
  answer: Answer,
  gatewayId: string,
  nowMs: number,
): void {
  const headers: Record<string, string | number> = {
    'x-amzn-requestid': randomUUID(),
    'x-amz-apigw-id': gatewayId,
    'x-amzn-trace-id': traceId(nowMs),
  };
  if (answer.type !== undefined) headers['x-amzn-errortype'] = answer.type;
  if (answer.status !== 204) {
    headers['content-type'] = 'application/json';
    headers['content-length'] = Buffer.byteLength(answer.body);
  }
  response.writeHead(answer.status, headers);
  response.end(answer.body);
}

/** What is known of a connection, spaced as AWS spaces it. */
function describe(connection: Connection): string {
  const { connectedAt, identity } = connection.context;
  const time = (atMs: number) => JSON.stringify(new Date(atMs).toISOString());
  const userAgent =
    identity.userAgent === undefined ? [] : [`"userAgent" : ${JSON.stringify(identity.userAgent)}`];
  const members = [`"sourceIp" : ${JSON.stringify(identity.sourceIp)}`, ...userAgent].join(',\n    ');
  return [
    '{',
    `  "identity" : {\n    ${members}\n  },`,
    `  "connectedAt" : ${time(connectedAt)},`,
    `  "lastActiveAt" : ${time(connection.lastActiveAt)}`,
    '}',
  ].join('\n');
}

function methodOf(text: string | undefined): ManagementMethod | undefined {
  return text === 'POST' || text === 'GET' || text === 'DELETE' ? text : undefined;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // Not percent-encoding: no connection id either, so the text itself goes into the answer 400.
    return text;
  }
}
