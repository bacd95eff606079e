import { describe, expect, test } from 'vitest';
import { PayloadTooLargeError, UnknownFunctionError } from '../../../local/host/errors.ts';
import type { FunctionDefinition } from '../../../local/template/deployment.ts';
import { fixture, hosting } from './deployments.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

async function invokeOnce(definition: FunctionDefinition, event: unknown = {}) {
  await using hosted = await hosting([definition]);
  return { invocation: await hosted.host.invoke(definition.name, event), logs: hosted.logs };
}

describe('a function that answers', () => {
  test('gets the event as JSON and a context like that of Lambda', async () => {
    const { invocation } = await invokeOnce(fixture('echo'), { text: 'hola', missing: undefined });
    expect(invocation).toMatchObject({ kind: 'result', requestId: expect.stringMatching(UUID) });
    const { value } = invocation as { value: { event: unknown; context: unknown; remaining: number } };
    expect(value.event).toEqual({ text: 'hola' });
    expect(value.context).toEqual({
      callbackWaitsForEmptyEventLoop: true,
      functionVersion: '$LATEST',
      functionName: 'echo',
      memoryLimitInMB: '128',
      logGroupName: '/aws/lambda/echo',
      logStreamName: expect.stringMatching(/^\d{4}\/\d\d\/\d\d\/\[\$LATEST\][0-9a-f]{32}$/),
      invokedFunctionArn: 'arn:aws:lambda:us-east-1:123456789012:function:echo',
      awsRequestId: invocation.requestId,
    });
    expect(value.remaining).toBeGreaterThan(9000);
    expect(value.remaining).toBeLessThanOrEqual(10_000);
  });

  test('answers null where its handler returns nothing', async () => {
    const { invocation } = await invokeOnce(fixture('nothing'));
    expect(invocation).toMatchObject({ kind: 'result', value: null });
  });

  test('keeps its memory between events of one instance', async () => {
    await using hosted = await hosting([fixture('count')]);
    for (const events of [1, 2, 3]) {
      expect(await hosted.host.invoke('count', {})).toMatchObject({ value: { events } });
    }
    expect(hosted.host.instances('count')).toBe(1);
  });

  test('sees its own environment and nothing of the laptop', async () => {
    process.env.LEAKED_FROM_THE_LAPTOP = 'yes';
    const { invocation } = await invokeOnce(fixture('environment', { environment: { BUS_TABLE: 'bus' } }));
    const { value } = invocation as { value: Record<string, string> };
    expect(value).toMatchObject({
      BUS_TABLE: 'bus',
      AWS_REGION: 'us-east-1',
      AWS_LAMBDA_FUNCTION_NAME: 'environment',
      AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '128',
      AWS_ENDPOINT_URL: 'http://127.0.0.1:9',
      _X_AMZN_TRACE_ID: expect.stringMatching(
        /^Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0$/,
      ),
    });
    expect(value).not.toHaveProperty('LEAKED_FROM_THE_LAPTOP');
    expect(value).not.toHaveProperty('HOME');
  });

  test('has credentials that no other function has, and that name its role', async () => {
    const again = fixture('again', { handler: 'functions.environment' });
    await using hosted = await hosting([fixture('environment'), again]);
    const { host, credentials } = hosted;
    const keys = await Promise.all(
      ['environment', 'again'].map(async (name) => {
        const { value } = (await host.invoke(name, {})) as { value: Record<string, string> };
        const key = value.AWS_ACCESS_KEY_ID!;
        expect(credentials.credentials(key)).toEqual({
          accessKeyId: key,
          secretAccessKey: value.AWS_SECRET_ACCESS_KEY,
          sessionToken: value.AWS_SESSION_TOKEN,
        });
        expect(credentials.principal(key)?.functionName).toBe(name);
        return key;
      }),
    );
    expect(new Set(keys).size).toBe(2);
  });
});

