import { jwtVerify } from 'jose';
import { describe, expect, test } from 'vitest';
import type { LogEntry } from '../../../local/host/invocation.ts';
import { logLine } from '../../../local/log-lines.ts';
import { readSettings } from '../../../local/settings.ts';
import { developmentToken } from '../../../local/welcome.ts';

const none = { port: undefined, apps: undefined, stage: undefined };

describe('settings', () => {
  test('have safe defaults, with a secret of this start only', () => {
    const settings = readSettings({}, {}, none);
    expect(settings).toMatchObject({ port: 3000, debug: false, wsPath: '/socket.io' });
    expect(settings.synthesis).toEqual({
      IDENTITY: 'trusted',
      STORE_CORS: 'http://localhost:3000',
      CLIENT_ORIGIN: 'http://localhost:3000',
    });
    expect(settings.trusting).toBe(true);
    expect(settings.stack.JWT_SECRET).toBe(settings.jwtSecret);
    const again = readSettings({}, {}, none);
    expect(again.stack.CLOUD_API_KEY).toMatch(/^[\w-]{32}$/);
    expect(again.stack.CLOUD_API_KEY).not.toBe(settings.stack.CLOUD_API_KEY);
    expect(settings.shown).toContainEqual(
      expect.objectContaining({ name: 'CLOUD_API_KEY', value: settings.stack.CLOUD_API_KEY }),
    );
    expect(readSettings({}, {}, none).jwtSecret).not.toBe(settings.jwtSecret);
    expect(settings.shown).toContainEqual(
      expect.objectContaining({ name: 'JWT_SECRET', value: settings.jwtSecret }),
    );
  });

  test('come from the command line, then the environment, then the file; empty ones are not set', () => {
    const file = { PORT: '1', WS_PATH: '/ws/', FRONTEND_URL: 'http://file', STAGE: 'file' };
    const environment = { PORT: '2', FRONTEND_URL: '', JWT_SECRET: 'mine', DEBUG: 'socket.io*' };
    const settings = readSettings(environment, file, { port: 0, apps: './mine.ts', stage: 'dev' });
    expect(settings).toMatchObject({ port: 0, wsPath: '/ws', debug: true, jwtSecret: 'mine' });
    expect(settings.synthesis).toMatchObject({
      APPS: './mine.ts',
      STAGE: 'dev',
      FRONTEND_URL: 'http://file',
    });
    expect(readSettings(environment, file, none).port).toBe(2);
    expect(JSON.stringify(settings.shown)).not.toContain('mine');
  });

  test('take what is given for the applications, and show no key that is given', () => {
    const given = {
      CLOUD_API_KEY: 'the key of the shop',
      STORE_CORS: 'https://shop.example',
      CLIENT_ORIGIN: 'https://market.example',
      IDENTITY: 'token',
    };
    const settings = readSettings(given, {}, none);
    expect(settings.synthesis).toMatchObject({
      STORE_CORS: 'https://shop.example',
      CLIENT_ORIGIN: 'https://market.example',
      IDENTITY: 'token',
    });
    expect(settings.trusting).toBe(false);
    expect(settings.stack.CLOUD_API_KEY).toBe('the key of the shop');
    expect(JSON.stringify(settings.shown)).not.toContain('the key of the shop');
    expect(settings.shown).toContainEqual({ name: 'IDENTITY', value: 'token', note: 'set' });
  });

  test('refuse a PORT that is none', () => {
    expect(() => readSettings({ PORT: '99999' }, {}, none)).toThrow('PORT must be a port');
  });

  test('make a token that verifies for eight hours', async () => {
    const { payload } = await jwtVerify(await developmentToken('secret'), new TextEncoder().encode('secret'));
    expect(payload).toMatchObject({ sub: '1', username: 'ana' });
    expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(8 * 3600);
  });
});

describe('a log line', () => {
  const entry = (line: string, changes: Partial<LogEntry> = {}): LogEntry => ({
    function: 'message',
    requestId: '12345678-aaaa-bbbb-cccc-1234567890ab',
    stream: 'stdout',
    line,
    ...changes,
  });
  const record = {
    level: 'WARN',
    message: 'slow',
    timestamp: 'now',
    service: 'socketbus',
    requestId: 'x',
    ms: 7,
  };
  const plain = { debug: false, json: false };

  test.each([
    [
      'the message and members of a structured one',
      entry(JSON.stringify(record)),
      'WARN  message    slow {"ms":7}  [12345678]',
    ],
    ['plain text', entry('hola'), 'INFO  message    hola  [12345678]'],
    ['plain text on stderr', entry('{oh', { stream: 'stderr' }), 'ERROR message    {oh  [12345678]'],
    [
      'what the host says',
      entry('timed out', { stream: 'platform', requestId: undefined }),
      'WARN  message    timed out',
    ],
  ])('shows %s', (_what, given, line) => {
    expect(logLine(given, plain)).toBe(line);
  });

  test('leaves metrics out unless asked for', () => {
    const metrics = entry(JSON.stringify({ _aws: {}, Posts: 3 }));
    expect(logLine(metrics, plain)).toBeUndefined();
    expect(logLine(metrics, { ...plain, debug: true })).toContain('"Posts":3');
  });

  test('stays JSON where that is asked for', () => {
    const json = { debug: false, json: true };
    expect(logLine(entry(JSON.stringify(record)), json)).toBe(JSON.stringify(record));
    expect(JSON.parse(logLine(entry('hola'), json) ?? '')).toMatchObject({
      function: 'message',
      line: 'hola',
    });
  });
});
