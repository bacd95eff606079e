/** What a stack does with a bus in it: grants, rules, metrics, the address. */
import { Stack } from 'aws-cdk-lib';
import { Annotations, Match, Template } from 'aws-cdk-lib/assertions';
import { EventBus, EventField } from 'aws-cdk-lib/aws-events';
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Code, Function as LambdaFunction, Runtime } from 'aws-cdk-lib/aws-lambda';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ConfigurationError } from '../../lib/errors.ts';
import type { PublishMapping } from '../../lib/publish-rule.ts';
import { SocketBus, type SocketBusProps } from '../../lib/socket-bus.ts';
import { type StubBundles, stubBundles } from '../support/stub-bundles.ts';

let stub: StubBundles;
let stack: Stack;

beforeAll(async () => {
  stub = await stubBundles();
});
afterAll(() => stub.remove());

function busIn(id = 'Bus', props: SocketBusProps = {}): SocketBus {
  stack = new Stack(stub.app(), 'Shop');
  return new SocketBus(stack, id, { bundles: stub.bundles, ...props });
}

const functionOf = (handler: string) =>
  Object.keys(
    Template.fromStack(stack).findResources('AWS::Lambda::Function', { Properties: { Handler: handler } }),
  )[0]!;

describe('the address', () => {
  it('is the front door’s, or without one that of the WebSocket API', () => {
    const door = busIn();
    expect(stack.resolve(door.url)).toEqual(stack.resolve(door.frontDoor?.url));
    const bare = busIn('Bus', { frontDoor: false });
    expect(JSON.stringify(stack.resolve(bare.url))).toMatch(/wss:.*\/prod"/);
  });
});

describe('grantPublish', () => {
  it('lets a function invoke publish, no version of it and nothing else, and tells it the name', () => {
    const bus = busIn();
    const code = Code.fromInline('exports.handler = () => 1');
    const runtime = Runtime.NODEJS_24_X;
    const mine = new LambdaFunction(stack, 'Mine', { code, runtime, handler: 'index.handler' });
    const grant = bus.grantPublish(mine);
    grant.assertSuccess();
    const publish = functionOf('publish.handler');
    const found = Template.fromStack(stack);
    found.hasResourceProperties('AWS::Lambda::Function', {
      Handler: 'index.handler',
      Environment: { Variables: { SOCKETBUS_PUBLISH_FUNCTION: { Ref: publish } } },
    });
    found.hasResourceProperties('AWS::IAM::Policy', {
      PolicyDocument: {
        Statement: [
          { Effect: 'Allow', Action: 'lambda:InvokeFunction', Resource: { 'Fn::GetAtt': [publish, 'Arn'] } },
        ],
      },
      Roles: [{ Ref: stack.getLogicalId(mine.role!.node.defaultChild as never) }],
    });
  });

  it('of a second bus leaves the name of the first, and warns with what to do', () => {
    const one = busIn('One');
    const two = new SocketBus(stack, 'Two', { bundles: stub.bundles, stage: 'two' });
    const code = Code.fromInline('exports.handler = () => 1');
    const runtime = Runtime.NODEJS_24_X;
    const mine = new LambdaFunction(stack, 'Mine', { code, runtime, handler: 'index.handler' });
    const warnings = () => Annotations.fromStack(stack).findWarning('*', Match.anyValue());
    one.grantPublish(mine);
    one.grantPublish(mine);
    expect(warnings()).toEqual([]);
    two.grantPublish(mine);
    const [warning, ...others] = warnings();
    expect(others).toEqual([]);
    expect(warning?.id).toBe('/Shop/Mine');
    expect(String(warning?.entry.data)).toMatch(
      /names Shop\/One.*For Shop\/Two.*new Emitter\(\{ functionName \}\).*\[ack: socketbus:several-buses\]/,
    );
    Template.fromStack(stack).hasResourceProperties('AWS::Lambda::Function', {
      Handler: 'index.handler',
      Environment: {
        Variables: { SOCKETBUS_PUBLISH_FUNCTION: stack.resolve(one.functions.byName.publish.functionName) },
      },
    });
  });

  it('lets anybody else who has permissions', () => {
    const bus = busIn();
    const workflow = new Role(stack, 'Workflow', { assumedBy: new ServicePrincipal('states.amazonaws.com') });
    expect(bus.grantPublish(workflow).success).toBe(true);
  });
});

describe('addPublishRule', () => {
  const pattern = { source: ['shop.orders'] };

  it('turns an event into one of the deployment’s own, under an id of the event and the rule', () => {
    const bus = busIn();
    const mapping = {
      rooms: [`customer:${EventField.fromPath('$.detail.customer')}`],
      event: 'order',
      volatile: true,
    };
    bus.addPublishRule(pattern, mapping, { id: 'Orders' });
    const found = Template.fromStack(stack);
    const queue = Object.keys(found.findResources('AWS::SQS::Queue'))[0];
    found.hasResourceProperties('AWS::Events::Rule', {
      EventPattern: pattern,
      EventBusName: Match.absent(),
      Targets: [
        {
          Arn: { 'Fn::GetAtt': [functionOf('publish.handler'), 'Arn'] },
          DeadLetterConfig: { Arn: { 'Fn::GetAtt': [queue, 'Arn'] } },
          RetryPolicy: { MaximumEventAgeInSeconds: 3600 },
          InputTransformer: {
            InputPathsMap: { 'detail-customer': '$.detail.customer', detail: '$.detail', id: '$.id' },
            InputTemplate:
              '{"id":"<id>/Orders","source":"socketbus.publish","detail-type":"Publish Request",' +
              '"detail":{"op":"emit","args":[<detail>],"rooms":["customer:<detail-customer>"],"event":"order",' +
              '"flags":{"volatile":true}}}',
          },
        },
      ],
    });
  });

  it('listens on another bus where it is told one, and keeps its logical id whatever else there is', () => {
    const logicalIds = (before: boolean) => {
      const bus = busIn();
      const eventBus = new EventBus(stack, 'Warehouse');
      if (before) bus.addPublishRule({ source: ['other'] }, { event: 'other' });
      const rule = bus.addPublishRule(
        pattern,
        { event: `order-${EventField.fromPath('$.detail.kind')}` },
        { eventBus },
      );
      Template.fromStack(stack).hasResourceProperties('AWS::Events::Rule', {
        EventBusName: { Ref: stack.getLogicalId(eventBus.node.defaultChild as never) },
      });
      return stack.getLogicalId(rule.node.defaultChild as never);
    };
    expect(logicalIds(true)).toBe(logicalIds(false));
  });

  it('lets any number of rules have function and queue, in one statement each: SQS takes 10 conditions, Lambda 20 KB', () => {
    const bus = busIn();
    for (let rule = 0; rule < 60; rule += 1) bus.addPublishRule(pattern, { event: `order-${rule}` });
    const found = Template.fromStack(stack);
    found.resourceCountIs('AWS::Events::Rule', 62);
    const rules = {
      'Fn::Join': [
        '',
        [
          'arn:',
          { Ref: 'AWS::Partition' },
          ':events:',
          { Ref: 'AWS::Region' },
          ':',
          { Ref: 'AWS::AccountId' },
          ':rule/*',
        ],
      ],
    };
    const queue = { 'Fn::GetAtt': [Object.keys(found.findResources('AWS::SQS::Queue'))[0], 'Arn'] };
    found.resourcePropertiesCountIs('AWS::SQS::QueuePolicy', {}, 1);
    found.hasResourceProperties('AWS::SQS::QueuePolicy', {
      PolicyDocument: {
        Statement: [
          Match.objectLike({ Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } }),
          {
            Sid: 'AllowRules',
            Effect: 'Allow',
            Principal: { Service: 'events.amazonaws.com' },
            Action: 'sqs:SendMessage',
            Resource: queue,
            Condition: { ArnLike: { 'aws:SourceArn': rules } },
          },
        ],
      },
    });
    const publish = { 'Fn::GetAtt': [functionOf('publish.handler'), 'Arn'] };
    const permissions = found.findResources('AWS::Lambda::Permission', {
      Properties: { FunctionName: publish, Principal: 'events.amazonaws.com' },
    });
    expect(Object.values(permissions).map(({ Properties }) => Properties.SourceArn)).toEqual([rules]);
  });

  it('refuses what no publish may be, by field', () => {
    const bus = busIn();
    const act = () => bus.addPublishRule(pattern, { event: 'connect', namespace: 'shop' });
    expect(act).toThrow(ConfigurationError);
    expect(act).toThrow(
      /mapping\.namespace: must begin with a slash, .*\n.*mapping\.event: is a name reserved/,
    );
  });

  const fields = 'rooms, except, namespace, event, args, volatile';
  it.each<[string, object]>([
    [`mapping.room: is not a known field: there are ${fields}`, { event: 'a', room: 'x' }],
    ['mapping.event: must be of type string, not undefined', {}],
    ['mapping.rooms: must be of type array, not "r"', { event: 'a', rooms: 'r' }],
    ['mapping.rooms[1]: must not be empty, not ""', { event: 'a', rooms: ['r', ''] }],
    ['mapping.volatile: must be of type boolean, not "yes"', { event: 'a', volatile: 'yes' }],
  ])('says what is wrong with a field: %s', (line, mapping) => {
    const bus = busIn();
    const act = () => bus.addPublishRule(pattern, mapping as PublishMapping);
    expect(act).toThrow(new ConfigurationError([]).message);
    expect(act).toThrow(`  ${line}`);
  });

  it('refuses a rule that is there already, by its name, unless it has an id of its own', () => {
    const bus = busIn();
    const add = (id?: string) =>
      bus.addPublishRule(pattern, { event: 'order' }, id === undefined ? {} : { id });
    const { id } = add().node;
    expect(() => add()).toThrow(ConfigurationError);
    expect(() => add()).toThrow(`publish rule ${id}: is there already; a second rule`);
    expect(add('Again').node.id).toBe('Again');
    expect(() => add('Again')).toThrow('publish rule Again: is there already');
  });
});

