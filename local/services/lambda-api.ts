/** The Invoke operation of the Lambda API (API reference, "Invoke"), which is all that functions and emitters need. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FunctionHost } from '../host/function-host.ts';
import type { Outcome } from '../host/invocation.ts';
import type { AccessControl } from '../iam/access-control.ts';
import { readBody, sendJson, sendJsonText } from './http-message.ts';

/** Largest request and response of a synchronous invocation: 6 MB (Lambda quotas page). */
const MAX_SYNC_BYTES = 6_291_456;
/** An answer may carry a little more (the error message of the service names this number). */
const MAX_RESPONSE_BYTES = 6_291_556;
/** Largest asynchronous event: 1 MB since October 2025 (facts: Lambda limits). */
const MAX_EVENT_BYTES = 1_048_576;

const PATH = /^\/2015-03-31\/functions\/([^/?]+)\/invocations$/;
const ARN = /^(?:arn:[^:]+:lambda:[^:]*:[^:]*:function:|\d{12}:(?:function:)?)?([\w-]+)(?::([\w$-]+))?$/;

const INVOCATION_TYPES = ['RequestResponse', 'Event', 'DryRun'];

export interface LambdaApiOptions {
  readonly host: FunctionHost;
  readonly access: AccessControl;
  readonly region: string;
  readonly accountId: string;
}

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
    return this.#invoke(response, name, type, payload);
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

  async #invoke(response: ServerResponse, name: string, type: string, payload: string): Promise<void> {
    const { host } = this.#options;
    if (type === 'DryRun') {
      response.writeHead(204).end();
    } else if (type === 'Event') {
      const { requestId } = host.invokeLater(name, payload);
      sendJsonText(response, 202, '', { 'x-amzn-requestid': requestId });
    } else {
      this.#answer(response, await host.invokeText(name, payload));
    }
  }

  #answer(response: ServerResponse, outcome: Outcome): void {
    if (outcome.kind === 'throttled') {
      sendJson(response, 429, THROTTLED, { 'x-amzn-errortype': 'TooManyRequestsException' });
      return;
    }
    const { body, failed } = answerOf(outcome);
    sendJsonText(response, 200, body, {
      'x-amzn-requestid': outcome.requestId,
      'x-amz-executed-version': '$LATEST',
      ...(failed ? { 'x-amz-function-error': 'Unhandled' } : {}),
    });
  }

  #notFound(response: ServerResponse, name: string): void {
    refuse(response, 404, 'ResourceNotFoundException', `Function not found: ${this.#arn(name)}`);
  }
}

const THROTTLED = {
  Reason: 'ReservedFunctionConcurrentInvocationLimitExceeded',
  Type: 'User',
  message: 'Rate Exceeded.',
};

/** A function that failed answers 200 too; the header tells. */
function answerOf(outcome: Exclude<Outcome, { readonly kind: 'throttled' }>): {
  body: string;
  failed: boolean;
} {
  if (outcome.kind !== 'result') return { body: JSON.stringify(outcome.error), failed: true };
  if (Buffer.byteLength(outcome.payload) <= MAX_RESPONSE_BYTES)
    return { body: outcome.payload, failed: false };
  const errorMessage = `Response payload size exceeded maximum allowed payload size (${MAX_RESPONSE_BYTES} bytes).`;
  return { body: JSON.stringify({ errorType: 'Function.ResponseSizeTooLarge', errorMessage }), failed: true };
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

function tooLarge(type: string, limit: number): string {
  return `Request must be smaller than ${limit} bytes for the ${type} invocation type`;
}

function jsonProblem(text: string): string | undefined {
  try {
    JSON.parse(text);
    return undefined;
  } catch (error) {
    return `Could not parse request body into json: ${error instanceof Error ? error.message : String(error)}`;
  }
}

function refuse(response: ServerResponse, status: number, type: string, message: string): void {
  sendJson(response, status, { Type: 'User', Message: message }, { 'x-amzn-errortype': type });
}
