import { once } from 'node:events';
import { DynamoDBClient, PutItemCommand, ScanCommand } from '@aws-sdk/client-dynamodb';
import { EventBridgeClient, PutEventsCommand } from '@aws-sdk/client-eventbridge';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { FaultRules } from '../../../local/faults/rules.ts';
import type { LogEntry } from '../../../local/host/invocation.ts';
import { type LocalStack, startStack } from '../../../local/stack.ts';
import { type FixtureAssembly, fixtureAssembly, fixtureTemplate } from './fixture-assembly.ts';

let assembly: FixtureAssembly;
let stack: LocalStack;
const logs: LogEntry[] = [];

beforeAll(async () => {
  assembly = await fixtureAssembly();
  stack = await startStack({
    assembly: assembly.directory,
    settings: { JWT_SECRET: 'fixture secret' },
    schedule: false,
    prewarm: false,
    seed: 7,
    log: (entry) => logs.push(entry),
    host: { retryDelaysMs: [1] },
  });
});

beforeEach(() => stack.faults.replace({}));

afterAll(async () => {
  await stack.close();
  await assembly[Symbol.asyncDispose]();
});

const options = (maxAttempts = 1) => ({
  region: 'us-east-1',
  endpoint: `http://127.0.0.1:${stack.port}`,
  credentials: stack.credentials,
  maxAttempts,
});

/** Rows of the fixture's functions that say `text`. */
async function rows(text: string): Promise<number> {
  const client = new DynamoDBClient(options());
  const { Items = [] } = await client.send(new ScanCommand({ TableName: 'Fixture-Bus' }));
  client.destroy();
  return Items.filter(({ s }) => s?.S === text).length;
}

describe('a call of a service', () => {
  const invoke = (client: LambdaClient) =>
    client.send(new InvokeCommand({ FunctionName: 'publish', Payload: Buffer.from('{"a":1}') }));

  test('of Lambda fails in its words, before or after the function has run', async () => {
    const client = new LambdaClient(options());
    stack.faults.replace({ calls: { 'lambda.Invoke': { throttled: 1 } } });
    await expect(invoke(client)).rejects.toMatchObject({ name: 'TooManyRequestsException' });
    stack.faults.replace({ calls: { 'lambda.Invoke': { error: 1 } } });
    await expect(invoke(client)).rejects.toMatchObject({ name: 'ServiceException' });
    stack.faults.clear();
    expect((await invoke(client)).StatusCode).toBe(200);
    expect(stack.faults.count('error', 'lambda.Invoke')).toBe(1);
  });

  test('of EventBridge and Secrets Manager fails in theirs', async () => {
    stack.faults.replace({
      calls: { 'events.PutEvents': { error: 1 }, 'secrets.GetSecretValue': { throttled: 1 } },
    });
    const events = new EventBridgeClient(options());
    const entry = { Source: 'test', DetailType: 'Test', Detail: '{}' };
    await expect(events.send(new PutEventsCommand({ Entries: [entry] }))).rejects.toMatchObject({
      name: 'InternalException',
    });
    const secrets = new SecretsManagerClient(options());
    const get = new GetSecretValueCommand({ SecretId: 'fixture/JWT_SECRET' });
    await expect(secrets.send(get)).rejects.toMatchObject({ name: 'ThrottlingException' });
  });

  test('of DynamoDB that is lost and repeated by the SDK meets its own condition', async () => {
    const once = (id: string) =>
      new PutItemCommand({
        TableName: 'Fixture-Bus',
        Item: { p: { B: Buffer.from(id) }, s: { S: 'lost' } },
        ConditionExpression: 'attribute_not_exists(p)',
      });
    const client = new DynamoDBClient(options(2));
    const errors: unknown[] = [];
    for (let index = 0; index < 6; index += 1) {
      stack.faults.replace({ calls: { 'dynamodb.PutItem': { lost: 1 } } });
      const failing = client.send(once(`lost ${index}`)).catch((error) => errors.push(error.name));
      await expect.poll(() => stack.faults.count('lost'), { interval: 1 }).toBeGreaterThan(0);
      stack.faults.clear();
      await failing;
    }
    expect(errors).toContain('ConditionalCheckFailedException');
    expect(await rows('lost')).toBe(6);
  });

  test('of DynamoDB can meet a conflict, and the tables of the stack were made without any fault', async () => {
    const other = await startStack({
      assembly: assembly.directory,
      schedule: false,
      prewarm: false,
      faults: { calls: { 'dynamodb.*': { conflict: 1 } } },
    });
    const client = new DynamoDBClient({ ...options(), endpoint: `http://127.0.0.1:${other.port}` });
    const item = { p: { B: Buffer.from('x') } };
    await expect(
      client.send(new PutItemCommand({ TableName: 'Fixture-Bus', Item: item })),
    ).rejects.toMatchObject({ name: 'TransactionConflictException' });
    await other.close();
  });
});

