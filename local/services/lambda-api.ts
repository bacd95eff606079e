/** The Invoke operation of the Lambda API (API reference, "Invoke"), which is all that functions and emitters need. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Caller } from '../dynamodb/call.ts';
import { carryOut, type Decision, type Failure } from '../faults/decision.ts';
import { type GatewayClock, systemClock } from '../gateway/clock.ts';
import type { FunctionHost } from '../host/function-host.ts';
import type { Outcome } from '../host/invocation.ts';
import { MAX_EVENT_BYTES, MAX_SYNC_BYTES, tooLarge } from '../host/payload-limits.ts';
import type { AccessControl } from '../iam/access-control.ts';
import { callerOf } from './caller.ts';
import { readBody, sendJson, sendJsonText } from './http-message.ts';

const PATH = /^\/2015-03-31\/functions\/([^/?]+)\/invocations$/;
const ARN = /^(?:arn:[^:]+:lambda:[^:]*:[^:]*:function:|\d{12}:(?:function:)?)?([\w-]+)(?::([\w$-]+))?$/;

const INVOCATION_TYPES = ['RequestResponse', 'Event', 'DryRun'];

export interface LambdaApiOptions {
  readonly host: FunctionHost;
  readonly access: AccessControl;
  readonly region: string;
  readonly accountId: string;
  /** What goes wrong on purpose with the next call. @default nothing */
  readonly decide?: (caller: Caller) => Decision | undefined;
  /** @default the machine's time */
  readonly clock?: GatewayClock;
}

/** Writes the answer of a call that has been made. */
type Reply = () => void;

export class LambdaApi {
  readonly #options: LambdaApiOptions;

  constructor(options: LambdaApiOptions) {
    this.#options = options;
  }

  /** Whether a path is one of the Lambda API. */
  static owns(path: string): boolean {
    return path.startsWith('/2015-03-31/functions/');
  }

  async handle(request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
    const type = String(request.headers['x-amz-invocation-type'] ?? 'RequestResponse');
    const limit = type === 'Event' ? MAX_EVENT_BYTES : MAX_SYNC_BYTES;
    const body = await readBody(request, limit);
    const { name, qualifier } = functionNamed(path) ?? {};
    if (request.method !== 'POST' || name === undefined)
      return refuse(response, 404, 'UnknownOperationException', '');
    // Without its whole body a signature cannot be verified, and the service would not read that far either.
    if (body === undefined) return refuse(response, 413, 'RequestTooLargeException', tooLarge(type, limit));
    if (!this.#admits(request, response, body, this.#arn(name, qualifier))) return;
    if (!this.#options.host.names.includes(name)) return this.#notFound(response, name);
    if (!INVOCATION_TYPES.includes(type)) {
      return refuse(response, 400, 'InvalidParameterValueException', `Unknown invocation type: ${type}`);
    }
    const payload = body.length === 0 ? '{}' : body.toString('utf8');
    const problem = jsonProblem(payload);
    if (problem !== undefined) return refuse(response, 400, 'InvalidRequestContentException', problem);
    const act = () => this.#invoke(response, name, type, payload);
    const decision = this.#options.decide?.(callerOf(request));
    const reply =
      decision === undefined
        ? await act()
        : await carryOut<Reply>(decision, this.#options.clock ?? systemClock, {
            act,
            fail: (failure) => () => fail(response, failure),
          });
    reply();
  }

  /** Verifies and authorises; answers 403 itself. The body of a denial has a capital M, others have not. */
  #admits(request: IncomingMessage, response: ServerResponse, body: Buffer, resource: string): boolean {
    const { access } = this.#options;
    const verdict = access.verify('lambda', request, body);
    if (verdict.kind === 'refused') {
      const { type } = verdict.refusal;
      sendJsonText(response, 403, verdict.refusal.body, { 'x-amzn-errortype': type });
      return false;
    }
    const denial = access.denial(verdict.accessKeyId, [{ action: 'lambda:InvokeFunction', resource }]);
    if (denial === undefined) return true;
    sendJson(response, 403, { Message: denial }, { 'x-amzn-errortype': 'AccessDeniedException' });
    return false;
  }

  #arn(name: string, qualifier?: string): string {
    const { region, accountId } = this.#options;
    return `arn:aws:lambda:${region}:${accountId}:function:${name}${qualifier === undefined ? '' : `:${qualifier}`}`;
  }

  async #invoke(response: ServerResponse, name: string, type: string, payload: string): Promise<Reply> {
    const { host } = this.#options;
    if (type === 'DryRun') return () => void response.writeHead(204).end();
    if (type === 'Event') {
      const { requestId } = host.invokeLater(name, payload);
      return () => sendJsonText(response, 202, '', { 'x-amzn-requestid': requestId });
    }
    const outcome = await host.invokeText(name, payload);
    return () => this.#answer(response, outcome);
  }

  #answer(response: ServerResponse, outcome: Outcome): void {
    if (outcome.kind === 'throttled') {
      const body = { Reason: outcome.reason, Type: 'User', message: outcome.error.errorMessage };
      sendJson(response, 429, body, { 'x-amzn-errortype': 'TooManyRequestsException' });
      return;
    }
    // A function that failed answers 200 too; the header tells.
    const failed = outcome.kind !== 'result';
    sendJsonText(response, 200, failed ? JSON.stringify(outcome.error) : outcome.payload, {
      'x-amzn-requestid': outcome.requestId,
      'x-amz-executed-version': '$LATEST',
      ...(failed ? { 'x-amz-function-error': 'Unhandled' } : {}),
    });
  }

  #notFound(response: ServerResponse, name: string): void {
    refuse(response, 404, 'ResourceNotFoundException', `Function not found: ${this.#arn(name)}`);
  }
}

/** A name, a partial ARN or an ARN, with or without a qualifier. */
function functionNamed(path: string): { name: string; qualifier: string | undefined } | undefined {
  const [, encoded] = PATH.exec(path) ?? [];
  if (encoded === undefined) return undefined;
  try {
    const [, name, qualifier] = ARN.exec(decodeURIComponent(encoded)) ?? [];
    return name === undefined ? undefined : { name, qualifier };
  } catch {
    // A malformed escape names no function.
    return undefined;
  }
}

function jsonProblem(text: string): string | undefined {
  try {
    JSON.parse(text);
    return undefined;
  } catch (error) {
    return `Could not parse request body into json: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** Too many calls of the API itself, whatever function they are for. */
const THROTTLED = { Reason: 'CallerRateLimitExceeded', Type: 'User', message: 'Rate exceeded' };

function fail(response: ServerResponse, failure: Failure): void {
  if (failure === 'cut') response.destroy();
  else if (failure === 'error') refuse(response, 500, 'ServiceException', 'The service failed.');
  else sendJson(response, 429, THROTTLED, { 'x-amzn-errortype': 'TooManyRequestsException' });
}

function refuse(response: ServerResponse, status: number, type: string, message: string): void {
  sendJson(response, status, { Type: 'User', Message: message }, { 'x-amzn-errortype': type });
}
