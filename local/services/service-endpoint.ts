/** The AWS services that speak JSON at `POST /`, told apart by `X-Amz-Target`. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { EventBridge } from './event-bridge.ts';
import { readBody, sendJson } from './http-message.ts';
import { answerSecrets, type JsonReply, type SecretsOptions } from './secrets-api.ts';
import type { Sqs } from './sqs.ts';

export interface ServiceEndpointOptions {
  readonly secrets: SecretsOptions;
  readonly events: EventBridge;
  readonly queues: Sqs;
  readonly dynamodb: (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;
}

const DYNAMODB = 'DynamoDB_20120810.';
const SECRETS = 'secretsmanager.';
const EVENTS = 'AWSEvents.';
const QUEUES = 'AmazonSQS.';
/** Ten events have 1 MB together, and JSON text in a JSON text is longer by its escapes; nothing larger is read. */
const MAX_REQUEST_BYTES = 4 * 1_048_576;
const CREDENTIAL = /Credential=([^/,\s]+)\//;

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
    const [, accessKeyId] = CREDENTIAL.exec(request.headers.authorization ?? '') ?? [];
    const { status, body: answer, headers } = await this.#answer(target, parse(body), accessKeyId);
    const version = target.startsWith(QUEUES) ? '1.0' : '1.1';
    sendJson(response, status, answer, { 'content-type': `application/x-amz-json-${version}`, ...headers });
  }

  #answer(target: string, request: unknown, accessKeyId: string | undefined): JsonReply | Promise<JsonReply> {
    if (target.startsWith(SECRETS))
      return answerSecrets(target.slice(SECRETS.length), request, this.#options.secrets);
    if (target.startsWith(QUEUES)) {
      const caller = { kind: 'keys', accessKeyId } as const;
      return this.#options.queues.answer(target.slice(QUEUES.length), request, caller);
    }
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