describe('the freeze between two events', () => {
  test('stops what the handler left behind until the next event comes', async () => {
    await using hosted = await hosting([fixture('either'), fixture('slow')]);
    const { host } = hosted;
    expect(await host.invoke('either', { wait: false })).toMatchObject({ value: [] });
    // Another function's 50 ms pass; with a running event loop both would have happened by now.
    await host.invoke('slow', { ms: 50 });
    expect(await host.invoke('either', { wait: false })).toMatchObject({ value: [] });
    const thawed = (await host.invoke('either', { wait: true })) as { value: string[] };
    expect(thawed.value).toContain('timer');
    expect(thawed.value).toContain('immediate');
  });

  test('loses no line of output', async () => {
    await using hosted = await hosting([fixture('talking')]);
    const { requestId } = await hosted.host.invoke('talking', {});
    expect(hosted.logs).toEqual([
      { function: 'talking', requestId, stream: 'stdout', line: 'to stdout' },
      { function: 'talking', requestId, stream: 'stderr', line: 'to stderr' },
      { function: 'talking', requestId, stream: 'stdout', line: 'two\nlines' },
    ]);
  });
});

describe('concurrency', () => {
  test('gives each concurrent event an instance of its own, up to the limit, and queues the rest', async () => {
    await using hosted = await hosting([fixture('slow')], { maxInstances: 2 });
    const all = Promise.all(Array.from({ length: 6 }, () => hosted.host.invoke('slow', { ms: 5 })));
    expect(hosted.host.instances('slow')).toBe(2);
    for (const invocation of await all) expect(invocation).toMatchObject({ kind: 'result', value: 'done' });
    expect(hosted.host.instances('slow')).toBe(2);
  });

  test('throttles the event after those that the reserved concurrency of the template has places for', async () => {
    const slow = fixture('slow', { reservedConcurrency: 3 });
    // Fewer instances than places: the third event waits for one and has its place meanwhile.
    await using hosted = await hosting([slow], { maxInstances: 2 });
    const three = Promise.all([1, 2, 3].map(() => hosted.host.invoke('slow', { ms: 1 })));
    expect(await hosted.host.invoke('slow', { ms: 1 })).toMatchObject({
      kind: 'throttled',
      reason: 'ReservedFunctionConcurrentInvocationLimitExceeded',
    });
    expect((await three).map(({ kind }) => kind)).toEqual(['result', 'result', 'result']);
    expect(await hosted.host.invoke('slow', { ms: 1 })).toMatchObject({ kind: 'result' });
  });

  test('shares what the account has left between the functions that reserve nothing', async () => {
    const names = ['slow', 'echo', 'count'];
    const functions = names.map((name) => fixture(name, name === 'count' ? { reservedConcurrency: 1 } : {}));
    await using hosted = await hosting(functions, { accountConcurrency: 2 });
    const first = hosted.host.invoke('slow', { ms: 1 });
    expect(await hosted.host.invoke('echo', {})).toMatchObject({
      kind: 'throttled',
      reason: 'ConcurrentInvocationLimitExceeded',
    });
    expect(await hosted.host.invoke('count', {})).toMatchObject({ kind: 'result' });
    expect(await first).toMatchObject({ kind: 'result' });
    expect(await hosted.host.invoke('echo', {})).toMatchObject({ kind: 'result' });
  });

  test('throttles instead of queueing where that is asked for', async () => {
    await using hosted = await hosting([fixture('slow')], { maxInstances: 1, whenFull: 'throttle' });
    const first = hosted.host.invoke('slow', { ms: 1 });
    expect(await hosted.host.invoke('slow', { ms: 1 })).toMatchObject({
      kind: 'throttled',
      error: { errorType: 'TooManyRequestsException' },
    });
    expect(await first).toMatchObject({ kind: 'result' });
    expect(await hosted.host.invoke('slow', { ms: 1 })).toMatchObject({ kind: 'result' });
  });

  test('throttles every event of a function with a reserved concurrency of 0', async () => {
    const { invocation } = await invokeOnce(fixture('count', { reservedConcurrency: 0 }));
    expect(invocation.kind).toBe('throttled');
  });

  test('starts one instance of each function ahead of time', async () => {
    await using hosted = await hosting([fixture('count'), fixture('echo')]);
    await hosted.host.prewarm();
    expect(['count', 'echo'].map((name) => hosted.host.instances(name))).toEqual([1, 1]);
    await hosted.host.prewarm();
    expect(hosted.host.instances('count')).toBe(1);
  });
});

