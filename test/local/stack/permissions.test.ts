import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { DynamoDbFront } from '../../../local/dynamodb/front.ts';
import { serveDynamoDb } from '../../../local/dynamodb/server.ts';
import type { Credentials } from '../../../local/host/credentials.ts';
import type { LogEntry } from '../../../local/host/invocation.ts';
import { type LocalStack, startStack } from '../../../local/stack.ts';
import { FIXTURE_STATEMENTS, fixtureAssembly, fixturePolicy, fixtureTemplate } from './fixture-assembly.ts';
import { type RequestToSign, signedHeaders } from './signed-headers.ts';

interface Running {
  readonly stack: LocalStack;
  readonly logs: LogEntry[];
  close(): Promise<void>;
}

async function run(changes: Parameters<typeof fixtureTemplate>[0]): Promise<Running> {
  const assembly = await fixtureAssembly(fixtureTemplate(changes));
  const logs: LogEntry[] = [];
  const stack = await startStack({
    assembly: assembly.directory,
    settings: { JWT_SECRET: 'fixture secret' },
    schedule: false,
    prewarm: false,
    log: (entry) => logs.push(entry),
  });
  const close = async () => {
    await stack.close();
    await assembly[Symbol.asyncDispose]();
  };
  return { stack, logs, close };
}

const TABLE = { 'Fn::GetAtt': ['Bus', 'Arn'] };
const KEY = { p: { B: 'AA==' } };
const TableName = 'Fixture-Bus';

type Call = Pick<RequestToSign, 'body' | 'service' | 'headers'> & { readonly path: string };

const target = (service: string, name: string, body: object): Call => ({
  path: '/',
  service,
  headers: { 'x-amz-target': name },
  body: JSON.stringify(body),
});
const dynamodb = (operation: string, body: object) =>
  target('dynamodb', `DynamoDB_20120810.${operation}`, body);
const SECRET = target('secretsmanager', 'secretsmanager.GetSecretValue', { SecretId: 'fixture/JWT_SECRET' });
const EVENTS = target('events', 'AWSEvents.PutEvents', {
  Entries: [{ EventBusName: 'FixtureEvents', Source: 'shop', DetailType: 'Sold', Detail: '{"total":1}' }, {}],
});
const LAMBDA: Call = { path: '/2015-03-31/functions/open/invocations', service: 'lambda', body: '{}' };
const POST: Call = { path: '/prod/@connections/TXzPWdnOjoECGjA%3D', service: 'execute-api', body: 'x' };
const PUBLISH: Call = { path: '/publish', service: 'execute-api', body: '{}' };

function send(stack: LocalStack, call: Call, changes: Partial<RequestToSign>): Promise<Response> {
  const url = new URL(call.path, stack.origin);
  const { credentials } = stack;
  const headers = signedHeaders({ ...call, url, method: 'POST', credentials, ...changes });
  return fetch(url, { method: 'POST', body: call.body, headers });
}

