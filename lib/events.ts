import { Duration, Stack } from 'aws-cdk-lib';
import {
  EventBus,
  type EventPattern,
  type IRuleTarget,
  Rule,
  type RuleTargetConfig,
  type RuleTargetInput,
} from 'aws-cdk-lib/aws-events';
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { IFunction } from 'aws-cdk-lib/aws-lambda';
import { SqsDestination } from 'aws-cdk-lib/aws-lambda-destinations';
import { Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { PUBLISH_DETAIL_TYPE, PUBLISH_SOURCE } from '../lambdas/contract/event-bridge.ts';
import { ConfigurationError } from './errors.ts';
import { physicalName } from './names.ts';
import { type PublishMapping, type PublishRuleOptions, publishInput } from './publish-rule.ts';

/** A publish that could not be made for so long is an operator's matter: whoever listened has gone on. */
const MAX_EVENT_AGE = Duration.hours(1);
/** Two weeks, the longest that SQS keeps a message (SQS quotas page). */
const DEAD_LETTER_RETENTION = Duration.days(14);
const EVENTBRIDGE = new ServicePrincipal('events.amazonaws.com');

export interface EventsHandlers {
  readonly publish: IFunction;
  readonly deliver: IFunction;
}

/**
 * The event bus in both directions: `message` puts forwarded application events on it, and events that ask for a
 * publish go to `publish`. The two differ in source and detail type, so what goes out never comes back in.
 */
export class Events extends Construct {
  readonly bus: EventBus;
  /**
   * Publishes and parts of broadcasts that were given up: not delivered to the function, or failed in it each time.
   * `npm run replay` does them again.
   */
  readonly deadLetters: Queue;
  #publishRule?: Rule;
  #publish?: IFunction;

  constructor(scope: Construct, id: string) {
    super(scope, id);
    this.bus = new EventBus(this, 'Bus', {
      eventBusName: physicalName(this, 256),
      description: `${Stack.of(this).stackName}: publishes in, client events out`,
    });
    this.deadLetters = new Queue(this, 'DeadLetters', {
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      retentionPeriod: DEAD_LETTER_RETENTION,
    });
  }

  /** The rule that publishes. @throws {Error} before the rules are added */
  get publishRule(): Rule {
    if (!this.#publishRule) throw new Error('The rules have not been added yet');
    return this.#publishRule;
  }

  /** Sends publish requests to `publish`. Whatever of the two gives up, EventBridge or Lambda, uses one queue. */
  addRules({ publish, deliver }: EventsHandlers): void {
    this.#publishRule = new Rule(this, 'Publish', {
      eventBus: this.bus,
      description: 'socketbus: publish what other systems ask for',
      eventPattern: { source: [PUBLISH_SOURCE], detailType: [PUBLISH_DETAIL_TYPE] },
    });
    this.#publish = publish;
    this.#letRules(publish);
    this.#publishRule.addTarget(this.#target());
    // EventBridge is done once Lambda has taken the event; from then on Lambda retries and gives up.
    for (const each of [publish, deliver]) {
      each.configureAsyncInvoke({
        retryAttempts: 2,
        maxEventAge: MAX_EVENT_AGE,
        onFailure: new SqsDestination(this.deadLetters),
      });
    }
  }

  /**
   * A rule that publishes what other systems' events are turned into.
   *
   * @throws {ConfigurationError} for a mapping that is no publish request, and for an id that is taken
   * @throws {Error} before the rules are added
   */
  publishOn(
    id: string,
    eventPattern: EventPattern,
    mapping: PublishMapping,
    eventBus: PublishRuleOptions['eventBus'],
  ): Rule {
    const input = publishInput(id, mapping);
    if (this.node.tryFindChild(id)) {
      const message =
        'is there already; a second rule with the same pattern and mapping, or the same id, needs an { id } of its own';
      throw new ConfigurationError([{ name: `publish rule ${id}`, message }]);
    }
    const rule = new Rule(this, id, {
      description: 'socketbus: publish what other systems tell',
      eventPattern,
      ...(eventBus && { eventBus }),
    });
    rule.addTarget(this.#target(input));
    return rule;
  }

  /**
   * All rules of this account and Region in one statement each for function and queue. One a rule, which CDK's own target
   * writes, is too much from the tenth rule on: SQS takes 10 conditions, 20 statements and 8,192 bytes (SQS guide, "Policy
   * quotas"), Lambda 20 KB (Lambda quotas page). It would keep nobody out either: whoever may change the targets of rules may
   * change those of a rule that is let in.
   */
  #letRules(publish: IFunction): void {
    const rules = Stack.of(this).formatArn({ service: 'events', resource: 'rule', resourceName: '*' });
    publish.addPermission('AllowRules', { principal: EVENTBRIDGE, sourceArn: rules });
    this.deadLetters.addToResourcePolicy(
      new PolicyStatement({
        sid: 'AllowRules',
        principals: [EVENTBRIDGE],
        actions: ['sqs:SendMessage'],
        resources: [this.deadLetters.queueArn],
        // It names the account, so it is enough (EventBridge guide, "Cross-service confused deputy prevention").
        conditions: { ArnLike: { 'aws:SourceArn': rules } },
      }),
    );
  }

  #target(input?: RuleTargetInput): IRuleTarget {
    if (!this.#publish) throw new Error('The rules have not been added yet');
    const { functionArn: arn } = this.#publish;
    const config: RuleTargetConfig = {
      arn,
      deadLetterConfig: { arn: this.deadLetters.queueArn },
      retryPolicy: { maximumEventAgeInSeconds: MAX_EVENT_AGE.toSeconds() },
      targetResource: this.#publish,
      ...(input && { input }),
    };
    return { bind: () => config };
  }
}