describe('a function that fails', () => {
  const RequestId = /^RequestId: [0-9a-f-]{36} /;

  test.each([
    ['throws an error', 'throwing', { errorType: 'RangeError', errorMessage: 'out of bounds' }],
    ['throws something else', 'throwingText', { errorType: 'string', errorMessage: 'only a text' }],
    [
      'throws where nobody can catch it',
      'crashing',
      { errorType: 'TypeError', errorMessage: 'nobody caught me' },
    ],
    [
      'rejects a promise nobody awaits',
      'rejecting',
      { errorType: 'Runtime.UnhandledPromiseRejection', errorMessage: 'nobody awaited me' },
    ],
    ['never answers', 'neverAnswers', { errorType: 'Runtime.NodeJsExit' }],
    ['answers what is not JSON', 'circular', { errorType: 'TypeError' }],
    ['is not a function', 'notAFunction', { errorType: 'Runtime.HandlerNotFound' }],
    ['does not exist', 'absent', { errorMessage: 'functions.absent is undefined or not exported' }],
  ])('ends as an error when it %s', async (_how, name, error) => {
    const { invocation } = await invokeOnce(fixture(name));
    expect(invocation).toMatchObject({ kind: 'error', error });
  });

  test('shows the trace of what it threw, in the error and in the log', async () => {
    const { invocation, logs } = await invokeOnce(fixture('throwing'));
    expect(invocation).toMatchObject({
      error: {
        trace: expect.arrayContaining([
          'RangeError: out of bounds',
          expect.stringContaining('functions.mjs'),
        ]),
      },
    });
    expect(logs).toMatchObject([{ stream: 'platform', requestId: invocation.requestId }]);
    expect(logs[0]?.line).toMatch(/^Invoke Error \{"errorType":"RangeError"/);
  });

  test.each([
    [0, 'Error: Runtime exited without providing a reason'],
    [3, 'Error: Runtime exited with error: exit status 3'],
  ])('ends as an error when it exits with %i', async (code, message) => {
    const { invocation } = await invokeOnce(fixture('exiting'), { code });
    expect(invocation).toMatchObject({ kind: 'error', error: { errorType: 'Runtime.ExitError' } });
    const { error } = invocation as { error: { errorMessage: string } };
    expect(error.errorMessage).toMatch(RequestId);
    expect(error.errorMessage).toContain(message);
  });

  test('is killed when its buffers are more than its memory, though they lie outside of the heap', async () => {
    await using hosted = await hosting([fixture('buffers', { memoryMb: 128 })]);
    expect(await hosted.host.invoke('buffers', { megabytes: 20 })).toMatchObject({ kind: 'result' });
    expect(await hosted.host.invoke('buffers', { megabytes: 200 })).toMatchObject({
      kind: 'error',
      error: { errorType: 'Runtime.ExitError', errorMessage: expect.stringMatching(/signal: killed$/) },
    });
  });

  test('is killed when it uses more memory than the template gives it', async () => {
    await using hosted = await hosting([fixture('greedy', { memoryMb: 16 })]);
    const invocation = await hosted.host.invoke('greedy', {});
    expect(invocation).toMatchObject({ error: { errorMessage: expect.stringContaining('signal: killed') } });
    expect(hosted.host.instances('greedy')).toBe(0);
  });

  test.each(['forever', 'spin'])(
    'is killed at its timeout when it runs %s, and the next event succeeds',
    async (name) => {
      const bad = fixture(name, { timeoutSeconds: 0.2 });
      await using hosted = await hosting([bad, fixture('count')]);
      const invocation = await hosted.host.invoke(name, {});
      expect(invocation).toMatchObject({ kind: 'timeout', error: { errorType: 'Sandbox.Timedout' } });
      const { error } = invocation as { error: { errorMessage: string } };
      expect(error.errorMessage).toMatch(
        /^RequestId: [0-9a-f-]{36} Error: Task timed out after 0\.20 seconds$/,
      );
      expect(hosted.host.instances(name)).toBe(0);
      expect(await hosted.host.invoke('count', {})).toMatchObject({ kind: 'result' });
    },
  );

  test('is replaced by a fresh instance after a crash', async () => {
    await using hosted = await hosting([fixture('moody')]);
    const { host } = hosted;
    expect(await host.invoke('moody', {})).toMatchObject({ value: { events: 1 } });
    expect(await host.invoke('moody', { mood: 'exit' })).toMatchObject({ kind: 'error' });
    expect(await host.invoke('moody', {})).toMatchObject({ value: { events: 1 } });
  });

  test('keeps its instance after an error that the runtime caught', async () => {
    await using hosted = await hosting([fixture('throwing')]);
    await hosted.host.invoke('throwing', {});
    expect(hosted.host.instances('throwing')).toBe(1);
    expect(await hosted.host.invoke('throwing', {})).toMatchObject({ error: { errorType: 'RangeError' } });
  });

  test.each([
    ['broken.handler', { errorType: 'SyntaxError', errorMessage: 'the module itself is broken' }],
    ['unresolved.handler', { errorType: 'Runtime.ImportModuleError' }],
    ['missing.handler', { errorType: 'Runtime.ImportModuleError' }],
  ])('answers each event with the reason when %s cannot be loaded', async (handler, error) => {
    await using hosted = await hosting([fixture('unloadable', { handler })]);
    const both = await Promise.all([1, 2].map(() => hosted.host.invoke('unloadable', {})));
    expect(both).toMatchObject([
      { kind: 'error', error },
      { kind: 'error', error },
    ]);
  });

  test('is refused by name when it is not deployed', async () => {
    await using hosted = await hosting([fixture('count')]);
    await expect(hosted.host.invoke('absent', {})).rejects.toThrow(UnknownFunctionError);
  });
});

describe('a cold start', () => {
  test('takes as long as the host is told before the first event, and no second time', async () => {
    const coldStartMs = (name: string) => (name === 'count' ? 3_600_000 : 0);
    await using hosted = await hosting([fixture('count'), fixture('echo')], { coldStartMs });
    expect(await hosted.host.invoke('echo', {})).toMatchObject({ kind: 'result' });
    const cold = hosted.host.invoke('count', {});
    await expect.poll(() => hosted.clock.pending).toBe(1);
    await hosted.clock.advance(3_600_000);
    expect(await cold).toMatchObject({ value: { events: 1 } });
    expect(await hosted.host.invoke('count', {})).toMatchObject({ value: { events: 2 } });
  });

  test('ends with its instance', async () => {
    const { host, clock } = await hosting([fixture('count')], { coldStartMs: 3_600_000 });
    const cold = host.invoke('count', {});
    await expect.poll(() => clock.pending).toBe(1);
    await host.close();
    expect(await cold).toMatchObject({ kind: 'error' });
    expect(clock.pending).toBe(0);
  });
});

describe('payloads', () => {
  const text = (bytes: number) => JSON.stringify('x'.repeat(bytes - 2));

  test('of 6 MB get in and out of an invocation, and no more', async () => {
    await using hosted = await hosting([fixture('large')]);
    const { host } = hosted;
    const outcome = await host.invokeText('large', `{"bytes":6291556}`);
    expect(outcome).toMatchObject({ kind: 'result', payload: text(6_291_556) });
    expect(await host.invokeText('large', `{"bytes":6291557}`)).toMatchObject({
      kind: 'error',
      error: {
        errorType: 'Function.ResponseSizeTooLarge',
        errorMessage: 'Response payload size exceeded maximum allowed payload size (6291556 bytes).',
      },
    });
    expect(await host.invokeText('large', text(6_291_456))).toMatchObject({ kind: 'result' });
    expect(await host.invokeText('large', text(6_291_457))).toMatchObject({
      kind: 'error',
      error: { errorType: 'RequestTooLargeException' },
    });
  });

  test('of 1 MB are accepted as asynchronous events, and no more', async () => {
    await using hosted = await hosting([fixture('large')]);
    await hosted.host.invokeLater('large', text(1_048_576)).handled;
    expect(() => hosted.host.invokeLater('large', text(1_048_577))).toThrow(PayloadTooLargeError);
  });
});

describe('an instance', () => {
  test('has keys of its own, which are forgotten some time after its end', async () => {
    await using hosted = await hosting([fixture('environment')]);
    const { host, credentials, clock } = hosted;
    const keyOf = async () => {
      const { value } = (await host.invoke('environment', {})) as { value: Record<string, string> };
      return value.AWS_ACCESS_KEY_ID!;
    };
    const first = await keyOf();
    const principal = credentials.principal(first);
    expect(principal).toMatchObject({ functionName: 'environment', instance: 'environment#1' });
    expect(host.kill('environment#1')).toBe(true);
    const second = await keyOf();
    expect(credentials.principal(second)).toEqual({ ...principal, instance: 'environment#2' });
    // What the dead instance sent may still be on the way.
    expect(credentials.principal(first)).toEqual(principal);
    await expect.poll(() => clock.pending).toBe(1);
    await clock.advance(60_000);
    expect(credentials.credentials(first)).toBeUndefined();
    await host.close();
    expect(credentials.credentials(second)).toBeUndefined();
  });

  test('that is killed ends its event as a crash at once, and the next event gets a fresh one', async () => {
    await using hosted = await hosting([fixture('moody'), fixture('forever')]);
    const { host } = hosted;
    await host.prewarm();
    const running = host.invoke('forever', {});
    expect(host.kill('forever#1')).toBe(true);
    expect(host.instances('forever')).toBe(0);
    expect(await running).toMatchObject({ kind: 'error', error: { errorType: 'Runtime.ExitError' } });
    expect(host.kill('forever#1')).toBe(false);
    expect(await host.invoke('moody', {})).toMatchObject({ value: { events: 1 } });
    host.kill('moody#1');
    expect(await host.invoke('moody', {})).toMatchObject({ value: { events: 1 } });
  });
});

describe('closing', () => {
  test('ends running events as errors, refuses new ones and may be repeated', async () => {
    const { host } = await hosting([fixture('forever')]);
    await host.prewarm();
    const running = host.invoke('forever', {});
    await Promise.all([host.close(), host.close()]);
    expect(await running).toMatchObject({ kind: 'error' });
    expect(await host.invoke('forever', {})).toMatchObject({ kind: 'error' });
    expect(host.instances('forever')).toBe(0);
  });

  test('ends a prewarming, and starts nothing afterwards', async () => {
    const { host, logs } = await hosting(['count', 'echo', 'slow', 'nothing'].map((name) => fixture(name)));
    const warming = host.prewarm();
    await host.close();
    await warming;
    expect(host.names.map((name) => host.instances(name))).toEqual([0, 0, 0, 0]);
    // Nobody waited for what was still loading, so there is no failure to tell of.
    expect(logs).toEqual([]);
  });

  test('does not wait for the pause before a retry', async () => {
    const { host, logs, logged } = await hosting([fixture('alwaysFails')]);
    host.invokeLater('alwaysFails', '{}');
    await logged('Invoke Error');
    await host.close();
    expect(logs.filter(({ line }) => line.startsWith('attempt'))).toHaveLength(1);
  });
});
