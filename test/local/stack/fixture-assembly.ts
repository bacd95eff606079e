import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const functions = fileURLToPath(new URL('./fixtures/', import.meta.url));

type Json = Readonly<Record<string, unknown>>;

/** A placeholder of Fn::Sub. */
export const slot = (name: string) => `$\{${name}}`;
const ref = (name: string) => ({ Ref: name });
const arnOf = (name: string) => ({ 'Fn::GetAtt': [name, 'Arn'] });

function lambda(name: string, properties: Json = {}): Json {
  return {
    Type: 'AWS::Lambda::Function',
    Properties: {
      Handler: `${name}.${name}`,
      Code: {
        S3Bucket: { 'Fn::Sub': `assets-${slot('AWS::AccountId')}-${slot('AWS::Region')}` },
        S3Key: 'code.zip',
      },
      Role: arnOf(`${name}Role`),
      Runtime: 'nodejs24.x',
      Timeout: 20,
      MemorySize: 256,
      Environment: {
        Variables: {
          TABLE: ref('Bus'),
          OPEN_FUNCTION: ref('open'),
          CALLBACK_URL: {
            'Fn::Join': [
              '',
              [
                'https://',
                ref('Ws'),
                '.execute-api.',
                ref('AWS::Region'),
                '.',
                ref('AWS::URLSuffix'),
                '/prod',
              ],
            ],
          },
          HTTP_URL: { 'Fn::GetAtt': ['Http', 'ApiEndpoint'] },
          DOOR_URL: { 'Fn::Join': ['', ['https://', { 'Fn::GetAtt': ['Door', 'DomainName'] }]] },
        },
      },
      ...properties,
    },
  };
}

const role: Json = { Type: 'AWS::IAM::Role', Properties: {} };

const connections = (method: string) => ({
  'Fn::Sub': `arn:aws:execute-api:${slot('AWS::Region')}:${slot('AWS::AccountId')}:${slot('Ws')}/prod/${method}/@connections/*`,
});
const everyFunction = (action: string | string[], resource: unknown): Json => ({
  Effect: 'Allow',
  Action: action,
  Resource: resource,
});

/** What the functions call; one policy for all roles keeps the template small. */
export const FIXTURE_STATEMENTS: readonly Json[] = [
  everyFunction(['dynamodb:PutItem', 'dynamodb:GetItem'], arnOf('Bus')),
  everyFunction('lambda:InvokeFunction', arnOf('open')),
  everyFunction('execute-api:ManageConnections', [connections('POST')]),
  everyFunction('events:PutEvents', arnOf('Events')),
  everyFunction('sqs:SendMessage', arnOf('Lost')),
  everyFunction('secretsmanager:GetSecretValue', {
    'Fn::Sub': `arn:aws:secretsmanager:${slot('AWS::Region')}:${slot('AWS::AccountId')}:secret:fixture/JWT_SECRET-??????`,
  }),
];

/** A policy of all roles of the template. */
export function fixturePolicy(statements: readonly Json[] = FIXTURE_STATEMENTS): Json {
  return {
    Type: 'AWS::IAM::Policy',
    Properties: {
      PolicyName: 'Everybody',
      PolicyDocument: { Version: '2012-10-17', Statement: statements },
      Roles: NAMES.map((name) => ref(`${name}Role`)),
    },
  };
}

/** Lets a service invoke a function. */
function permission(target: string, service: string, source: unknown): Json {
  return {
    Type: 'AWS::Lambda::Permission',
    Properties: {
      Action: 'lambda:InvokeFunction',
      FunctionName: arnOf(target),
      Principal: `${service}.amazonaws.com`,
      SourceArn: source,
    },
  };
}

function api(name: string, protocol: string, stage: string): Record<string, Json> {
  return {
    [name]: {
      Type: 'AWS::ApiGatewayV2::Api',
      Properties: {
        Name: name,
        ProtocolType: protocol,
        ...(protocol === 'WEBSOCKET' ? { RouteSelectionExpression: '\\$default' } : {}),
      },
    },
    [`${name}Stage`]: {
      Type: 'AWS::ApiGatewayV2::Stage',
      Properties: { ApiId: ref(name), StageName: stage, AutoDeploy: true },
    },
  };
}

