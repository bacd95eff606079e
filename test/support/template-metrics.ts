/** The metrics that a template looks at, whoever does: an alarm or a dashboard. */
import * as z from 'zod/mini';
import type { TemplateJson } from './assembly.ts';

export interface NamedMetric {
  /** Logical id of the alarm or the dashboard. */
  readonly by: string;
  readonly namespace: string;
  readonly name: string;
  readonly dimensions: Readonly<Record<string, string>>;
}

const value = z.union([z.string(), z.record(z.string(), z.unknown())]);
const metricSchema = z.object({
  Namespace: z.string(),
  MetricName: z.string(),
  Dimensions: z._default(z.array(z.object({ Name: z.string(), Value: value })), []),
});
const partSchema = z.object({ MetricStat: z.optional(z.object({ Metric: metricSchema })) });
const bodySchema = z.object({
  widgets: z.array(
    z.object({ properties: z.object({ metrics: z.optional(z.array(z.array(z.unknown()))) }) }),
  ),
});

export function alarmsOf({ Resources }: TemplateJson) {
  return Object.entries(Resources)
    .filter(([, { Type }]) => Type === 'AWS::CloudWatch::Alarm')
    .map(([id, { Properties }]) => ({ id, Properties }));
}

export function alarmMetrics(template: TemplateJson): NamedMetric[] {
  return alarmsOf(template).flatMap(({ id, Properties }) => {
    const parts = z.array(partSchema).safeParse(Properties.Metrics).data;
    const metrics = parts?.flatMap(({ MetricStat }) => (MetricStat === undefined ? [] : [MetricStat.Metric]));
    return (metrics ?? [metricSchema.parse(Properties)]).map(({ Namespace, MetricName, Dimensions }) => ({
      by: id,
      namespace: Namespace,
      name: MetricName,
      dimensions: Object.fromEntries(Dimensions.map(({ Name, Value }) => [Name, textOf(Value)])),
    }));
  });
}

export function dashboardMetrics({ Resources }: TemplateJson): NamedMetric[] {
  return Object.entries(Resources)
    .filter(([, { Type }]) => Type === 'AWS::CloudWatch::Dashboard')
    .flatMap(([id, { Properties }]) => {
      const { widgets } = bodySchema.parse(JSON.parse(textOf(Properties.DashboardBody)));
      return widgets.flatMap(({ properties }) =>
        (properties.metrics ?? []).map((metric) => {
          const texts = metric.filter((part): part is string => typeof part === 'string');
          const [namespace = '', name = '', ...rest] = texts;
          const pairs = rest.flatMap((text, n) => (n % 2 === 0 ? [[text, rest[n + 1] ?? '']] : []));
          return { by: id, namespace, name, dimensions: Object.fromEntries(pairs) as Record<string, string> };
        }),
      );
    });
}

/** A text of a template, where what is known at the deployment is written by its name. */
export function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  const { Ref, 'Fn::Join': join, 'Fn::GetAtt': attribute } = value as Record<string, unknown>;
  if (join !== undefined) return (join as [string, unknown[]])[1].map(textOf).join('');
  return `<${String(Ref ?? attribute)}>`;
}
