import { once } from 'node:events';
import { DynamoDBClient, GetItemCommand, ScanCommand } from '@aws-sdk/client-dynamodb';
import { EventBridgeClient, PutEventsCommand, type PutEventsRequestEntry } from '@aws-sdk/client-eventbridge';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { DynamoDbFront } from '../../../local/dynamodb/front.ts';
import { serveDynamoDb } from '../../../local/dynamodb/server.ts';
import { PortInUseError } from '../../../local/errors.ts';
import { EDGE_ADDRESS } from '../../../local/front-door/front-door.ts';
import type { LogEntry } from '../../../local/host/invocation.ts';
import { type LocalStack, startStack } from '../../../local/stack.ts';
import { type FixtureAssembly, fixtureAssembly } from './fixture-assembly.ts';
import { signedHeaders } from './signed-headers.ts';

let assembly: FixtureAssembly;
let stack: LocalStack;
let dynamodb: DynamoDBClient;
const logs: LogEntry[] = [];

const clientOptions = () => ({
  region: 'us-east-1',
  endpoint: `http://127.0.0.1:${stack.port}`,
  credentials: stack.credentials,
  maxAttempts: 1,
});

beforeAll(async () => {
  assembly = await fixtureAssembly();
  stack = await startStack({
    assembly: assembly.directory,
    settings: { JWT_SECRET: 'fixture secret' },
    schedule: false,
    prewarm: false,
    log: (entry) => logs.push(entry),
  });
  dynamodb = new DynamoDBClient(clientOptions());
});

afterAll(async () => {
  dynamodb.destroy();
  await stack.close();
  await assembly[Symbol.asyncDispose]();
});

/** Calls one of the services that speak JSON at `POST /`. */
function callService({ origin, credentials }: LocalStack, target: string, request: object) {
  const url = new URL(origin);
  const body = JSON.stringify(request);
  const service = target.startsWith('secretsmanager.') ? 'secretsmanager' : 'events';
  const headers = { 'x-amz-target': target };
  const signed = signedHeaders({ url, method: 'POST', body, credentials, service, headers });
  return fetch(url, { method: 'POST', body, headers: signed });
}

async function row(id: string): Promise<string | undefined> {
  const key = { p: { B: Buffer.from(id) } };
  const { Item } = await dynamodb.send(
    new GetItemCommand({ TableName: 'Fixture-Bus', Key: key, ConsistentRead: true }),
  );
  return Item?.s?.S;
}

async function ids(text: string): Promise<string[]> {
  const { Items = [] } = await dynamodb.send(new ScanCommand({ TableName: 'Fixture-Bus' }));
  return Items.filter(({ s }) => s?.S === text).map(({ p }) => Buffer.from(p?.B ?? []).toString());
}

describe('the WebSocket API', () => {
  test.each([
    ['its own URL', '/prod'],
    ['the front door', '/socket.io/?EIO=4&transport=websocket'],
  ])('opens at %s, and an asynchronous function posts to it', async (_where, path) => {
    const socket = new WebSocket(`ws://127.0.0.1:${stack.port}${path}`);
    const [message] = await once(socket, 'message');
    expect(String(message)).toBe('hello');
    expect(await ids('connected')).toHaveLength(1);
    socket.close();
    await once(socket, 'close');
    await stack.settled();
    expect(await ids('connected')).toEqual([]);
  });

  test('passes a refusal of $connect on, and refuses what is neither stage nor front door', async () => {
    const status = async (path: string) => {
      const socket = new WebSocket(`ws://127.0.0.1:${stack.port}${path}`);
      const [, response] = await once(socket, 'unexpected-response');
      socket.on('error', () => {});
      socket.terminate();
      return response.statusCode;
    };
    expect(await status('/socket.io/?refuse=1')).toBe(401);
    expect(await status('/prod/deeper')).toBe(403);
    expect(await status('/elsewhere')).toBe(403);
  });

  test('answers plain HTTP on the stage with 426, and unsigned @connections with 403', async () => {
    expect((await fetch(`${stack.origin}/prod`)).status).toBe(426);
    const unsigned = await fetch(`${stack.origin}/prod/@connections/TXzPWdnOjoECGjA%3D`, { method: 'POST' });
    expect(unsigned.status).toBe(403);
  });
});