function route(apiName: string, key: string, target: string, authorization = 'NONE'): Record<string, Json> {
  const id = `${apiName}${key.replace(/\W/g, '')}`;
  const uri =
    apiName === 'Http'
      ? arnOf(target)
      : {
          'Fn::Join': [
            '',
            [
              'arn:aws:apigateway:',
              ref('AWS::Region'),
              ':lambda:path/2015-03-31/functions/',
              arnOf(target),
              '/invocations',
            ],
          ],
        };
  return {
    [`${id}Integration`]: {
      Type: 'AWS::ApiGatewayV2::Integration',
      Properties: {
        ApiId: ref(apiName),
        IntegrationType: 'AWS_PROXY',
        IntegrationUri: uri,
        ...(apiName === 'Http' ? { PayloadFormatVersion: '2.0' } : {}),
      },
    },
    [`${id}Route`]: {
      Type: 'AWS::ApiGatewayV2::Route',
      Properties: {
        ApiId: ref(apiName),
        RouteKey: key,
        AuthorizationType: authorization,
        Target: { 'Fn::Join': ['/', ['integrations', ref(`${id}Integration`)]] },
      },
    },
    [`${id}Permission`]: permission(target, 'apigateway', {
      'Fn::Sub': `arn:aws:execute-api:${slot('AWS::Region')}:${slot('AWS::AccountId')}:${slot(apiName)}/*${
        key.includes('/') ? key.slice(key.indexOf('/')) : key
      }`,
    }),
  };
}

/** Sends its one path to the WebSocket API, refuses another, and leaves the rest as it is. */
const VIEWER_REQUEST = `import cf from 'cloudfront';
function handler(event) {
  var request = event.request;
  if (request.uri === '/closed') return { statusCode: 403, headers: {}, body: 'closed' };
  if (request.uri.indexOf('/socket.io') !== 0) return request;
  request.uri = '/';
  cf.selectRequestOriginById('ws');
  return request;
}`;

/** A distribution before both APIs, with the function on what no path decides. */
function frontDoor(): Record<string, Json> {
  const behavior = (TargetOriginId: string, more: Json = {}): Json => ({
    TargetOriginId,
    AllowedMethods: ['GET', 'HEAD', 'OPTIONS', 'PUT', 'PATCH', 'POST', 'DELETE'],
    CachePolicyId: '4135ea2d-6df8-44a3-9df3-4b5a84be39ad',
    OriginRequestPolicyId: 'b689b0a8-53d0-40ab-baf2-68738e2966ac',
    ViewerProtocolPolicy: 'redirect-to-https',
    ...more,
  });
  const host = (name: string): Json => ({
    'Fn::Select': [2, { 'Fn::Split': ['/', { 'Fn::GetAtt': [name, 'ApiEndpoint'] }] }],
  });
  return {
    DoorFunction: {
      Type: 'AWS::CloudFront::Function',
      Properties: {
        Name: 'door',
        AutoPublish: true,
        FunctionCode: VIEWER_REQUEST,
        FunctionConfig: { Comment: '', Runtime: 'cloudfront-js-2.0' },
      },
    },
    Door: {
      Type: 'AWS::CloudFront::Distribution',
      Properties: {
        DistributionConfig: {
          Enabled: true,
          Aliases: ['chat.example.com'],
          DefaultCacheBehavior: behavior('http', {
            FunctionAssociations: [
              { EventType: 'viewer-request', FunctionARN: { 'Fn::GetAtt': ['DoorFunction', 'FunctionARN'] } },
            ],
          }),
          CacheBehaviors: [behavior('ws', { PathPattern: '/direct*' })],
          Origins: [
            { Id: 'http', DomainName: host('Http') },
            {
              Id: 'ws',
              DomainName: host('Ws'),
              OriginPath: '/prod',
              OriginCustomHeaders: [{ HeaderName: 'x-api-key', HeaderValue: KEY }],
            },
          ],
        },
      },
    },
    DoorKey: { Type: 'AWS::SecretsManager::Secret', Properties: { GenerateSecretString: {} } },
  };
}

