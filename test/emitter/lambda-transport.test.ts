import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { mockClient } from 'aws-sdk-client-mock';
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Emitter, lambdaTransport, PublishError } from '../../emitter/index.ts';
import { REPORT } from './recording.ts';

const lambda = mockClient(LambdaClient);
// Files of a project share their process.
afterAll(() => lambda.restore());
beforeEach(() => void lambda.reset());
afterEach(() => vi.unstubAllEnvs());

function answering(payload: unknown): void {
  const text = typeof payload === 'string' ? payload : JSON.stringify(payload);
  lambda.on(InvokeCommand).resolves({ StatusCode: 200, Payload: Buffer.from(text) as never });
}

const emitter = () =>
  new Emitter({
    transport: lambdaTransport({ functionName: 'bus-publish', client: new LambdaClient({ region: 'x' }) }),
  });

const failureOf = (work: Promise<unknown>) =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );

/** Input of the only invocation, its payload as JSON. */
function invocation() {
  const calls = lambda.commandCalls(InvokeCommand);
  expect(calls).toHaveLength(1);
  const { Payload, ...input } = calls[0]!.args[0].input;
  return { input, payload: JSON.parse(Buffer.from(Payload as Uint8Array).toString('utf8')) as unknown };
}

describe('publishing by Lambda invoke', () => {
  test('invokes the function with the request and waits for its answer', async () => {
    answering(REPORT);
    expect(await emitter().to('grupo:ñ').emit('said', { text: '😀' })).toEqual(REPORT);
    expect(invocation()).toEqual({
      input: { FunctionName: 'bus-publish' },
      payload: {
        op: 'emit',
        namespace: '/',
        rooms: ['grupo:ñ'],
        except: [],
        event: 'said',
        args: [{ text: '😀' }],
      },
    });
  });

  test('resolves with the result of a call', async () => {
    answering({ ok: true, result: { clients: 3 } });
    expect(await emitter().call('app', 'count')).toEqual({ clients: 3 });
  });

  test('hands on what the deployment refuses', async () => {
    answering({ ok: false, error: { code: 'invalid_payload', message: 'rooms[0]: bad', field: 'rooms[0]' } });
    expect(await failureOf(emitter().emit('said'))).toMatchObject({
      name: 'PublishError',
      code: 'invalid_payload',
      message: 'rooms[0]: bad',
      field: 'rooms[0]',
      retryable: false,
    });
  });

  test('is unreachable, and may be tried again, where the invocation fails', async () => {
    const cause = new Error('connect ECONNREFUSED');
    lambda.on(InvokeCommand).rejects(cause);
    const failure = await failureOf(emitter().emit('said'));
    expect(failure).toBeInstanceOf(PublishError);
    expect(failure).toMatchObject({ code: 'unreachable', retryable: true, cause });
    expect((failure as Error).message).toContain('bus-publish');
  });

  test('may be tried again where the function itself failed', async () => {
    lambda.on(InvokeCommand).resolves({
      StatusCode: 200,
      FunctionError: 'Unhandled',
      Payload: Buffer.from('{"errorMessage":"Task timed out"}') as never,
    });
    const failure = await failureOf(emitter().emit('said'));
    expect(failure).toBeInstanceOf(PublishError);
    expect(failure).toMatchObject({ code: 'unavailable', retryable: true });
  });

  test.each([
    ['nothing', undefined],
    ['no JSON', 'oops'],
    ['an empty text', ''],
    ['null', null],
    ['a number', 7],
    ['a list', []],
    ['an HTTP answer', { statusCode: 200, body: '{"ok":true}' }],
    ['ok alone', { ok: true }],
    ['a report without its numbers', { ok: true, id: 'x' }],
    ['the result of a call', { ok: true, result: 1 }],
    ['a refusal without an error', { ok: false }],
    ['a refusal without a code', { ok: false, error: { message: 'x' } }],
  ])('fails where an emit is answered with %s', async (_what, payload) => {
    if (payload === undefined) lambda.on(InvokeCommand).resolves({ StatusCode: 200 });
    else answering(payload);
    const failure = await failureOf(emitter().emit('said'));
    expect(failure).toBeInstanceOf(PublishError);
    expect(failure).toMatchObject({ code: 'unavailable' });
  });

  test('fails where a call is answered with the report of an emit', async () => {
    answering(REPORT);
    expect(await failureOf(emitter().call('app', 'x'))).toMatchObject({ code: 'unavailable' });
  });

  test.each([
    ['by name', { functionName: 'mine' }, {}, 'mine'],
    ['by the environment', {}, { SOCKETBUS_PUBLISH_FUNCTION: 'theirs' }, 'theirs'],
    [
      'by name before the environment',
      { functionName: 'mine' },
      { SOCKETBUS_PUBLISH_FUNCTION: 'theirs' },
      'mine',
    ],
    ['by nothing, as the local stack calls it', {}, {}, 'publish'],
  ])('finds the function %s', async (_how, options, environment, expected) => {
    vi.stubEnv('AWS_REGION', 'eu-west-1');
    vi.stubEnv('SOCKETBUS_PUBLISH_FUNCTION', undefined);
    for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);
    answering(REPORT);
    await new Emitter(options).emit('said');
    expect(invocation().input).toEqual({ FunctionName: expected });
  });
});
