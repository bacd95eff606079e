/** Metrics by Powertools: one line of CloudWatch's embedded metric format for each invocation that has any. */
import { MetricUnit, Metrics as Powertools } from '@aws-lambda-powertools/metrics';
import type { Metrics } from '../bus/ports.ts';
import type { CountName, DurationName } from '../contract/metrics.ts';

/** Values of one metric in one line: the format allows 100, at which Powertools writes the line by itself. */
const MOST_VALUES = 99;

export interface RequestMetrics extends Metrics {
  /** Writes down what was counted since the last time, if anything was. */
  flush(): void;
}

/** Namespace and service come from POWERTOOLS_METRICS_NAMESPACE and POWERTOOLS_SERVICE_NAME. */
export function powertoolsMetrics(): RequestMetrics {
  const powertools = new Powertools();
  // Summed up here: Powertools keeps every value, and writes a line for each hundred.
  const counts = new Map<CountName, number>();
  const durations = new Map<DurationName, number[]>();
  return {
    count: (name, value) => {
      if (value !== 0) counts.set(name, (counts.get(name) ?? 0) + value);
    },
    milliseconds: (name, value) => {
      const values = durations.get(name) ?? [];
      durations.set(name, values);
      // Of an invocation that has more, these say enough.
      if (values.length < MOST_VALUES) values.push(value);
    },
    flush: () => {
      if (counts.size === 0 && durations.size === 0) return;
      for (const [name, value] of counts) powertools.addMetric(name, MetricUnit.Count, value);
      for (const [name, values] of durations) {
        for (const value of values) powertools.addMetric(name, MetricUnit.Milliseconds, value);
      }
      counts.clear();
      durations.clear();
      powertools.publishStoredMetrics();
    },
  };
}
