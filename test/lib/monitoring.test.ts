import { beforeAll, describe, expect, it } from 'vitest';
import { METRICS_NAMESPACE, SERVICE_DIMENSION } from '../../lambdas/contract/metrics.ts';
import { assembly, type TemplateJson, template } from '../support/assembly.ts';
import { type ObservedRun, observedRun } from '../support/observed-run.ts';
import { alarmMetrics, alarmsOf, dashboardMetrics, type NamedMetric } from '../support/template-metrics.ts';

/** What AWS's services emit, with the dimensions they emit it by (their user guides, "metrics"). */
const OF_AWS: Readonly<Record<string, readonly string[]>> = {
  'AWS/Lambda FunctionName': ['Errors', 'Throttles', 'Duration', 'ConcurrentExecutions', 'Invocations'],
  'AWS/Lambda ': ['ClaimedAccountConcurrency', 'ConcurrentExecutions'],
  'AWS/SQS QueueName': ['ApproximateNumberOfMessagesVisible'],
  'AWS/DynamoDB TableName': [
    'ReadThrottleEvents',
    'WriteThrottleEvents',
    'ConsumedReadCapacityUnits',
    'ConsumedWriteCapacityUnits',
  ],
  // An HTTP API has the first two, a WebSocket API the others.
  'AWS/ApiGateway ApiId,Stage': [
    '4xx',
    '5xx',
    'ConnectCount',
    'MessageCount',
    'ClientError',
    'ExecutionError',
  ],
};

let deployed: TemplateJson;
let variables: Record<string, string>;
let run: ObservedRun;

beforeAll(async () => {
  deployed = await template(assembly());
  const environments = Object.values(deployed.Resources).flatMap(({ Type, Properties }) =>
    Type === 'AWS::Lambda::Function'
      ? [Properties.Environment as { Variables: Record<string, unknown> }]
      : [],
  );
  const all = environments[0]?.Variables ?? {};
  variables = Object.fromEntries(
    Object.entries(all).filter((each): each is [string, string] => typeof each[1] === 'string'),
  );
  run = await observedRun(variables);
});

/** What the functions emit with the template's environment: namespace, dimensions with their values, name. */
function emitted(): Set<string> {
  const lines = run.invocations.flatMap(({ metrics }) => metrics);
  return new Set(
    lines.flatMap(({ _aws, ...line }) =>
      _aws.CloudWatchMetrics.flatMap(({ Namespace, Dimensions, Metrics }) =>
        Dimensions.flatMap((names) => {
          const dimensions = Object.fromEntries(names.map((name) => [name, String(line[name])]));
          return Metrics.map(({ Name }) => key({ namespace: Namespace, name: Name, dimensions }));
        }),
      ),
    ),
  );
}

function key({ namespace, name, dimensions }: Omit<NamedMetric, 'by'>): string {
  return JSON.stringify([namespace, Object.entries(dimensions).sort(), name]);
}

describe.each([
  ['the dashboard', dashboardMetrics],
  ['the alarms', alarmMetrics],
])('%s', (_, read) => {
  it('look at metrics that the functions emit, or AWS does', () => {
    const known = emitted();
    const all = read(deployed);
    const own = all.filter(({ namespace }) => namespace === METRICS_NAMESPACE);
    expect(own.length).toBeGreaterThan(3);
    expect(own.filter((metric) => !known.has(key(metric)))).toEqual([]);
    const others = all.filter(({ namespace }) => namespace !== METRICS_NAMESPACE);
    expect(others.length).toBeGreaterThan(3);
    const isOfAws = ({ namespace, dimensions, name }: NamedMetric) =>
      OF_AWS[`${namespace} ${Object.keys(dimensions).sort().join()}`]?.includes(name);
    expect(others.filter((metric) => !isOfAws(metric))).toEqual([]);
  });
});

it('shows every metric that is paid for', () => {
  const shown = new Set(dashboardMetrics(deployed).map(key));
  expect([...emitted()].filter((each) => !shown.has(each))).toEqual([]);
});

it('tells the metrics of a deployment from those of another one in the account', () => {
  expect(variables.POWERTOOLS_SERVICE_NAME).toBe('Socketbus/Bus');
  const own = alarmMetrics(deployed).filter(({ namespace }) => namespace === METRICS_NAMESPACE);
  for (const { dimensions } of own) expect(dimensions).toEqual({ [SERVICE_DIMENSION]: 'Socketbus/Bus' });
});

describe('an alarm', () => {
  it('has a reason and the section of the runbook in its description', () => {
    expect(alarmsOf(deployed).length).toBeGreaterThan(8);
    for (const { Properties } of alarmsOf(deployed)) {
      expect(Properties.AlarmDescription).toMatch(/^[A-Z].{30,}\. See docs\/runbook\.md#[a-z]+\.$/);
    }
  });

  it('takes silence for nothing wrong, but that of the sweep', () => {
    const silent = alarmsOf(deployed).filter(({ Properties }) => Properties.TreatMissingData === 'breaching');
    expect(silent.map(({ Properties }) => Properties.MetricName)).toEqual(['SweepLag']);
    expect(
      alarmsOf(deployed).filter(({ Properties }) => Properties.TreatMissingData === 'notBreaching'),
    ).toHaveLength(alarmsOf(deployed).length - 1);
  });

  it('looks at ten metrics at most, as CloudWatch allows', () => {
    for (const { id } of alarmsOf(deployed)) {
      expect(alarmMetrics(deployed).filter(({ by }) => by === id).length).toBeLessThanOrEqual(10);
    }
  });

  it('of abuse counts what limits refuse and what API Gateway does, and waits for the second five minutes', () => {
    const [abuse] = alarmsOf(deployed).filter(({ Properties }) =>
      String(Properties.AlarmDescription).endsWith('#abuse.'),
    );
    expect(abuse?.Properties).toMatchObject({ Threshold: 1_000, EvaluationPeriods: 2 });
    const watched = alarmMetrics(deployed).filter(({ by }) => by === abuse?.id);
    expect(watched.map(({ name }) => name)).toEqual(['RateLimited', 'ClientError']);
  });

  it('tells nobody unless it is told whom', () => {
    for (const { Properties } of alarmsOf(deployed)) expect(Properties).not.toHaveProperty('AlarmActions');
  });
});