const KEY: Json = {
  'Fn::Join': ['', ['{{resolve:secretsmanager:', ref('DoorKey'), ':SecretString:::}}']],
};

/** The front door's key, and a route that wants it. */
export function keyed(): Record<string, Json> {
  return {
    ApiKey: { Type: 'AWS::ApiGateway::ApiKey', Properties: { Enabled: true, Value: KEY } },
    Stray: { Type: 'AWS::ApiGateway::ApiKey', Properties: { Enabled: true, Value: 'in no plan' } },
    Plan: {
      Type: 'AWS::ApiGateway::UsagePlan',
      Properties: { ApiStages: [{ ApiId: ref('Ws'), Stage: 'prod' }] },
    },
    PlanKey: {
      Type: 'AWS::ApiGateway::UsagePlanKey',
      Properties: { KeyId: ref('ApiKey'), KeyType: 'API_KEY', UsagePlanId: ref('Plan') },
    },
    WsconnectRoute: {
      Type: 'AWS::ApiGatewayV2::Route',
      Properties: {
        ApiId: ref('Ws'),
        RouteKey: '$connect',
        AuthorizationType: 'NONE',
        ApiKeyRequired: true,
        Target: { 'Fn::Join': ['/', ['integrations', ref('WsconnectIntegration')]] },
      },
    },
  };
}

const NAMES = ['connect', 'open', 'disconnect', 'sweep', 'http', 'publish', 'listen'];

/** A template with one of everything that runs locally. */
export function fixtureTemplate(changes: Record<string, Json> = {}): Json {
  return {
    Parameters: { BootstrapVersion: { Type: 'AWS::SSM::Parameter::Value<String>', Default: '/cdk/version' } },
    Resources: {
      ...Object.fromEntries(NAMES.map((name) => [name, lambda(name)])),
      ...Object.fromEntries(NAMES.map((name) => [`${name}Role`, role])),
      openRetries: {
        Type: 'AWS::Lambda::EventInvokeConfig',
        Properties: {
          FunctionName: ref('open'),
          Qualifier: '$LATEST',
          MaximumRetryAttempts: 1,
          MaximumEventAgeInSeconds: 60,
        },
      },
      ...api('Ws', 'WEBSOCKET', 'prod'),
      ...frontDoor(),
      ...route('Ws', '$connect', 'connect'),
      ...route('Ws', '$disconnect', 'disconnect'),
      ...route('Ws', '$default', 'publish'),
      ...api('Http', 'HTTP', '$default'),
      ...route('Http', '$default', 'http'),
      ...route('Http', 'ANY /things/{proxy+}', 'http'),
      ...route('Http', 'GET /things/{thing}', 'http'),
      ...route('Http', 'POST /publish', 'publish', 'AWS_IAM'),
      Bus: {
        Type: 'AWS::DynamoDB::GlobalTable',
        Properties: {
          AttributeDefinitions: [{ AttributeName: 'p', AttributeType: 'B' }],
          KeySchema: [{ AttributeName: 'p', KeyType: 'HASH' }],
          BillingMode: 'PAY_PER_REQUEST',
          TimeToLiveSpecification: { AttributeName: 't', Enabled: true },
          Replicas: [
            {
              Region: ref('AWS::Region'),
              PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
            },
          ],
        },
      },
      Policy: fixturePolicy(),
      MinutePermission: permission('sweep', 'events', arnOf('Minute')),
      HeardPermission: permission('listen', 'events', arnOf('Heard')),
      ConstantPermission: permission('listen', 'events', arnOf('Constant')),
      Minute: {
        Type: 'AWS::Events::Rule',
        Properties: {
          ScheduleExpression: 'rate(1 minute)',
          State: 'ENABLED',
          Targets: [{ Arn: arnOf('sweep'), Id: 'Target0' }],
        },
      },
      Events: { Type: 'AWS::Events::EventBus', Properties: { Name: 'FixtureEvents' } },
      Lost: { Type: 'AWS::SQS::Queue', Properties: {} },
      LostPolicy: { Type: 'AWS::SQS::QueuePolicy', Properties: { Queues: [ref('Lost')] } },
      Heard: {
        Type: 'AWS::Events::Rule',
        Properties: {
          EventBusName: ref('Events'),
          EventPattern: { source: ['shop'], detail: { total: [{ exists: true }] } },
          Targets: [{ Arn: arnOf('listen'), Id: 'Target0', DeadLetterConfig: { Arn: arnOf('Lost') } }],
        },
      },
      Constant: {
        Type: 'AWS::Events::Rule',
        Properties: {
          EventPattern: { 'detail-type': [{ prefix: 'Order' }] },
          State: 'ENABLED',
          Targets: [{ Arn: arnOf('listen'), Id: 'Target0', Input: '{"id":"constant"}' }],
        },
      },
      Off: {
        Type: 'AWS::Events::Rule',
        Properties: {
          EventPattern: { source: ['shop'] },
          State: 'DISABLED',
          Targets: [{ Arn: arnOf('open'), Id: 'Target0' }],
        },
      },
      ...changes,
    },
    Outputs: {
      HttpUrl: { Value: { 'Fn::GetAtt': ['Http', 'ApiEndpoint'] } },
      WebSocketUrl: {
        Value: {
          'Fn::Sub': `wss://${slot('Ws')}.execute-api.${slot('AWS::Region')}.${slot('AWS::URLSuffix')}/prod`,
        },
      },
    },
  };
}

