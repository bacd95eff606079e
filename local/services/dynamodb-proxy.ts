/** The DynamoDB of somebody else (`DYNAMODB_ENDPOINT`), reached through our port so that every call passes us. */
import {
  Agent,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  request as openRequest,
  type ServerResponse,
} from 'node:http';
import { request as openTlsRequest, Agent as TlsAgent } from 'node:https';
import { Readable } from 'node:stream';
import { json } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { type Admission, type ReceivedCall, receiveCall, sendReply } from '../dynamodb/server.ts';
import { sendJson } from './http-message.ts';

export interface ProxiedReply {
  readonly status: number;
  readonly body: unknown;
}

const CREDENTIAL = /Credential=[^/]+\//;
const ACCESS_KEY = 'socketbus';
/** Emulators want a signature and do not verify it. */
const AUTHORIZATION = `AWS4-HMAC-SHA256 Credential=${ACCESS_KEY}/20200101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0`;

export class DynamoDbProxy {
  readonly #endpoint: URL;
  readonly #agent: Agent;

  readonly #admit: Admission;

  constructor(endpoint: string, admit: Admission) {
    this.#admit = admit;
    this.#endpoint = new URL(endpoint);
    const options = { keepAlive: true, maxSockets: 128 };
    this.#agent = this.#endpoint.protocol === 'https:' ? new TlsAgent(options) : new Agent(options);
  }

  /**
   * Hands a request that is admitted on and its answer back. An endpoint that cannot be reached is a 500, which the SDK
   * retries.
   */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const call = await receiveCall(request);
    if ('status' in call) return sendReply(response, call);
    const refused = this.#admit(call);
    if (refused !== undefined) return sendReply(response, refused);
    try {
      const answer = await this.#forward(call);
      // The time of day is the stack's, which Port has set: an SDK corrects its clock by it.
      const { date: _theirs, ...headers } = answer.headers;
      response.writeHead(answer.statusCode ?? 502, headers);
      await pipeline(answer, response);
    } catch (error) {
      const message = `${this.#endpoint.origin}: ${error instanceof Error ? error.message : String(error)}`;
      if (!response.headersSent) sendJson(response, 500, { __type: 'InternalServerError', message });
      else response.destroy();
    }
  }

  /** Makes one call of our own. */
  async call(operation: string, body: Readonly<Record<string, unknown>>): Promise<ProxiedReply> {
    const answer = await this.#send(
      'POST',
      {
        'content-type': 'application/x-amz-json-1.0',
        'x-amz-target': `DynamoDB_20120810.${operation}`,
        authorization: AUTHORIZATION,
      },
      Readable.from([JSON.stringify(body)]),
    );
    return { status: answer.statusCode ?? 502, body: await json(answer) };
  }

  close(): void {
    this.#agent.destroy();
  }

  #forward({ request, body }: ReceivedCall): Promise<IncomingMessage> {
    const { authorization = '', connection: _hop, ...headers } = request.headers;
    // DynamoDB Local keeps one database per access key, and every function has a key of its own.
    const shared = authorization.replace(CREDENTIAL, `Credential=${ACCESS_KEY}/`);
    return this.#send(request.method ?? 'POST', { ...headers, authorization: shared }, Readable.from([body]));
  }

  #send(method: string, headers: OutgoingHttpHeaders, body: Readable): Promise<IncomingMessage> {
    const open = this.#endpoint.protocol === 'https:' ? openTlsRequest : openRequest;
    return new Promise((resolve, reject) => {
      const outgoing = open(this.#endpoint, {
        agent: this.#agent,
        method,
        headers: { ...headers, host: this.#endpoint.host },
      });
      outgoing.once('response', resolve);
      pipeline(body, outgoing).catch(reject);
    });
  }
}
