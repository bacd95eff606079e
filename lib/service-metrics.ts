import { Duration, Stack } from 'aws-cdk-lib';
import { Metric } from 'aws-cdk-lib/aws-cloudwatch';
import type { Construct } from 'constructs';
import {
  DURATIONS,
  type DurationName,
  METRICS_NAMESPACE,
  type MetricName,
  SERVICE_DIMENSION,
} from '../lambdas/contract/metrics.ts';

/** What a deployment is called in logs and metrics: no other of the account in this Region is called the same. */
export function serviceName(deployment: Construct): string {
  const stack = Stack.of(deployment);
  const below = deployment.node.scopes.slice(stack.node.scopes.length);
  return [stack.stackName, ...below.map(({ node }) => node.id)].join('/');
}

export type OwnMetric = (name: MetricName, options?: { statistic?: string; period?: Duration }) => Metric;

/** The metrics that the functions of a deployment emit. Numbers are summed, times are their maximum unless it is said. */
export function metricsOf(deployment: Construct): OwnMetric {
  const dimensionsMap = { [SERVICE_DIMENSION]: serviceName(deployment) };
  const isDuration = (name: MetricName) => DURATIONS.includes(name as DurationName);
  return (name, { statistic, period = Duration.minutes(5) } = {}) =>
    new Metric({
      namespace: METRICS_NAMESPACE,
      metricName: name,
      dimensionsMap,
      statistic: statistic ?? (isDuration(name) ? 'Maximum' : 'Sum'),
      period,
    });
}
