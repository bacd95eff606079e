import { once } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { QueueCall } from '../../../local/services/sqs.ts';
import { type LocalStack, type StackOptions, startStack } from '../../../local/stack.ts';
import { type FixtureAssembly, fixtureAssembly, fixtureTemplate } from './fixture-assembly.ts';
import { signedHeaders } from './signed-headers.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** `listen` fails where the event says so, and its own destination gets what it gives up. */
const template = fixtureTemplate({
  listenRetries: {
    Type: 'AWS::Lambda::EventInvokeConfig',
    Properties: {
      FunctionName: { Ref: 'listen' },
      DestinationConfig: { OnFailure: { Destination: { 'Fn::GetAtt': ['Lost', 'Arn'] } } },
    },
  },
});

let assembly: FixtureAssembly;
let stack: LocalStack;
beforeAll(async () => {
  assembly = await fixtureAssembly(template);
  return () => assembly[Symbol.asyncDispose]();
});
afterEach(() => stack.close());

async function start(options: Partial<StackOptions> = {}): Promise<void> {
  stack = await startStack({ assembly: assembly.directory, schedule: false, prewarm: false, ...options });
}

/** One call of a JSON service, as an SDK makes it. */
async function call(target: string, body: object): Promise<Record<string, unknown>> {
  const text = JSON.stringify(body);
  const headers = signedHeaders({
    url: new URL(stack.origin),
    method: 'POST',
    body: text,
    credentials: stack.credentials,
    service: target.startsWith('AmazonSQS.') ? 'sqs' : 'events',
    at: new Date(stack.clock.now()),
    headers: { 'x-amz-target': target, 'content-type': 'application/x-amz-json-1.0' },
  });
  const response = await fetch(stack.origin, { method: 'POST', headers, body: text });
  expect(response.status).toBe(200);
  return (await response.json()) as Record<string, unknown>;
}

async function open(): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${stack.port}/prod`);
  await once(socket, 'message');
  await stack.settled();
  return socket;
}

async function closing(socket: WebSocket): Promise<[number, string]> {
  const [code, reason] = await once(socket, 'close');
  return [code, String(reason)];
}

const invocations = (name: string, lines: readonly string[]) => lines.filter((line) => line === name).length;

describe('a connection', () => {
  test('ends after ten minutes of silence', async () => {
    await start();
    const socket = await open();
    const closed = closing(socket);
    await stack.advance(9 * MINUTE + 50 * SECOND);
    expect([...stack.webSocketApi!.connections()]).toMatchObject([{ idleMs: expect.any(Number) }]);
    await stack.advance(10 * SECOND);
    expect(await closed).toEqual([1001, 'Going away']);
  });

  test('ends after two hours, however much it says', async () => {
    await start();
    const socket = await open();
    const closed = closing(socket);
    const started = performance.now();
    let steps = 0;
    const talk = async () => {
      steps += 1;
      if (socket.readyState === socket.OPEN) socket.send('{"still":"here"}');
    };
    for (let minutes = 0; minutes < 119; minutes += 7) await stack.advance(7 * MINUTE, { between: talk });
    expect([...stack.webSocketApi!.connections()]).toHaveLength(1);
    await stack.advance(MINUTE);
    expect(await closed).toEqual([1001, 'Going away']);
    expect(steps).toBeGreaterThan(119);
    expect(performance.now() - started).toBeLessThan(5_000);
  });
});

describe('moving the time of a stack', () => {
  test('fires a schedule once a minute, in order, and takes far less than its time', async () => {
    const events: string[] = [];
    const log = ({ line }: { line: string }) => events.push(line);
    await start({ schedule: true, log });
    await stack.invoke('sweep', {});
    events.length = 0;
    const started = performance.now();
    const before = stack.clock.now();
    await stack.advance(2 * HOUR);
    expect(performance.now() - started).toBeLessThan(30_000);
    const ticks = events
      .filter((line) => line.startsWith('swept at '))
      .map((line) => Date.parse(line.slice(9)));
    expect(ticks).toHaveLength(120);
    ticks.forEach((at, index) => {
      expect(Math.abs(at - before - (index + 1) * MINUTE)).toBeLessThan(3 * SECOND);
    });
  });

  test('fires no schedule of a stack that is closed', async () => {
    await start({ schedule: true });
    await stack.close();
    expect(stack.clock.pending).toBe(0);
  });

  test('deletes a row whose time to live has passed, and no other', async () => {
    await start();
    const row = (name: string, atMs: number) => ({
      p: { B: btoa(name) },
      t: { N: String(Math.floor(atMs / 1000)) },
    });
    for (const Item of [row('hour', stack.clock.now() + HOUR), row('day', stack.clock.now() + 24 * HOUR)])
      await stack.dynamodb!.handle('PutItem', { TableName: 'Fixture-Bus', Item });
    const rows = async () => (await stack.dynamodb!.handle('Scan', { TableName: 'Fixture-Bus' })).body;
    await stack.advance(HOUR - MINUTE);
    expect(await rows()).toMatchObject({ Count: 2 });
    await stack.advance(3 * MINUTE);
    expect(await rows()).toMatchObject({ Items: [{ p: { B: btoa('day') } }] });
  });

  test('names what is still busy when something does not come to its end', async () => {
    await start({ drainMs: 0 });
    // It tries for a second of real time to post to a connection that never was.
    const waiting = stack.invoke('open', { connectionId: 'TXzPWdnOjoECGjA=' });
    await expect(stack.advance(MINUTE, { quietMs: 20 })).rejects.toMatchObject({
      name: 'NotQuietError',
      busy: ['open (1)'],
    });
    await stack.close();
    expect(await waiting).toMatchObject({ kind: 'error' });
  });

  test('waits for a message that the gateway has received and not handed on yet', async () => {
    const held: (() => void)[] = [];
    await start({ gateway: { shuffle: (_connectionId, begin) => held.push(begin) } });
    const socket = await open();
    socket.send('{"held":true}');
    await expect.poll(() => held).toHaveLength(1);
    await expect(stack.advance(MINUTE, { quietMs: 20 })).rejects.toMatchObject({ busy: ['gateway (1)'] });
    const settled = stack.settled().then(() => 'settled');
    expect(await Promise.race([settled, turn('held')])).toBe('held');
    held[0]?.();
    expect(await settled).toBe('settled');
    await stack.advance(MINUTE);
    socket.terminate();
  });

  test('leaves functions and an SDK outside able to sign their calls', async () => {
    await start();
    await stack.invoke('sweep', {});
    await stack.advance(2 * HOUR);
    // The functions' clock is ours; the SDK here corrects its own by the time of our answers.
    await open().then((socket) => socket.terminate());
    const client = new LambdaClient({
      region: 'us-east-1',
      endpoint: `http://127.0.0.1:${stack.port}`,
      credentials: stack.credentials,
    });
    const answer = await client.send(new InvokeCommand({ FunctionName: 'publish', Payload: '{}' }));
    expect(answer.StatusCode).toBe(200);
    client.destroy();
    const { headers } = await fetch(`${stack.origin}/prod`);
    expect(Math.abs(Date.parse(headers.get('date')!) - stack.clock.now())).toBeLessThan(5 * SECOND);
  });
});

