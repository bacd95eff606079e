import { createHash } from 'node:crypto';
import { beforeEach, describe, expect, test } from 'vitest';
import { StackClock } from '../../../local/clock.ts';
import { type QueueCall, Sqs } from '../../../local/services/sqs.ts';

const QueueUrl = 'http://127.0.0.1:3000/123456789012/Lost';
const arn = 'arn:aws:sqs:us-east-1:123456789012:Lost';
const caller = { kind: 'keys', accessKeyId: 'local' } as const;

let clock: StackClock;
let sqs: Sqs;
let calls: QueueCall[];
let allowed: boolean;

beforeEach(() => {
  clock = new StackClock();
  calls = [];
  allowed = true;
  const definition = {
    name: 'Lost',
    arn,
    url: QueueUrl,
    visibilityTimeoutSeconds: 30,
    retentionSeconds: 3_600,
    delaySeconds: 0,
    maxMessageBytes: 1_048_576,
    waitSeconds: 0,
  };
  const authorize = (call: QueueCall) => {
    calls.push(call);
    return allowed;
  };
  sqs = new Sqs({ queues: [definition], clock, authorize });
});

interface Received {
  readonly Body: string;
  readonly ReceiptHandle: string;
  readonly [member: string]: unknown;
}

async function ask(operation: string, request: object = {}) {
  const { status, body } = await sqs.answer(operation, { QueueUrl, ...request }, caller);
  expect(body.__type).toBeUndefined();
  expect(status).toBe(200);
  return body;
}
const send = (MessageBody: string, request: object = {}) => ask('SendMessage', { MessageBody, ...request });
async function receive(request: object = {}): Promise<Received[]> {
  const { Messages = [] } = (await ask('ReceiveMessage', request)) as { Messages?: Received[] };
  return Messages;
}
const bodies = async (request: object = { MaxNumberOfMessages: 10 }) =>
  (await receive(request)).map(({ Body }) => Body);
const md5 = (text: string) => createHash('md5').update(text).digest('hex');

describe('a queue', () => {
  test('hands a message out once, and again when nobody deleted it in time', async () => {
    const { MessageId, MD5OfMessageBody } = await send('one');
    expect(MD5OfMessageBody).toBe(md5('one'));
    const asked = { MessageSystemAttributeNames: ['All'] };
    const [message] = await receive(asked);
    expect(message).toMatchObject({
      MessageId,
      Body: 'one',
      MD5OfBody: md5('one'),
      Attributes: { ApproximateReceiveCount: '1', SenderId: 'local' },
    });
    expect(await bodies()).toEqual([]);
    await clock.advance(30_000);
    const [again] = await receive(asked);
    expect(again).toMatchObject({ MessageId, Attributes: { ApproximateReceiveCount: '2' } });
    await ask('DeleteMessage', { ReceiptHandle: again!.ReceiptHandle });
    await clock.advance(30_000);
    expect(await bodies()).toEqual([]);
    // It is gone already, which is no error.
    await ask('DeleteMessage', { ReceiptHandle: again!.ReceiptHandle });
  });

  test('keeps a message out of sight for as long as the receiver asks, and no message longer than its retention', async () => {
    await send('one');
    expect(await bodies({ VisibilityTimeout: 0 })).toEqual(['one']);
    expect(await bodies({ VisibilityTimeout: 600 })).toEqual(['one']);
    await clock.advance(599_000);
    expect(await bodies()).toEqual([]);
    await clock.advance(1_000);
    expect(await bodies({ VisibilityTimeout: 0 })).toEqual(['one']);
    await clock.advance(3_600_000);
    expect(await bodies()).toEqual([]);
  });

  test('shows a received message again, or hides it longer, when the receiver asks', async () => {
    await send('one');
    const [first] = await receive();
    const change = (VisibilityTimeout: number) =>
      ask('ChangeMessageVisibility', { ReceiptHandle: first!.ReceiptHandle, VisibilityTimeout });
    await change(600);
    await clock.advance(599_000);
    expect(await bodies()).toEqual([]);
    const waiting = bodies({ WaitTimeSeconds: 20 });
    await change(0);
    expect(await waiting).toEqual(['one']);
    await change(0);
    const again = {
      QueueUrl,
      ReceiptHandle: first!.ReceiptHandle,
      VisibilityTimeout: 0,
    };
    expect(await sqs.answer('ChangeMessageVisibility', again, caller)).toMatchObject({
      status: 400,
      body: { __type: 'com.amazonaws.sqs#MessageNotInflight' },
    });
    await ask('DeleteMessage', again);
    expect(await sqs.answer('ChangeMessageVisibility', again, caller)).toMatchObject({
      status: 400,
      body: { __type: 'com.amazonaws.sqs#InvalidParameterValueException' },
    });
  });

  test('hands out one message unless more are asked for, ten at most', async () => {
    await Promise.all(Array.from({ length: 12 }, (_, index) => send(String(index))));
    expect(await bodies({})).toEqual(['0']);
    expect(await bodies()).toHaveLength(10);
    const eleven = await sqs.answer('ReceiveMessage', { QueueUrl, MaxNumberOfMessages: 11 }, caller);
    expect(eleven).toMatchObject({ status: 400 });
  });

  test('delays a message, and a receiver waits for it', async () => {
    await send('later', { DelaySeconds: 60 });
    expect(
      await ask('GetQueueAttributes', { AttributeNames: ['ApproximateNumberOfMessagesDelayed'] }),
    ).toEqual({
      Attributes: { ApproximateNumberOfMessagesDelayed: '1' },
    });
    const nothing = bodies({ WaitTimeSeconds: 20 });
    await clock.advance(20_000);
    expect(await nothing).toEqual([]);
    await clock.advance(30_000);
    const something = bodies({ WaitTimeSeconds: 20 });
    await clock.advance(10_000);
    expect(await something).toEqual(['later']);
    const sent = bodies({ WaitTimeSeconds: 20 });
    await send('now');
    expect(await sent).toEqual(['now']);
  });

  test('carries attributes, with the digest of those that are received', async () => {
    const MessageAttributes = {
      ERROR_CODE: { DataType: 'String', StringValue: 'NO_RESOURCE' },
      bytes: { DataType: 'Binary', BinaryValue: 'AQID' },
    };
    const { MD5OfMessageAttributes } = await send('one', { MessageAttributes });
    // Each length in four bytes, one byte for the kind of value; in the order of names.
    const encoded = '\0\0\0\x0aERROR_CODE\0\0\0\x06String\x01\0\0\0\x0bNO_RESOURCE';
    const second = '\0\0\0\x05bytes\0\0\0\x06Binary\x02\0\0\0\x03\x01\x02\x03';
    expect(MD5OfMessageAttributes).toBe(md5(encoded + second));
    const again = { VisibilityTimeout: 0 };
    expect(await receive({ ...again, MessageAttributeNames: ['All'] })).toMatchObject([
      { MessageAttributes, MD5OfMessageAttributes },
    ]);
    expect(await receive({ ...again, MessageAttributeNames: ['ERROR_.*'] })).toMatchObject([
      {
        MessageAttributes: { ERROR_CODE: MessageAttributes.ERROR_CODE },
        MD5OfMessageAttributes: md5(encoded),
      },
    ]);
    const [plain] = await receive(again);
    expect(plain).not.toHaveProperty('MessageAttributes');
  });

  test('tells its URL, its settings and how many messages it has', async () => {
    await Promise.all([send('one'), send('two')]);
    await receive();
    expect(await ask('GetQueueUrl', { QueueName: 'Lost' })).toEqual({ QueueUrl });
    expect(await ask('GetQueueAttributes', { AttributeNames: ['All'] })).toMatchObject({
      Attributes: {
        QueueArn: arn,
        ApproximateNumberOfMessages: '1',
        ApproximateNumberOfMessagesNotVisible: '1',
        VisibilityTimeout: '30',
        MessageRetentionPeriod: '3600',
        MaximumMessageSize: '1048576',
      },
    });
  });
});

