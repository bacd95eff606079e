import { describe, expect, test } from 'vitest';
import { readAssembly } from '../../../local/template/assembly.ts';
import type { Deployment } from '../../../local/template/deployment.ts';
import { readDeployment } from '../../../local/template/deployment-reader.ts';
import { IntrinsicResolver, type References } from '../../../local/template/intrinsics.ts';
import { fixtureAssembly, fixtureTemplate, keyed, slot } from './fixture-assembly.ts';

const PLACE = { callbackOrigin: 'http://127.0.0.1:3000', httpOrigin: 'http://localhost:3000' };

async function deploymentOf(template = fixtureTemplate()): Promise<Deployment> {
  await using assembly = await fixtureAssembly(template);
  return readDeployment(await readAssembly(assembly.directory), PLACE);
}

const references: References = {
  ref: (name) => ({ Name: 'value', List: ['a', 'b'] })[name],
  attribute: (logicalId, attribute) => (logicalId === 'Name' ? `${attribute} of ${logicalId}` : undefined),
  condition: (name) =>
    ({ Yes: { 'Fn::Equals': ['a', 'a'] }, No: { 'Fn::Not': [{ Condition: 'Yes' }] } })[name],
  mapping: (map, first, second) => (map === 'Map' ? `${first}.${second}` : undefined),
  finish: (text) => text.replace('deployed', 'local'),
};
const resolve = (value: unknown) => new IntrinsicResolver(references).resolve(value, 'here');

describe('intrinsic functions', () => {
  test.each([
    ['Ref', { Ref: 'Name' }, 'value'],
    ['Fn::GetAtt as a list', { 'Fn::GetAtt': ['Name', 'Arn'] }, 'Arn of Name'],
    ['Fn::GetAtt as a text', { 'Fn::GetAtt': 'Name.Stream.Arn' }, 'Stream.Arn of Name'],
    ['Fn::Join', { 'Fn::Join': ['-', ['a', { Ref: 'Name' }, 1]] }, 'a-value-1'],
    [
      'Fn::Sub',
      { 'Fn::Sub': `${slot('Name')}/${slot('Name.Arn')}/${slot('!Name')}` },
      `value/Arn of Name/${slot('Name')}`,
    ],
    ['Fn::Sub with variables', { 'Fn::Sub': [slot('x'), { x: { Ref: 'Name' } }] }, 'value'],
    ['Fn::Select', { 'Fn::Select': ['1', { Ref: 'List' }] }, 'b'],
    ['Fn::Split', { 'Fn::Split': [',', 'a,b'] }, ['a', 'b']],
    ['Fn::If, true', { 'Fn::If': ['Yes', 'then', 'else'] }, 'then'],
    ['Fn::If, false', { 'Fn::If': ['No', 'then', 'else'] }, 'else'],
    ['Fn::And', { 'Fn::And': [{ Condition: 'Yes' }, { Condition: 'No' }] }, false],
    ['Fn::Or', { 'Fn::Or': [{ Condition: 'Yes' }, { Condition: 'No' }] }, true],
    ['Fn::FindInMap', { 'Fn::FindInMap': ['Map', 'a', { Ref: 'Name' }] }, 'a.value'],
    ['Fn::Base64', { 'Fn::Base64': 'hola' }, 'aG9sYQ=='],
    [
      'AWS::NoValue',
      { kept: 1, left: { Ref: 'AWS::NoValue' }, list: [{ Ref: 'AWS::NoValue' }, 2] },
      { kept: 1, list: [2] },
    ],
    ['a complete text', { 'Fn::Join': ['', ['depl', 'oyed']] }, 'local'],
    ['an object that only looks like one', { Ref: 'Name', Other: 1 }, { Ref: 'Name', Other: 1 }],
  ])('resolves %s', (_name, value, expected) => {
    expect(resolve(value)).toEqual(expected);
  });

  test.each([
    [{ Ref: 'Nobody' }, 'unknown_reference'],
    [{ 'Fn::GetAtt': ['Nobody', 'Arn'] }, 'unknown_reference'],
    [{ 'Fn::If': ['Maybe', 1, 2] }, 'unknown_reference'],
    [{ 'Fn::ImportValue': 'other' }, 'unsupported_intrinsic'],
    [{ 'Fn::Select': ['9', ['a']] }, 'invalid_property'],
    [{ 'Fn::Join': 'no list' }, 'invalid_property'],
  ])('refuses %j, and says where it is', (value, code) => {
    expect(() => resolve({ deep: [value] })).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining('here/deep/0') }),
    );
  });
});