describe('a role', () => {
  let running: Running;
  let credentials: Credentials;

  beforeAll(async () => {
    const statements = [
      { Effect: 'Allow', Action: 'dynamodb:*Item', Resource: TABLE },
      { Effect: 'Deny', Action: 'dynamodb:DeleteItem', Resource: '*' },
    ];
    running = await run({ Policy: fixturePolicy(statements) });
    const keys = await running.stack.invoke('http', { rawPath: '/keys' });
    credentials = (keys as unknown as { value: Credentials }).value;
  });
  afterAll(() => running.close());

  test('may do what a policy allows, also under a wildcard', async () => {
    const answer = await send(running.stack, dynamodb('GetItem', { TableName, Key: KEY }), { credentials });
    expect([answer.status, await answer.json()]).toEqual([200, {}]);
  });

  const user = 'arn:aws:sts::123456789012:assumed-role/Fixture-httpRole/http';
  const text = (
    action: string,
    resource: string,
    reason = `because no identity-based policy allows the ${action} action`,
  ) => `User: ${user} is not authorized to perform: ${action} on resource: ${resource} ${reason}`;
  const table = 'arn:aws:dynamodb:us-east-1:123456789012:table/Fixture-Bus';
  const coral = 'com.amazon.coral.service#AccessDeniedException';

  test.each<[string, Call, number, string | undefined, object]>([
    [
      'DynamoDB',
      dynamodb('Query', { TableName }),
      400,
      undefined,
      { __type: coral, Message: text('dynamodb:Query', table) },
    ],
    [
      'DynamoDB, by an explicit deny of a part of a transaction',
      dynamodb('TransactWriteItems', {
        TransactItems: [{ Put: { TableName, Item: KEY } }, { Delete: { TableName, Key: KEY } }],
      }),
      400,
      undefined,
      {
        __type: coral,
        Message: text('dynamodb:DeleteItem', table, 'with an explicit deny in an identity-based policy'),
      },
    ],
    [
      'Lambda',
      LAMBDA,
      403,
      'AccessDeniedException',
      { Message: text('lambda:InvokeFunction', 'arn:aws:lambda:us-east-1:123456789012:function:open') },
    ],
    [
      'Secrets Manager',
      SECRET,
      400,
      undefined,
      {
        __type: 'AccessDeniedException',
        Message: text(
          'secretsmanager:GetSecretValue',
          'arn:aws:secretsmanager:us-east-1:123456789012:secret:fixture/JWT_SECRET-local0',
        ),
      },
    ],
    [
      'EventBridge, for the whole request',
      EVENTS,
      400,
      undefined,
      {
        __type: 'AccessDeniedException',
        Message: text('events:PutEvents', 'arn:aws:events:us-east-1:123456789012:event-bus/FixtureEvents'),
      },
    ],
    [
      '@connections',
      POST,
      403,
      'AccessDeniedException',
      {
        Message: expect.stringMatching(
          `^User: ${user} is not authorized to perform: execute-api:ManageConnections on resource: arn:aws:execute-api:us-east-1:\\*{8}9012:\\w{10}/prod/POST/@connections/{connectionId}$`,
        ),
      },
    ],
    ['a route that asks for IAM', PUBLISH, 403, undefined, { message: 'Forbidden' }],
  ])('is refused what no policy allows, by %s', async (_service, call, status, type, body) => {
    const { stack, logs } = running;
    const before = logs.length;
    const answer = await send(stack, call, { credentials });
    expect(answer.headers.get('x-amzn-errortype') ?? undefined).toBe(type);
    expect([answer.status, await answer.json()]).toEqual([status, body]);
    expect(logs.slice(before)).toMatchObject([
      {
        function: 'http',
        stream: 'platform',
        line: expect.stringMatching(/^access denied: [\w-]+:\w+ on arn:/),
      },
    ]);
  });

  test.each([
    ['DynamoDB', dynamodb('Scan', { TableName })],
    ['Lambda', LAMBDA],
    ['Secrets Manager', SECRET],
    ['EventBridge', EVENTS],
    ['a route that asks for IAM', PUBLISH],
  ])('is no limit to the person at the laptop: %s', async (_service, call) => {
    expect((await send(running.stack, call, {})).status).toBe(200);
  });

  describe.each([
    ['DynamoDB', dynamodb('GetItem', { TableName, Key: KEY }), 400, 'com.amazon.coral.service#'],
    ['Secrets Manager', SECRET, 400, ''],
    ['EventBridge', EVENTS, 400, ''],
    ['Lambda', LAMBDA, 403, ''],
  ])('is not believed by %s', (_service, call, status, namespace) => {
    const refusal = async (answer: Response) => {
      const body = (await answer.json()) as { __type?: string; message: string };
      return [answer.status, body.__type ?? answer.headers.get('x-amzn-errortype'), body.message];
    };

    test('without a signature', async () => {
      const init = { method: 'POST', body: call.body, headers: call.headers ?? {} };
      const answer = await fetch(new URL(call.path, running.stack.origin), init);
      expect(await refusal(answer)).toEqual([
        status,
        `${namespace}MissingAuthenticationTokenException`,
        expect.stringMatching(/Missing Authentication Token$|^Request is missing Authentication Token$/i),
      ]);
    });

    test.each<[string, () => Partial<RequestToSign>, string, RegExp]>([
      [
        'with a key nobody has',
        () => ({ credentials: { ...credentials, accessKeyId: 'ASIANOBODY' } }),
        'UnrecognizedClientException',
        /^The security token included in the request is invalid\.$/,
      ],
      [
        'with another session token',
        () => ({ credentials: { ...credentials, sessionToken: 'another' } }),
        'UnrecognizedClientException',
        /^The security token included in the request is invalid\.$/,
      ],
      [
        'with another secret',
        () => ({ credentials: { ...credentials, secretAccessKey: 'another' } }),
        'InvalidSignatureException',
        /^The request signature we calculated does not match the signature you provided\./,
      ],
      [
        'with a signature of another body',
        () => ({ credentials, body: 'another' }),
        'InvalidSignatureException',
        /^The request signature we calculated does not match the signature you provided\./,
      ],
      [
        'with a signature for another service',
        () => ({ credentials, service: 's3' }),
        'InvalidSignatureException',
        /^Credential should be scoped to correct service: '\w+'\. $/,
      ],
      [
        'with a signature of six minutes ago',
        () => ({ credentials, at: new Date(Date.now() - 360_000) }),
        'InvalidSignatureException',
        /^Signature expired: /,
      ],
    ])('%s', async (_how, changes, code, message) => {
      const answer = await refusal(await send(running.stack, call, changes()));
      expect(answer).toEqual([status, `${namespace}${code}`, expect.stringMatching(message)]);
    });
  });
});

