import type { LambdaClient, LambdaClientConfig } from '@aws-sdk/client-lambda';
import {
  type PublishRequestInput,
  type PublishResult,
  publishResultSchema,
} from '../lambdas/contract/publish.ts';
import { PublishError } from './errors.ts';
import { invokeFailure } from './failures.ts';

/** Carries a request of the publish contract to a deployment. */
export interface Transport {
  /** @throws PublishError where no answer of the contract came back. */
  send(request: PublishRequestInput): Promise<PublishResult>;
}

/** Keys, or a function that gets them, as every AWS client takes them. */
export type Credentials = NonNullable<LambdaClientConfig['credentials']>;

export interface LambdaTransportOptions {
  /** Name or ARN: the stack's output `PublishFunctionName`, or `publish` on the local stack. */
  readonly functionName: string;
  /** @default a client of our own with the options below, and none of the SDK's own retries */
  readonly client?: LambdaClient | undefined;
  /** @default the SDK's usual sources */
  readonly region?: string | undefined;
  /** @default the SDK's usual chain */
  readonly credentials?: Credentials | undefined;
  /** Where the Lambda API is, for example `http://localhost:3000`. @default the region's, or AWS_ENDPOINT_URL */
  readonly endpoint?: string | undefined;
  /** How long to wait for an answer; ms. @default 10000 */
  readonly timeoutMs?: number | undefined;
}

/** Longer than a delivery takes at most (5 s, design D9), and than a cold start before it. */
export const DEFAULT_TIMEOUT_MS = 10_000;

/** How much longer than usual the answer to a request may take, because clients have to answer first; ms. */
export function waitOf(request: PublishRequestInput): number {
  return request.op === 'emit' ? (request.flags?.ackTimeoutMs ?? 0) : 0;
}

/** Publishes by invoking the `publish` function; the caller's role needs `lambda:InvokeFunction` on it. */
export function lambdaTransport(options: LambdaTransportOptions): Transport {
  const { functionName, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  let client = options.client;
  return {
    async send(request) {
      const { InvokeCommand, LambdaClient: Client } = await import('@aws-sdk/client-lambda');
      client ??= new Client(clientConfig(options));
      const payload = Buffer.from(JSON.stringify(request));
      const command = new InvokeCommand({ FunctionName: functionName, Payload: payload });
      const answer = await client
        .send(command, { abortSignal: AbortSignal.timeout(timeoutMs + waitOf(request)) })
        .catch((cause: unknown) => {
          throw invokeFailure(cause, functionName);
        });
      if (answer.FunctionError !== undefined) {
        throw new PublishError('unavailable', `${functionName} failed: ${answer.FunctionError}`, {
          retryable: true,
        });
      }
      return parseResult(request.op, Buffer.from(answer.Payload ?? []).toString('utf8'));
    },
  };
}

function clientConfig({ region, credentials, endpoint }: LambdaTransportOptions): LambdaClientConfig {
  return {
    // The emitter tries again by itself: two layers of retries would multiply.
    maxAttempts: 1,
    ...(region === undefined ? {} : { region }),
    ...(credentials === undefined ? {} : { credentials }),
    ...(endpoint === undefined ? {} : { endpoint }),
  };
}

/** @throws PublishError where the text is no answer to such a request */
export function parseResult(op: PublishRequestInput['op'], text: string): PublishResult {
  const result = resultOf(op, text);
  if (result !== undefined) return result;
  // An answer cut short may be whole the next time; a whole one of another form will not change.
  throw new PublishError('unavailable', 'the answer is not of the publish contract', {
    retryable: parsedJson(text) === undefined,
  });
}

/** The answer of the publish contract in a text; undefined where it is none. */
export function resultOf(op: PublishRequestInput['op'], text: string): PublishResult | undefined {
  const parsed = publishResultSchema.safeParse(parsedJson(text));
  return parsed.success && answers(op, parsed.data) ? parsed.data : undefined;
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    // Not JSON is no answer, which is what undefined says.
    return undefined;
  }
}

/** An `emit` is answered with its report, everything else with a result. */
function answers(op: PublishRequestInput['op'], answer: PublishResult): boolean {
  return !answer.ok || (op === 'emit') === 'audience' in answer;
}
