import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Server } from 'socket.io';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CHECKS } from '../../dev/verify/checks.ts';
import { synthesise } from '../support/assembly.ts';
import { startTestStack, type TestStack, token } from '../support/stack.ts';
import { SETTINGS } from '../support/synthesis.ts';
import { run } from './program.ts';

const verify = async (args: readonly string[], environment: Record<string, string> = {}) => {
  const { code, stdout, stderr } = await run(['--import', 'tsx', 'dev/verify.ts', ...args], environment);
  const lines = stdout
    .split('\n')
    .map((line) => /^(OK|FAILED|SKIPPED) +([\w-]+) +(.*)$/.exec(line)?.slice(1));
  const found = lines.filter((line) => line !== undefined);
  const results = new Map(found.map(([status = '', name = '', detail = '']) => [name, { status, detail }]));
  return { code, stdout, stderr, results };
};

/** Leaves the other checks out. */
function only(...names: readonly string[]): string[] {
  return CHECKS.flatMap(({ name }) => (names.includes(name) ? [] : ['--skip', name]));
}

/** A server of this test on a free port. */
async function listening(server: HttpServer): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('npm run verify', { timeout: 60_000 }, () => {
  let bus: TestStack;
  beforeAll(async () => {
    bus = await startTestStack({ assembly: synthesise({ ...SETTINGS, POLL_HOLD_SECONDS: '1' }) });
  });
  afterAll(() => bus.close());

  const output = (name: string) => bus.stack.deployment.outputs.get(name) ?? '';

  test('finds everything as it should be on the local stack', async () => {
    const apis = ['--http', output('HttpUrl'), '--websocket', output('WebSocketUrl')];
    const { code, stdout, stderr, results } = await verify([
      '--url',
      bus.stack.origin,
      ...apis,
      '--skip',
      'ipv6',
    ]);
    expect({ code, stderr }, stdout).toEqual({ code: 0, stderr: '' });
    const names = CHECKS.map(({ name }) => name).filter((name) => name !== 'ipv6');
    expect([...results.keys()]).toEqual(names);
    const notOk = [...results].filter(([, { status }]) => status !== 'OK');
    expect(notOk).toEqual([['silence', { status: 'SKIPPED', detail: expect.stringContaining('--stay') }]]);
    expect(stdout).toMatch(/^nothing failed$/m);
  });

  test('stays connected, proves itself, and asks for another event', async () => {
    const auth = await token({ sub: '1', username: 'ana' });
    const options = ['--token', auth, '--event', 'join-group', '--data', '{"groupId":5}', '--stay', '0.01'];
    const skip = only('acknowledgement', 'silence');
    const { code, results } = await verify(['--url', `${bus.stack.origin}/`, ...options, ...skip]);
    expect([...results]).toEqual([
      [
        'acknowledgement',
        { status: 'OK', detail: expect.stringMatching(/^join-group was answered in \d+ ms$/) },
      ],
      ['silence', { status: 'OK', detail: 'connected for 0.01 min without a word' }],
    ]);
    expect(code).toBe(0);
  });

  test('skips what it is not told of', async () => {
    const { results } = await verify([
      ...['--url', bus.stack.origin, '--event', 'no-such-event'],
      ...only('http-api', 'websocket-api', 'acknowledgement'),
    ]);
    expect(results.get('http-api')).toEqual({
      status: 'SKIPPED',
      detail: '--http or --stack tells where it is',
    });
    expect(results.get('websocket-api')?.status).toBe('SKIPPED');
    expect(results.get('acknowledgement')?.status).toBe('FAILED');
  });

  test('expects the key of a front door where there is to be one', async () => {
    const options = [
      '--url',
      bus.stack.origin,
      '--websocket',
      output('WebSocketUrl'),
      '--api-key',
      ...only('websocket-api'),
    ];
    const { code, results } = await verify(options);
    expect(results.get('websocket-api')).toEqual({
      status: 'FAILED',
      detail: expect.stringContaining('wanted 403 for who has no key, got 101'),
    });
    expect(code).toBe(1);
  });

  test('asks the AWS CLI for the outputs of a stack', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'socketbus-aws-'));
    const outputs = Object.entries({ Url: bus.stack.origin, HttpUrl: output('HttpUrl') }).map(
      ([key, value]) => ({
        OutputKey: key,
        OutputValue: value,
      }),
    );
    const script = `#!/bin/sh\necho '${JSON.stringify(outputs)}'\n`;
    await writeFile(join(directory, 'aws'), script, { mode: 0o755 });
    const environment = { PATH: directory };
    const { stdout, stderr } = await verify(['--stack', 'Shop', ...only('http-api', 'upgrade')], environment);
    await rm(directory, { recursive: true });
    expect(stderr).toBe('');
    expect(stdout.match(/^OK/gm)).toHaveLength(2);
  });
});

