import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { BUILT_IN_APPLICATIONS } from '../../lambdas/contract/applications.ts';
import { environmentSchema, FUNCTION_NAMES } from '../../lambdas/contract/environment.ts';
import {
  FORWARD_DETAIL_TYPE,
  FORWARD_SOURCE,
  PUBLISH_DETAIL_TYPE,
  PUBLISH_SOURCE,
} from '../../lambdas/contract/event-bridge.ts';
import { matchesPattern, parseEventPattern } from '../../local/template/event-pattern.ts';
import { assembly, type ResourceJson, synthesise, type TemplateJson, template } from '../support/assembly.ts';
import { SETTINGS } from '../support/synthesis.ts';

let deployed: TemplateJson;

beforeAll(async () => {
  deployed = await template(assembly());
});

function all(type: string): [string, ResourceJson][] {
  return Object.entries(deployed.Resources).filter(([, resource]) => resource.Type === type);
}

function only(
  type: string,
  matches: (properties: ResourceJson['Properties']) => boolean,
): [string, ResourceJson] {
  const found = all(type).filter(([, { Properties }]) => matches(Properties));
  expect(found).toHaveLength(1);
  return found[0]!;
}

function functionNamed(name: string): [string, ResourceJson] {
  return only('AWS::Lambda::Function', ({ Handler }) => Handler === `${name}.handler`);
}

/** The handler behind a route key, by way of its integration. */
function handlerOf(routeKey: string, protocol: string): unknown {
  const [api] = only('AWS::ApiGatewayV2::Api', ({ ProtocolType }) => ProtocolType === protocol);
  const matches = ({ RouteKey, ApiId }: ResourceJson['Properties']) =>
    RouteKey === routeKey && JSON.stringify(ApiId) === JSON.stringify({ Ref: api });
  const [, route] = only('AWS::ApiGatewayV2::Route', matches);
  const target = JSON.stringify(route.Properties.Target);
  const [, integration] = all('AWS::ApiGatewayV2::Integration').find(([id]) => target.includes(`"${id}"`))!;
  const uri = JSON.stringify(integration.Properties.IntegrationUri);
  return all('AWS::Lambda::Function').find(([id]) => uri.includes(`"${id}"`))?.[1].Properties.Handler;
}

describe('the WebSocket API', () => {
  it.each([
    ['$connect', 'connect.handler'],
    ['$default', 'message.handler'],
    ['$disconnect', 'disconnect.handler'],
  ])('sends %s to %s', (key, handler) => {
    expect(handlerOf(key, 'WEBSOCKET')).toBe(handler);
  });

  it('lets no text of a client select a route', () => {
    const [, api] = only('AWS::ApiGatewayV2::Api', ({ ProtocolType }) => ProtocolType === 'WEBSOCKET');
    expect(api.Properties.RouteSelectionExpression).toBe('\\$default');
  });

  it('has the one stage prod, deployed by itself, with limits that are not zero', () => {
    const [, stage] = only('AWS::ApiGatewayV2::Stage', ({ StageName }) => StageName === 'prod');
    expect(stage.Properties).toMatchObject({
      AutoDeploy: true,
      DefaultRouteSettings: { ThrottlingRateLimit: 10_000, ThrottlingBurstLimit: 5_000 },
    });
  });

  it('has one-way routes only', () => {
    expect(all('AWS::ApiGatewayV2::RouteResponse')).toEqual([]);
    for (const [, { Properties }] of all('AWS::ApiGatewayV2::Route')) {
      expect(Properties).not.toHaveProperty('RouteResponseSelectionExpression');
    }
  });
});

describe('the HTTP API', () => {
  it('sends signed publishes to publish, Engine.IO to poll and everything else to http', () => {
    expect(handlerOf('POST /publish', 'HTTP')).toBe('publish.handler');
    expect(handlerOf('ANY /socket.io', 'HTTP')).toBe('poll.handler');
    expect(handlerOf('ANY /socket.io/{proxy+}', 'HTTP')).toBe('poll.handler');
    expect(handlerOf('GET /rooms/{room}/history', 'HTTP')).toBe('http.handler');
    expect(handlerOf('$default', 'HTTP')).toBe('http.handler');
    const [, publish] = only('AWS::ApiGatewayV2::Route', ({ RouteKey }) => RouteKey === 'POST /publish');
    expect(publish.Properties.AuthorizationType).toBe('AWS_IAM');
  });

  it('may invoke http for the history of rooms, which checks its readers itself', () => {
    const history = ({ RouteKey }: ResourceJson['Properties']) => RouteKey === 'GET /rooms/{room}/history';
    expect(only('AWS::ApiGatewayV2::Route', history)[1].Properties.AuthorizationType).toBe('NONE');
    const [http] = functionNamed('http');
    const permissions = all('AWS::Lambda::Permission').filter(
      ([, { Properties }]) =>
        JSON.stringify(Properties.FunctionName).includes(`"${http}"`) &&
        JSON.stringify(Properties.SourceArn).includes('/*/*/rooms/{room}/history'),
    );
    expect(permissions).toHaveLength(1);
  });
});

