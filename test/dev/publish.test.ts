import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { heard, recorded, startTestStack, type TestStack } from '../support/stack.ts';
import { type Environment, run } from './program.ts';

const PUBLISH = ['--import', 'tsx', 'dev/publish.ts'];
const publish = (args: readonly string[], environment: Environment = {}) =>
  run([...PUBLISH, ...args], environment);

describe('npm run emit', () => {
  let bus: TestStack;
  let ana: Socket;
  let ears: ReturnType<typeof recorded>;
  beforeAll(async () => {
    bus = await startTestStack();
    ana = bus.client();
    await heard(ana, 'connect');
    await ana.emitWithAck('join', { type: 'user', id: 1 });
    ears = recorded(ana);
  });
  afterAll(() => bus.close());

  /** What was heard since it was last asked for. */
  async function events(): Promise<unknown[]> {
    await ana.emitWithAck('ping');
    return ears.splice(0).map(({ event, args }) => [event, ...args]);
  }

  test('publishes to a room and prints the result as one line of JSON', async () => {
    const args = ['--room', 'user:1', '--event', 'new-message', '--data', '{"a":1}', '--data', '"two"'];
    const { code, stdout, stderr } = await publish([...args, '--endpoint', bus.stack.origin]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout.trimEnd().split('\n')).toHaveLength(1);
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, audience: 1, posted: 1, gone: 0, failed: 0 });
    expect(await events()).toEqual([['new-message', { a: 1 }, 'two']]);
  });

  test('finds the stack by the environment, and reaches several rooms but for some', async () => {
    const environment = { SOCKETBUS_ENDPOINT: bus.stack.origin };
    const rooms = ['--room', 'user:1', '--room', 'user:2'];
    const reached = await publish([...rooms, '--event', 'x', '--volatile'], environment);
    expect(JSON.parse(reached.stdout)).toMatchObject({ audience: 1 });
    const spared = await publish([...rooms, '--except', 'user:1', '--event', 'y'], environment);
    expect(JSON.parse(spared.stdout)).toMatchObject({ audience: 0 });
    expect(await events()).toEqual([['x']]);
  });

  test('publishes by signed HTTP with the local credentials', async () => {
    const args = ['--event', 'everybody', '--url', `${bus.stack.origin}/publish`];
    expect(await publish(args)).toMatchObject({ code: 0, stderr: '' });
    expect(await events()).toEqual([['everybody']]);
    const theirs = { AWS_ACCESS_KEY_ID: 'AKIDOTHER', AWS_SECRET_ACCESS_KEY: 'x' };
    const { code, stderr, stdout } = await publish(args, theirs);
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ ok: false, error: { code: 'forbidden', retryable: false } });
    expect(stderr).toContain('AWS_ACCESS_KEY_ID');
  });

  test('ends with 1 and says why where the deployment refuses it', async () => {
    const args = ['--namespace', '/nowhere', '--event', 'x', '--endpoint', bus.stack.origin];
    const { code, stdout, stderr } = await publish(args);
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      ok: false,
      error: { code: 'invalid_payload', field: 'namespace' },
    });
    expect(stderr).toContain('not published: invalid_payload: namespace');
  });

  test('ends with 1 and names the function that does not exist', async () => {
    const args = ['--event', 'x', '--function', 'nobody', '--endpoint', bus.stack.origin];
    const { code, stderr } = await publish(args);
    expect(code).toBe(1);
    expect(stderr).toContain('not_found: nobody');
  });
});

describe('npm run emit without a stack', () => {
  test('asks whether one is running', async () => {
    const { code, stderr } = await publish(['--event', 'x', '--endpoint', 'http://localhost:1']);
    expect(code).toBe(1);
    expect(stderr).toContain('unreachable');
    expect(stderr).toContain('is "npm start" running at http://localhost:1?');
  });

  test.each([
    [['--event', 'x', '--data', '{a'], '--data is not JSON'],
    [['--room', 'a'], '--event is missing'],
    [['--evnt', 'x'], "Unknown option '--evnt'"],
    [['event'], "Unexpected argument 'event'"],
    [['--event', 'connect'], 'event: is a name reserved by Socket.IO'],
    [['--event', 'x', '--room', ''], 'rooms[0]: must not be empty'],
    [['--event', 'x', '--url', 'nowhere'], '--url must be an http or https URL, not "nowhere"'],
    [['--event', 'x', '--endpoint', 'nowhere'], '--endpoint must be an http or https URL, not "nowhere"'],
    [['--event', 'x', '--url', 'http://x', '--function', 'y'], '--url and --function exclude each other'],
  ])('does not understand %j, says so and ends with 2', async (args, message) => {
    const { code, stdout, stderr } = await publish(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(message);
    expect(stderr).not.toContain('    at ');
  });

  test('explains itself', async () => {
    const { code, stdout } = await publish(['--help']);
    expect(code).toBe(0);
    for (const option of ['--room', '--event', '--data', '--namespace', '--except', '--volatile', '--url'])
      expect(stdout).toContain(option);
  });
});
