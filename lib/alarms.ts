import { Duration, Token } from 'aws-cdk-lib';
import {
  Alarm,
  ComparisonOperator,
  type IAlarmAction,
  type IMetric,
  MathExpression,
  Metric,
  TreatMissingData,
} from 'aws-cdk-lib/aws-cloudwatch';
import { Construct } from 'constructs';
import { FUNCTION_NAMES, type FunctionName } from '../lambdas/contract/environment.ts';
import type { Deployment } from './acknowledgements.ts';
import { metricsOf } from './service-metrics.ts';

/** From this share of the concurrent executions a burst of frames is throttled, and its clients are cut; percent. */
const NEAR_THE_LIMIT = 80;
const FIVE_MINUTES = Duration.minutes(5);

export interface AlarmSettings {
  /** What is done when an alarm begins and when it ends. */
  readonly actions: readonly IAlarmAction[];
  /** Concurrent executions that the account may have in this Region. @default - what Service Quotas says */
  readonly concurrencyLimit?: number;
  /** How long pings may be late before clients give up; minutes. */
  readonly pingTimeoutMinutes: number;
}

const NAMES = [
  'FunctionErrors',
  'LoggedErrors',
  'FunctionThrottles',
  'DeadLetters',
  'ServerErrors',
  'ThrottledPosts',
  'FailedPosts',
  'SweepLag',
  'Concurrency',
  'TableThrottles',
  'Abuse',
] as const;
export type AlarmName = (typeof NAMES)[number];

interface Rule {
  readonly metric: IMetric;
  /** At or above it is too much. */
  readonly threshold: number;
  /** Periods in a row. @default 1 */
  readonly periods?: number;
  /** Why anybody should get up for it. */
  readonly reason: string;
  /** Where nothing is said: silence is an alarm as well. @default false */
  readonly silence?: boolean;
}

/** What wakes an operator. Each has its section in docs/runbook.md. */
export class Alarms extends Construct {
  readonly byName: { readonly [A in AlarmName]: Alarm };

