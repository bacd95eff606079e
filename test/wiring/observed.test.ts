import { beforeAll, describe, expect, test } from 'vitest';
import { COUNTS, DURATIONS } from '../../lambdas/contract/metrics.ts';
import { MOST_LINE_BYTES, type ObservedRun, observedRun } from '../support/observed-run.ts';

const ENVIRONMENT = {
  POWERTOOLS_LOG_LEVEL: 'DEBUG',
  POWERTOOLS_SERVICE_NAME: 'Mine/Bus',
  POWERTOOLS_METRICS_NAMESPACE: 'socketbus',
};
let run: ObservedRun;

beforeAll(async () => {
  run = await observedRun(ENVIRONMENT);
});

describe('metrics', () => {
  test('that have a name are all emitted, and no others', () => {
    const emitted = run.invocations
      .flatMap(({ metrics }) => metrics)
      .flatMap(({ _aws }) => _aws.CloudWatchMetrics.flatMap(({ Metrics }) => Metrics));
    const names = (unit: string) => [
      ...new Set(emitted.filter(({ Unit }) => Unit === unit).map(({ Name }) => Name)),
    ];
    expect(names('Count').sort()).toEqual([...COUNTS].sort());
    expect(names('Milliseconds').sort()).toEqual([...DURATIONS].sort());
  });

  test('take one line of an invocation at most, and none where nothing was counted', () => {
    expect(run.invocations.filter(({ metrics }) => metrics.length > 1)).toEqual([]);
    const silent = run.invocations.filter(({ metrics }) => metrics.length === 0);
    expect(silent.map((invocation) => invocation.function)).toContain('open');
    for (const { metrics } of run.invocations) {
      for (const { _aws, ...line } of metrics) {
        expect(JSON.stringify({ _aws, ...line }).length).toBeLessThanOrEqual(MOST_LINE_BYTES);
        const names = _aws.CloudWatchMetrics.flatMap(({ Metrics }) => Metrics.map(({ Name }) => Name));
        expect(names.filter((name) => COUNTS.some((count) => count === name) && line[name] === 0)).toEqual(
          [],
        );
      }
    }
  });
});

describe('log lines', () => {
  const all = () => run.invocations.flatMap(({ logs }) => logs);

  test('carry the request id of their invocation, and which connection or message it is about', () => {
    expect(all().length).toBeGreaterThan(10);
    for (const { logs, requestId } of run.invocations) {
      for (const line of logs) expect(line).toMatchObject({ requestId, service: 'Mine/Bus' });
    }
    const named = run.invocations.filter(({ function: name }) => name === 'message' || name === 'disconnect');
    for (const line of named.flatMap(({ logs }) => logs)) {
      expect(line).toMatchObject({ connectionId: expect.any(String), gatewayRequestId: expect.any(String) });
    }
  });

  test('carry nothing of an earlier invocation of the same instance', () => {
    const ofSweeps = run.invocations.filter((each) => each.function === 'sweep').flatMap(({ logs }) => logs);
    expect(ofSweeps.length).toBeGreaterThan(0);
    for (const line of ofSweeps) {
      for (const key of ['gatewayRequestId', 'messageId', 'publishId', 'eventId']) {
        expect(line).not.toHaveProperty(key);
      }
    }
  });

  test('name a divided publish in all its parts', () => {
    const { name, parts } = run.divided;
    const ofPublish = run.invocations.filter(({ logs }) => logs.some(({ publishId }) => publishId === name));
    expect(ofPublish.map((each) => each.function)).toEqual(['publish', ...Array(parts).fill('deliver')]);
    const messages = new Set(
      ofPublish.flatMap(({ logs }) => logs.flatMap(({ messageId }) => (messageId ? [messageId] : []))),
    );
    expect(messages.size).toBe(1);
    for (const { logs } of ofPublish.slice(1)) {
      for (const line of logs) expect(line).toMatchObject({ messageId: [...messages][0], publishId: name });
    }
  });

  test('hold no payload, token, pid or secret sid, whatever failed', () => {
    const text = JSON.stringify(all());
    expect(text).toContain('it did not work');
    expect(text).toContain('the invocation fails');
    expect(run.secrets.every((secret) => secret.length >= 10)).toBe(true);
    expect(run.secrets.filter((secret) => text.includes(secret))).toEqual([]);
  });
});
