import { describe, expect, test } from 'vitest';
import type { QueueMessage } from '../../../local/host/destinations.ts';
import { quiet } from '../../../local/quiet.ts';
import { asynchronous, fixture, type Hosting, hosting } from './deployments.ts';

const MINUTE = 60_000;

/** Moves on as the stack does: everything that runs ends first. */
const advance = ({ clock, host }: Hosting, ms: number) => clock.advance(ms, () => quiet([host], 5_000));

/** Moves on whatever runs; events that fail become events that pause. */
const advanceBusy = ({ clock, host }: Hosting, ms: number) => clock.advance(ms, () => host.drain(0));

const attempts = ({ logs }: Hosting) => logs.filter(({ line }) => line.startsWith('attempt'));

describe('an asynchronous event', () => {
  test('is tried again one and two minutes after errors, under the same request id', async () => {
    await using hosted = await hosting([fixture('failUntil')]);
    const { requestId, attempted, handled } = hosted.host.invokeLater('failUntil', '{"succeedAt":3}');
    await attempted;
    await advance(hosted, MINUTE - 1_000);
    const succeeded = () => hosted.logs.filter(({ stream }) => stream === 'stdout');
    const failures = () => hosted.logs.filter(({ line }) => line.startsWith('Invoke Error')).length;
    expect(failures()).toBe(1);
    await advance(hosted, 1_000);
    expect(failures()).toBe(2);
    await advance(hosted, 2 * MINUTE - 1_000);
    expect(succeeded()).toEqual([]);
    await advance(hosted, 1_000);
    await handled;
    expect(succeeded()).toEqual([
      { function: 'failUntil', requestId, stream: 'stdout', line: 'succeeded at 3' },
    ]);
    expect(hosted.dropped).toEqual([]);
  });

  test('is dropped with a log line after two retries', async () => {
    await using hosted = await hosting([fixture('alwaysFails')]);
    const { requestId } = hosted.host.invokeLater('alwaysFails', '{"a":1}');
    await advance(hosted, 3 * MINUTE + 5_000);
    expect(attempts(hosted).map(({ line }) => line)).toEqual(['attempt 1', 'attempt 2', 'attempt 3']);
    expect(hosted.logs.at(-1)?.line).toContain('dropped after 3 attempts (RetriesExhausted): never works');
    expect(hosted.dropped).toMatchObject([
      { requestId, payload: '{"a":1}', reason: 'RetriesExhausted', attempts: 3 },
    ]);
  });

  test('is tried as often as the template says', async () => {
    const once = fixture('alwaysFails', { asynchronous: asynchronous({ retries: 0 }) });
    await using hosted = await hosting([once]);
    await hosted.host.invokeLater('alwaysFails', '{}').handled;
    expect(hosted.dropped).toMatchObject([{ attempts: 1 }]);
  });

  test('is dropped when the next try would find it too old', async () => {
    const old = fixture('alwaysFails', { asynchronous: asynchronous({ maxAgeSeconds: 60 }) });
    await using hosted = await hosting([old]);
    await hosted.host.invokeLater('alwaysFails', '{}').handled;
    expect(hosted.dropped).toMatchObject([{ attempts: 1, reason: 'EventAgeExceeded' }]);
  });

  test('waits while its function is throttled, longer each time, and runs when there is a place', async () => {
    await using hosted = await hosting([
      fixture('watchClock', { reservedConcurrency: 1, timeoutSeconds: 900 }),
    ]);
    const { host, logged } = hosted;
    const watching = logged('watching');
    const first = host.invoke('watchClock', {});
    const { attempted, handled } = host.invokeLater('watchClock', '{}');
    await Promise.all([watching, attempted]);
    // Throttled at once and after 1 and 3 s; the first event ends when 5 s have passed, the next try is after 7 s.
    await advanceBusy(hosted, 4_000);
    await advanceBusy(hosted, 2_000);
    expect(await first).toMatchObject({ kind: 'result' });
    expect(host.busy()).toEqual([]);
    const again = logged('watching');
    await advanceBusy(hosted, 1_500);
    await again;
    await advanceBusy(hosted, 5_000);
    await handled;
    expect(hosted.dropped).toEqual([]);
  });

  test('that is throttled until it is too old is dropped', async () => {
    const busy = fixture('forever', {
      reservedConcurrency: 1,
      timeoutSeconds: 900,
      asynchronous: asynchronous({ maxAgeSeconds: 60 }),
    });
    await using hosted = await hosting([busy]);
    void hosted.host.invoke('forever', {});
    const { attempted, handled } = hosted.host.invokeLater('forever', '{}');
    await attempted;
    await advanceBusy(hosted, MINUTE);
    await handled;
    // At 0, 1, 3, 7, 15 and 31 s.
    expect(hosted.dropped).toMatchObject([{ reason: 'EventAgeExceeded', attempts: 6, failure: undefined }]);
  });

  test('of a function whose reserved concurrency is 0 is dropped at once', async () => {
    await using hosted = await hosting([fixture('count', { reservedConcurrency: 0 })]);
    await hosted.host.invokeLater('count', '{}').handled;
    expect(hosted.dropped).toMatchObject([{ reason: 'ZeroReservedConcurrency', attempts: 1 }]);
  });

  test.each([
    ['twice, the second time later', [0, 20_000], 1, 2],
    ['late', [30_000], 0, 1],
    ['never', [], 0, 0],
  ])('is delivered %s where a test says so', async (_how, delays, atOnce, inTheEnd) => {
    await using hosted = await hosting([fixture('alwaysFails')], { asyncDelivery: () => delays });
    const { attempted } = hosted.host.invokeLater('alwaysFails', '{}');
    await advance(hosted, 0);
    expect(attempts(hosted)).toHaveLength(atOnce);
    await advance(hosted, 30_000);
    await attempted;
    expect(attempts(hosted)).toHaveLength(inTheEnd);
  });
});

