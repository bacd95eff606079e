import { type CfnElement, Stack, Token, Validations } from 'aws-cdk-lib';
import type { Events } from './events.ts';
import type { FrontDoor } from './front-door.ts';
import type { Functions } from './functions.ts';
import type { Gateway } from './gateway.ts';
import type { Heartbeat } from './heartbeat.ts';
import type { Http } from './http.ts';
import type { Store } from './store.ts';

/** The constructs of a deployment. */
export interface Deployment {
  readonly store: Store;
  readonly gateway: Gateway;
  readonly http: Http;
  readonly frontDoor: FrontDoor | undefined;
  readonly events: Events;
  readonly functions: Functions;
  readonly heartbeat: Heartbeat;
}

/** What rule packs (cdk-nag: AwsSolutions, Serverless) find in a deployment that is so on purpose, and why. */
export function acknowledgeFindings({
  store,
  gateway,
  http,
  frontDoor,
  events,
  functions,
  heartbeat,
}: Deployment): void {
  Validations.of(store.bus).acknowledge({
    id: 'AwsSolutions-DDB3',
    reason: 'Every row expires and is about a live connection: there is nothing to restore.',
  });
  Validations.of(gateway).acknowledge(
    {
      id: 'AwsSolutions-APIG4',
      reason:
        'Sockets authenticate in the protocol (auth payload, header checked by connect); browsers sign nothing.',
    },
    ...['AwsSolutions-APIG1', 'Serverless-APIGWAccessLogging'].map((id) => ({
      id,
      reason: 'Needs one CloudWatch role for all APIs of the account, which is not a stack’s to set.',
    })),
  );
  for (const route of http.openRoutes) {
    Validations.of(route).acknowledge({
      id: 'AwsSolutions-APIG4',
      reason: 'Engine.IO and each application check their own callers; publishing has IAM authorisation.',
    });
  }
  Validations.of(events.deadLetters).acknowledge(
    ...['AwsSolutions-SQS3', 'Serverless-SQSRedrivePolicy'].map((id) => ({
      id,
      reason:
        'It is the dead-letter queue, of a rule and of a function; nothing consumes it but an operator.',
    })),
  );
  Validations.of(functions).acknowledge(
    {
      id: 'Serverless-LambdaDLQ',
      reason:
        'Callers of synchronous functions get the error; an open packet or a tick is worthless when late.',
    },
    {
      id: 'Serverless-LambdaAsyncFailureDestination',
      reason: 'A client whose open packet failed has reconnected before anybody could act on the failure.',
    },
    { id: 'Serverless-LambdaTracing', reason: 'A trace for each frame would cost more than handling it.' },
    {
      id: 'AwsSolutions-IAM5[Resource::*]',
      reason: 'Only where tracing is on: traces go to X-Ray, which has no resources to name.',
    },
    ...connectionWildcards(gateway),
  );
  if (frontDoor !== undefined) acknowledgeFrontDoor(frontDoor);
  Validations.of(heartbeat).acknowledge({
    id: 'Serverless-EventBusDLQ',
    reason: 'The next tick does what a lost one left.',
  });
}

function acknowledgeFrontDoor({ distribution, key }: FrontDoor): void {
  Validations.of(distribution).acknowledge(
    ...[
      ['AwsSolutions-CFR1', 'Whom a deployment serves is the operator’s to say.'],
      ['AwsSolutions-CFR2', 'A web ACL costs by the month and is the operator’s choice.'],
      ['AwsSolutions-CFR3', 'Both APIs log or count what reaches them; these logs would be a third copy.'],
      [
        'AwsSolutions-CFR4',
        'CloudFront’s own certificate allows no other choice; with one’s own it is TLS 1.2.',
      ],
    ].map(([id = '', reason = '']) => ({ id, reason })),
  );
  if (key === undefined) return;
  Validations.of(key).acknowledge({
    id: 'AwsSolutions-SMG4',
    reason: 'Both sides get it from one deployment; a rotation between deployments would part them.',
  });
}

/**
 * A function cannot know connection ids in advance. The pack names the finding by the whole ARN, with the names of references in
 * angle brackets; Region, account and (by a feature flag) partition are none where the stack's `env` says them.
 */
function connectionWildcards(gateway: Gateway) {
  const stack = Stack.of(gateway);
  const api = stack.getLogicalId(gateway.api.node.defaultChild as CfnElement);
  const region = literal(stack.region) ?? '<AWS::Region>';
  const account = literal(stack.account) ?? '<AWS::AccountId>';
  const partition = literal(stack.partition) ?? '<AWS::Partition>';
  const arn = `arn:${partition}:execute-api:${region}:${account}:<${api}>/${gateway.stage.stageName}`;
  return ['POST', 'GET', 'DELETE'].map((method) => ({
    id: `AwsSolutions-IAM5[Resource::${arn}/${method}/@connections/*]`,
    reason: 'One method of this stage only; the id of a connection is known when it exists.',
  }));
}

function literal(text: string): string | undefined {
  return Token.isUnresolved(text) ? undefined : text;
}
