import type { LambdaClient } from '@aws-sdk/client-lambda';
import {
  type PublishRequestInput,
  type PublishResult,
  publishResultSchema,
} from '../lambdas/contract/publish.ts';
import { PublishError } from './errors.ts';

/** Carries a request of the publish contract to a deployment. */
export interface Transport {
  /** @throws PublishError where no answer of the contract came back. */
  send(request: PublishRequestInput): Promise<PublishResult>;
}

export interface LambdaTransportOptions {
  /** Name or ARN: the stack's output `PublishFunctionName`, or `publish` on the local stack. */
  readonly functionName: string;
  /** @default a client with the SDK's usual credentials, region and endpoint */
  readonly client?: LambdaClient;
}

/** Publishes by invoking the `publish` function; the caller's role needs `lambda:InvokeFunction` on it. */
export function lambdaTransport(options: LambdaTransportOptions): Transport {
  let client = options.client;
  return {
    async send(request) {
      const { InvokeCommand, LambdaClient: Client } = await import('@aws-sdk/client-lambda');
      client ??= new Client({});
      const payload = Buffer.from(JSON.stringify(request));
      let answer: { readonly Payload?: Uint8Array; readonly FunctionError?: string | undefined };
      try {
        answer = await client.send(
          new InvokeCommand({ FunctionName: options.functionName, Payload: payload }),
        );
      } catch (cause) {
        throw new PublishError('unreachable', `${options.functionName} could not be invoked`, {
          retryable: true,
          cause,
        });
      }
      if (answer.FunctionError !== undefined) {
        throw new PublishError('unavailable', `${options.functionName} failed: ${answer.FunctionError}`, {
          retryable: true,
        });
      }
      return parseResult(request.op, Buffer.from(answer.Payload ?? []).toString('utf8'));
    },
  };
}

function parseResult(op: PublishRequestInput['op'], text: string): PublishResult {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new PublishError('unavailable', 'the answer is not JSON', { retryable: true, cause });
  }
  const parsed = publishResultSchema.safeParse(value);
  if (!parsed.success || !answers(op, parsed.data))
    throw new PublishError('unavailable', 'the answer is not of the publish contract', { retryable: false });
  return parsed.data;
}

/** An `emit` is answered with its report, everything else with a result. */
function answers(op: PublishRequestInput['op'], answer: PublishResult): boolean {
  return !answer.ok || (op === 'emit') === 'audience' in answer;
}
