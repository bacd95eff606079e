import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server, type Socket } from 'socket.io';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { startTestStack, type TestStack, token } from '../support/stack.ts';
import { type Environment, run, start } from './program.ts';

const SMOKE = ['dev/smoke-socket-client.js'];
const PATIENCE = { timeout: 15_000 };

let bus: TestStack;
beforeAll(async () => {
  bus = await startTestStack();
});
afterAll(() => bus.close());

const running: ReturnType<typeof start>[] = [];
afterEach(async () => {
  for (const { process } of running.splice(0)) process.kill('SIGKILL');
});

function smoke(environment: Environment = {}) {
  const program = start(SMOKE, { WS_URL: bus.stack.origin, ...environment });
  running.push(program);
  const prints = (text: string | RegExp) => expect.poll(program.stdout, PATIENCE).toMatch(text);
  return { ...program, prints };
}

const piped = (input: string, environment: Environment = {}) =>
  run(SMOKE, { WS_URL: bus.stack.origin, ...environment }, input);

const emit = (room: string, event: string, ...args: unknown[]) =>
  bus.stack.invoke('publish', { op: 'emit', rooms: [room], event, args });

describe('the smoke client', () => {
  test('joins what the environment says, and prints every event that arrives', async () => {
    const client = smoke({ TEST_USER: '7', TEST_VENDOR: 'shop' });
    await client.prints('joined vendor:shop');
    expect(client.stdout()).toContain(`connecting to ${bus.stack.origin} (path /socket.io/)`);
    expect(client.stdout()).toMatch(/^connected as \S{20}$/m);
    expect(client.stdout()).toContain('joined user:7');
    await emit('user:7', 'booking:created', { booking: { id: 1 } }, 'more');
    await emit('vendor:shop', 'payment:failed');
    await client.prints('event booking:created {"booking":{"id":1}} "more"');
    await client.prints(/^event payment:failed$/m);
    client.end();
    expect(await client.ended).toMatchObject({ code: 0, stderr: '' });
  });

  test('runs typed commands and answers each', async () => {
    const client = smoke();
    client.type('ping');
    await client.prints(/^pong \d+\.\d ms \(server time \d{4}-\d\d-\d\dT[\d:.]+Z\)$/m);
    client.type('join vendor 9');
    await client.prints('joined vendor:9');
    await emit('vendor:9', 'service:created', { service: { id: 1 } });
    await client.prints('event service:created {"service":{"id":1}}');
    client.type('help');
    await client.prints('join <type> <id>');
    client.type('exit');
    expect(await client.ended).toMatchObject({ code: 0, stderr: '' });
  });

  test('runs piped commands in order, each after the answer to the one before, and ends with the input', async () => {
    const { code, stdout } = await piped('join user 1\nping\n\njoin vendor 2\nping\n');
    expect(code).toBe(0);
    const [, , ...lines] = stdout.trimEnd().split('\n');
    expect(
      lines.map((line) =>
        line
          .split(' ')
          .slice(0, 2)
          .join(' ')
          .replace(/\d+\.\d/, 'n'),
      ),
    ).toEqual(['joined user:1', 'pong n', 'joined vendor:2', 'pong n']);
  });

  test('takes a last command without a line end, and an empty input', async () => {
    expect(await piped('ping')).toMatchObject({ code: 0, stdout: expect.stringContaining('pong') });
    expect(await piped('')).toMatchObject({ code: 0, stdout: expect.stringContaining('connected as') });
  });

  test('runs nothing after exit', async () => {
    const { code, stdout } = await piped('exit\nping\n');
    expect(code).toBe(0);
    expect(stdout).not.toContain('pong');
  });

  test.each([
    ['pign', 'there is no command "pign"; try help'],
    ['join user', 'usage: join <type> <id>'],
    ['join user 1 2', 'usage: join <type> <id>'],
    ['join admin 1', 'join: the type is user or vendor, not "admin"'],
    ['ping 1', 'usage: ping'],
  ])('does not understand "%s", goes on, and tells a script with 2', async (command, message) => {
    const { code, stdout } = await piped(`${command}\nping\n`);
    expect(stdout).toContain(message);
    expect(stdout).toContain('pong');
    expect(code).toBe(2);
  });

  test.each([
    [{ WS_URL: 'nowhere' }, 'WS_URL must be an http, https, ws or wss URL, not "nowhere"'],
    [{ WS_PATH: 'socket.io' }, 'WS_PATH must begin with a slash'],
  ])('ends with 2 for %j', async (environment, message) => {
    expect(await run(SMOKE, environment)).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining(message),
    });
  });

  test('ends with 2 for an argument, and explains itself with --help', async () => {
    expect(await run([...SMOKE, 'ping'])).toMatchObject({ code: 2, stderr: expect.stringContaining('ping') });
    const { code, stdout } = await run([...SMOKE, '--help']);
    expect(code).toBe(0);
    for (const word of ['WS_URL', 'WS_PATH', 'TEST_USER', 'TEST_VENDOR', 'TOKEN', 'ping', 'join <type> <id>'])
      expect(stdout).toContain(word);
  });

  test('ends with 1 where nobody listens', async () => {
    const { code, stderr } = await run(SMOKE, { WS_URL: 'http://localhost:1' }, 'ping\n');
    expect(code).toBe(1);
    expect(stderr).toMatch(/^cannot connect to http:\/\/localhost:1: .*ECONNREFUSED/);
    expect(stderr).not.toContain('    at ');
  });

  test('connects at another path, and says when there is nothing', async () => {
    const stage = bus.stack.deployment.webSocketApi?.stage;
    expect(await piped('ping\n', { WS_PATH: `/${stage}` })).toMatchObject({ code: 0 });
    expect(await piped('ping\n', { WS_PATH: '/nothing' })).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('cannot connect'),
    });
  });

  test('shows its token', async () => {
    const secret = await token({ sub: '5', username: 'ana' });
    const client = smoke({ TOKEN: secret });
    await client.prints(
      'event connected {"message":"Conectado exitosamente","user":{"id":5,"username":"ana"}}',
    );
  });
});