describe('an event that is given up', () => {
  const order = { Source: 'shop', DetailType: 'Sold', EventBusName: 'FixtureEvents' };
  const put = (detail: object) =>
    call('AWSEvents.PutEvents', { Entries: [{ ...order, Detail: JSON.stringify(detail) }] });
  async function lost(): Promise<{ readonly Body: string }[]> {
    const { QueueUrl } = await call('AmazonSQS.GetQueueUrl', { QueueName: 'Fixture-Lost' });
    expect(QueueUrl).toBe(`http://127.0.0.1:${stack.port}/123456789012/Fixture-Lost`);
    const asked = { QueueUrl, MaxNumberOfMessages: 10, MessageAttributeNames: ['All'] };
    const { Messages = [] } = await call('AmazonSQS.ReceiveMessage', asked);
    return Messages as [];
  }

  test('by its function lies in the queue three minutes later', async () => {
    const lines: string[] = [];
    await start({ log: ({ line }) => lines.push(line) });
    await put({ total: 1, fail: true });
    await stack.advance(3 * MINUTE - 10 * SECOND);
    expect(await lost()).toEqual([]);
    await stack.advance(15 * SECOND);
    expect(invocations('listening', lines)).toBe(3);
    const [message, ...more] = await lost();
    expect(more).toEqual([]);
    expect(JSON.parse(message!.Body)).toMatchObject({
      requestContext: { condition: 'RetriesExhausted', approximateInvokeCount: 3 },
      requestPayload: { source: 'shop', detail: { total: 1 } },
      responsePayload: { errorMessage: 'told to fail' },
    });
  });

  test('by its rule, which could not hand it over, goes to the queue in the name of EventBridge', async () => {
    const calls: QueueCall[] = [];
    const authorizeQueue = (call: QueueCall) => {
      calls.push(call);
      return false;
    };
    await start({ authorizeQueue });
    // With its envelope it is larger than an asynchronous event may be.
    await put({ total: 'x'.repeat(1_048_576 - 100) });
    const sourceArn = 'arn:aws:events:us-east-1:123456789012:rule/Fixture-Heard';
    expect(calls).toEqual([
      {
        caller: { kind: 'service', service: 'events.amazonaws.com', sourceArn },
        action: 'sqs:SendMessage',
        resource: 'arn:aws:sqs:us-east-1:123456789012:Fixture-Lost',
      },
    ]);
  });
});
