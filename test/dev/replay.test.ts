import type { Socket } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { messageId } from '../../lambdas/contract/offsets.ts';
import { UnknownFunctionError } from '../../local/host/errors.ts';
import { RuleDelivery } from '../../local/services/rule-delivery.ts';
import { synthesise } from '../support/assembly.ts';
import { heard, recorded, startTestStack, type TestStack } from '../support/stack.ts';
import { SETTINGS } from '../support/synthesis.ts';
import { type Environment, run } from './program.ts';

const replay = (args: readonly string[], environment: Environment = {}) =>
  run(['--import', 'tsx', 'dev/replay.ts', ...args], environment);

const SECRET = 'nobody else may read this';

describe('npm run replay', { timeout: 60_000 }, () => {
  let bus: TestStack;
  let clients: Socket[];
  let ears: ReturnType<typeof recorded>[];
  let queueUrl: string;

  beforeAll(async () => {
    bus = await startTestStack({
      // More than one recipient is an audience that `deliver` posts to.
      assembly: synthesise({ ...SETTINGS, INLINE_POSTS: '1' }),
      host: { retryDelaysMs: [1, 1] },
    });
    queueUrl = bus.stack.deployment.outputs.get('DeadLetterQueueUrl') ?? '';
    clients = [bus.client(), bus.client(), bus.client()];
    await Promise.all(clients.map((client) => heard(client, 'connect')));
    await Promise.all(clients.map((client) => client.emitWithAck('join', { type: 'user', id: 1 })));
    ears = clients.map(recorded);
  }, 60_000);
  afterAll(() => bus.close());
  // Each test begins with an empty queue that hides nothing.
  afterEach(async () => {
    for (const { ReceiptHandle } of await messages()) await ask('DeleteMessage', { ReceiptHandle });
    expect(await counts()).toEqual({ visible: 0, hidden: 0 });
  });

  async function ask(operation: string, request: object = {}): Promise<Record<string, unknown>> {
    const caller = { kind: 'keys', accessKeyId: 'local' } as const;
    const { status, body } = await bus.stack.queues.answer(
      operation,
      { QueueUrl: queueUrl, ...request },
      caller,
    );
    expect(status).toBe(200);
    return body;
  }

  async function messages(): Promise<{ Body: string; ReceiptHandle: string; MessageId: string }[]> {
    const { Messages = [] } = await ask('ReceiveMessage', { MaxNumberOfMessages: 10, VisibilityTimeout: 0 });
    return Messages as { Body: string; ReceiptHandle: string; MessageId: string }[];
  }

  async function counts(): Promise<{ visible: number; hidden: number }> {
    const { Attributes } = await ask('GetQueueAttributes', { AttributeNames: ['All'] });
    const all = Attributes as Record<string, string>;
    return {
      visible: Number(all.ApproximateNumberOfMessages),
      hidden: Number(all.ApproximateNumberOfMessagesNotVisible),
    };
  }

  /** What each client heard since it was last asked for. */
  async function events(): Promise<unknown[][]> {
    await bus.stack.settled();
    await Promise.all(clients.map((client) => client.emitWithAck('ping')));
    return ears.map((heardBy) => heardBy.splice(0).map(({ event, args }) => [event, ...args]));
  }

  const request = { op: 'emit', rooms: ['user:1'], event: 'note', args: [{ text: SECRET }] };

  /** Publishes while `deliver` dies each time; resolves when what it gave up is in the queue. */
  async function lose(id: string): Promise<void> {
    bus.stack.faults.replace({
      kills: [{ function: 'deliver', probability: 1, calls: [1, 1], effect: 'before' }],
    });
    const { ranges } = (await bus.stack.invoke('publish', { ...request, id })) as unknown as {
      ranges: unknown;
    };
    expect(ranges).not.toBe(0);
    await bus.stack.settled();
    bus.stack.faults.clear();
  }

  /** An event that EventBridge could not hand to `publish`, and what its rule would have made of it. */
  async function undeliverable(
    detail: object,
    { id = 'e-1', source = 'socketbus.publish', made }: { id?: string; source?: string; made?: string } = {},
  ): Promise<void> {
    const { stack } = bus;
    const [queue] = stack.deployment.queues;
    const [rule] = stack.deployment.eventRules;
    const [target] = rule!.targets;
    const delivery = new RuleDelivery({
      clock: stack.clock,
      invoke: (name) => {
        throw new UnknownFunctionError(name);
      },
      send: (message, sourceArn) =>
        stack.queues.deliver(message, { kind: 'service', service: 'events.amazonaws.com', sourceArn }),
    });
    expect(target?.deadLetterQueue).toBe(queue?.arn);
    const event = { id, source, 'detail-type': 'Publish Request', detail };
    const transform = made === undefined ? undefined : { paths: new Map(), template: made };
    await delivery.deliver(rule!.ruleArn, { ...target!, transform }, event);
  }

  const lines = (stdout: string) =>
    stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Record<string, unknown>);

  test('has a range delivered that deliver gave up, and every client hears it once', async () => {
    await lose('m-1');
    // That `publish` posts to one itself is the setting.
    const early = await events();
    expect(early.flat()).toEqual([['note', { text: SECRET }]]);
    const lost = await messages();
    expect(lost.length).toBeGreaterThan(0);

    const { code, stdout, stderr } = await replay(['--queue', queueUrl]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: `${lost.length} replayed, 0 left in the queue\n` });
    expect(lines(stdout).map(({ messageId }) => messageId)).toEqual(lost.map(({ MessageId }) => MessageId));
    for (const line of lines(stdout))
      expect(line).toMatchObject({
        result: 'replayed',
        kind: 'lambda',
        function: 'arn:aws:lambda:us-east-1:123456789012:function:deliver',
        id: messageId('/', 'm-1'),
        attempts: 3,
        requestId: expect.any(String),
      });
    const late = await events();
    const all = clients.map((_, index) => [...early[index]!, ...late[index]!]);
    const once = [['note', { text: SECRET }]];
    expect(all).toEqual([once, once, once]);
    expect(await counts()).toEqual({ visible: 0, hidden: 0 });
  });

  test('says what it would do and changes nothing, and nothing of a payload is printed', async () => {
    await lose('m-2');
    await undeliverable({ ...request, id: 'm-3' });
    await events();
    const before = await messages();
    const { code, stdout, stderr } = await replay(['--queue', queueUrl, '--dry-run']);
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: `${before.length} would be replayed, 0 left in the queue\n`,
    });
    const told = lines(stdout);
    expect(told.map(({ messageId }) => messageId)).toEqual(before.map(({ MessageId }) => MessageId));
    expect(told[0]).toEqual({
      messageId: before[0]!.MessageId,
      result: 'would-replay',
      kind: 'lambda',
      ageSeconds: expect.any(Number),
      function: 'arn:aws:lambda:us-east-1:123456789012:function:deliver',
      id: messageId('/', 'm-2'),
      error: 'Runtime.ExitError',
      size: Buffer.byteLength(
        JSON.stringify((JSON.parse(before[0]!.Body) as { requestPayload: unknown }).requestPayload),
      ),
      attempts: 3,
      failedRequestId: expect.any(String),
    });
    expect(told.at(-1)).toMatchObject({
      kind: 'eventbridge',
      function: 'arn:aws:lambda:us-east-1:123456789012:function:publish',
      id: 'e-1',
      error: 'NO_RESOURCE',
      attempts: 1,
      size: Buffer.byteLength(before.at(-1)!.Body),
    });
    expect(stdout).not.toContain(SECRET);
    expect(await events()).toEqual([[], [], []]);
    expect(await counts()).toEqual({ visible: before.length, hidden: 0 });
    expect((await messages()).map(({ Body }) => Body)).toEqual(before.map(({ Body }) => Body));
  });

  test('publishes what EventBridge could not deliver, however the queue is named', async () => {
    const { name, arn } = bus.stack.deployment.queues[0]!;
    const endpoint = ['--endpoint', bus.stack.origin];
    await undeliverable({ ...request, id: 'm-4', args: [1] });
    expect(await replay(['--queue', name, ...endpoint])).toMatchObject({ code: 0 });
    await undeliverable({ ...request, id: 'm-5', args: [2] });
    expect(await replay(['--queue', arn], { SOCKETBUS_ENDPOINT: bus.stack.origin })).toMatchObject({
      code: 0,
    });
    const both = [
      ['note', 1],
      ['note', 2],
    ];
    expect(await events()).toEqual([both, both, both]);
  });

  test('leaves what it does not know, and an event that publish would drop, says why and ends with 1', async () => {
    const arn = 'arn:aws:lambda:us-east-1:999999999999:function:publish';
    const record = { version: '1.0', requestContext: { functionArn: arn } };
    const attributes = {
      TARGET_ARN: { DataType: 'String', StringValue: 'arn:aws:sqs:us-east-1:123456789012:x' },
    };
    const foreign = [
      [{ MessageBody: SECRET }, 'its body is not JSON'],
      [{ MessageBody: '{"hello":1}' }, 'it is neither a record of Lambda nor an event of EventBridge'],
      [{ MessageBody: JSON.stringify(record) }, 'the record has no payload'],
      [
        { MessageBody: JSON.stringify({ ...record, requestPayload: {} }) },
        'its function is of another account',
      ],
      [{ MessageBody: '{}', MessageAttributes: attributes }, 'what it was for is no Lambda function'],
    ] as const;
    for (const [message] of foreign) await ask('SendMessage', message);
    // What a rule makes of it asks for a publish; it does not.
    const made = { source: 'socketbus.publish', 'detail-type': 'Publish Request', detail: request };
    await undeliverable(
      { text: SECRET },
      { id: 'e-2', source: 'shop.warehouse', made: JSON.stringify(made) },
    );
    await undeliverable({ ...request, id: 'm-6', args: ['known'] });
    const { code, stdout, stderr } = await replay(['--queue', queueUrl]);
    expect({ code, stderr }).toEqual({ code: 1, stderr: '1 replayed, 6 left in the queue\n' });
    const { ruleArn } = bus.stack.deployment.eventRules[0]!;
    expect(lines(stdout).slice(0, -1)).toMatchObject([
      ...foreign.map(([{ MessageBody }, reason]) => ({
        result: 'left',
        kind: 'unknown',
        reason,
        size: Buffer.byteLength(MessageBody),
      })),
      {
        result: 'left',
        kind: 'unknown',
        function: 'arn:aws:lambda:us-east-1:123456789012:function:publish',
        id: 'e-2',
        error: 'NO_RESOURCE',
        reason: `it is an event as it was put on its bus, and not what ${ruleArn} makes of it for the function`,
      },
    ]);
    expect(stdout).not.toContain(SECRET);
    expect(await counts()).toEqual({ visible: 6, hidden: 0 });
    const once = [['note', 'known']];
    expect(await events()).toEqual([once, once, once]);
  });

  test('leaves what Lambda does not accept, and replays no more than it may', async () => {
    await undeliverable({ ...request, id: 'm-7', args: [1] });
    await undeliverable({ ...request, id: 'm-8', args: [2] });
    const nobody = 'arn:aws:lambda:us-east-1:123456789012:function:nobody';
    await ask('SendMessage', {
      MessageBody: JSON.stringify({
        version: '1.0',
        requestContext: { functionArn: `${nobody}:$LATEST` },
        requestPayload: {},
      }),
    });
    const one = await replay(['--queue', queueUrl, '--max', '1']);
    expect(one).toMatchObject({ code: 0, stderr: '1 replayed, 0 left in the queue\n' });
    expect(await counts()).toEqual({ visible: 2, hidden: 0 });
    const rest = await replay(['--queue', queueUrl]);
    expect(rest).toMatchObject({ code: 1, stderr: '1 replayed, 1 left in the queue\n' });
    expect(lines(rest.stdout)[1]).toMatchObject({
      result: 'left',
      function: nobody,
      reason: expect.stringContaining('ResourceNotFoundException'),
    });
    expect(await counts()).toEqual({ visible: 1, hidden: 0 });
    const both = [
      ['note', 1],
      ['note', 2],
    ];
    expect(await events()).toEqual([both, both, both]);
  });

  test('does not replay again what this run has replayed and what was given up at once', async () => {
    await lose('m-9');
    const { length } = await messages();
    bus.stack.faults.replace({
      kills: [{ function: 'deliver', probability: 1, calls: [1, 1], effect: 'before' }],
    });
    const { stdout, code } = await replay(['--queue', queueUrl]);
    await bus.stack.settled();
    bus.stack.faults.clear();
    const results = lines(stdout).map(({ result }) => result);
    expect(results.filter((result) => result === 'replayed')).toHaveLength(length);
    expect(results.length).toBeLessThanOrEqual(2 * length);
    expect(code).toBe(results.length > length ? 1 : 0);
    expect(await counts()).toEqual({ visible: length, hidden: 0 });
    expect(await replay(['--queue', queueUrl])).toMatchObject({ code: 0 });
    const once = [['note', { text: SECRET }]];
    expect(await events()).toEqual([once, once, once]);
  });

  test('ends with 1 and names a queue that is not there', async () => {
    const { code, stdout, stderr } = await replay(['--queue', `${queueUrl}2`]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain('not replayed: QueueDoesNotExist');
  });
});

