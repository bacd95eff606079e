/** The DynamoDB of somebody else (`DYNAMODB_ENDPOINT`), reached through our port so that every call passes us. */
import { Agent, type IncomingMessage, request as openRequest, type ServerResponse } from 'node:http';
import { request as openTlsRequest, Agent as TlsAgent } from 'node:https';
import { pipeline } from 'node:stream/promises';
import { sendJson } from './http-message.ts';

const CREDENTIAL = /Credential=[^/]+\//;

export class DynamoDbProxy {
  readonly #endpoint: URL;
  readonly #agent: Agent;

  constructor(endpoint: string) {
    this.#endpoint = new URL(endpoint);
    const options = { keepAlive: true, maxSockets: 128 };
    this.#agent = this.#endpoint.protocol === 'https:' ? new TlsAgent(options) : new Agent(options);
  }

  /** Hands a request on and its answer back. An endpoint that cannot be reached is a 500, which the SDK retries. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const answer = await this.#forward(request);
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      await pipeline(answer, response);
    } catch (error) {
      const message = `${this.#endpoint.origin}: ${error instanceof Error ? error.message : String(error)}`;
      if (!response.headersSent) sendJson(response, 500, { __type: 'InternalServerError', message });
      else response.destroy();
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  #forward(request: IncomingMessage): Promise<IncomingMessage> {
    const open = this.#endpoint.protocol === 'https:' ? openTlsRequest : openRequest;
    const { authorization = '', connection: _hop, ...headers } = request.headers;
    return new Promise((resolve, reject) => {
      const outgoing = open(this.#endpoint, {
        agent: this.#agent,
        method: request.method ?? 'POST',
        headers: {
          ...headers,
          host: this.#endpoint.host,
          // DynamoDB Local keeps one database per access key, and every function has a key of its own.
          authorization: authorization.replace(CREDENTIAL, 'Credential=socketbus/'),
        },
      });
      outgoing.once('response', resolve);
      pipeline(request, outgoing).catch(reject);
    });
  }
}