describe('SQS refuses', () => {
  const attribute = { DataType: 'String', StringValue: 'x' };
  const eleven = Object.fromEntries(Array.from({ length: 11 }, (_, index) => [`a${index}`, attribute]));
  test.each([
    [
      'a queue that is not there',
      'SendMessage',
      { QueueUrl: `${QueueUrl}2`, MessageBody: 'x' },
      'QueueDoesNotExist',
    ],
    ['a name that is not there', 'GetQueueUrl', { QueueName: 'Found' }, 'QueueDoesNotExist'],
    ['a message without a text', 'SendMessage', { MessageBody: '' }, 'InvalidParameterValueException'],
    [
      'a message of more than 1 MiB with its attributes',
      'SendMessage',
      { MessageBody: 'x'.repeat(1_048_576 - 8), MessageAttributes: { ab: attribute } },
      'InvalidParameterValueException',
    ],
    [
      'more than ten attributes',
      'SendMessage',
      { MessageBody: 'x', MessageAttributes: eleven },
      'InvalidParameterValueException',
    ],
    ['a receipt it never gave', 'DeleteMessage', { ReceiptHandle: 'mine' }, 'ReceiptHandleIsInvalid'],
    [
      'to change what it never gave',
      'ChangeMessageVisibility',
      { ReceiptHandle: 'mine', VisibilityTimeout: 0 },
      'ReceiptHandleIsInvalid',
    ],
    ['what does not run here', 'PurgeQueue', {}, 'UnknownOperationException'],
  ])('%s', async (_what, operation, request, code) => {
    expect(await sqs.answer(operation, { QueueUrl, ...request }, caller)).toMatchObject({
      status: 400,
      body: { __type: `com.amazonaws.sqs#${code}`, message: expect.any(String) },
    });
  });

  test('what no policy allows, of clients and of services', async () => {
    allowed = false;
    for (const operation of [
      'SendMessage',
      'ReceiveMessage',
      'DeleteMessage',
      'ChangeMessageVisibility',
      'GetQueueAttributes',
      'GetQueueUrl',
    ]) {
      const names = { QueueUrl, QueueName: 'Lost' };
      const request = { ...names, MessageBody: 'x', ReceiptHandle: 'a/b', VisibilityTimeout: 0 };
      expect(await sqs.answer(operation, request, caller)).toMatchObject({
        body: { __type: 'com.amazonaws.sqs#AccessDeniedException' },
        headers: { 'x-amzn-query-error': 'AccessDenied;Sender' },
      });
      expect(calls.pop()).toEqual({ caller, action: `sqs:${operation}`, resource: arn });
    }
    const role = { kind: 'role', arn: 'arn:aws:iam::123456789012:role/publish' } as const;
    const deliver = () => sqs.deliver({ queueArn: arn, body: 'x', attributes: {} }, role);
    expect(deliver).toThrow('not authorized to perform: sqs:SendMessage');
    allowed = true;
    deliver();
    expect(await bodies()).toEqual(['x']);
  });
});
