/** Stacks with an `env`, which CDK writes into the template's ARNs and addresses where others have references. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EventBridgeClient, PutEventsCommand } from '@aws-sdk/client-eventbridge';
import { App, type Environment } from 'aws-cdk-lib';
import { afterEach, describe, expect, test } from 'vitest';
import { Emitter } from '../../emitter/index.ts';
import { SocketBusStack } from '../../lib/stack.ts';
import type { BusEvent } from '../../local/services/event-bridge.ts';
import { run } from '../dev/program.ts';
import { assembly } from '../support/assembly.ts';
import { heard, startTestStack, type TestStack } from '../support/stack.ts';

let bus: TestStack | undefined;
let directory: string | undefined;
afterEach(async () => {
  await bus?.close();
  if (directory !== undefined) await rm(directory, { recursive: true, force: true });
});

/** A stack that is to be deployed there, with the code of the shared one. */
async function started(env: Environment, events: BusEvent[] = []): Promise<TestStack> {
  directory = await mkdtemp(join(tmpdir(), 'socketbus-environment-'));
  const app = new App({
    outdir: directory,
    analyticsReporting: false,
    builtinCloudFormationValidation: false,
  });
  new SocketBusStack(app, 'Socketbus', {
    env,
    apps: ['marketplace'],
    clientOrigin: ['https://market.example'],
    identity: 'trusted',
    bundles: { directory: join(assembly(), 'bundles'), apps: ['marketplace'] },
  });
  app.synth();
  bus = await startTestStack({ assembly: directory, onEvent: (event) => events.push(event) });
  return bus;
}

describe.each([
  ['a Region alone', { region: 'eu-west-1' }, '123456789012'],
  ['an account and a Region', { account: '111122223333', region: 'eu-west-1' }, '111122223333'],
])('a stack whose env is %s', (_what, env, account) => {
  const { region } = env;

  test('runs there: its clients hear what is published by signed HTTP, and by its event bus', async () => {
    const events: BusEvent[] = [];
    const { stack, client, logs } = await started(env, events);
    const { outputs, functions } = stack.deployment;
    const ana = client();
    await heard(ana, 'connect');
    await ana.emitWithAck('join', { type: 'user', id: 1 });

    const said = heard(ana, 'said');
    const url = outputs.get('PublishUrl') ?? '';
    const { credentials } = stack;
    await new Emitter({ url, region, credentials }).to('user:1').emit('said', { by: 'http' });
    expect(await said).toEqual({ by: 'http' });

    const put = heard(ana, 'put');
    const detail = { op: 'emit', rooms: ['user:1'], event: 'put', args: [{ by: 'bus' }] };
    await new EventBridgeClient({ endpoint: stack.origin, region, credentials }).send(
      new PutEventsCommand({
        Entries: [
          {
            EventBusName: outputs.get('EventBusName'),
            Source: 'socketbus.publish',
            DetailType: 'Publish Request',
            Detail: JSON.stringify(detail),
          },
        ],
      }),
    );
    expect(await put).toEqual({ by: 'bus' });
    expect(events).toMatchObject([{ event: { account, region } }]);

    expect(functions.get('publish')?.arn).toBe(`arn:aws:lambda:${region}:${account}:function:publish`);
    expect(outputs.get('DeadLetterQueueUrl')).toMatch(new RegExp(`^http://127\\.0\\.0\\.1:\\d+/${account}/`));
    expect(
      logs.filter((line) => /"stream":"platform"/.test(line) && /denied|not invoked/.test(line)),
    ).toEqual([]);
  });
});

test('a stack in another Region takes no signature for us-east-1, and npm run emit says what to set', async () => {
  const { stack } = await started({ region: 'eu-west-1' });
  const args = ['--event', 'said', '--url', `${stack.origin}/publish`];
  const { code, stderr } = await run(['--import', 'tsx', 'dev/publish.ts', ...args]);
  expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('not published: forbidden') });
  expect(stderr).toContain(
    'signed for us-east-1: a stack whose env names another Region wants AWS_REGION set',
  );
});
