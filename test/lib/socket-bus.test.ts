import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App, CfnParameter, Annotations as CoreAnnotations, Stack } from 'aws-cdk-lib';
import { Annotations, Match, Template } from 'aws-cdk-lib/assertions';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { AwsSolutionsChecks, ServerlessChecks } from 'cdk-nag';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FUNCTION_NAMES, type FunctionName } from '../../lambdas/contract/environment.ts';
import type { Bundles } from '../../lib/bundles.ts';
import { ConfigurationError } from '../../lib/errors.ts';
import { SocketBus, type SocketBusProps } from '../../lib/socket-bus.ts';
import { SocketBusStack, type SocketBusStackProps } from '../../lib/stack.ts';

let outdir: string;
let bundles: Bundles;

beforeAll(async () => {
  outdir = await mkdtemp(join(tmpdir(), 'socketbus-app-'));
  const sizes = Object.fromEntries(FUNCTION_NAMES.map((name) => [name, 1])) as Record<FunctionName, number>;
  bundles = {
    directory: await mkdtemp(join(outdir, 'code-')),
    apps: ['watch-groups'],
    eagerKilobytes: sizes,
  };
  await writeFile(join(bundles.directory, 'connect.mjs'), 'export const handler = async () => undefined;');
});

afterAll(() => rm(outdir, { recursive: true, force: true }));

// The whole template is validated elsewhere, once; it takes seconds.
const app = (context: Record<string, unknown> = {}) =>
  new App({
    context,
    outdir: join(outdir, 'assembly'),
    analyticsReporting: false,
    builtinCloudFormationValidation: false,
  });

function busIn(stack: Stack, props: Omit<SocketBusProps, 'bundles'> = {}, id = 'Bus'): SocketBus {
  return new SocketBus(stack, id, { bundles, ...props });
}

