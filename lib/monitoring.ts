import type { Dashboard, IAlarmAction } from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import type { ITopic } from 'aws-cdk-lib/aws-sns';
import { Construct } from 'constructs';
import type { Deployment } from './acknowledgements.ts';
import { Alarms } from './alarms.ts';
import { dashboard } from './dashboard.ts';
import { logQueries } from './log-queries.ts';

/** What an operator may decide about alarms and the dashboard. */
export interface MonitoringOptions {
  /** Is told when an alarm begins and when it ends. @default - the setting `alarmTopic`, else nobody */
  readonly topic?: ITopic;
  /** What else an alarm does then. @default - nothing */
  readonly actions?: readonly IAlarmAction[];
  /**
   * Concurrent executions that the account may have in this Region; the alarm is at 80 % of them. For a Region
   * without Service Quotas. @default - what Service Quotas says at any time
   */
  readonly concurrencyLimit?: number;
  /** The dashboard, 3 US$ a month beyond an account's first three. @default true */
  readonly dashboard?: boolean;
}

export interface MonitoringProps extends MonitoringOptions {
  readonly deployment: Deployment & Construct;
  readonly pingIntervalMinutes: number;
  readonly pingTimeoutMinutes: number;
}

/** What an operator sees of a deployment: alarms, a dashboard and the log queries of docs/runbook.md. */
export class Monitoring extends Construct {
  readonly alarms: Alarms['byName'];
  /** Undefined where it was left out. */
  readonly dashboard: Dashboard | undefined;

  constructor(scope: Construct, id: string, props: MonitoringProps) {
    super(scope, id);
    const { deployment, topic, actions = [], pingIntervalMinutes } = props;
    const alarms = new Alarms(this, 'Alarms', deployment, {
      ...props,
      actions: topic === undefined ? actions : [new SnsAction(topic), ...actions],
    });
    this.alarms = alarms.byName;
    if (props.dashboard ?? true)
      this.dashboard = dashboard(this, 'Dashboard', deployment, { alarms, pingIntervalMinutes });
    logQueries(this, deployment, deployment.functions);
  }
}
