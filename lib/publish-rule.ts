/** From events of other systems to publishes: what `SocketBus.addPublishRule` writes into a rule's target. */
import { EventField, type RuleProps, RuleTargetInput } from 'aws-cdk-lib/aws-events';
import { PUBLISH_DETAIL_TYPE, PUBLISH_SOURCE } from '../lambdas/contract/event-bridge.ts';
import { type FieldIssue, fieldIssues, fieldName } from '../lambdas/contract/issues.ts';
import { publishRequestSchema } from '../lambdas/contract/publish.ts';
import { ConfigurationError, type ConfigurationIssue, shown } from './errors.ts';

/**
 * What is emitted for an event. Any text may be a field of it, `EventField.fromPath('$.detail.id')`, or have fields in it,
 * `order:${EventField.fromPath('$.detail.id')}`; a field that is a whole value keeps its type, an object as well.
 */
export interface PublishMapping {
  /** Rooms that hear of it. @default - everybody in the namespace */
  readonly rooms?: readonly string[];
  /** Rooms that do not. @default - none */
  readonly except?: readonly string[];
  /** @default '/' */
  readonly namespace?: string;
  /** Name of the event that clients hear. */
  readonly event: string;
  /** What their listeners get. @default - the event's detail, as one argument */
  readonly args?: readonly unknown[];
  /** Whether clients that are away shall not hear of it when they come back. @default false */
  readonly volatile?: boolean;
}

export interface PublishRuleOptions {
  /**
   * Id of the rule in the construct tree, and so its logical id; the bus's rules have one each.
   * @default - a hash of pattern and mapping, so that a changed rule is another one
   */
  readonly id?: string;
  /** Bus whose events are matched. @default - the account's default bus, where AWS services put theirs */
  readonly eventBus?: NonNullable<RuleProps['eventBus']>;
}

const FIELDS = [
  'rooms',
  'except',
  'namespace',
  'event',
  'args',
  'volatile',
] as const satisfies (keyof PublishMapping)[];

/**
 * The input of the rule's target: the event that the deployment's own bus would carry. So the publish is retried and given
 * up like those, and an event delivered twice is published once: its id, with the rule's, since rules may share an event.
 *
 * @throws {ConfigurationError} for what no publish request may be, as far as it can be told before there is an event
 */
export function publishInput(ruleId: string, { volatile, ...mapping }: PublishMapping): RuleTargetInput {
  const detail = {
    op: 'emit',
    args: [EventField.fromPath('$.detail')],
    ...mapping,
    ...(volatile && { flags: { volatile } }),
  };
  const { error } = publishRequestSchema.safeParse(detail);
  if (error)
    throw new ConfigurationError(fieldIssues(error).map((issue) => told(issue, { volatile, ...mapping })));
  return RuleTargetInput.fromObject({
    id: `${EventField.eventId}/${ruleId}`,
    source: PUBLISH_SOURCE,
    'detail-type': PUBLISH_DETAIL_TYPE,
    detail,
  });
}

function told({ path, message }: FieldIssue, mapping: object): ConfigurationIssue {
  // `volatile` is a flag of the request.
  const field = path.filter((part) => part !== 'flags');
  const name = fieldName(['mapping', ...field]);
  if (!FIELDS.some((known) => known === field[0])) {
    return { name, message: `${message}: there are ${FIELDS.join(', ')}` };
  }
  const given = field.reduce<unknown>((value, part) => Object(value)[part], mapping);
  return { name, message: `${message}, not ${shown(given)}` };
}