describe('npm run verify, of something else', { timeout: 60_000 }, () => {
  test('a stack without outputs is told by the output that it should have', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'socketbus-aws-'));
    await writeFile(join(directory, 'aws'), '#!/bin/sh\necho null\n', { mode: 0o755 });
    const { code, stderr } = await verify(['--stack', 'Shop'], { PATH: directory });
    await rm(directory, { recursive: true });
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: expect.stringContaining('the stack Shop has no output Url'),
    });
  });

  test('a Socket.IO server has neither the sessions nor the origins nor the routes', async () => {
    const http = createServer((_request, response) => response.writeHead(404).end());
    const server = new Server(http, { cors: { origin: '*' } });
    server.on('connection', (socket) =>
      socket.on('ping', (reply: (answer: object) => void) => reply({ ok: true })),
    );
    const { code, results } = await verify(['--url', await listening(http), '--skip', 'held-poll']);
    await server.close();
    const statuses = Object.fromEntries([...results].map(([name, { status }]) => [name, status]));
    expect(statuses).toMatchObject({
      'polling-handshake': 'OK',
      upgrade: 'OK',
      'default-options': 'OK',
      acknowledgement: 'OK',
      recovery: 'FAILED',
      status: 'FAILED',
      'foreign-origin': 'FAILED',
      'unsigned-publish': 'FAILED',
    });
    expect(code).toBe(1);
  });

  test('a front door that forwards the wrong Host is told by what API Gateway answers', async () => {
    const http = createServer((_request, response) => response.writeHead(403).end('{"message":"Forbidden"}'));
    const slow = ['default-options', 'acknowledgement', 'recovery'].flatMap((name) => ['--skip', name]);
    const { code, results } = await verify(['--url', await listening(http), ...slow]);
    await new Promise((resolve) => http.close(resolve));
    expect(results.get('status')?.detail).toContain('was the Host of the viewer forwarded?');
    expect(results.get('polling-handshake')?.detail).toContain('wanted an open packet, got 403');
    expect(results.get('upgrade')?.status).toBe('FAILED');
    expect(code).toBe(1);
  });
});

describe('a command line', () => {
  test.each([
    [[], '--url or --stack is missing'],
    [['--url', 'ftp://x'], '--url must be an http or https URL'],
    [['--url', 'http://x', '--path', 'x'], '--path must begin with a slash'],
    [['--url', 'http://x', '--stay', 'long'], '--stay must be minutes'],
    [['--url', 'http://x', '--data', '{'], '--data is not JSON'],
    [['--url', 'http://x', '--skip', 'all'], '--skip knows no check "all"'],
    [['--stack', 'Socketbus'], '--stack: the AWS CLI does not tell of "Socketbus"'],
  ])('%o is not understood: %s', async (args, message) => {
    // Without a PATH there is no AWS CLI, whatever this machine has.
    const { code, stdout, stderr } = await verify(args, { PATH: '' });
    expect(stderr).toContain(message);
    expect([code, stdout]).toEqual([2, '']);
  });
});