export interface FixtureAssembly {
  readonly directory: string;
  readonly [Symbol.asyncDispose]: () => Promise<void>;
}

/**
 * Writes a template as `cdk synth` would; its functions are those of `fixtures/`.
 *
 * @param stages of the app, each with the stack in it; of none it is the app's own
 */
export async function fixtureAssembly(
  template: Json = fixtureTemplate(),
  stages: readonly string[] = [],
): Promise<FixtureAssembly> {
  const directory = await mkdtemp(join(tmpdir(), 'socketbus-fixture-'));
  if (stages.length === 0) await writeStack(directory, template);
  else {
    const artifact = (stage: string) => ({
      type: 'cdk:cloud-assembly',
      properties: { directoryName: `assembly-${stage}`, displayName: stage },
    });
    const artifacts = Object.fromEntries(stages.map((stage) => [`assembly-${stage}`, artifact(stage)]));
    await writeFile(join(directory, 'manifest.json'), JSON.stringify({ version: '55.0.0', artifacts }));
    for (const stage of stages) {
      await mkdir(join(directory, `assembly-${stage}`));
      await writeStack(join(directory, `assembly-${stage}`), template, stage);
    }
  }
  return { directory, [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }) };
}

async function writeStack(directory: string, template: Json, stage?: string): Promise<void> {
  const write = (name: string, content: Json) => writeFile(join(directory, name), JSON.stringify(content));
  await write('manifest.json', {
    version: '55.0.0',
    artifacts: {
      'Fixture.assets': { type: 'cdk:asset-manifest', properties: { file: 'Fixture.assets.json' } },
      [stage === undefined ? 'Fixture' : `${stage}Fixture8252`]: {
        type: 'aws:cloudformation:stack',
        properties: {
          templateFile: 'Fixture.template.json',
          ...(stage && { stackName: `${stage}-Fixture` }),
        },
        displayName: stage === undefined ? 'Fixture' : `${stage}/Fixture`,
      },
    },
  });
  await write('Fixture.template.json', template);
  await write('Fixture.assets.json', {
    version: '55.0.0',
    files: {
      code: {
        source: { path: functions, packaging: 'zip' },
        destinations: { current: { bucketName: 'assets', objectKey: 'code.zip' } },
      },
    },
  });
}