describe('the functions', () => {
  it('are those of the contract, each on Node 24 and arm64', () => {
    const handlers = all('AWS::Lambda::Function').map(([, { Properties }]) => Properties.Handler);
    expect(handlers.sort()).toEqual(FUNCTION_NAMES.map((name) => `${name}.handler`).sort());
    for (const [, { Properties }] of all('AWS::Lambda::Function')) {
      expect(Properties).toMatchObject({ Runtime: 'nodejs24.x', Architectures: ['arm64'] });
    }
  });

  it('share one asset, which has the module of every handler', async () => {
    const codes = new Set(
      all('AWS::Lambda::Function').map(([, { Properties }]) => JSON.stringify(Properties.Code)),
    );
    expect(codes.size).toBe(1);
    const key = (functionNamed('connect')[1].Properties.Code as { S3Key: string }).S3Key;
    const directory = join(assembly(), `asset.${key.replace('.zip', '')}`);
    for (const name of FUNCTION_NAMES) {
      await expect(readFile(join(directory, `${name}.mjs`), 'utf8')).resolves.toMatch(/handler/);
    }
  });

  it.each(['connect', 'message', 'disconnect', 'publish', 'http'])(
    'end before API Gateway gives up on them: %s',
    (name) => {
      expect(functionNamed(name)[1].Properties.Timeout).toBeLessThan(29);
    },
  );

  it('hold a poll for less time than an HTTP API and the front door wait', () => {
    expect(functionNamed('poll')[1].Properties.Timeout).toBeLessThan(30);
  });

  it('finish a sweep before the next one starts', () => {
    expect(functionNamed('sweep')[1].Properties.Timeout).toBeLessThan(60);
  });

  it('retry an open packet twice, for as long as Lambda must keep it and no longer', () => {
    const [id] = functionNamed('open');
    const [, config] = only(
      'AWS::Lambda::EventInvokeConfig',
      ({ FunctionName }) => JSON.stringify(FunctionName) === JSON.stringify({ Ref: id }),
    );
    expect(config.Properties).toMatchObject({
      FunctionName: { Ref: id },
      MaximumRetryAttempts: 2,
      MaximumEventAgeInSeconds: 60,
    });
  });

  it.each(FUNCTION_NAMES)('get an environment that they accept: %s', (name) => {
    const { Variables } = functionNamed(name)[1].Properties.Environment as {
      Variables: Record<string, unknown>;
    };
    expect(Object.keys(Variables).filter((key) => !(key in environmentSchema.shape))).toEqual([]);
    const resolved = Object.entries(Variables).map(([key, value]) => [
      key,
      typeof value === 'string' ? value : key === 'CALLBACK_URL' ? 'https://x.example/prod' : 'resolved',
    ]);
    expect(environmentSchema.safeParse(Object.fromEntries(resolved)).error).toBeUndefined();
    expect('OPEN_FUNCTION' in Variables).toBe(name === 'connect');
    expect('EVENT_BUS' in Variables).toBe(name === 'message' || name === 'poll');
  });

  it('know their callback URL, their own origin and the settings', () => {
    const [socketApi] = only('AWS::ApiGatewayV2::Api', ({ ProtocolType }) => ProtocolType === 'WEBSOCKET');
    const [httpApi] = only('AWS::ApiGatewayV2::Api', ({ ProtocolType }) => ProtocolType === 'HTTP');
    const [distribution] = only('AWS::CloudFront::Distribution', () => true);
    const { Variables } = functionNamed('connect')[1].Properties.Environment as { Variables: object };
    const host = [
      { Ref: socketApi },
      '.execute-api.',
      { Ref: 'AWS::Region' },
      '.',
      { Ref: 'AWS::URLSuffix' },
    ];
    expect(Variables).toMatchObject({
      CALLBACK_URL: { 'Fn::Join': ['', ['https://', ...host, '/prod']] },
      ORIGINS: {
        'Fn::Join': [
          '',
          [
            { 'Fn::GetAtt': [httpApi, 'ApiEndpoint'] },
            ',https://',
            { 'Fn::GetAtt': [distribution, 'DomainName'] },
          ],
        ],
      },
      APPS: BUILT_IN_APPLICATIONS.join(','),
      ...SETTINGS,
      WS_PATH: '/socket.io',
      OPEN_FUNCTION: { Ref: functionNamed('open')[0] },
      POWERTOOLS_LOG_LEVEL: 'INFO',
    });
  });

  it('log to groups of their own that forget after 30 days', () => {
    const groups = all('AWS::Logs::LogGroup');
    expect(groups).toHaveLength(FUNCTION_NAMES.length + 1);
    for (const [, group] of groups) {
      expect(group).toMatchObject({ Properties: { RetentionInDays: 30 }, DeletionPolicy: 'Delete' });
    }
  });
});

