/** Metrics by Powertools: one line of CloudWatch's embedded metric format for each invocation that has any. */
import { MetricUnit, Metrics as Powertools } from '@aws-lambda-powertools/metrics';
import type { Metrics } from '../bus/ports.ts';

export interface RequestMetrics extends Metrics {
  /** Writes down what was counted since the last time. */
  flush(): void;
}

/** Namespace and service come from POWERTOOLS_METRICS_NAMESPACE and POWERTOOLS_SERVICE_NAME. */
export function powertoolsMetrics(): RequestMetrics {
  const powertools = new Powertools();
  return {
    count: (name, value) => powertools.addMetric(name, MetricUnit.Count, value),
    milliseconds: (name, value) => powertools.addMetric(name, MetricUnit.Milliseconds, value),
    flush: () => {
      if (powertools.hasStoredMetrics()) powertools.publishStoredMetrics();
    },
  };
}