describe('the Lambda API', () => {
  const invoke = (
    name: string,
    { body = '{"a":1}', headers = {} }: { body?: string; headers?: Record<string, string> } = {},
  ) => {
    const url = new URL(`${stack.origin}/2015-03-31/functions/${name}/invocations`);
    const { credentials } = stack;
    const signed = signedHeaders({ url, method: 'POST', body, credentials, service: 'lambda', headers });
    return fetch(url, { method: 'POST', body, headers: signed });
  };

  test('answers an invocation with what the function returned', async () => {
    const client = new LambdaClient(clientOptions());
    const answer = await client.send(new InvokeCommand({ FunctionName: 'publish', Payload: '{"a":1}' }));
    expect(answer).toMatchObject({ StatusCode: 200, ExecutedVersion: '$LATEST' });
    expect(answer.FunctionError).toBeUndefined();
    expect(answer.Payload?.transformToString()).toBe('{"published":{"a":1}}');
    client.destroy();
  });

  test('takes names, ARNs and qualifiers', async () => {
    const arn = encodeURIComponent('arn:aws:lambda:us-east-1:123456789012:function:publish:$LATEST');
    for (const name of [arn, 'publish:$LATEST', '123456789012:function:publish']) {
      expect((await invoke(name)).status).toBe(200);
    }
  });

  test('tells a function error by its header', async () => {
    const answer = await invoke('http', { body: '{"rawPath":"/fails"}' });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('x-amz-function-error')).toBe('Unhandled');
    expect(await answer.json()).toMatchObject({ errorType: 'Error', errorMessage: 'no' });
  });

  test('accepts an event and checks without running', async () => {
    const accepted = await invoke('publish', { headers: { 'x-amz-invocation-type': 'Event' } });
    expect([accepted.status, await accepted.text()]).toEqual([202, '']);
    expect((await invoke('publish', { headers: { 'x-amz-invocation-type': 'DryRun' } })).status).toBe(204);
  });

  test.each([
    ['an unknown function', 'absent', {}, 404, 'ResourceNotFoundException'],
    ['a body that is not JSON', 'publish', { body: '{' }, 400, 'InvalidRequestContentException'],
    ['more than 6 MB', 'publish', { body: `"${'x'.repeat(6_291_456)}"` }, 413, 'RequestTooLargeException'],
    [
      'an unknown invocation type',
      'publish',
      { headers: { 'x-amz-invocation-type': 'Later' } },
      400,
      'InvalidParameterValueException',
    ],
    [
      'an event of more than 1 MB',
      'publish',
      { body: `"${'x'.repeat(1_048_576)}"`, headers: { 'x-amz-invocation-type': 'Event' } },
      413,
      'RequestTooLargeException',
    ],
  ])('refuses %s', async (_what, name, init, status, type) => {
    const answer = await invoke(name, init);
    expect(answer.status).toBe(status);
    expect(answer.headers.get('x-amzn-errortype')).toBe(type);
    expect(await answer.json()).toMatchObject({ Message: expect.any(String) });
  });
});

describe('the front door', () => {
  test('answers what its function refuses, and passes a GET of the WebSocket API on', async () => {
    const refused = await fetch(`${stack.origin}/closed`);
    expect([refused.status, await refused.text()]).toEqual([403, 'closed']);
    expect((await fetch(`${stack.origin}/socket.io/`)).status).toBe(426);
  });

  test('is got around by what is signed, which is for the API’s own host', async () => {
    const answer = await fetch(`${stack.origin}/some/where`, {
      headers: { authorization: 'AWS4-HMAC-SHA256 x' },
    });
    const { requestContext } = (await answer.json()) as { requestContext: { http: object } };
    expect(requestContext.http).toMatchObject({ sourceIp: '127.0.0.1' });
  });
});