  constructor(scope: Construct, id: string, deployment: Deployment & Construct, settings: AlarmSettings) {
    super(scope, id);
    const rules = rulesOf(deployment, settings);
    const alarms = NAMES.map((name) => [name, this.#alarm(name, rules[name], settings.actions)] as const);
    this.byName = Object.fromEntries(alarms) as { readonly [A in AlarmName]: Alarm };
  }

  #alarm(name: AlarmName, rule: Rule, actions: readonly IAlarmAction[]): Alarm {
    const { metric, threshold, periods = 1, reason, silence = false } = rule;
    const alarm = new Alarm(this, name, {
      metric,
      threshold,
      evaluationPeriods: periods,
      comparisonOperator: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      treatMissingData: silence ? TreatMissingData.BREACHING : TreatMissingData.NOT_BREACHING,
      alarmDescription: `${reason} See docs/runbook.md#${name.toLowerCase()}.`,
    });
    alarm.addAlarmAction(...actions);
    alarm.addOkAction(...actions);
    return alarm;
  }
}

function rulesOf(
  deployment: Deployment & Construct,
  { concurrencyLimit, pingTimeoutMinutes }: AlarmSettings,
): { readonly [A in AlarmName]: Rule } {
  const { events, functions, gateway, http, store } = deployment;
  const own = metricsOf(deployment);
  const ofFunctions = (metric: (name: FunctionName) => Metric) => sum(FUNCTION_NAMES.map(metric));
  const five = { period: FIVE_MINUTES, statistic: 'Sum' };
  return {
    FunctionErrors: {
      metric: ofFunctions((name) => functions.byName[name].metricErrors(five)),
      threshold: 5,
      reason: 'Functions crash, run out of time or memory, or throw what is then tried again.',
    },
    LoggedErrors: {
      metric: own('Errors'),
      threshold: 5,
      reason:
        'Functions log errors: most failures are answered in the protocol, so Lambda itself counts none of them.',
    },
    FunctionThrottles: {
      metric: ofFunctions((name) => functions.byName[name].metricThrottles(five)),
      threshold: 1,
      reason: 'Lambda refused invocations: a client whose frame is refused is cut by a frame of API Gateway.',
    },
    DeadLetters: {
      metric: events.deadLetters.metricApproximateNumberOfMessagesVisible({
        period: FIVE_MINUTES,
        statistic: 'Maximum',
      }),
      threshold: 1,
      reason: 'Publishes or parts of broadcasts were given up; they wait two weeks to be replayed.',
    },
    ServerErrors: {
      // Not IntegrationError, which counts a handshake that `connect` refuses as well.
      metric: sum([http.stage.metricServerError(five), gateway.stage.metric('ExecutionError', five)]),
      threshold: 5,
      reason:
        'The APIs answer with 5xx, or could not run a function: publishes, polls or upgrades fail for their callers.',
    },
    ThrottledPosts: {
      metric: share(own('Throttled'), own('Posted'), 100),
      threshold: 15,
      periods: 3,
      reason:
        'API Gateway throttles 15 % of the posts or more for a quarter of an hour: the quota of the account is used up.',
    },
    FailedPosts: {
      metric: share(own('Failed'), own('Posted'), 10),
      threshold: 1,
      periods: 2,
      reason: 'At least 1 % of the recipients could not be posted to, and most of them were cut for it.',
    },
    SweepLag: {
      metric: own('SweepLag', { period: Duration.minutes(3) }),
      threshold: pingTimeoutMinutes * 60_000,
      silence: true,
      reason:
        'Pings are later than clients wait for them, or no sweep ends at all: clients are about to leave.',
    },
    Concurrency: {
      ...concurrency(concurrencyLimit),
      periods: 3,
      reason:
        'The account is about to run out of concurrent executions; then frames are refused and clients are cut.',
    },
    TableThrottles: {
      metric: sum(
        [store.bus, store.apps].flatMap((table) => [
          table.metric('ReadThrottleEvents', five),
          table.metric('WriteThrottleEvents', five),
        ]),
      ),
      threshold: 10,
      reason: 'DynamoDB throttles: joins, publishes and handlers wait, and then fail.',
    },
    Abuse: {
      // What the functions refuse, and what API Gateway refuses before it asks one: a 429, most of all. Not the 4xx of the
      // HTTP API, among which are the answers of applications.
      metric: sum([own('RateLimited'), gateway.stage.metric('ClientError', five)]),
      threshold: 1_000,
      periods: 2,
      reason: 'Clients are refused 1,000 times in five minutes, and go on: a broken client, or an attack.',
    },
  };
}

/**
 * What of the account's concurrent executions is taken, those reserved for functions included. A new account may have
 * 10 of them, another one thousands, and Lambda has no metric of how many. `SERVICE_QUOTA` has, of a metric that Service
 * Quotas knows as the quota's usage (CloudWatch user guide, "Visualizing your service quotas and setting alarms"): that of
 * this quota is `ConcurrentExecutions` of the account, which others have alarms on.
 */
function concurrency(limit: number | undefined): Pick<Rule, 'metric' | 'threshold'> {
  const ofAccount = (metricName: string) =>
    new Metric({
      namespace: 'AWS/Lambda',
      metricName,
      statistic: 'Maximum',
      period: Duration.minutes(1),
    });
  const claimed = ofAccount('ClaimedAccountConcurrency');
  const known = limit !== undefined && !Token.isUnresolved(limit);
  if (known) return { metric: claimed, threshold: Math.floor((limit * NEAR_THE_LIMIT) / 100) };
  // A limit that only the deployment knows cannot be multiplied here.
  const [all, usingMetrics] =
    limit === undefined
      ? ['SERVICE_QUOTA(running)', { claimed, running: ofAccount('ConcurrentExecutions') }]
      : [Token.asString(limit), { claimed }];
  const percent = new MathExpression({
    expression: `100 * claimed / ${all}`,
    usingMetrics,
    period: Duration.minutes(1),
    label: 'percent',
  });
  return { metric: percent, threshold: NEAR_THE_LIMIT };
}

/** An alarm may look at ten metrics (CloudWatch user guide, "Using metric math"). Where one says nothing, others count. */
function sum(metrics: readonly IMetric[]): MathExpression {
  return new MathExpression({
    expression: metrics.map((_, n) => `FILL(m${n}, 0)`).join(' + '),
    usingMetrics: Object.fromEntries(metrics.map((metric, n) => [`m${n}`, metric])),
    period: FIVE_MINUTES,
    label: 'sum',
  });
}

/** Percent that went wrong, of all there were; 0 up to so many, which one slow reader may make alone. */
function share(wrong: Metric, right: Metric, few: number): MathExpression {
  return new MathExpression({
    expression: `IF(wrong > ${few}, 100 * wrong / (wrong + FILL(right, 0)), 0)`,
    usingMetrics: { wrong, right },
    period: FIVE_MINUTES,
    label: 'percent',
  });
}
