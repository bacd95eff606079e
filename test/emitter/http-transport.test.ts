/** Signed HTTP against a server that checks signatures as API Gateway does. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Emitter, EmitterOptionsError, httpTransport, PublishError } from '../../emitter/index.ts';
import { systemClock } from '../../local/gateway/clock.ts';
import { SignatureVerifier } from '../../local/gateway/signature.ts';
import { REPORT } from './recording.ts';

const credentials = {
  accessKeyId: 'AKIDEXAMPLE',
  secretAccessKey: 'secret+/=',
  sessionToken: 'temporary/+=',
};
const verifier = new SignatureVerifier('eu-west-1', systemClock, (key) =>
  key === credentials.accessKeyId ? credentials : undefined,
);

type Answer = (response: ServerResponse, request: IncomingMessage) => void;
const json =
  (status: number, value: unknown): Answer =>
  (response) =>
    void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));

let server: Server;
let url: string;
let answers: Answer[];
let seen: { readonly verdict: string; readonly method: string; readonly body: unknown }[];

beforeEach(async () => {
  answers = [];
  seen = [];
  server = createServer(async (request, response) => {
    const body = await buffer(request);
    const { pathname, search } = new URL(request.url ?? '/', 'http://x');
    const { kind } = verifier.verify({
      method: request.method ?? '',
      path: pathname,
      query: search.slice(1),
      headers: request.headers,
      body,
    });
    seen.push({
      verdict: kind,
      method: request.method ?? '',
      body: body.length === 0 ? undefined : JSON.parse(body.toString('utf8')),
    });
    (answers.shift() ?? json(200, REPORT))(response, request);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/publish`;
});
afterEach(async () => {
  vi.unstubAllEnvs();
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
});

const thrice = { tries: 3, delayMs: 1 };
const emitter = (options = {}) =>
  new Emitter({ url, region: 'eu-west-1', credentials, retry: { tries: 1 }, ...options });
const failureOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );

describe('publishing by HTTP', () => {
  test('posts the request, signed for execute-api with the token of temporary credentials', async () => {
    expect(await emitter().to('grupo:ñ').emit('said', { text: '😀 "x"' })).toEqual(REPORT);
    expect(seen).toEqual([
      {
        verdict: 'signed',
        method: 'POST',
        body: {
          op: 'emit',
          namespace: '/',
          rooms: ['grupo:ñ'],
          except: [],
          event: 'said',
          args: [{ text: '😀 "x"' }],
          id: expect.stringMatching(/^[\w-]{20,}$/),
        },
      },
    ]);
  });

  test.each(['/stage/a%20b/publish', '/publish?b=2&a=1%2F'])('signs %s as it is sent', async (path) => {
    await emitter({ url: new URL(path, url).href }).emit('said');
    expect(seen[0]?.verdict).toBe('signed');
  });

  test('finds credentials where the SDK finds them', async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', credentials.accessKeyId);
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', credentials.secretAccessKey);
    vi.stubEnv('AWS_SESSION_TOKEN', credentials.sessionToken);
    await new Emitter({ url, region: 'eu-west-1' }).emit('said');
    expect(seen[0]?.verdict).toBe('signed');
  });

  test('hands on what the deployment refuses, whatever the status', async () => {
    answers.push(json(400, { ok: false, error: { code: 'invalid_payload', message: 'm', field: 'event' } }));
    expect(await failureOf(emitter().emit('said'))).toMatchObject({
      name: 'PublishError',
      code: 'invalid_payload',
      field: 'event',
      retryable: false,
    });
  });

  test.each([
    [403, 'forbidden', false],
    [404, 'not_found', false],
    [413, 'too_large', false],
    [429, 'throttled', true],
    [500, 'unavailable', true],
    [503, 'unavailable', true],
    [418, 'unavailable', false],
  ])('tells an HTTP %i of the gateway as %s', async (status, code, retryable) => {
    answers.push(json(status, { message: 'Because' }));
    const failure = await failureOf(emitter().emit('said'));
    expect(failure).toBeInstanceOf(PublishError);
    expect(failure).toMatchObject({ code, retryable, message: expect.stringContaining('Because') });
  });

  test.each([
    ['a page', '<html>', true],
    ['another form', '{"ok":true}', false],
  ])('fails where it is answered with %s', async (_what, text, retryable) => {
    answers.push((response) => void response.end(text));
    expect(await failureOf(emitter().emit('said'))).toMatchObject({ code: 'unavailable', retryable });
  });

  test('follows no redirect: the signature is for one address', async () => {
    answers.push((response) => void response.writeHead(307, { location: '/elsewhere' }).end());
    expect(await failureOf(emitter().emit('said'))).toBeInstanceOf(PublishError);
    expect(seen).toHaveLength(1);
  });

  test('waits no longer than it was told', async () => {
    answers.push(() => undefined);
    expect(await failureOf(emitter({ timeoutMs: 50 }).emit('said'))).toMatchObject({
      code: 'timeout',
      retryable: true,
    });
  });

  test('sends again what failed for a moment, as the same publish', async () => {
    answers.push(
      json(503, { message: 'Service Unavailable' }),
      (response) => void response.destroy(),
      json(200, REPORT),
    );
    expect(await emitter({ retry: thrice }).emit('said')).toEqual(REPORT);
    expect(seen).toHaveLength(3);
    expect(new Set(seen.map(({ body }) => (body as { id: string }).id)).size).toBe(1);
  });

  test('tells a connection that broke from one that never was', async () => {
    answers.push((response) => void response.destroy());
    expect(await failureOf(emitter().emit('said'))).toMatchObject({ code: 'interrupted', retryable: true });
    const closed = createServer().listen(0, '127.0.0.1');
    await once(closed, 'listening');
    const { port } = closed.address() as AddressInfo;
    closed.close();
    await once(closed, 'close');
    const nobody = emitter({ url: `http://127.0.0.1:${port}/publish` });
    expect(await failureOf(nobody.emit('said'))).toMatchObject({
      code: 'unreachable',
      message: expect.stringContaining('ECONNREFUSED'),
    });
  });
});

describe('an emitter over HTTP', () => {
  test('takes the region from the address of an API, then from the environment', () => {
    vi.stubEnv('AWS_REGION', '');
    vi.stubEnv('AWS_DEFAULT_REGION', '');
    const make = (address: string) => () => httpTransport({ url: address });
    expect(make('https://abc.execute-api.eu-west-1.amazonaws.com/publish')).not.toThrow();
    expect(make('http://localhost:3000/publish')).not.toThrow();
    expect(make('https://bus.example/publish')).toThrow(EmitterOptionsError);
    vi.stubEnv('AWS_REGION', 'eu-west-1');
    expect(make('https://bus.example/publish')).not.toThrow();
  });

  test.each(['', 'nowhere', 'ftp://x/publish'])('refuses the URL "%s" when it is made', (address) => {
    expect(() => httpTransport({ url: address })).toThrow(EmitterOptionsError);
  });

  test('refuses two ways at once', () => {
    expect(() => new Emitter({ url, functionName: 'publish' })).toThrow(EmitterOptionsError);
  });

  test('is found by the environment', async () => {
    vi.stubEnv('SOCKETBUS_PUBLISH_URL', url);
    await new Emitter({ region: 'eu-west-1', credentials }).emit('said');
    expect(seen).toHaveLength(1);
  });
});