describe('the HTTP API', () => {
  test('makes the event of payload format 2.0', async () => {
    const answer = await fetch(`${stack.origin}/some/where?a=1&b=2&a=3`, {
      method: 'POST',
      headers: {
        'Content-Type': 'application/json',
        'X-Twice': 'one',
        Cookie: 'k=v; l=w',
        'User-Agent': 'tests',
      },
      body: '{"hola":true}',
    });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toBe('application/json');
    expect(answer.headers.get('apigw-requestid')).toMatch(/^[\w-]{15}=$/);
    const event = (await answer.json()) as Record<string, unknown>;
    const host = `localhost:${stack.port}`;
    expect(event).toEqual({
      version: '2.0',
      routeKey: '$default',
      rawPath: '/some/where',
      rawQueryString: 'a=1&b=2&a=3',
      cookies: ['k=v', 'l=w'],
      headers: expect.objectContaining({
        'content-type': 'application/json',
        'content-length': '13',
        host: `${stack.deployment.httpApi!.apiId}.execute-api.us-east-1.amazonaws.com`,
        'x-twice': 'one',
        'x-forwarded-for': `127.0.0.1, ${EDGE_ADDRESS}`,
        'x-forwarded-port': String(stack.port),
        'x-forwarded-proto': 'http',
        'x-amzn-trace-id': expect.stringMatching(/^Root=1-/),
      }),
      queryStringParameters: { a: '1,3', b: '2' },
      requestContext: {
        accountId: '123456789012',
        apiId: stack.deployment.httpApi!.apiId,
        domainName: host,
        domainPrefix: stack.deployment.httpApi!.apiId,
        http: {
          method: 'POST',
          path: '/some/where',
          protocol: 'HTTP/1.1',
          sourceIp: EDGE_ADDRESS,
          userAgent: 'tests',
        },
        requestId: answer.headers.get('apigw-requestid'),
        routeKey: '$default',
        stage: '$default',
        time: expect.stringMatching(/^\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d \+0000$/),
        timeEpoch: expect.any(Number),
      },
      body: '{"hola":true}',
      isBase64Encoded: false,
    });
    expect(event.headers).not.toHaveProperty('cookie');
    expect(event.headers).not.toHaveProperty('connection');
  });

  test('encodes a body that is not text', async () => {
    const init = {
      method: 'POST',
      headers: { 'content-type': 'application/octet-stream' },
      body: Buffer.from([1, 255]),
    };
    const event = await (await fetch(`${stack.origin}/x`, init)).json();
    expect(event).toMatchObject({ body: 'Af8=', isBase64Encoded: true });
  });

  test('binds path variables of the most specific route', async () => {
    const get = async (path: string, method = 'GET') =>
      (await fetch(`${stack.origin}${path}`, { method })).json();
    expect(await get('/things/a%20b')).toMatchObject({
      routeKey: 'GET /things/{thing}',
      rawPath: '/things/a%20b',
      pathParameters: { thing: 'a b' },
    });
    expect(await get('/things/a/b/c')).toMatchObject({
      routeKey: 'ANY /things/{proxy+}',
      pathParameters: { proxy: 'a/b/c' },
    });
    expect(await get('/things/a', 'PUT')).toMatchObject({ routeKey: 'ANY /things/{proxy+}' });
    expect(await get('/things/')).toMatchObject({
      routeKey: 'ANY /things/{proxy+}',
      pathParameters: { proxy: '' },
    });
    expect(await get('/things')).not.toHaveProperty('pathParameters');
  });

  test('writes status, cookies and body of an answer that has a status', async () => {
    const answer = await fetch(`${stack.origin}/cookies`);
    expect(answer.status).toBe(201);
    expect(answer.headers.getSetCookie()).toEqual(['a=1', 'b=2']);
    expect(answer.headers.get('content-type')).toBe('text/plain;charset=utf-8');
    expect(await answer.text()).toBe('baked');
  });

  test('answers 500 for a function that throws, and goes on', async () => {
    const answer = await fetch(`${stack.origin}/fails`);
    expect([answer.status, await answer.text()]).toEqual([500, '{"message":"Internal Server Error"}']);
    expect((await fetch(`${stack.origin}/works`)).status).toBe(200);
  });

  test('takes a signed request to a route that asks for IAM', async () => {
    const url = new URL('/publish', stack.origin);
    const body = '{"op":"emit"}';
    const headers = signedHeaders({ url, method: 'POST', body, credentials: stack.credentials });
    const answer = await fetch(url, { method: 'POST', body, headers });
    expect(answer.status).toBe(200);
    const { published } = (await answer.json()) as { published: { body: string; requestContext: unknown } };
    expect(published.body).toBe(body);
    expect(published.requestContext).toMatchObject({
      authorizer: {
        iam: {
          accessKey: stack.credentials.accessKeyId,
          userArn: 'arn:aws:iam::123456789012:user/developer',
        },
      },
    });
  });

  test.each([
    ['unsigned', () => ({})],
    [
      'signed with another secret',
      (url: URL, body: string) =>
        signedHeaders({
          url,
          method: 'POST',
          body,
          credentials: { ...stack.credentials, secretAccessKey: 'wrong' },
        }),
    ],
    [
      'signed for another body',
      (url: URL) => signedHeaders({ url, method: 'POST', body: '{}', credentials: stack.credentials }),
    ],
  ])('refuses a request to it that is %s', async (_how, headers) => {
    const url = new URL('/publish', stack.origin);
    const body = '{"op":"emit"}';
    const answer = await fetch(url, { method: 'POST', body, headers: headers(url, body) });
    expect([answer.status, await answer.text()]).toEqual([403, '{"message":"Forbidden"}']);
  });
});

