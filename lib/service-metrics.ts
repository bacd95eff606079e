import { Duration, Stack } from 'aws-cdk-lib';
import { Metric, type MetricOptions } from 'aws-cdk-lib/aws-cloudwatch';
import type { Construct } from 'constructs';
import {
  COUNTS,
  DURATIONS,
  type DurationName,
  METRICS_NAMESPACE,
  type MetricName,
  SERVICE_DIMENSION,
} from '../lambdas/contract/metrics.ts';
import { ConfigurationError } from './errors.ts';

/** What a deployment is called in logs and metrics: no other of the account in this Region is called the same. */
export function serviceName(deployment: Construct): string {
  const stack = Stack.of(deployment);
  const below = deployment.node.scopes.slice(stack.node.scopes.length);
  return [stack.stackName, ...below.map(({ node }) => node.id)].join('/');
}

/** @throws ConfigurationError where no function writes a metric of that name */
export type OwnMetric = (name: MetricName, options?: MetricOptions) => Metric;

/** A sum of times says nothing: of a publish it is how long nearly everybody waited, of a sweep how late the latest was. */
const STATISTICS: { readonly [D in DurationName]: string } = { FanOutTime: 'p99', SweepLag: 'Maximum' };

/** The metrics that the functions of a deployment emit. Numbers are summed up over five minutes, unless it is said otherwise. */
export function metricsOf(deployment: Construct): OwnMetric {
  const dimensionsMap = { [SERVICE_DIMENSION]: serviceName(deployment) };
  return (name, options = {}) => {
    checkName(name);
    const statistic = isDuration(name) ? STATISTICS[name] : 'Sum';
    const period = Duration.minutes(5);
    return new Metric({
      namespace: METRICS_NAMESPACE,
      metricName: name,
      dimensionsMap,
      statistic,
      period,
      ...options,
    });
  };
}

function isDuration(name: MetricName): name is DurationName {
  return DURATIONS.some((each) => each === name);
}

/** JavaScript takes any text; a graph of nothing looks like one of nothing wrong. */
function checkName(name: string): void {
  const known: readonly string[] = [...COUNTS, ...DURATIONS];
  if (known.includes(name)) return;
  throw new ConfigurationError([{ name: 'metric', message: `${name} is none of them: ${known.join(', ')}` }]);
}
