import { Duration } from 'aws-cdk-lib';
import { Rule, Schedule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets';
import type { IFunction } from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';

export interface HeartbeatProps {
  readonly sweep: IFunction;
}

/** The one clock of a deployment: a tick a minute, the finest that EventBridge schedules. */
export class Heartbeat extends Construct {
  readonly rule: Rule;

  constructor(scope: Construct, id: string, props: HeartbeatProps) {
    super(scope, id);
    this.rule = new Rule(this, 'EveryMinute', {
      schedule: Schedule.rate(Duration.minutes(1)),
      description: 'socketbus: ping what is due and reap what is gone',
    });
    // A sweep does all that is due since the last one that finished, so a lost tick is made up by the next, and one
    // delivered late would only compete with it.
    this.rule.addTarget(
      new LambdaFunction(props.sweep, { retryAttempts: 0, maxEventAge: Duration.minutes(1) }),
    );
  }
}
