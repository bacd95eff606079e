/** The AWS services that speak JSON at `POST /`, told apart by `X-Amz-Target`. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Caller } from '../dynamodb/call.ts';
import { carryOut, type Decision } from '../faults/decision.ts';
import { callTypeOf, serviceFailure } from '../faults/service-faults.ts';
import { type GatewayClock, systemClock } from '../gateway/clock.ts';
import { callerOf } from './caller.ts';
import type { EventBridge } from './event-bridge.ts';
import { readBody, sendJson } from './http-message.ts';
import { answerSecrets, type JsonReply, type SecretsOptions } from './secrets-api.ts';
import type { Sqs } from './sqs.ts';

export interface ServiceEndpointOptions {
  readonly secrets: SecretsOptions;
  readonly events: EventBridge;
  readonly queues: Sqs;
  /** What goes wrong on purpose with a type of call. @default nothing */
  readonly decide?: (callType: string, caller: Caller) => Decision | undefined;
  /** @default the machine's time */
  readonly clock?: GatewayClock;
  readonly dynamodb: (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;
}

const DYNAMODB = 'DynamoDB_20120810.';
const SECRETS = 'secretsmanager.';
const EVENTS = 'AWSEvents.';
const QUEUES = 'AmazonSQS.';
/** Ten events have 1 MB together, and JSON text in a JSON text is longer by its escapes; nothing larger is read. */
const MAX_REQUEST_BYTES = 4 * 1_048_576;

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
    const caller = callerOf(request);
    const act = () => this.#answer(target, parse(body), caller.accessKeyId);
    const callType = callTypeOf(target);
    const decision = this.#options.decide?.(callType, caller);
    const answer =
      decision === undefined
        ? await act()
        : await carryOut<JsonReply | undefined>(decision, this.#options.clock ?? systemClock, {
            act,
            fail: (failure) => (failure === 'cut' ? undefined : serviceFailure(callType, failure)),
          });
    if (answer === undefined) {
      response.destroy();
      return;
    }
    const { status, body: reply, headers } = answer;
    const version = target.startsWith(QUEUES) ? '1.0' : '1.1';
    sendJson(response, status, reply, { 'content-type': `application/x-amz-json-${version}`, ...headers });
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
