/** The template as a whole: what changes in it is seen before it is deployed. */
import { Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { EventField } from 'aws-cdk-lib/aws-events';
import { AwsSolutionsChecks, ServerlessChecks } from 'cdk-nag';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SocketBus, type SocketBusProps } from '../../lib/socket-bus.ts';
import { SocketBusStack } from '../../lib/stack.ts';
import type { ResourceJson, TemplateJson } from '../support/assembly.ts';
import { type StubBundles, stubBundles } from '../support/stub-bundles.ts';

let stub: StubBundles;

beforeAll(async () => {
  stub = await stubBundles();
});
afterAll(() => stub.remove());

function deployed(props: SocketBusProps & { stackName?: string } = {}): TemplateJson {
  const { bundles } = stub;
  const stack = new SocketBusStack(stub.app(), 'Socketbus', { bundles, ...props });
  return Template.fromStack(stack).toJSON() as TemplateJson;
}

const ofType = ({ Resources }: TemplateJson, type: string): [string, ResourceJson][] =>
  Object.entries(Resources).filter(([, { Type }]) => Type === type);

describe('the template', () => {
  it('is what it was; `npx vitest run -u` accepts a change that is meant', () => {
    // The code is a stub, so its hash says nothing.
    const text = JSON.stringify(deployed(), undefined, 1).replaceAll(/[0-9a-f]{64}\.zip/g, 'code.zip');
    expect(text).toMatchSnapshot();
  });

  it('keeps the logical ids of what holds data or has an address, whose replacement would lose either', () => {
    const types = [
      'AWS::DynamoDB::Table',
      'AWS::ApiGatewayV2::Api',
      'AWS::CloudFront::Distribution',
      'AWS::Events::EventBus',
      'AWS::SQS::Queue',
    ];
    const ids = types.flatMap((type) => ofType(deployed(), type).map(([id]) => id));
    expect(ids).toEqual([
      'BusStoreBusF30171FE',
      'BusStoreApps24C05BEB',
      'BusGatewayApiBBFB4BE0',
      'BusHttpApiF91BE390',
      'BusFrontDoorDistributionE2B3F09F',
      'BusEventsBusD6DDAC30',
      'BusEventsDeadLettersBA97AA7E',
    ]);
  });

  it('allows no action by a wildcard, and resources by one only for what has no name before it exists', () => {
    const statements = ofType(deployed(), 'AWS::IAM::Policy').flatMap(([, { Properties }]) => {
      const { Statement } = Properties.PolicyDocument as {
        Statement: { Action: unknown; Resource: unknown }[];
      };
      return Statement;
    });
    expect(statements.length).toBeGreaterThan(30);
    for (const { Action, Resource } of statements) {
      expect(JSON.stringify(Action)).not.toContain('*');
      const wild = [Resource]
        .flat()
        .map((one) => JSON.stringify(one))
        .filter((one) => /[*?]/.test(one));
      for (const one of wild) expect(one).toMatch(/\/@connections\/\*"|-\?{6}"/);
    }
  });
});

describe('a stack beside another in one account', () => {
  /** Properties that CloudFormation takes as the whole name, which the account can have but once. */
  const NAMES =
    /^(TableName|FunctionName|RoleName|QueueName|LogGroupName|ManagedPolicyName|BucketName|Name)$/;
  /** Names that need not differ (API Gateway tells APIs by id), or that are references. */
  const SHARED = ['AWS::ApiGatewayV2::Api', 'AWS::Lambda::Permission', 'AWS::Lambda::EventInvokeConfig'];

  function names(template: TemplateJson): string[] {
    return Object.values(template.Resources)
      .filter(({ Type }) => !SHARED.includes(Type))
      .flatMap(({ Type, Properties }) =>
        Object.entries(Properties ?? {})
          .filter(([key]) => NAMES.test(key))
          .map(([, value]) => `${Type} ${JSON.stringify(value)}`),
      )
      .sort();
  }

  it('wants no name of its resources but two and those of its log queries, which are made of the stack’s own', () => {
    const isQuery = (name: string) => name.startsWith('AWS::Logs::QueryDefinition');
    const first = names(deployed());
    const [door = '', bus = '', ...others] = first.filter((name) => !isQuery(name));
    expect(others).toEqual([]);
    expect(door).toContain('AWS::CloudFront::Function');
    expect(bus).toContain('AWS::Events::EventBus');
    const second = names(deployed({ stackName: 'Socketbus-beta' }));
    expect(second).toHaveLength(first.length);
    expect(second.filter((name) => first.includes(name))).toEqual([]);
  });

  it('has two names in one stack, short enough for CloudFront however long the stack’s is', () => {
    const stack = new Stack(stub.app(), 'Both', { stackName: 'a'.repeat(128) });
    for (const id of ['One', 'Two']) new SocketBus(stack, id, { bundles: stub.bundles });
    const found = names(Template.fromStack(stack).toJSON() as TemplateJson);
    expect(new Set(found).size).toBe(found.length);
    const doors = ofType(Template.fromStack(stack).toJSON() as TemplateJson, 'AWS::CloudFront::Function');
    for (const [, { Properties }] of doors) {
      const [, parts] = (Properties.Name as { 'Fn::Join': [string, unknown[]] })['Fn::Join'];
      const own = parts.filter((part) => typeof part === 'string').join('');
      expect(own.length + 'ap-southeast-1'.length).toBeLessThanOrEqual(64);
    }
  });
});

describe('what is optional', () => {
  it('is IPv6, on unless it is switched off, at every door', () => {
    const families = (template: TemplateJson) => [
      ...ofType(template, 'AWS::ApiGatewayV2::Api').map(([, { Properties }]) => Properties.IpAddressType),
      ...ofType(template, 'AWS::CloudFront::Distribution').map(
        ([, { Properties }]) => (Properties.DistributionConfig as { IPV6Enabled: boolean }).IPV6Enabled,
      ),
    ];
    expect(families(deployed())).toEqual(['dualstack', 'dualstack', true]);
    expect(families(deployed({ ipv6: false }))).toEqual(['ipv4', 'ipv4', false]);
  });

  it('is tracing, off unless it is switched on', () => {
    const modes = (template: TemplateJson) =>
      new Set(
        ofType(template, 'AWS::Lambda::Function').map(([, { Properties }]) => Properties.TracingConfig),
      );
    expect([...modes(deployed())]).toEqual([undefined]);
    const traced = deployed({ tracing: true });
    for (const mode of modes(traced)) expect(mode).toEqual({ Mode: 'Active' });
    expect(JSON.stringify(traced)).toContain('xray:PutTraceSegments');
  });

  it.each([
    [AwsSolutionsChecks, { tracing: true, ipv6: false }],
    [ServerlessChecks, { tracing: true, ipv6: false }],
    [AwsSolutionsChecks, { frontDoor: false }],
    [ServerlessChecks, { frontDoor: false }],
  ])('leaves %o without a finding, with rules added and the settings %j', (Pack, settings) => {
    const app = stub.app();
    const { bus } = new SocketBusStack(app, 'Socketbus', { bundles: stub.bundles, ...settings });
    bus.addPublishRule(
      { source: ['shop'] },
      { event: 'said', rooms: [EventField.fromPath('$.detail.room')] },
    );
    const { violations } = new Pack(app).validateScope(app);
    expect(violations.map(({ ruleName }) => ruleName)).toEqual([]);
  });
});