describe('a function', () => {
  const kills = (effect: 'before' | 'after'): FaultRules => ({
    kills: [{ function: 'disconnect', probability: 1, calls: [1, 1], effect }],
  });
  const event = (connectionId: string) => ({ requestContext: { connectionId } });

  test.each([
    ['before', 0],
    ['after', 1],
  ] as const)('is killed %s the effect of a call it waits for', async (effect, written) => {
    stack.faults.replace(kills(effect));
    const before = await rows('gone');
    const outcome = await stack.invoke('disconnect', event(`killed ${effect}`));
    expect(outcome).toMatchObject({ kind: 'error', error: { errorType: 'Runtime.ExitError' } });
    expect(await rows('gone')).toBe(before + written);
    expect(stack.faults.count('killed', 'disconnect')).toBe(1);
    stack.faults.clear();
    expect(await stack.invoke('disconnect', event('alive'))).toMatchObject({ kind: 'result' });
  });

  test('is counted from the start of each invocation', async () => {
    stack.faults.replace({
      kills: [{ function: 'disconnect', probability: 1, calls: [3, 3], effect: 'after' }],
    });
    // Each makes two calls.
    for (const id of ['one', 'two', 'three'])
      expect(await stack.invoke('disconnect', event(id))).toMatchObject({ kind: 'result' });
    expect(stack.faults.count('killed')).toBe(0);
  });

  test('gets an asynchronous event twice', async () => {
    stack.faults.replace({ asynchronous: { duplicated: 1 } });
    const before = logs.filter(({ line }) => line === 'listening').length;
    const client = new LambdaClient(options());
    const Payload = Buffer.from('{"id":"twice"}');
    await client.send(new InvokeCommand({ FunctionName: 'listen', InvocationType: 'Event', Payload }));
    await stack.settled();
    expect(logs.filter(({ line }) => line === 'listening').length - before).toBe(2);
    expect(stack.faults.count('event-duplicated', 'listen')).toBe(1);
  });
});

test('each fault is a line for those who debug', async () => {
  stack.faults.replace({ calls: { 'lambda.Invoke': { error: 1 } } });
  const before = logs.length;
  const client = new LambdaClient(options());
  const invoked = client.send(new InvokeCommand({ FunctionName: 'publish', Payload: '{}' }));
  await expect(invoked).rejects.toMatchObject({ $metadata: { httpStatusCode: 500 } });
  expect(logs.slice(before).map(({ line }) => line)).toContain(
    '{"level":"DEBUG","message":"fault","kind":"error","where":"lambda.Invoke","nth":1}',
  );
  client.destroy();
});

describe('the quotas of the account', () => {
  const upgrade = async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${stack.port}/prod`);
    socket.on('error', () => {});
    const status = await Promise.race([
      once(socket, 'open').then(() => 101),
      once(socket, 'unexpected-response').then(([, response]) => response.statusCode as number),
    ]);
    return { socket, status };
  };

  test('refuse upgrades and HTTP requests, and messages in their own form, and can be raised', async () => {
    stack.faults.replace({
      quotas: { connections: { burst: 1, perSecond: 0.001 }, requests: { burst: 2, perSecond: 0.001 } },
    });
    const first = await upgrade();
    expect([first.status, (await upgrade()).status]).toEqual([101, 429]);
    // The function that greets has taken a token for each try.
    await once(first.socket, 'message');
    await expect.poll(async () => (await fetch(`${stack.origin}/echo`)).status).toBe(429);
    const refused = await fetch(`${stack.origin}/echo`);
    expect([refused.status, await refused.json()]).toEqual([429, { message: 'Too Many Requests' }]);
    first.socket.send('x');
    const [frame] = await once(first.socket, 'message');
    expect(JSON.parse(String(frame))).toMatchObject({ message: 'Too Many Requests' });
    stack.faults.clear();
    expect((await fetch(`${stack.origin}/echo`)).status).toBe(200);
    first.socket.close();
  });
});

test('a stage whose throttle is left at 0 refuses every upgrade', async () => {
  const template = fixtureTemplate({
    WsStage: {
      Type: 'AWS::ApiGatewayV2::Stage',
      Properties: {
        ApiId: { Ref: 'Ws' },
        StageName: 'prod',
        DefaultRouteSettings: { ThrottlingRateLimit: 0, ThrottlingBurstLimit: 0 },
      },
    },
  });
  const throttled = await fixtureAssembly(template);
  const other = await startStack({ assembly: throttled.directory, schedule: false, prewarm: false });
  const socket = new WebSocket(`ws://127.0.0.1:${other.port}/prod`);
  socket.on('error', () => {});
  const [, response] = await once(socket, 'unexpected-response');
  expect(response.statusCode).toBe(429);
  socket.terminate();
  await other.close();
  await throttled[Symbol.asyncDispose]();
});
