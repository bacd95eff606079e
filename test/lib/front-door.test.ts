import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runInNewContext } from 'node:vm';
import { App, Stack } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { Certificate } from 'aws-cdk-lib/aws-certificatemanager';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FUNCTION_NAMES, type FunctionName } from '../../lambdas/contract/environment.ts';
import type { Bundles } from '../../lib/bundles.ts';
import { SocketBusStack, type SocketBusStackProps } from '../../lib/stack.ts';

let outdir: string;
let bundles: Bundles;

beforeAll(async () => {
  outdir = await mkdtemp(join(tmpdir(), 'socketbus-door-'));
  const sizes = Object.fromEntries(FUNCTION_NAMES.map((name) => [name, 1])) as Record<FunctionName, number>;
  const directory = await mkdtemp(join(outdir, 'code-'));
  bundles = { directory, apps: ['watch-groups'], eagerKilobytes: sizes };
  await writeFile(join(directory, 'connect.mjs'), 'export const handler = async () => undefined;');
});

afterAll(() => rm(outdir, { recursive: true, force: true }));

type Settings = Omit<SocketBusStackProps, 'bundles'>;

function deployed(settings: Settings | ((stack: Stack) => Settings) = {}): Template {
  const app = new App({
    outdir: join(outdir, 'assembly'),
    analyticsReporting: false,
    builtinCloudFormationValidation: false,
  });
  const given = typeof settings === 'function' ? settings(new Stack(app, 'Others')) : settings;
  return Template.fromStack(new SocketBusStack(app, 'Socketbus', { ...given, bundles }));
}

/** The properties of the one resource of a type. */
function only(template: Template, type: string) {
  const found = Object.values(template.findResources(type));
  expect(found).toHaveLength(1);
  return found[0]?.Properties as Record<string, unknown>;
}

const codeOf = (template: Template) => String(only(template, 'AWS::CloudFront::Function').FunctionCode);

/** Only what API Gateway is, one API of each kind, as `Fn::GetAtt` of its endpoint. */
const host = (template: Template, protocol: string) => {
  const [api] = Object.keys(
    template.findResources('AWS::ApiGatewayV2::Api', { Properties: { ProtocolType: protocol } }),
  );
  return { 'Fn::Select': [2, { 'Fn::Split': ['/', { 'Fn::GetAtt': [api, 'ApiEndpoint'] }] }] };
};

const MANAGED = {
  AllowedMethods: ['GET', 'HEAD', 'OPTIONS', 'PUT', 'PATCH', 'POST', 'DELETE'],
  CachePolicyId: '4135ea2d-6df8-44a3-9df3-4b5a84be39ad',
  OriginRequestPolicyId: 'b689b0a8-53d0-40ab-baf2-68738e2966ac',
  ViewerProtocolPolicy: 'redirect-to-https',
};