describe('an event that is given up', () => {
  const queue = (name: string) => `arn:aws:sqs:us-east-1:123456789012:${name}`;
  const failing = fixture('alwaysFails', {
    asynchronous: asynchronous({ onFailure: queue('records'), deadLetterQueue: queue('events') }),
  });

  test('goes to the destination as a record, and to the dead-letter queue as it is', async () => {
    const sent: [QueueMessage, string][] = [];
    await using hosted = await hosting([failing], { send: (message, role) => sent.push([message, role]) });
    const { requestId } = hosted.host.invokeLater('alwaysFails', '{"a":1}');
    await advance(hosted, 3 * MINUTE + 5_000);
    const role = 'arn:aws:iam::123456789012:role/alwaysFails';
    const attribute = (DataType: string, StringValue: string) => ({ DataType, StringValue });
    expect(sent).toEqual([
      [{ queueArn: queue('records'), body: expect.any(String), attributes: {} }, role],
      [
        {
          queueArn: queue('events'),
          body: '{"a":1}',
          attributes: {
            RequestID: attribute('String', requestId),
            ErrorCode: attribute('Number', '200'),
            ErrorMessage: attribute('String', 'never works'),
          },
        },
        role,
      ],
    ]);
    const record = JSON.parse(sent[0]![0].body) as { readonly timestamp: string };
    expect(Math.abs(Date.parse(record.timestamp) - hosted.clock.now())).toBeLessThan(5_000);
    expect(record).toEqual({
      version: '1.0',
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      requestContext: {
        requestId,
        functionArn: 'arn:aws:lambda:us-east-1:123456789012:function:alwaysFails:$LATEST',
        condition: 'RetriesExhausted',
        approximateInvokeCount: 3,
      },
      requestPayload: { a: 1 },
      responseContext: { statusCode: 200, executedVersion: '$LATEST', functionError: 'Unhandled' },
      responsePayload: { errorType: 'Error', errorMessage: 'never works', trace: expect.any(Array) },
    });
  });

  test('that cannot be sent there is lost with a log line', async () => {
    const send = () => {
      throw new Error('no such queue');
    };
    await using hosted = await hosting([{ ...failing, reservedConcurrency: 0 }], { send });
    await hosted.host.invokeLater('alwaysFails', '{}').handled;
    expect(hosted.logs.map(({ line }) => line)).toEqual([
      'asynchronous event dropped after 1 attempts (ZeroReservedConcurrency): Rate Exceeded.',
      `not delivered to ${queue('records')}: Error: no such queue`,
      `not delivered to ${queue('events')}: Error: no such queue`,
    ]);
  });
});