describe('SocketBus', () => {
  it('is a whole deployment by itself', () => {
    const stack = new Stack(app(), 'Mine');
    const bus = busIn(stack);
    const found = Template.fromStack(stack);
    found.resourceCountIs('AWS::Lambda::Function', 9);
    found.resourceCountIs('AWS::DynamoDB::Table', 2);
    found.resourceCountIs('AWS::ApiGatewayV2::Api', 2);
    found.resourceCountIs('AWS::Events::EventBus', 1);
    found.resourceCountIs('AWS::CloudFront::Distribution', 1);
    expect(bus.configuration).toMatchObject({ stage: 'prod', identity: 'token', pingIntervalMinutes: 4 });
  });

  it('warns of claims that are believed, and of any page that may make them, by a name that can be acknowledged', () => {
    const warnings = (props: Omit<SocketBusProps, 'bundles'>, acknowledged?: string) => {
      const stack = new Stack(app(), 'Mine');
      const bus = busIn(stack, props);
      if (acknowledged !== undefined) CoreAnnotations.of(bus).acknowledgeWarning(acknowledged);
      const found = Annotations.fromStack(stack).findWarning('*', Match.anyValue());
      return found.map(({ id, entry }) => [id, String(entry.data)]);
    };
    const claimed = 'anyone on the internet may claim to be anyone';
    expect(warnings({})).toEqual([]);
    expect(warnings({ origins: ['*'] })).toEqual([]);
    expect(warnings({ identity: 'trusted' })).toEqual([
      ['/Mine/Bus', expect.stringMatching(`${claimed}.*\\[ack: socketbus:trusted-identity\\]`)],
    ]);
    expect(warnings({ identity: 'trusted', origins: ['https://a.example', '*'] })).toEqual([
      ['/Mine/Bus', expect.stringMatching(`${claimed}.*\\[ack: socketbus:trusted-identity-any-origin\\]`)],
    ]);
    expect(warnings({ identity: 'trusted' }, 'socketbus:trusted-identity')).toEqual([]);
  });

  it('fits twice into one stack', () => {
    const stack = new Stack(app(), 'Mine');
    busIn(stack, {}, 'One');
    busIn(stack, { stage: 'two' }, 'Two');
    Template.fromStack(stack).resourceCountIs('AWS::Lambda::Function', 18);
  });

  it('takes settings and limits as props', () => {
    const stack = new Stack(app(), 'Mine');
    const throttle = { rateLimit: 100, burstLimit: 50 };
    busIn(stack, {
      stage: 'beta',
      identity: 'trusted',
      logRetentionDays: 3,
      storeCors: ['https://a.example'],
      throttle,
    });
    const found = Template.fromStack(stack);
    found.hasResourceProperties('AWS::ApiGatewayV2::Stage', {
      StageName: 'beta',
      DefaultRouteSettings: { ThrottlingRateLimit: 100, ThrottlingBurstLimit: 50 },
    });
    found.allResourcesProperties('AWS::Logs::LogGroup', { RetentionInDays: 3 });
    found.allResourcesProperties('AWS::Lambda::Function', {
      Environment: {
        Variables: Match.objectLike({ IDENTITY: 'trusted', STORE_CORS: 'https://a.example' }),
      },
    });
  });

  it.each([{ rateLimit: 7 }, { burstLimit: 7 }])('fills what a throttle leaves out: %j', (only) => {
    const stack = new Stack(app(), 'Mine');
    busIn(stack, { throttle: only, connectThrottle: only, httpThrottle: only });
    const found = Template.fromStack(stack);
    const limits = (rate: number, burst: number) => ({
      ThrottlingRateLimit: only.rateLimit ?? rate,
      ThrottlingBurstLimit: only.burstLimit ?? burst,
    });
    found.hasResourceProperties('AWS::ApiGatewayV2::Stage', {
      StageName: 'prod',
      DefaultRouteSettings: limits(10_000, 5_000),
      RouteSettings: { $connect: limits(500, 500) },
    });
    found.hasResourceProperties('AWS::ApiGatewayV2::Stage', {
      StageName: '$default',
      DefaultRouteSettings: limits(1_000, 500),
    });
  });

  it('logs of each HTTP request what an HTTP API knows of it', () => {
    const stack = new Stack(app(), 'Mine');
    busIn(stack);
    const [stage] = Object.values(
      Template.fromStack(stack).findResources('AWS::ApiGatewayV2::Stage', {
        Properties: { StageName: '$default' },
      }),
    );
    expect(JSON.parse(stage?.Properties.AccessLogSettings.Format)).toEqual({
      requestId: '$context.requestId',
      ip: '$context.identity.sourceIp',
      requestTime: '$context.requestTime',
      httpMethod: '$context.httpMethod',
      routeKey: '$context.routeKey',
      path: '$context.path',
      status: '$context.status',
      protocol: '$context.protocol',
      responseLength: '$context.responseLength',
      integrationErrorMessage: '$context.integrationErrorMessage',
    });
  });

  it('has alarms that tell a topic, by prop or setting, and do what else they are given', () => {
    const arn = 'arn:aws:sns:us-east-1:123456789012:on-call';
    const tells = (props: Omit<SocketBusProps, 'bundles'>, stack = new Stack(app(), 'Mine')) => {
      const bus = busIn(stack, props);
      expect(bus.monitoring?.alarms.DeadLetters.alarmName).toBeDefined();
      return Template.fromStack(stack);
    };
    const told = { AlarmActions: [arn], OKActions: [arn] };
    tells({ alarmTopic: arn }).allResourcesProperties('AWS::CloudWatch::Alarm', told);
    const stack = new Stack(app(), 'Mine');
    const topic = Topic.fromTopicArn(stack, 'Topic', arn);
    const other = { bind: () => ({ alarmActionArn: 'arn:other' }) };
    tells({ monitoring: { topic, actions: [other] } }, stack).allResourcesProperties(
      'AWS::CloudWatch::Alarm',
      { AlarmActions: [arn, 'arn:other'], OKActions: [arn, 'arn:other'] },
    );
  });

  it('has an alarm at four fifths of the concurrency that the account has, as Service Quotas knows it', () => {
    const stack = new Stack(app(), 'Mine');
    busIn(stack);
    Template.fromStack(stack).hasResourceProperties('AWS::CloudWatch::Alarm', {
      AlarmDescription: Match.stringLikeRegexp('concurrent executions'),
      Threshold: 80,
      Metrics: Match.arrayWith([
        Match.objectLike({ Expression: '100 * claimed / SERVICE_QUOTA(running)' }),
        ...(
          [
            ['claimed', 'ClaimedAccountConcurrency'],
            ['running', 'ConcurrentExecutions'],
          ] as const
        ).map(([Id, MetricName]) => ({
          Id,
          MetricStat: {
            // Of the account: a metric with dimensions has no quota.
            Metric: { Namespace: 'AWS/Lambda', MetricName },
            Period: 60,
            Stat: 'Maximum',
          },
          ReturnData: false,
        })),
      ]),
    });
  });

  it('has it at four fifths of another limit where that is said', () => {
    const stack = new Stack(app(), 'Mine');
    busIn(stack, { monitoring: { concurrencyLimit: 5_000, dashboard: false } });
    const found = Template.fromStack(stack);
    found.hasResourceProperties('AWS::CloudWatch::Alarm', {
      MetricName: 'ClaimedAccountConcurrency',
      Threshold: 4_000,
    });
    found.resourceCountIs('AWS::CloudWatch::Dashboard', 0);
  });

  it('has none of it where monitoring is off', () => {
    const stack = new Stack(app(), 'Mine');
    expect(busIn(stack, { monitoring: false }).monitoring).toBeUndefined();
    const types = Object.values(
      Template.fromStack(stack).toJSON().Resources as Record<string, { Type: string }>,
    );
    expect(types.filter(({ Type }) => /CloudWatch|QueryDefinition/.test(Type))).toEqual([]);
  });

  it('verifies tokens with the keys of an issuer where it is told to, and then reads no secret', () => {
    const stack = new Stack(app(), 'Mine');
    busIn(stack, {
      jwksUrl: 'https://issuer.example/jwks.json',
      jwtAudience: ['shop', 'groups'],
      jwtIssuer: 'https://issuer.example/',
    });
    const found = Template.fromStack(stack);
    found.allResourcesProperties('AWS::Lambda::Function', {
      Environment: {
        Variables: Match.objectLike({
          JWKS_URL: 'https://issuer.example/jwks.json',
          JWT_AUDIENCE: 'shop,groups',
          JWT_ISSUER: 'https://issuer.example/',
        }),
      },
    });
    expect(JSON.stringify(found.toJSON())).not.toContain('secretsmanager:GetSecretValue');
  });

  it('refuses wrong props, all of them at once', () => {
    const act = () => busIn(new Stack(app(), 'Mine'), { stage: 'a b', pingIntervalMinutes: 20 });
    expect(act).toThrow(ConfigurationError);
    expect(act).toThrow(/stage: .*\n.*pingIntervalMinutes: /);
  });

  it.each<[string, object]>([
    ['frontDoor.certificate', { frontDoor: { domainName: 'chat.example.com' } }],
    ['concurrency.poll', { concurrency: { poll: -3 } }],
    ['concurrency.connect', { concurrency: { publish: 0, connect: 1.5 } }],
    ['concurrency.open', { concurrency: { open: '5' } }],
    ['concurrency.message', { concurrency: { message: 5 } }],
    ['concurrency.pole', { concurrency: { pole: 5 } }],
    ['monitoring.concurrencyLimit', { monitoring: { concurrencyLimit: 1 } }],
    ['monitoring.concurrencyLimit', { monitoring: { concurrencyLimit: 10.5 } }],
    ['monitoring.topic', { monitoring: { topic: 'arn:aws:sns:us-east-1:123456789012:on-call' } }],
    ['monitoring.dashboard', { monitoring: { dashboard: 'no' } }],
    ['monitoring.topics', { monitoring: { topics: [] } }],
    ['monitoring', { monitoring: 'no' }],
    ['throttle.rateLimit', { throttle: { rateLimit: 0 } }],
    ['throttle.burstLimit', { throttle: { rateLimit: 5, burstLimit: Number.NaN } }],
    ['throttle', { throttle: 5 }],
    ['connectThrottle.rateLimit', { connectThrottle: { rateLimit: Number.NaN } }],
    ['connectThrottle.rate', { connectThrottle: { rate: 5 } }],
    ['httpThrottle.burstLimit', { httpThrottle: { burstLimit: -1 } }],
    ['httpThrottle.rateLimit', { httpThrottle: { rateLimit: '10' } }],
    ['concurrency', { concurrency: 5 }],
    ['frontDoor', { frontDoor: null }],
    ['frontDoor', { frontDoor: 'false' }],
    ['frontDoor.apikey', { frontDoor: { apikey: true } }],
    ['frontDoor.apiKey', { frontDoor: { apiKey: 'true' } }],
    ['frontDoor.certificate', { frontDoor: { certificate: 'arn:aws:acm:…' } }],
    ['tracing', { tracing: 'true' }],
    ['ipv6', { ipv6: 0 }],
  ])('refuses what only a deployment would find wrong, by its name: %s of %j', (name, props) => {
    const act = () => busIn(new Stack(app(), 'Mine'), { ...props, stage: 'a b' });
    expect(act).toThrow(ConfigurationError);
    expect(act).toThrow(new RegExp(`stage: .*\\n  ${name.replace('.', '\\.')}: `));
  });

  it('says what an option must be, which there are, and where a text belongs', () => {
    const issues = (props: object) => {
      try {
        busIn(new Stack(app(), 'Mine'), props);
      } catch (error) {
        if (error instanceof ConfigurationError) return error.issues;
        throw error;
      }
      throw new Error('nothing was refused');
    };
    const topic = 'arn:aws:sns:us-east-1:123456789012:on-call';
    expect(issues({ throttle: { rateLimit: Number.NaN }, frontDoor: null, monitoring: { topic } })).toEqual([
      { name: 'throttle.rateLimit', message: 'must be a number above 0, of requests per second, not NaN' },
      {
        name: 'frontDoor',
        message: 'must be true, false or an object of domainName, certificate, apiKey, not null',
      },
      {
        name: 'monitoring.topic',
        message: expect.stringMatching(/the prop alarmTopic .*, not "arn:aws:sns:/),
      },
    ]);
    expect(issues({ frontDoor: { apikey: true } })).toEqual([
      { name: 'frontDoor.apikey', message: 'is no option; there are domainName, certificate, apiKey' },
    ]);
  });

  it('takes addresses that only a deployment knows', () => {
    const stack = new Stack(app(), 'Mine');
    const pages = new CfnParameter(stack, 'Pages').valueAsString;
    const topic = new Topic(stack, 'OnCall');
    busIn(stack, {
      clientOrigin: [`https://${pages}`],
      storeCors: [pages, 'https://b.example'],
      frontendUrl: `https://${pages}/groups`,
      origins: [`https://app.${pages}`],
      jwksUrl: `https://cognito-idp.${stack.region}.amazonaws.com/${pages}/.well-known/jwks.json`,
      jwtIssuer: `https://cognito-idp.${stack.region}.amazonaws.com/${pages}`,
      alarmTopic: topic.topicArn,
    });
    const Pages = { Ref: 'Pages' };
    const found = Template.fromStack(stack);
    const joined = (...parts: readonly unknown[]) => ({ 'Fn::Join': ['', parts] });
    const idp = ['https://cognito-idp.', { Ref: 'AWS::Region' }];
    found.allResourcesProperties('AWS::Lambda::Function', {
      Environment: {
        Variables: Match.objectLike({
          CLIENT_ORIGIN: joined('https://', Pages),
          STORE_CORS: joined(Pages, ',https://b.example'),
          FRONTEND_URL: joined('https://', Pages, '/groups'),
          ORIGINS: { 'Fn::Join': ['', Match.arrayWith(['https://app.', Pages])] },
          JWKS_URL: joined(...idp, '.amazonaws.com/', Pages, '/.well-known/jwks.json'),
        }),
      },
    });
    const told = stack.resolve(topic.topicArn);
    found.allResourcesProperties('AWS::CloudWatch::Alarm', { AlarmActions: [told] });
  });

  it('refuses what of them can be seen to be wrong, and tokens where it must know the value', () => {
    const act = () => {
      const stack = new Stack(app(), 'Mine');
      const pages = new CfnParameter(stack, 'Pages').valueAsString;
      busIn(stack, {
        clientOrigin: [`https://${pages}/`],
        storeCors: [`ftp://${pages}`],
        frontendUrl: `${pages}:x`,
        jwksUrl: `http://${pages}/jwks`,
        secretPrefix: pages,
        // @ts-expect-error: the topic itself
        alarmTopic: new Topic(stack, 'OnCall'),
      });
    };
    expect(act).toThrow(ConfigurationError);
    const names = ['secretPrefix', 'jwksUrl', 'frontendUrl', 'storeCors', 'clientOrigin', 'alarmTopic'];
    expect(act).toThrow(new RegExp(names.map((name) => `${name}: must be .*`).join('\n  ')));
    expect(act).toThrow(/secretPrefix: .* written out: it is no token of CDK\n/);
    expect(act).toThrow(/alarmTopic: .*the prop monitoring: \{ topic \}\), not another object/);
  });

  it('takes limits that only a deployment knows', () => {
    const stack = new Stack(app(), 'Mine');
    const limit = new CfnParameter(stack, 'Limit', { type: 'Number' }).valueAsNumber;
    const throttle = { rateLimit: limit, burstLimit: limit };
    busIn(stack, { throttle, monitoring: { concurrencyLimit: limit } });
    const found = Template.fromStack(stack);
    found.hasResourceProperties('AWS::ApiGatewayV2::Stage', {
      DefaultRouteSettings: {
        ThrottlingRateLimit: { Ref: 'Limit' },
        ThrottlingBurstLimit: { Ref: 'Limit' },
      },
    });
    found.hasResourceProperties('AWS::CloudWatch::Alarm', {
      Threshold: 80,
      Metrics: Match.arrayWith([
        Match.objectLike({ Expression: { 'Fn::Join': ['', ['100 * claimed / ', { Ref: 'Limit' }]] } }),
      ]),
    });
  });

  it('takes caps, nothing among them, and those that only a deployment knows', () => {
    const stack = new Stack(app(), 'Mine');
    const poll = new CfnParameter(stack, 'Polls', { type: 'Number' }).valueAsNumber;
    busIn(stack, { concurrency: { publish: 0, poll }, monitoring: { concurrencyLimit: 2 } });
    const found = Template.fromStack(stack);
    found.hasResourceProperties('AWS::Lambda::Function', {
      Handler: 'publish.handler',
      ReservedConcurrentExecutions: 0,
    });
    found.hasResourceProperties('AWS::Lambda::Function', {
      Handler: 'poll.handler',
      ReservedConcurrentExecutions: { Ref: 'Polls' },
    });
    found.hasResourceProperties('AWS::CloudWatch::Alarm', {
      MetricName: 'ClaimedAccountConcurrency',
      Threshold: 1,
    });
  });

  it.each<[typeof AwsSolutionsChecks | typeof ServerlessChecks, SocketBusStackProps, object?]>([
    [AwsSolutionsChecks, {}],
    [ServerlessChecks, {}],
    [AwsSolutionsChecks, { frontDoor: { apiKey: true } }],
    [AwsSolutionsChecks, { jwksUrl: 'https://issuer.example/jwks.json' }],
    [ServerlessChecks, { frontDoor: { apiKey: true } }],
    [AwsSolutionsChecks, { env: { region: 'eu-west-1' }, tracing: true }],
    [AwsSolutionsChecks, { env: { account: '123456789012' }, stage: 'beta' }],
    [
      AwsSolutionsChecks,
      { env: { region: 'cn-north-1', account: '123456789012' }, frontDoor: { apiKey: true } },
    ],
    [
      AwsSolutionsChecks,
      { env: { region: 'cn-north-1', account: '123456789012' } },
      { '@aws-cdk/core:enablePartitionLiterals': true },
    ],
    [ServerlessChecks, { env: { region: 'eu-west-1', account: '123456789012' }, tracing: true }],
  ])(
    'has no finding of %o that is not acknowledged with a reason, with the settings %j',
    (Pack, settings, context = {}) => {
      const nagged = app({ ...context });
      const { bus } = new SocketBusStack(nagged, 'Socketbus', { bundles, ...settings });
      bus.addPublishRule({ source: ['shop.orders'] }, { event: 'order' });
      const { violations } = new Pack(nagged).validateScope(nagged);
      const found = violations.map(({ ruleName, violatingResources }) => [
        ruleName,
        violatingResources.map(({ constructPath }) => constructPath),
      ]);
      expect(found).toEqual([]);
    },
  );
});