describe('a deployment', () => {
  test('names functions after their handlers and gives them local addresses', async () => {
    const { functions } = await deploymentOf();
    expect([...functions.keys()]).toEqual([
      'connect',
      'open',
      'disconnect',
      'sweep',
      'http',
      'publish',
      'listen',
    ]);
    expect(functions.get('connect')).toMatchObject({
      arn: 'arn:aws:lambda:us-east-1:123456789012:function:connect',
      timeoutSeconds: 20,
      memoryMb: 256,
      role: 'arn:aws:iam::123456789012:role/Fixture-connectRole',
      asynchronous: { retries: 2, maxAgeSeconds: 21_600 },
      environment: {
        TABLE: 'Fixture-Bus',
        OPEN_FUNCTION: 'open',
        CALLBACK_URL: 'http://127.0.0.1:3000/prod',
        HTTP_URL: 'http://localhost:3000',
        DOOR_URL: 'http://localhost:3000',
      },
    });
    expect(functions.get('open')?.asynchronous).toEqual({ retries: 1, maxAgeSeconds: 60 });
  });

  test('has the tables, the routes, the schedule and the outputs of the template', async () => {
    const { tables, webSocketApi, httpApi, schedules, outputs } = await deploymentOf();
    expect(tables).toMatchObject([
      {
        name: 'Fixture-Bus',
        partitionKey: { name: 'p', type: 'B' },
        sortKey: undefined,
        timeToLiveAttribute: 't',
        pointInTimeRecovery: true,
      },
    ]);
    expect(webSocketApi).toMatchObject({ stage: 'prod', routeSelectionExpression: '\\$default' });
    expect([...(webSocketApi?.routes ?? [])]).toEqual([
      ['$connect', 'connect'],
      ['$disconnect', 'disconnect'],
      ['$default', 'publish'],
    ]);
    expect(httpApi?.routes).toContainEqual({
      key: 'POST /publish',
      functionName: 'publish',
      authorization: 'AWS_IAM',
    });
    expect(schedules).toMatchObject([{ everyMs: 60_000, targets: [{ functionName: 'sweep' }] }]);
    expect(Object.fromEntries(outputs)).toEqual({
      HttpUrl: 'http://localhost:3000',
      WebSocketUrl: 'ws://localhost:3000/prod',
    });
  });

  test('has the front door, its origins by the API that they are', async () => {
    const { frontDoor, httpApi, webSocketApi } = await deploymentOf();
    const host = (id = '') => `${id}.execute-api.us-east-1.amazonaws.com`;
    expect(Object.fromEntries(frontDoor?.origins ?? [])).toEqual({
      http: { api: 'HTTP', domainName: host(httpApi?.apiId), path: '', headers: {} },
      ws: {
        api: 'WEBSOCKET',
        domainName: host(webSocketApi?.apiId),
        path: '/prod',
        headers: { 'x-api-key': expect.stringMatching(/^[0-9a-f]{40}$/) },
      },
    });
    expect(frontDoor?.behaviors).toEqual([
      { pathPattern: '/direct*', originId: 'ws', viewerRequest: undefined },
      { pathPattern: '*', originId: 'http', viewerRequest: expect.stringContaining('function handler') },
    ]);
  });

  test('has the keys of a route that wants one: those of a plan for its stage, as the front door shows them', async () => {
    expect((await deploymentOf()).webSocketApi?.apiKeys).toBeUndefined();
    const { frontDoor, webSocketApi } = await deploymentOf(fixtureTemplate(keyed()));
    const value = frontDoor?.origins.get('ws')?.headers['x-api-key'];
    expect(webSocketApi?.apiKeys).toEqual([{ id: expect.any(String), value }]);
    const { Plan: _plan, ...unplanned } = keyed();
    const without = fixtureTemplate({
      ...unplanned,
      Plan: { Type: 'AWS::ApiGateway::UsagePlan', Properties: {} },
    });
    expect((await deploymentOf(without)).webSocketApi?.apiKeys).toEqual([]);
  });

  test('takes the name of one’s own for the front door’s too', async () => {
    const template = fixtureTemplate();
    const Outputs = { Url: { Value: 'https://chat.example.com' } };
    const { outputs } = await deploymentOf({ ...template, Outputs });
    expect(outputs.get('Url')).toBe('http://localhost:3000');
  });

  test('has the throttles of stages and routes, and none where none is set', async () => {
    const { webSocketApi, httpApi } = await deploymentOf(
      fixtureTemplate({
        WsStage: {
          Type: 'AWS::ApiGatewayV2::Stage',
          Properties: {
            ApiId: { Ref: 'Ws' },
            StageName: 'prod',
            DefaultRouteSettings: { ThrottlingRateLimit: 0, ThrottlingBurstLimit: '5' },
            RouteSettings: { $default: { ThrottlingRateLimit: 2.5 } },
          },
        },
      }),
    );
    expect(webSocketApi?.throttling).toEqual({
      all: { ratePerSecond: 0, burst: 5 },
      route: new Map([['$default', { ratePerSecond: 2.5 }]]),
    });
    expect(httpApi?.throttling).toEqual({ all: {}, route: new Map() });
  });

  test('has the event buses, and the rules with patterns that are on', async () => {
    const { eventBuses, eventRules } = await deploymentOf();
    expect(eventBuses).toEqual(['FixtureEvents']);
    expect(eventRules).toMatchObject([
      {
        ruleArn: 'arn:aws:events:us-east-1:123456789012:rule/Fixture-Heard',
        eventBus: 'FixtureEvents',
        targets: [{ functionName: 'listen', input: undefined }],
      },
      { eventBus: 'default', targets: [{ functionName: 'listen', input: { id: 'constant' } }] },
    ]);
  });

  test('knows the bus of a rule by its ARN', async () => {
    const byArn = changed('Heard', { EventBusName: { 'Fn::GetAtt': ['Events', 'Arn'] } });
    const { eventRules } = await deploymentOf(fixtureTemplate(byArn));
    expect(eventRules[0]).toMatchObject({ eventBus: 'FixtureEvents' });
  });

  test('names a second function of one name by its logical id', async () => {
    const { functions } = await deploymentOf(fixtureTemplate({ twin: properties('connect') }));
    expect(functions.get('connect')?.logicalId).toBe('connect');
    expect(functions.get('twin')).toMatchObject({ name: 'twin', handler: 'connect.connect' });
  });

  test('knows what the policy allows that CDK gives to functions', async () => {
    const policy = 'service-role/AWSLambdaBasicExecutionRole';
    const ManagedPolicyArns = [{ 'Fn::Sub': `arn:\${AWS::Partition}:iam::aws:policy/${policy}` }];
    const role = { Type: 'AWS::IAM::Role', Properties: { ManagedPolicyArns } };
    const { policies } = await deploymentOf(fixtureTemplate({ Theirs: role }));
    expect(policies.get('arn:aws:iam::123456789012:role/Fixture-Theirs')).toEqual([
      { effect: 'Allow', actions: expect.arrayContaining(['logs:PutLogEvents']), resources: ['*'] },
    ]);
  });

  test('leaves out what does not run here where that is asked for, and says so wherever it is named', async () => {
    const template = fixtureTemplate({
      Topic: { Type: 'AWS::SNS::Topic' },
      ByTopic: {
        Type: 'AWS::Lambda::Permission',
        Properties: {
          Action: 'lambda:InvokeFunction',
          FunctionName: { Ref: 'connect' },
          Principal: 'sns.amazonaws.com',
        },
      },
    });
    const Outputs = {
      Name: { Value: { Ref: 'Topic' } },
      Arn: { Value: { 'Fn::GetAtt': ['Topic', 'TopicArn'] } },
    };
    await using assembly = await fixtureAssembly({ ...template, Outputs });
    const read = await readAssembly(assembly.directory);
    const deployment = readDeployment(read, { ...PLACE, leaveOut: true });
    expect(deployment.leftOut).toEqual(['AWS::SNS::Topic Topic']);
    expect([...deployment.outputs.values()]).toEqual(['left-out:Topic', 'left-out:Topic.TopicArn']);
    const { permissions } = await deploymentOf();
    expect(deployment.permissions).toEqual(permissions);
  });

  const properties = (id: string) => {
    const { Resources } = fixtureTemplate() as {
      Resources: Record<string, { Type: string; Properties: object }>;
    };
    return Resources[id]!;
  };
  const changed = (id: string, Properties: object) => ({
    [id]: { ...properties(id), Properties: { ...properties(id).Properties, ...Properties } },
  });

  const config = () =>
    (properties('Door').Properties as { DistributionConfig: Record<string, unknown> }).DistributionConfig;

  const lost = 'arn:aws:sqs:us-east-1:123456789012:Fixture-Lost';
  const arnOfLost = { 'Fn::GetAtt': ['Lost', 'Arn'] };

  test('has the queues, and knows which gets what is given up', async () => {
    const change = {
      ...changed('openRetries', { DestinationConfig: { OnFailure: { Destination: arnOfLost } } }),
      ...changed('sweep', { DeadLetterConfig: { TargetArn: arnOfLost } }),
      ...changed('Lost', { VisibilityTimeout: 60 }),
      ...changed('connect', { Environment: { Variables: { QUEUE: { Ref: 'Lost' } } } }),
    };
    const { functions, queues, eventRules, schedules } = await deploymentOf(fixtureTemplate(change));
    expect(queues).toEqual([
      {
        name: 'Fixture-Lost',
        arn: lost,
        url: 'http://127.0.0.1:3000/123456789012/Fixture-Lost',
        visibilityTimeoutSeconds: 60,
        retentionSeconds: 345_600,
        delaySeconds: 0,
        maxMessageBytes: 1_048_576,
        waitSeconds: 0,
      },
    ]);
    expect(functions.get('connect')?.environment.QUEUE).toBe(queues[0]?.url);
    const { onFailure, ...retries } = functions.get('open')!.asynchronous;
    expect([onFailure, retries.retries, retries.maxAgeSeconds]).toEqual([lost, 1, 60]);
    expect(functions.get('sweep')?.asynchronous.deadLetterQueue).toBe(lost);
    expect(eventRules[0]?.targets).toMatchObject([
      { deadLetterQueue: lost, retries: 185, maxAgeSeconds: 86_400 },
    ]);
    expect(schedules[0]?.targets).toMatchObject([{ deadLetterQueue: undefined }]);
  });

  test.each([
    [
      'more environment than Lambda takes',
      changed('connect', { Environment: { Variables: { TEXT: 'x'.repeat(4_096 - 10) } } }),
      'invalid_property',
      'connect/Properties/Environment',
    ],
    [
      'a destination that is no queue',
      changed('openRetries', {
        DestinationConfig: { OnFailure: { Destination: { 'Fn::GetAtt': ['publish', 'Arn'] } } },
      }),
      'invalid_property',
      'openRetries/Properties/DestinationConfig',
    ],
    [
      'a queue with an order',
      changed('Lost', { FifoQueue: true }),
      'invalid_property',
      'Lost/Properties/Fifo',
    ],
    [
      'a resource that does not run locally',
      { Topic: { Type: 'AWS::SNS::Topic' } },
      'unsupported_resource',
      'Topic',
    ],
    ['a second front door', { Door2: properties('Door') }, 'unsupported_resource', 'Door2'],
    [
      'an origin that is no API of its own',
      {
        Door: {
          Type: 'AWS::CloudFront::Distribution',
          Properties: {
            DistributionConfig: {
              ...config(),
              Origins: [{ Id: 'http', DomainName: 'example.com' }],
            },
          },
        },
      },
      'unsupported_property',
      'Door/Properties/DistributionConfig/Origins',
    ],
    [
      'a front door that caches',
      {
        Door: {
          Type: 'AWS::CloudFront::Distribution',
          Properties: {
            DistributionConfig: {
              ...config(),
              DefaultCacheBehavior: { ...(config().DefaultCacheBehavior as object), CachePolicyId: 'mine' },
            },
          },
        },
      },
      'invalid_property',
      'Door/Properties/DistributionConfig/DefaultCacheBehavior/CachePolicyId',
    ],
    ['a second WebSocket API', { Second: properties('Ws') }, 'unsupported_resource', 'Second'],
    [
      'code that is not in the assembly',
      changed('connect', { Code: { S3Key: 'other.zip' } }),
      'asset_not_found',
      'connect',
    ],
    [
      'a timeout that Lambda does not allow',
      changed('connect', { Timeout: 901 }),
      'invalid_property',
      'connect/Properties/Timeout',
    ],
    ['a layer', changed('connect', { Layers: ['arn'] }), 'invalid_property', 'connect/Properties/Layers'],
    [
      'an index',
      changed('Bus', { GlobalSecondaryIndexes: [{}] }),
      'invalid_property',
      'Bus/Properties/Global',
    ],
    [
      'a schedule that is not a rate',
      changed('Minute', { ScheduleExpression: 'cron(0 0 * * ? *)' }),
      'unsupported_property',
      'Minute',
    ],
    [
      'a rule that waits for nothing',
      { Idle: { Type: 'AWS::Events::Rule', Properties: { State: 'ENABLED', Targets: [] } } },
      'invalid_property',
      'Idle/Properties',
    ],
    [
      'an input transformer that makes a text',
      changed('Heard', {
        Targets: [
          { Arn: { 'Fn::GetAtt': ['listen', 'Arn'] }, Id: '1', InputTransformer: { InputTemplate: '"x"' } },
        ],
      }),
      'unsupported_property',
      'Heard/Properties/Targets',
    ],
    [
      'an input path',
      changed('Heard', { Targets: [{ Arn: 'arn', Id: '1', InputPath: '$.detail' }] }),
      'invalid_property',
      'Heard/Properties/Targets/0/InputPath',
    ],
    [
      'a target that is no function',
      changed('Heard', { Targets: [{ Arn: { 'Fn::GetAtt': ['Lost', 'Arn'] }, Id: '1' }] }),
      'unknown_reference',
      'Heard/Properties/Targets',
    ],
    [
      'a comparison in a pattern that does not run here',
      changed('Heard', { EventPattern: { detail: { total: [{ numeric: ['>', 1] }] } } }),
      'unsupported_property',
      'Heard/Properties/EventPattern/detail/total/0',
    ],
    [
      'an authorizer',
      changed('HttpdefaultRoute', { AuthorizationType: 'JWT' }),
      'invalid_property',
      'HttpdefaultRoute',
    ],
    [
      'IAM on a WebSocket route',
      changed('WsconnectRoute', { AuthorizationType: 'AWS_IAM' }),
      'unsupported_property',
      'WsconnectRoute',
    ],
  ])('is refused with %s', async (_what, change, code, at) => {
    const refused = deploymentOf(fixtureTemplate(change));
    await expect(refused).rejects.toMatchObject({
      name: 'TemplateError',
      code,
      at: expect.stringContaining(at),
    });
  });

  test('leaves out what a false condition leaves out', async () => {
    const template = { ...fixtureTemplate({ Topic: { Type: 'AWS::SNS::Topic', Condition: 'Never' } }) };
    const Conditions = { Never: { 'Fn::Equals': [{ Ref: 'AWS::Region' }, 'mars-east-1'] } };
    await expect(deploymentOf({ ...template, Conditions })).resolves.toMatchObject({ stackName: 'Fixture' });
  });

  test('may be in a stage, and in one of several by any of its names', async () => {
    await using one = await fixtureAssembly(fixtureTemplate(), ['Prod']);
    const only = await readAssembly(one.directory);
    expect(readDeployment(only, PLACE).functions.get('open')?.directory).toMatch(/fixtures\/?$/);
    expect(only.stackName).toBe('Prod-Fixture');
    await using several = await fixtureAssembly(fixtureTemplate(), ['Prod', 'Dev']);
    for (const name of ['Dev/Fixture', 'DevFixture8252', 'Dev-Fixture'])
      expect(await readAssembly(several.directory, name)).toMatchObject({ stackName: 'Dev-Fixture' });
    await expect(readAssembly(several.directory)).rejects.toThrow(
      'expected exactly one stack, found: Prod/Fixture, Dev/Fixture; --stack <name> chooses one',
    );
  });

  test.each([
    [{ Chat: { Type: 'AWS::CloudFormation::Stack' } }, 'nested stacks do not run here (Chat)'],
    [undefined, '--stack <name> chooses another'],
  ])('is refused as one part of a stack that has none, with the resources %j', async (Resources, why) => {
    await using assembly = await fixtureAssembly({ Resources });
    const read = await readAssembly(assembly.directory);
    expect(() => readDeployment(read, { ...PLACE, leaveOut: true })).toThrow(
      `the stack Fixture: has no SocketBus: ${why}`,
    );
  });

  test('is refused when there is no assembly', async () => {
    await expect(readAssembly('/nowhere/at/all')).rejects.toMatchObject({ code: 'assembly_unreadable' });
  });
});
