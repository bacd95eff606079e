/** The AWS services that speak JSON at `POST /`, told apart by `X-Amz-Target`. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AccessControl } from '../iam/access-control.ts';
import { denialRefusal, signatureRefusal } from '../iam/json-refusal.ts';
import { putEventsNeeds } from '../iam/service-needs.ts';
import type { EventBridge } from './event-bridge.ts';
import { readBody, sendJson } from './http-message.ts';
import { answerSecrets, type JsonReply, type SecretsOptions, secretsNeeds } from './secrets-api.ts';

export interface ServiceEndpointOptions {
  readonly access: AccessControl;
  readonly secrets: SecretsOptions;
  readonly events: EventBridge;
  readonly dynamodb: (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;
}

const DYNAMODB = 'DynamoDB_20120810.';
const SECRETS = 'secretsmanager.';
const EVENTS = 'AWSEvents.';
/** Ten events have 1 MB together, and JSON text in a JSON text is longer by its escapes; nothing larger is read. */
const MAX_REQUEST_BYTES = 4 * 1_048_576;
const EMPTY = Buffer.alloc(0);
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
    const { status, body: answer } = this.#answer(target, request, body);
    sendJson(response, status, answer, JSON_1_1);
  }

  #answer(target: string, request: IncomingMessage, body: Buffer | undefined): JsonReply {
    const call = this.#call(target, parse(body));
    if (call === undefined) {
      const message = `${target} does not run locally`;
      return { status: 400, body: { __type: 'UnknownOperationException', message } };
    }
    const { access } = this.#options;
    const verdict = access.verify(call.service, request, body ?? EMPTY);
    if (verdict.kind === 'refused') return signatureRefusal(call.service, verdict);
    const denial = access.denial(verdict.accessKeyId, call.needs);
    return denial === undefined ? call.run() : denialRefusal(call.service, denial);
  }

  #call(target: string, request: unknown) {
    const { secrets, events } = this.#options;
    if (target.startsWith(SECRETS)) {
      const operation = target.slice(SECRETS.length);
      const needs = secretsNeeds(operation, request, secrets);
      return {
        service: 'secretsmanager' as const,
        needs,
        run: () => answerSecrets(operation, request, secrets),
      };
    }
    if (!target.startsWith(EVENTS)) return undefined;
    const operation = target.slice(EVENTS.length);
    const needs = operation === 'PutEvents' ? putEventsNeeds(request, secrets) : [];
    return { service: 'events' as const, needs, run: () => events.answer(operation, request) };
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
