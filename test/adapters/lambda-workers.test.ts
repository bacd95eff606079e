import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { mockClient } from 'aws-sdk-client-mock';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { LambdaWorkers } from '../../lambdas/adapters/lambda-workers.ts';
import { openWorkSchema } from '../../lambdas/wiring/events.ts';

const lambda = mockClient(LambdaClient);
// Files of a project share their process.
afterAll(() => lambda.restore());
const WORK = { v: 1, connectionId: 'L0SM9cOFvHcCIhw=', sid: 'A'.repeat(20), connectedAt: 1 } as const;

describe('the open work', () => {
  beforeEach(() => {
    lambda.reset();
    process.env.AWS_REGION ??= 'us-east-1';
  });

  test('is an asynchronous invocation of the named function, in the form which that function reads', async () => {
    lambda.on(InvokeCommand).resolves({ StatusCode: 202 });
    await new LambdaWorkers({ open: 'open-function', deliver: 'deliver-function' }).open(WORK);
    const [call] = lambda.commandCalls(InvokeCommand);
    const { Payload, ...input } = call!.args[0].input;
    expect(input).toEqual({ FunctionName: 'open-function', InvocationType: 'Event' });
    expect(openWorkSchema.parse(JSON.parse(Buffer.from(Payload as Uint8Array).toString()))).toEqual(WORK);
  });

  test('that Lambda does not accept is an error of the one who asked', async () => {
    lambda
      .on(InvokeCommand)
      .rejects(Object.assign(new Error('slow down'), { name: 'TooManyRequestsException' }));
    await expect(
      new LambdaWorkers({ open: 'open-function', deliver: 'deliver-function' }).open(WORK),
    ).rejects.toThrow('slow down');
  });
});