describe('EventBridge', () => {
  const put = async (...Entries: PutEventsRequestEntry[]) => {
    const client = new EventBridgeClient(clientOptions());
    try {
      return await client.send(new PutEventsCommand({ Entries }));
    } finally {
      client.destroy();
    }
  };
  const order = { EventBusName: 'FixtureEvents', Source: 'shop', DetailType: 'Sold', Detail: '{"total":7}' };
  const heard = (id: string | undefined) => row(id ?? 'no event id');

  test('gives an event to the functions of the rules that match it', async () => {
    const Resources = ['arn:aws:shop:::till/1'];
    const { FailedEntryCount, Entries = [] } = await put({ ...order, Time: new Date(5_500), Resources });
    expect(FailedEntryCount).toBe(0);
    await stack.settled();
    expect(JSON.parse((await heard(Entries[0]?.EventId)) ?? '')).toEqual({
      version: '0',
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      'detail-type': 'Sold',
      source: 'shop',
      account: '123456789012',
      time: '1970-01-01T00:00:05Z',
      region: 'us-east-1',
      resources: Resources,
      detail: { total: 7 },
    });
  });

  test.each([
    ['another pattern', { Detail: '{"sum":7}' }],
    ['another bus, or none', { EventBusName: 'default' }],
    ['a source of another name', { Source: 'shops' }],
  ])('accepts an event of %s and gives it to nobody', async (_what, change) => {
    const { Entries = [] } = await put({ ...order, ...change });
    await stack.settled();
    expect(Entries[0]?.EventId).toMatch(/^[0-9a-f-]{36}$/);
    expect(await heard(Entries[0]?.EventId)).toBeUndefined();
  });

  test('gives a constant input in place of the event, on the default bus', async () => {
    await put({ Source: 'any', DetailType: 'Order placed', Detail: '{}' });
    await stack.settled();
    expect(await row('constant')).toBe('{"id":"constant"}');
  });

  test('knows a bus by its ARN', async () => {
    const arn = 'arn:aws:events:us-east-1:123456789012:event-bus/FixtureEvents';
    const { Entries = [] } = await put({ ...order, EventBusName: arn });
    await stack.settled();
    expect(await heard(Entries[0]?.EventId)).toContain('"total":7');
  });

  test('tells of each entry what is wrong with it, and takes the others', async () => {
    const answer = await put(
      { ...order, Source: '' },
      order,
      { ...order, DetailType: undefined },
      { ...order, Detail: '[1]' },
      { ...order, Detail: '{' },
      { ...order, Source: 'aws.s3' },
      { ...order, EventBusName: 'elsewhere' },
    );
    expect(answer.FailedEntryCount).toBe(6);
    expect(answer.Entries?.map(({ ErrorCode, EventId }) => ErrorCode ?? typeof EventId)).toEqual([
      'InvalidArgument',
      'string',
      'InvalidArgument',
      'MalformedDetail',
      'MalformedDetail',
      'NotAuthorizedForSourceException',
      'InvalidArgument',
    ]);
    expect(answer.Entries?.[0]?.ErrorMessage).toContain('Source is a required argument');
    expect(answer.Entries?.[6]?.ErrorMessage).toContain('elsewhere');
  });

  test.each([
    ['no entry', () => []],
    ['eleven entries', () => Array.from({ length: 11 }, () => order)],
    ['more than 1 MB', () => [{ ...order, Detail: `{"total":"${'x'.repeat(1_048_576)}"}` }]],
  ])('refuses a request with %s', async (_what, entries) => {
    await expect(put(...entries())).rejects.toMatchObject({ name: 'ValidationException' });
  });
});