describe('the tables', () => {
  const keys = (type: string) => ({
    KeySchema: [
      { AttributeName: 'p', KeyType: 'HASH' },
      { AttributeName: 's', KeyType: 'RANGE' },
    ],
    AttributeDefinitions: [
      { AttributeName: 'p', AttributeType: type },
      { AttributeName: 's', AttributeType: type },
    ],
    BillingMode: 'PAY_PER_REQUEST',
    TimeToLiveSpecification: { AttributeName: 't', Enabled: true },
  });
  const byKeyType = (type: string) =>
    only('AWS::DynamoDB::Table', ({ AttributeDefinitions }) =>
      JSON.stringify(AttributeDefinitions).includes(`"${type}"`),
    );

  it('have no stream and no secondary index', () => {
    expect(all('AWS::DynamoDB::Table')).toHaveLength(2);
    for (const [, { Properties }] of all('AWS::DynamoDB::Table')) {
      expect(Object.keys(Properties)).not.toEqual(
        expect.arrayContaining([expect.stringMatching(/Stream|Index/)]),
      );
    }
  });

  it('keep the bus under binary keys, only as long as the stack, without backups', () => {
    const [, bus] = byKeyType('B');
    expect(bus.Properties).toEqual(keys('B'));
    expect(bus).toMatchObject({ DeletionPolicy: 'Delete', UpdateReplacePolicy: 'Delete' });
  });

  it('keep what applications store restorable, and beyond the stack', () => {
    const [, apps] = byKeyType('S');
    expect(apps.Properties).toEqual({
      ...keys('S'),
      PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
      DeletionProtectionEnabled: true,
    });
    expect(apps).toMatchObject({ DeletionPolicy: 'Retain', UpdateReplacePolicy: 'Retain' });
  });
});

describe('the heartbeat', () => {
  it('sweeps once a minute and does not repeat a failed tick', () => {
    const [, rule] = only('AWS::Events::Rule', ({ ScheduleExpression }) => ScheduleExpression !== undefined);
    expect(rule.Properties).toMatchObject({
      ScheduleExpression: 'rate(1 minute)',
      State: 'ENABLED',
      Targets: [
        {
          Arn: { 'Fn::GetAtt': [functionNamed('sweep')[0], 'Arn'] },
          RetryPolicy: { MaximumRetryAttempts: 0, MaximumEventAgeInSeconds: 60 },
        },
      ],
    });
  });
});