describe('npm run replay without a stack', () => {
  test('asks whether one is running', async () => {
    const { code, stderr } = await replay(['--queue', 'http://localhost:1/123456789012/Lost']);
    expect(code).toBe(1);
    expect(stderr).toContain('is "npm start" running at http://localhost:1?');
  });

  test.each([
    [[], '--queue is missing'],
    [['--queue', 'a b'], '--queue must be the URL, the ARN or the name of a queue, not "a b"'],
    [['--queue', 'http://localhost:1/'], '--queue is a URL without an account and a name'],
    [['--queue', 'Lost', '--max', '0'], '--max must be a whole number from 1, not "0"'],
    [['--queue', 'Lost', '--endpoint', 'nowhere'], '--endpoint must be an http or https URL, not "nowhere"'],
    [['--quee', 'x'], "Unknown option '--quee'"],
    [['Lost'], "Unexpected argument 'Lost'"],
  ])('does not understand %j, says so and ends with 2', async (args, message) => {
    const { code, stdout, stderr } = await replay(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(message);
    expect(stderr).not.toContain('    at ');
  });

  test('explains itself', async () => {
    const { code, stdout } = await replay(['--help']);
    expect(code).toBe(0);
    for (const option of ['--queue', '--dry-run', '--max', '--endpoint']) expect(stdout).toContain(option);
  });
});
