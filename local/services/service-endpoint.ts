/** The AWS services that speak JSON at `POST /`, told apart by `X-Amz-Target`. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Caller } from '../dynamodb/call.ts';
import { carryOut, type Decision } from '../faults/decision.ts';
import { callTypeOf, serviceFailure } from '../faults/service-faults.ts';
import { type GatewayClock, systemClock } from '../gateway/clock.ts';
import type { AccessControl, SignedService } from '../iam/access-control.ts';
import { denialRefusal, signatureRefusal } from '../iam/json-refusal.ts';
import type { Need } from '../iam/policy.ts';
import { putEventsNeeds } from '../iam/service-needs.ts';
import { callerOf } from './caller.ts';
import type { EventBridge } from './event-bridge.ts';
import { readBody, sendJson } from './http-message.ts';
import { answerSecrets, type JsonReply, type SecretsOptions, secretsNeeds } from './secrets-api.ts';
import type { Sqs } from './sqs.ts';

export interface ServiceEndpointOptions {
  readonly access: AccessControl;
  readonly secrets: SecretsOptions;
  readonly events: EventBridge;
  readonly queues: Sqs;
  /** What goes wrong on purpose with a type of call. @default nothing */
  readonly decide?: (callType: string, caller: Caller) => Decision | undefined;
  /** @default the machine's time */
  readonly clock?: GatewayClock;
  readonly dynamodb: (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;
}

interface ServiceCall {
  readonly service: Exclude<SignedService, 'dynamodb' | 'execute-api' | 'lambda'>;
  readonly needs: readonly Need[];
  readonly run: (accessKeyId: string) => JsonReply | Promise<JsonReply>;
}

const DYNAMODB = 'DynamoDB_20120810.';
const SECRETS = 'secretsmanager.';
const EVENTS = 'AWSEvents.';
const QUEUES = 'AmazonSQS.';
/** Ten events have 1 MB together, and JSON text in a JSON text is longer by its escapes; nothing larger is read. */
const MAX_REQUEST_BYTES = 4 * 1_048_576;
const EMPTY = Buffer.alloc(0);

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
    const answer = await this.#answer(target, request, body);
    if (answer === undefined) {
      response.destroy();
      return;
    }
    const { status, body: reply, headers } = answer;
    const version = target.startsWith(QUEUES) ? '1.0' : '1.1';
    sendJson(response, status, reply, { 'content-type': `application/x-amz-json-${version}`, ...headers });
  }

  #answer(
    target: string,
    request: IncomingMessage,
    body: Buffer | undefined,
  ): JsonReply | Promise<JsonReply | undefined> {
    const call = this.#call(target, parse(body));
    if (call === undefined) {
      const message = `${target} does not run locally`;
      return { status: 400, body: { __type: 'UnknownOperationException', message } };
    }
    const { access } = this.#options;
    const verdict = access.verify(call.service, request, body ?? EMPTY);
    if (verdict.kind === 'refused') return signatureRefusal(call.service, verdict);
    const denial = access.denial(verdict.accessKeyId, call.needs);
    if (denial !== undefined) return denialRefusal(call.service, denial);
    return this.#carryOut(target, callerOf(request), () => call.run(verdict.accessKeyId));
  }

  /** Runs a call that is allowed, or what goes wrong with it; undefined where the connection is to be cut. */
  #carryOut(
    target: string,
    caller: Caller,
    act: () => JsonReply | Promise<JsonReply>,
  ): JsonReply | Promise<JsonReply | undefined> {
    const { clock = systemClock, decide } = this.#options;
    const callType = callTypeOf(target);
    const decision = decide?.(callType, caller);
    if (decision === undefined) return act();
    return carryOut<JsonReply | undefined>(decision, clock, {
      act: async () => act(),
      fail: (failure) => (failure === 'cut' ? undefined : serviceFailure(callType, failure)),
    });
  }

  #call(target: string, request: unknown): ServiceCall | undefined {
    const { secrets, events, queues } = this.#options;
    if (target.startsWith(SECRETS)) {
      const operation = target.slice(SECRETS.length);
      const needs = secretsNeeds(operation, request, secrets);
      return { service: 'secretsmanager', needs, run: () => answerSecrets(operation, request, secrets) };
    }
    if (target.startsWith(QUEUES)) {
      const operation = target.slice(QUEUES.length);
      // What a queue needs is known once the queue is: it asks for itself.
      const run = (accessKeyId: string) => queues.answer(operation, request, { kind: 'keys', accessKeyId });
      return { service: 'sqs', needs: [], run };
    }
    if (!target.startsWith(EVENTS)) return undefined;
    const operation = target.slice(EVENTS.length);
    const needs = operation === 'PutEvents' ? putEventsNeeds(request, secrets) : [];
    return { service: 'events', needs, run: () => events.answer(operation, request) };
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
