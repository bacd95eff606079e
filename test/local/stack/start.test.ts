import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fixtureAssembly } from './fixture-assembly.ts';

const START = fileURLToPath(new URL('../../../local/start.ts', import.meta.url));
const OPEN_AND_CLOSE = fileURLToPath(new URL('./fixtures/open-and-close.ts', import.meta.url));
/** A synthesis and a start, on a machine that runs other tests at the same time. */
const PATIENCE = 60_000;

let temporary: string;
let child: ChildProcess | undefined;

beforeEach(async () => {
  temporary = await mkdtemp(join(tmpdir(), 'socketbus-start-'));
  // What `tsx` has compiled for others: compiling everything anew takes longer than the rest of a start.
  const cache = `tsx-${process.geteuid?.()}`;
  await mkdir(join(tmpdir(), cache), { recursive: true });
  await symlink(join(tmpdir(), cache), join(temporary, cache));
});

afterEach(async () => {
  child?.kill('SIGKILL');
  await rm(temporary, { recursive: true, force: true });
});

function run(script: string, args: readonly string[], env: Record<string, string> = {}) {
  const running = spawn(process.execPath, ['--import', 'tsx', script, ...args], {
    env: { PATH: process.env.PATH ?? '', TMPDIR: temporary, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child = running;
  const lines: string[] = [];
  const closed = once(running, 'close').then(([code]) => ({ code, output: lines.join('\n') }));
  const waiting: { readonly start: string; readonly found: (line: string) => void }[] = [];
  for (const stream of [running.stdout, running.stderr]) {
    createInterface(stream).on('line', (line) => {
      lines.push(line);
      for (const { start, found } of waiting) if (line.startsWith(start)) found(line);
    });
  }
  const line = async (start: string) => {
    const seen = lines.find((one) => one.startsWith(start));
    if (seen !== undefined) return seen;
    const ended = closed.then(({ output }) =>
      Promise.reject(new Error(`ended without "${start}":\n${output}`)),
    );
    return Promise.race([new Promise<string>((found) => waiting.push({ start, found })), ended]);
  };
  return { process: running, closed, line };
}

/** What a line prints when it is pasted into a shell. */
const shell = async (line: string) => (await promisify(execFile)('sh', ['-c', line])).stdout;

/** What the start left in the temporary directory, but for the cache of `tsx`. */
const leftovers = async () => (await readdir(temporary)).filter((name) => name.startsWith('socketbus-'));

describe('npm start', () => {
  test('prints what the applications’ own servers printed, before it is ready', {
    timeout: PATIENCE,
  }, async () => {
    const started = run(START, ['--port', '0'], { STORE_CORS: 'https://shop.example' });
    await started.line('Ctrl-C stops it.');
    started.process.kill('SIGINT');
    const { output } = await started.closed;
    const beforeReady = output.slice(0, output.indexOf('socketbus ready on')).split('\n').slice(0, -1);
    expect(beforeReady).toEqual([
      '[SOCKET LOADER] Socket.IO server successfully attached to HTTP server',
      '[SOCKET LOADER] CORS origins configured: ["https://shop.example"]',
      '[SOCKET MODULE] Socket.IO server initialized successfully',
      'WebSocket sync notification service initialized',
    ]);
    expect(output).toContain('claims are believed');
  });

  test('says of the applications that it runs what they say, and of identities only what holds', {
    timeout: PATIENCE,
  }, async () => {
    const started = run(START, ['--port', '0', '--apps', 'watch-groups'], { IDENTITY: 'token' });
    await started.line('Ctrl-C stops it.');
    started.process.kill('SIGINT');
    const { output } = await started.closed;
    expect(output).toMatch(/^socketbus ready on /);
    expect(output).not.toContain('claims are believed');
  });

  test('says that it is ready and what to try, runs it, and stops cleanly at Ctrl-C', {
    timeout: PATIENCE,
  }, async () => {
    const started = run(START, ['--port', '0'], { JWT_SECRET: 'of the environment' });
    const ready = await started.line('socketbus ready on http://localhost:');
    const signed = await started.line('curl -s --aws-sigv4 ');
    expect(JSON.parse(await shell(signed))).toMatchObject({ ok: true, audience: 0 });
    const curl = await started.line('curl -s --aws-sigv4 "aws:amz:us-east-1:lambda"');
    expect(curl).toContain(ready.slice('socketbus ready on '.length));
    expect(JSON.parse(await shell(curl))).toMatchObject({ ok: true, audience: 0 });
    expect(await leftovers()).toHaveLength(1);
    started.process.kill('SIGINT');
    const { code, output } = await started.closed;
    expect(code).toBe(0);
    expect(output).toContain('stopping');
    expect(output).not.toContain('of the environment');
    expect(await leftovers()).toEqual([]);
  });

  test('shows every wrong setting and ends with 1', { timeout: PATIENCE }, async () => {
    const env = { FRONTEND_URL: 'nowhere', PING_INTERVAL_MINUTES: '99' };
    const { code, output } = await run(START, ['--port', '0'], env).closed;
    expect(code).toBe(1);
    expect(output).toContain('FRONTEND_URL');
    expect(output).toContain('PING_INTERVAL_MINUTES');
    expect(output).not.toContain('    at ');
    expect(await leftovers()).toEqual([]);
  });

  test('says which port is in use', { timeout: PATIENCE }, async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const { code, output } = await run(START, [], { PORT: String(port) }).closed;
    expect(code).toBe(1);
    expect(output).toBe(`port ${port} is in use; give another one with --port, or --port 0 for any free one`);
    expect(await leftovers()).toEqual([]);
    server.close();
  });

  test.each([
    [['--prot', '1'], "Unknown option '--prot'"],
    [['--port', 'http'], '--port must be a port from 0 to 65535, not "http"'],
    [['extra'], "Unexpected argument 'extra'"],
  ])('refuses %j by name', async (args, message) => {
    const { code, output } = await run(START, args).closed;
    expect(code).toBe(1);
    expect(output).toContain(message);
    expect(output).toContain('--port <n>');
  });

  test('explains its options', async () => {
    const { code, output } = await run(START, ['--help']).closed;
    expect(code).toBe(0);
    expect(output).toContain('--apps <list>');
  });
});

test('a closed stack leaves nothing that keeps the process alive', { timeout: PATIENCE }, async () => {
  await using assembly = await fixtureAssembly();
  const { code, output } = await run(OPEN_AND_CLOSE, [assembly.directory]).closed;
  expect({ code, output }).toEqual({ code: 0, output: 'closed' });
});