describe('the other services', () => {
  test('a secret is answered from the settings by the last part of its name', async () => {
    expect(await (await fetch(`${stack.origin}/secret`)).json()).toEqual({ secret: 'fixture secret' });
  });

  test('a secret that is not set, and an operation that is not there, are refused as AWS refuses them', async () => {
    const call = async (target: string, request: object) => {
      const answer = await callService(stack, target, request);
      return [answer.status, await answer.json()];
    };
    const missing = { __type: 'ResourceNotFoundException' };
    expect(await call('secretsmanager.GetSecretValue', { SecretId: 'fixture/OTHER' })).toMatchObject([
      400,
      missing,
    ]);
    expect(await call('secretsmanager.PutSecretValue', {})).toMatchObject([
      400,
      { __type: 'UnknownOperationException' },
    ]);
    expect(await call('AWSEvents.PutRule', {})).toMatchObject([400, { __type: 'UnknownOperationException' }]);
    expect(await call('AWSEvents.PutEvents', { Entries: 'none' })).toMatchObject([
      400,
      { __type: 'SerializationException' },
    ]);
    expect(await call('AmazonSSM.GetParameter', {})).toMatchObject([
      400,
      { __type: 'UnknownOperationException' },
    ]);
  });

  test('a tick invokes the targets of the schedule with a scheduled event', async () => {
    await stack.tick();
    expect(JSON.parse((await row('sweep')) ?? '')).toEqual({
      version: '0',
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      'detail-type': 'Scheduled Event',
      source: 'aws.events',
      account: '123456789012',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      region: 'us-east-1',
      resources: ['arn:aws:events:us-east-1:123456789012:rule/Fixture-Minute'],
      detail: {},
    });
  });
});

describe('the stack itself', () => {
  test('refuses a port that is taken', async () => {
    const second = startStack({ assembly: assembly.directory, port: stack.port });
    await expect(second).rejects.toThrow(PortInUseError);
  });

  test('uses the DynamoDB of another endpoint, whoever calls', async () => {
    const front = DynamoDbFront.create();
    const elsewhere = await serveDynamoDb(front);
    const other = await startStack({
      assembly: assembly.directory,
      schedule: false,
      prewarm: false,
      settings: { DYNAMODB_ENDPOINT: elsewhere.endpoint },
    });
    expect(other.dynamodb).toBeUndefined();
    expect(other.dynamodbEndpoint).toBe(elsewhere.endpoint);
    await other.invoke('disconnect', { requestContext: { connectionId: 'elsewhere' } });
    const { body } = await front.handle('Scan', { TableName: 'Fixture-Bus' });
    expect(body).toMatchObject({ Items: [{ p: { B: btoa('elsewhere') }, s: { S: 'gone' } }] });
    await other.close();
    await elsewhere.close();
  });

  test('tells who listens of every event, wanted or not', async () => {
    const events: unknown[] = [];
    const other = await startStack({
      assembly: assembly.directory,
      schedule: false,
      prewarm: false,
      onEvent: (event) => events.push(event),
    });
    const Entries = [{ Source: 'nobody', DetailType: 'Nothing', Detail: '{"a":1}' }, { Source: 'wrong' }];
    await callService(other, 'AWSEvents.PutEvents', { Entries });
    expect(events).toMatchObject([{ eventBus: 'default', event: { source: 'nobody', detail: { a: 1 } } }]);
    await other.close();
  });

  test('may be closed twice, and leaves its port free', async () => {
    const other = await startStack({ assembly: assembly.directory, schedule: false });
    await Promise.all([other.close(), other.close()]);
    const again = await startStack({
      assembly: assembly.directory,
      port: other.port,
      schedule: false,
      prewarm: false,
    });
    await again.close();
  });
});