describe('the smoke client at a server of another kind', () => {
  async function server(handle: (socket: Socket) => void) {
    const http = createServer();
    const io = new Server(http);
    io.on('connection', handle);
    http.listen(0, '127.0.0.1');
    await new Promise((resolve) => http.once('listening', resolve));
    const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
    return { url, io, [Symbol.asyncDispose]: () => io.close() };
  }

  test('prints what was refused, and tells a script with 1', async () => {
    await using refusing = await server((socket) => {
      socket.on('join', (_payload, answer) =>
        answer({ ok: false, error: { code: 'forbidden', message: 'not yours' } }),
      );
    });
    const { code, stdout } = await piped('', { WS_URL: refusing.url, TEST_USER: '1' });
    expect(stdout).toContain('join: forbidden: not yours');
    expect(code).toBe(1);
  });

  test('says that no answer came', async () => {
    await using silent = await server(() => undefined);
    const { code, stdout } = await piped('ping\n', { WS_URL: silent.url });
    expect(stdout).toContain('ping: no answer within 5 s');
    expect(code).toBe(1);
  });

  test('comes back after a drop, and joins again', async () => {
    const joins: unknown[] = [];
    await using flaky = await server((socket) => {
      socket.on('join', (payload, answer) => {
        joins.push(payload);
        answer({ ok: true });
      });
    });
    const client = smoke({ WS_URL: flaky.url, TEST_VENDOR: '3' });
    await client.prints('joined vendor:3');
    for (const { conn } of flaky.io.sockets.sockets.values()) conn.close();
    await client.prints(/disconnected: transport close\nreconnecting\n/);
    await client.prints(/joined vendor:3[\s\S]*connected as [\s\S]*joined vendor:3/);
    expect(joins).toEqual([
      { type: 'vendor', id: '3' },
      { type: 'vendor', id: '3' },
    ]);
    client.end();
    expect(await client.ended).toMatchObject({ code: 0 });
  });

  test('ends with 1 where the server sends it away', async () => {
    await using dismissing = await server((socket) => {
      socket.on('ping', () => socket.disconnect());
    });
    const { code, stdout } = await piped('ping\n', { WS_URL: dismissing.url });
    expect(stdout).toContain('the server ended the session');
    expect(code).toBe(1);
  });
});