describe('the event bus', () => {
  const publishRule = () =>
    only('AWS::Events::Rule', ({ EventPattern }) => EventPattern !== undefined)[1].Properties;
  const ofBus = () => all('AWS::Events::EventBus')[0]![0];

  it('is the deployment’s own, and message puts its events there', () => {
    expect(all('AWS::Events::EventBus')).toHaveLength(1);
    const { Variables } = functionNamed('message')[1].Properties.Environment as { Variables: object };
    expect(Variables).toMatchObject({ EVENT_BUS: { Ref: ofBus() } });
    expect(deployed.Outputs.EventBusName?.Value).toEqual({ Ref: ofBus() });
  });

  it('has a rule that sends publish requests to publish, and what it and deliver give up goes to one queue', () => {
    const [queue] = only('AWS::SQS::Queue', () => true);
    const deadLetters = { 'Fn::GetAtt': [queue, 'Arn'] };
    expect(publishRule()).toMatchObject({
      EventBusName: { Ref: ofBus() },
      EventPattern: { source: ['socketbus.publish'], 'detail-type': ['Publish Request'] },
      State: 'ENABLED',
      Targets: [
        {
          Arn: { 'Fn::GetAtt': [functionNamed('publish')[0], 'Arn'] },
          DeadLetterConfig: { Arn: deadLetters },
          RetryPolicy: { MaximumEventAgeInSeconds: 3600 },
        },
      ],
    });
    const configs = all('AWS::Lambda::EventInvokeConfig').filter(
      ([, { Properties }]) => Properties.DestinationConfig !== undefined,
    );
    expect(configs.map(([, { Properties }]) => Properties.DestinationConfig)).toEqual([
      { OnFailure: { Destination: deadLetters } },
      { OnFailure: { Destination: deadLetters } },
    ]);
    expect(configs.map(([, { Properties }]) => Properties.FunctionName)).toEqual([
      { Ref: functionNamed('publish')[0] },
      { Ref: functionNamed('deliver')[0] },
    ]);
  });

  it('lets nothing that goes out come back in', () => {
    const rules = all('AWS::Events::Rule').filter(
      ([, { Properties }]) => Properties.EventPattern !== undefined,
    );
    const outgoing = { source: FORWARD_SOURCE, 'detail-type': FORWARD_DETAIL_TYPE, detail: { op: 'emit' } };
    const incoming = { source: PUBLISH_SOURCE, 'detail-type': PUBLISH_DETAIL_TYPE, detail: {} };
    for (const [id, { Properties }] of rules) {
      const pattern = parseEventPattern(Properties.EventPattern, id);
      expect(matchesPattern(pattern, outgoing)).toBe(false);
      expect(matchesPattern(pattern, incoming)).toBe(true);
      expect(matchesPattern(pattern, { ...incoming, source: FORWARD_SOURCE })).toBe(false);
      expect(matchesPattern(pattern, { ...outgoing, source: PUBLISH_SOURCE })).toBe(false);
    }
  });
});

describe('the outputs', () => {
  it('are what clients, backends and operators need to know', () => {
    expect(Object.keys(deployed.Outputs).sort()).toEqual([
      'AppsTableName',
      'BusTableName',
      'DeadLetterQueueUrl',
      'EventBusName',
      'HttpUrl',
      'PublishFunctionName',
      'PublishUrl',
      'Url',
      'WebSocketPath',
      'WebSocketUrl',
    ]);
    expect(deployed.Outputs.PublishFunctionName?.Value).toEqual({ Ref: functionNamed('publish')[0] });
    const [queue] = only('AWS::SQS::Queue', () => true);
    expect(deployed.Outputs.DeadLetterQueueUrl?.Value).toEqual({ Ref: queue });
  });
});

// Each synthesis is a process of its own, which takes its time where others share the machine.
describe('other settings', { timeout: 60_000 }, () => {
  it('reach the template, and no secret does though it is in the environment', async () => {
    const secret = 'b7f1c2-never-in-a-template';
    const directory = await synthesise({
      ...SETTINGS,
      IDENTITY: '',
      JWT_SECRET: secret,
      CLOUD_API_KEY: secret,
      STAGE: 'beta',
      ORIGINS: 'https://a.example',
      SECRET_PREFIX: 'team/bus',
      DEBUG: 'socket.io*',
      TRACK_PONGS: 'false',
      PING_INTERVAL_MINUTES: '8',
    });
    const files = ['Socketbus.template.json', 'Socketbus.assets.json', 'manifest.json', 'tree.json'];
    const texts = await Promise.all(files.map((file) => readFile(join(directory, file), 'utf8')));
    for (const text of texts) expect(text).not.toContain(secret);
    expect(texts[0]).toContain(':secret:team/bus/JWT_SECRET-??????');

    deployed = await template(directory);
    const { Variables } = functionNamed('open')[1].Properties.Environment as {
      Variables: Record<string, unknown>;
    };
    expect(Variables).toMatchObject({
      IDENTITY: 'token',
      SECRET_PREFIX: 'team/bus',
      TRACK_PONGS: 'false',
      PING_INTERVAL_MINUTES: '8',
      POWERTOOLS_LOG_LEVEL: 'DEBUG',
    });
    expect(JSON.stringify(Variables.ORIGINS)).toContain('https://a.example,');
    expect(JSON.stringify(Variables.CALLBACK_URL)).toContain('/beta');
  });

  it('stop the synthesis with one line each when they are wrong', async () => {
    const refused = synthesise({ ...SETTINGS, STAGE: 'a b', IDENTITY: 'anyone' });
    await expect(refused).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^Invalid configuration:\n {2}STAGE: .*\n {2}IDENTITY: .*\n$/),
    });
  });
});