describe('the front door', () => {
  it('has both APIs as origins, over TLS 1.2, and waits longer for them than a poll is held', () => {
    const template = deployed();
    const custom = {
      HTTPSPort: Match.absent(),
      OriginProtocolPolicy: 'https-only',
      OriginReadTimeout: 30,
      OriginSSLProtocols: ['TLSv1.2'],
    };
    template.hasResourceProperties('AWS::CloudFront::Distribution', {
      DistributionConfig: {
        Origins: [
          { Id: 'http-api', DomainName: host(template, 'HTTP'), CustomOriginConfig: custom },
          { Id: 'websocket-api', DomainName: host(template, 'WEBSOCKET'), CustomOriginConfig: custom },
        ],
      },
    });
    const { DistributionConfig } = only(template, 'AWS::CloudFront::Distribution');
    expect(JSON.stringify(DistributionConfig)).not.toContain('OriginPath');
  });

  it('caches nothing, forwards every header but Host, and runs the function where no path decides', () => {
    const template = deployed({ stage: 'beta' });
    const [viewerRequest] = Object.keys(template.findResources('AWS::CloudFront::Function'));
    template.hasResourceProperties('AWS::CloudFront::Distribution', {
      DistributionConfig: {
        HttpVersion: 'http2',
        DefaultCacheBehavior: {
          ...MANAGED,
          TargetOriginId: 'http-api',
          FunctionAssociations: [
            {
              EventType: 'viewer-request',
              FunctionARN: { 'Fn::GetAtt': [viewerRequest, 'FunctionARN'] },
            },
          ],
        },
        CacheBehaviors: ['/beta', '/beta/'].map((PathPattern) => ({
          ...MANAGED,
          PathPattern,
          TargetOriginId: 'websocket-api',
          FunctionAssociations: Match.absent(),
        })),
      },
    });
  });

  it('is what clients dial, and at home in every function', () => {
    const template = deployed();
    const [distribution] = Object.keys(template.findResources('AWS::CloudFront::Distribution'));
    const url = { 'Fn::Join': ['', ['https://', { 'Fn::GetAtt': [distribution, 'DomainName'] }]] };
    template.hasOutput('Url', { Value: url });
    template.hasOutput('PublishUrl', { Value: { 'Fn::Join': ['', Match.arrayWith(['/publish'])] } });
    for (const { Properties } of Object.values(template.findResources('AWS::Lambda::Function'))) {
      expect(JSON.stringify(Properties.Environment.Variables.ORIGINS)).toContain(
        JSON.stringify([',https://', { 'Fn::GetAtt': [distribution, 'DomainName'] }]).slice(1, -1),
      );
    }
  });

  it('takes a name of one’s own with its certificate, for TLS 1.2 at least', () => {
    const arn = 'arn:aws:acm:us-east-1:123456789012:certificate/1';
    const template = deployed((stack) => ({
      frontDoor: {
        domainName: 'chat.example.com',
        certificate: Certificate.fromCertificateArn(stack, 'Certificate', arn),
      },
    }));
    template.hasResourceProperties('AWS::CloudFront::Distribution', {
      DistributionConfig: {
        Aliases: ['chat.example.com'],
        ViewerCertificate: { AcmCertificateArn: arn, MinimumProtocolVersion: 'TLSv1.2_2021' },
      },
    });
    template.hasOutput('Url', { Value: 'https://chat.example.com' });
  });

  it('can be left out', () => {
    const template = deployed({ frontDoor: false });
    template.resourceCountIs('AWS::CloudFront::Distribution', 0);
    template.resourceCountIs('AWS::CloudFront::Function', 0);
    expect(template.findOutputs('Url')).toEqual({});
  });
});

describe('the key of the WebSocket API', () => {
  it('is neither there nor wanted unless it is asked for', () => {
    const template = deployed();
    template.resourceCountIs('AWS::ApiGateway::ApiKey', 0);
    template.hasResourceProperties('AWS::ApiGatewayV2::Route', {
      RouteKey: '$connect',
      ApiKeyRequired: false,
    });
    expect(JSON.stringify(template.toJSON())).not.toMatch(/x-api-key|TRUST_FORWARDED/);
  });

  it('makes the header of the front door believable to connect, and to nobody else', () => {
    const template = deployed({ frontDoor: { apiKey: true } });
    const trusting = Object.values(template.findResources('AWS::Lambda::Function'))
      .filter(({ Properties }) => Properties.Environment.Variables.TRUST_FORWARDED !== undefined)
      .map(({ Properties }) => Properties.Handler);
    expect(trusting).toEqual(['connect.handler']);
  });

  it('is generated, known to both sides by reference only, and wanted of every upgrade', () => {
    const template = deployed({ frontDoor: { apiKey: true }, stage: 'beta' });
    const [secret] = Object.keys(template.findResources('AWS::SecretsManager::Secret'));
    const value = {
      'Fn::Join': ['', ['{{resolve:secretsmanager:', { Ref: secret }, ':SecretString:::}}']],
    };
    template.hasResourceProperties('AWS::ApiGateway::ApiKey', { Enabled: true, Value: value });
    template.hasResourceProperties('AWS::CloudFront::Distribution', {
      DistributionConfig: {
        Origins: Match.arrayWith([
          Match.objectLike({
            Id: 'websocket-api',
            OriginCustomHeaders: [{ HeaderName: 'x-api-key', HeaderValue: value }],
          }),
        ]),
      },
    });
    template.hasResourceProperties('AWS::ApiGatewayV2::Route', {
      RouteKey: '$connect',
      ApiKeyRequired: true,
    });
    const [key] = Object.keys(template.findResources('AWS::ApiGateway::ApiKey'));
    const [plan, { DependsOn, Properties }] = Object.entries(
      template.findResources('AWS::ApiGateway::UsagePlan'),
    )[0]!;
    const [socketApi] = Object.keys(
      template.findResources('AWS::ApiGatewayV2::Api', { Properties: { ProtocolType: 'WEBSOCKET' } }),
    );
    const [stage] = Object.keys(
      template.findResources('AWS::ApiGatewayV2::Stage', { Properties: { StageName: 'beta' } }),
    );
    expect(Properties.ApiStages).toEqual([{ ApiId: { Ref: socketApi }, Stage: 'beta' }]);
    expect(DependsOn).toEqual([stage]);
    template.hasResourceProperties('AWS::ApiGateway::UsagePlanKey', {
      KeyId: { Ref: key },
      KeyType: 'API_KEY',
      UsagePlanId: { Ref: plan },
    });
  });
});

