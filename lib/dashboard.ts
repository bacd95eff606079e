import { Duration } from 'aws-cdk-lib';
import {
  AlarmStatusWidget,
  Dashboard,
  GraphWidget,
  type IMetric,
  type IWidget,
  PeriodOverride,
} from 'aws-cdk-lib/aws-cloudwatch';
import type { Construct } from 'constructs';
import { FUNCTION_NAMES } from '../lambdas/contract/environment.ts';
import type { Deployment } from './acknowledgements.ts';
import type { Alarms } from './alarms.ts';
import { metricsOf } from './service-metrics.ts';

export interface DashboardSettings {
  readonly alarms: Alarms;
  /** Each connection is pinged once in it: what was pinged in one is what is open. */
  readonly pingIntervalMinutes: number;
}

/** One page: what clients do, what was published, how it arrived, and what of AWS it takes. */
export function dashboard(
  scope: Construct,
  id: string,
  deployment: Deployment & Construct,
  { alarms, pingIntervalMinutes }: DashboardSettings,
): Dashboard {
  return new Dashboard(scope, id, {
    // Else a longer time range would sum up more than one ping cycle.
    periodOverride: PeriodOverride.INHERIT,
    widgets: [
      [
        new AlarmStatusWidget({
          title: 'Alarms',
          alarms: Object.values(alarms.byName),
          width: 24,
          height: 3,
        }),
      ],
      ...rows(deployment, Duration.minutes(pingIntervalMinutes)),
    ],
  });
}

function rows(deployment: Deployment & Construct, cycle: Duration): IWidget[][] {
  const own = metricsOf(deployment);
  const { events, functions, gateway, http, store } = deployment;
  const { byName } = functions;
  const time = (statistic: string) => own('FanOutTime', { statistic }).with({ label: statistic });
  const each = (metric: (name: (typeof FUNCTION_NAMES)[number]) => IMetric) => FUNCTION_NAMES.map(metric);
  const five = { period: Duration.minutes(5), statistic: 'Sum' };
  return [
    [
      graph('Open connections', [own('Pinged', { period: cycle }).with({ label: 'pinged in one cycle' })]),
      graph('Connections', [own('Connections'), own('Reaped'), gateway.stage.metric('ConnectCount', five)]),
      graph('Recovery', [own('RecoveryHits'), own('RecoveryMisses'), own('Replayed')]),
    ],
    [
      graph('Events', [own('Events'), own('Published')]),
      graph('Recipients', [own('Posted'), own('Gone'), own('Failed'), own('Throttled')]),
      graph('From the publish to the last post, ms', [time('p50'), time('p99'), time('Maximum')]),
    ],
    [
      graph('Heartbeat: how late, ms', [own('SweepLag', { period: Duration.minutes(1) })]),
      graph('Parts of broadcasts, dead letters', [
        own('Ranges'),
        events.deadLetters.metricApproximateNumberOfMessagesVisible(),
      ]),
      graph('Errors', [
        own('Errors'),
        http.stage.metricServerError(five),
        gateway.stage.metric('ExecutionError', five),
      ]),
    ],
    [
      graph(
        'Function errors',
        each((name) => byName[name].metricErrors({ ...five, label: name })),
      ),
      graph(
        'Function throttles',
        each((name) => byName[name].metricThrottles({ ...five, label: name })),
      ),
      graph(
        'Function duration, p99, ms',
        each((name) => byName[name].metricDuration({ ...five, statistic: 'p99', label: name })),
      ),
    ],
    [
      graph(
        'Concurrent executions',
        each((name) =>
          byName[name].metric('ConcurrentExecutions', { ...five, statistic: 'Maximum', label: name }),
        ),
      ),
      graph('DynamoDB units', [
        store.bus.metric('ConsumedReadCapacityUnits', { ...five, label: 'read, bus' }),
        store.bus.metric('ConsumedWriteCapacityUnits', { ...five, label: 'write, bus' }),
        store.apps.metric('ConsumedReadCapacityUnits', { ...five, label: 'read, apps' }),
        store.apps.metric('ConsumedWriteCapacityUnits', { ...five, label: 'write, apps' }),
      ]),
      graph('Messages of clients and posts', [gateway.stage.metric('MessageCount', five)]),
    ],
    [
      graph('Refused by limits', [own('RateLimited'), own('LimitCloses')]),
      graph('Refused handshakes', [own('RefusedHandshakes')]),
      graph('4xx of the APIs', [
        gateway.stage.metric('ClientError', { ...five, label: 'WebSocket' }),
        http.stage.metricClientError({ ...five, label: 'HTTP' }),
      ]),
    ],
  ];
}

function graph(title: string, left: IMetric[]): GraphWidget {
  return new GraphWidget({ title, left, width: 8, height: 6 });
}