describe('metric', () => {
  it('is one of this deployment’s functions, which write it under the same service', () => {
    const bus = busIn('Chat');
    const metric = bus.metric('FanOutTime', { statistic: 'p99' }).toMetricConfig().metricStat;
    expect(metric).toMatchObject({
      namespace: 'socketbus',
      metricName: 'FanOutTime',
      statistic: 'p99',
      dimensions: [{ name: 'service', value: 'Shop/Chat' }],
    });
    Template.fromStack(stack).allResourcesProperties('AWS::Lambda::Function', {
      Environment: {
        Variables: Match.objectLike({
          POWERTOOLS_SERVICE_NAME: 'Shop/Chat',
          POWERTOOLS_METRICS_NAMESPACE: 'socketbus',
        }),
      },
    });
  });
});

describe('a metric without a statistic', () => {
  it.each([
    ['Posted', 'Sum'],
    ['RateLimited', 'Sum'],
    ['FanOutTime', 'p99'],
    ['SweepLag', 'Maximum'],
  ] as const)('%s is the %s of five minutes', (name, statistic) => {
    const metric = busIn().metric(name);
    expect(metric.statistic).toBe(statistic);
    expect(metric.period.toMinutes()).toBe(5);
  });

  it('that no function writes is refused, with the names of those there are', () => {
    const bus = busIn();
    // @ts-expect-error: no such metric
    const act = () => bus.metric('FanoutTime');
    expect(act).toThrow(ConfigurationError);
    expect(act).toThrow(/FanoutTime is none of them: Connections, .*, FanOutTime, SweepLag/);
  });
});

describe('the code', () => {
  it('is bundled where the construct is made in a clone, and what is wrong with it is told by line', () => {
    stack = new Stack(stub.app(), 'Shop');
    const apps = ['./test/lib/fixtures/no-default.ts'];
    expect(() => new SocketBus(stack, 'Bus', { apps })).toThrow(/could not be bundled:\n.*no-default\.ts/);
  });
});