interface Parameter {
  readonly value: string;
  readonly multiValue?: readonly Parameter[];
}

describe('the viewer-request function', () => {
  /** Runs the code of a template on one request; `origin` is the one it selected. */
  function run(
    code: string,
    uri: string,
    querystring: Readonly<Record<string, Parameter>> = {},
    method = 'GET',
  ) {
    const selected: string[] = [];
    const scope = { cf: { selectRequestOriginById: (id: string) => selected.push(id) } };
    const handler = runInNewContext(`${code.replace(/^import .*$/m, '')}\nhandler;`, scope);
    const request = { method, uri, querystring, headers: {}, cookies: {} };
    const result = handler({ version: '1.0', request }) as { uri?: string; statusCode?: number };
    return { uri: result.uri, statusCode: result.statusCode, origin: selected.join() || 'http-api' };
  }

  let code: string;
  beforeAll(() => {
    code = codeOf(deployed());
  });

  const SOCKET = { uri: '/prod', origin: 'websocket-api' };
  const POLL = { uri: '/socket.io', origin: 'http-api' };
  const websocket: Parameter = { value: 'websocket' };
  const polling: Parameter = { value: 'polling' };

  it.each([
    ['/socket.io/', { transport: websocket }, SOCKET],
    ['/socket.io', { transport: websocket }, SOCKET],
    ['/socket.io/', { EIO: { value: '4' }, transport: websocket, sid: { value: 'x' } }, SOCKET],
    ['/socket.io/', { transport: polling }, POLL],
    ['/socket.io', { transport: polling }, POLL],
    ['/socket.io/', {}, POLL],
    ['/socket.io/', { transport: { value: '' } }, POLL],
    ['/socket.io/', { transport: { value: 'WebSocket' } }, POLL],
    ['/socket.io/', { transport: { value: 'websocket%20' } }, POLL],
    ['/socket.io/', { Transport: websocket }, POLL],
    ['/socket.io/', { transport: { value: 'websocket', multiValue: [websocket, polling] } }, SOCKET],
    ['/socket.io/', { transport: { value: 'polling', multiValue: [polling, websocket] } }, POLL],
    ['/socket.io//', { transport: websocket }, { uri: '/socket.io//', origin: 'http-api' }],
    ['/socket.io/x', { transport: websocket }, { uri: '/socket.io/x', origin: 'http-api' }],
    ['/socket.iox', { transport: websocket }, { uri: '/socket.iox', origin: 'http-api' }],
    ['/Socket.io/', { transport: websocket }, { uri: '/Socket.io/', origin: 'http-api' }],
    ['/socket%2Eio/', { transport: websocket }, { uri: '/socket%2Eio/', origin: 'http-api' }],
    ['/', { transport: websocket }, { uri: '/', origin: 'http-api' }],
    ['/health', {}, { uri: '/health', origin: 'http-api' }],
    ['/publish', {}, { uri: '/publish', origin: 'http-api' }],
  ] as const)('sends %s with %j to %j', (uri, querystring, expected) => {
    expect(run(code, uri, querystring)).toEqual({ ...expected, statusCode: undefined });
  });

  it('refuses publish requests, which are signed for the HTTP API’s own host', () => {
    expect(run(code, '/publish', {}, 'POST')).toMatchObject({ statusCode: 403 });
  });

  it('knows the path and the stage of its deployment', () => {
    const other = codeOf(deployed({ wsPath: '/realtime/', stage: 'beta' }));
    expect(run(other, '/realtime/', { transport: websocket })).toMatchObject({
      uri: '/beta',
      origin: 'websocket-api',
    });
    expect(run(other, '/socket.io/', { transport: websocket })).toMatchObject({
      uri: '/socket.io/',
      origin: 'http-api',
    });
  });

  it('has had all its texts put in, for the runtime that can select an origin, and fits into 10 KB', () => {
    const template = deployed();
    const { FunctionConfig, AutoPublish } = only(template, 'AWS::CloudFront::Function');
    expect(FunctionConfig).toMatchObject({ Runtime: 'cloudfront-js-2.0' });
    expect(AutoPublish).toBe(true);
    expect(code).toMatch(/^import cf from 'cloudfront';$/m);
    expect(code).not.toMatch(/'<|>'/);
    expect(Buffer.byteLength(code)).toBeLessThan(10_240);
  });
});