describe('a function that does not let a service invoke it', () => {
  const withdrawn = (...ids: string[]) =>
    Object.fromEntries(ids.map((id) => [id, { Type: 'AWS::CDK::Metadata', Properties: {} }]));

  test('is not reached by routes and rules, which the log tells', async () => {
    const permissions = ['Wsdefault', 'Httpdefault', 'Heard', 'Minute'].map((name) => `${name}Permission`);
    const { stack, logs, close } = await run(withdrawn(...permissions));
    const socket = new WebSocket(`ws://127.0.0.1:${stack.port}/prod`);
    await once(socket, 'message');
    socket.send('hola');
    const [frame] = await once(socket, 'message');
    expect(JSON.parse(String(frame))).toMatchObject({ message: 'Internal server error' });
    socket.close();

    const answer = await fetch(`${stack.origin}/anything`);
    expect([answer.status, await answer.json()]).toEqual([500, { message: 'Internal Server Error' }]);
    expect((await fetch(`${stack.origin}/things/1`)).status).toBe(200);

    expect((await send(stack, EVENTS, {})).status).toBe(200);
    await stack.tick();
    await stack.settled();
    const rows = await stack.dynamodb!.handle('Scan', { TableName });
    expect(JSON.stringify(rows.body)).not.toMatch(/total|Scheduled Event/);
    const sources = logs.flatMap(({ line }) => /^not invoked: .* for (.*)$/.exec(line)?.[1] ?? []);
    const api = 'arn:aws:execute-api:us-east-1:123456789012';
    expect(sources.sort()).toEqual(
      [
        `${api}:${stack.deployment.httpApi!.apiId}/$default/$default`,
        `${api}:${stack.deployment.webSocketApi!.apiId}/prod/$default`,
        'arn:aws:events:us-east-1:123456789012:rule/Fixture-Heard',
        'arn:aws:events:us-east-1:123456789012:rule/Fixture-Minute',
      ].sort(),
    );
    await close();
  });

  test('fails the handshake with 500 where it is that of $connect', async () => {
    const { stack, close } = await run(withdrawn('WsconnectPermission'));
    const socket = new WebSocket(`ws://127.0.0.1:${stack.port}/prod`);
    const [, response] = await once(socket, 'unexpected-response');
    socket.on('error', () => {});
    socket.terminate();
    expect(response.statusCode).toBe(500);
    await close();
  });
});

test('permissions are the same for somebody else’s DynamoDB', async () => {
  const assembly = await fixtureAssembly(
    fixtureTemplate({ Policy: fixturePolicy(FIXTURE_STATEMENTS.slice(1)) }),
  );
  const elsewhere = await serveDynamoDb(DynamoDbFront.create());
  const stack = await startStack({
    assembly: assembly.directory,
    settings: { DYNAMODB_ENDPOINT: elsewhere.endpoint },
    schedule: false,
    prewarm: false,
  });
  const outcome = await stack.invoke('sweep', {});
  expect(outcome).toMatchObject({ kind: 'error', error: { errorType: 'AccessDeniedException' } });
  expect((await send(stack, dynamodb('Scan', { TableName }), {})).status).toBe(200);
  await stack.close();
  await elsewhere.close();
  await assembly[Symbol.asyncDispose]();
});
