/** The AWS services that speak JSON at `POST /`, told apart by `X-Amz-Target`. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { EventBridge } from './event-bridge.ts';
import { readBody, sendJson } from './http-message.ts';
import { answerSecrets, type SecretsOptions } from './secrets-api.ts';

export interface ServiceEndpointOptions {
  readonly secrets: SecretsOptions;
  readonly events: EventBridge;
  readonly dynamodb: (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;
}

const DYNAMODB = 'DynamoDB_20120810.';
const SECRETS = 'secretsmanager.';
const EVENTS = 'AWSEvents.';
/** Ten events have 1 MB together, and JSON text in a JSON text is longer by its escapes; nothing larger is read. */
const MAX_REQUEST_BYTES = 4 * 1_048_576;
const JSON_1_1 = { 'content-type': 'application/x-amz-json-1.1' };

export class ServiceEndpoint {
  readonly #options: ServiceEndpointOptions;

  constructor(options: ServiceEndpointOptions) {
    this.#options = options;
  }

  static owns(request: IncomingMessage, path: string): boolean {
    return request.method === 'POST' && path === '/' && request.headers['x-amz-target'] !== undefined;
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const target = String(request.headers['x-amz-target']);
    if (target.startsWith(DYNAMODB)) return this.#options.dynamodb(request, response);
    const body = await readBody(request, MAX_REQUEST_BYTES);
    const { status, body: answer } = this.#answer(target, parse(body));
    sendJson(response, status, answer, JSON_1_1);
  }

  #answer(target: string, request: unknown) {
    if (target.startsWith(SECRETS))
      return answerSecrets(target.slice(SECRETS.length), request, this.#options.secrets);
    if (target.startsWith(EVENTS)) return this.#options.events.answer(target.slice(EVENTS.length), request);
    return {
      status: 400,
      body: { __type: 'UnknownOperationException', message: `${target} does not run locally` },
    };
  }
}

function parse(body: Buffer | undefined): unknown {
  try {
    return JSON.parse(body?.toString('utf8') ?? '');
  } catch {
    // The operation refuses what is not an object.
    return undefined;
  }
}
