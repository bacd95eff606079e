import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { LambdaClient } from '@aws-sdk/client-lambda';
import { SignatureV4 } from '@smithy/signature-v4';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Emitter, httpTransport } from '../../emitter/index.ts';
import { heard, startTestStack, type TestStack, token } from '../support/stack.ts';

let bus: TestStack;
beforeAll(async () => {
  bus = await startTestStack();
});
afterAll(() => bus.close());

async function member(sub: string) {
  const socket = bus.client({ auth: { token: await token({ sub, username: 'ana' }) } });
  await heard(socket, 'connected');
  return socket;
}

const request = (room: string, message = 'hola') => ({
  op: 'emit',
  rooms: [room],
  event: 'notification',
  args: [{ message }],
});

interface Post {
  readonly type?: string;
  readonly secretAccessKey?: string;
  readonly service?: string;
  /** What is sent in place of the body that was signed. */
  readonly sent?: string;
}

/** Posts a body signed by the SDK's own signer. */
async function post(body: string, { type = 'application/json', service, sent, ...keys }: Post = {}) {
  const url = new URL(bus.stack.deployment.outputs.get('PublishUrl') ?? '');
  const { sha256 } = new LambdaClient({ region: 'us-east-1' }).config;
  const signer = new SignatureV4({
    region: 'us-east-1',
    service: service ?? 'execute-api',
    credentials: { ...bus.stack.credentials, ...keys },
    sha256,
  });
  const { headers } = await signer.sign({
    method: 'POST',
    protocol: url.protocol,
    hostname: url.hostname,
    path: url.pathname,
    headers: { host: url.host, 'content-type': type },
    body,
  });
  const { host: _host, ...signed } = headers;
  const answer = await fetch(url, { method: 'POST', headers: signed, body: sent ?? body });
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
}

describe('POST /publish', () => {
  test('is the stack’s output PublishUrl, on the origin of the front door', () => {
    expect(bus.stack.deployment.outputs.get('PublishUrl')).toBe(`${bus.stack.origin}/publish`);
  });

  test.each([['application/json'], ['application/x-amz-json-1.0'], ['text/plain;charset=utf-8']])(
    'publishes what is signed by the SDK, sent as %s',
    async (type) => {
      const ana = await member(type);
      const note = heard(ana, 'notification');
      const { status, body } = await post(JSON.stringify(request(`member:${type}`, 'ñandú')), { type });
      expect({ status, body }).toMatchObject({ status: 200, body: { ok: true, audience: 1, posted: 1 } });
      expect(await note).toEqual({ message: 'ñandú' });
    },
  );

  test('publishes what curl signs', async () => {
    const ana = await member('2');
    const note = heard(ana, 'notification');
    const { accessKeyId, secretAccessKey } = bus.stack.credentials;
    const options = ['-s', '--aws-sigv4', 'aws:amz:us-east-1:execute-api'];
    const user = ['--user', `${accessKeyId}:${secretAccessKey}`];
    const data = ['-d', JSON.stringify(request('member:2'))];
    const { stdout } = await promisify(execFile)('curl', [
      ...options,
      ...user,
      ...data,
      `${bus.stack.origin}/publish`,
    ]);
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, audience: 1 });
    expect(await note).toEqual({ message: 'hola' });
  });

  test('serves the emitter of a backend that has no Lambda to invoke', async () => {
    const ana = await member('3');
    const note = heard(ana, 'notification');
    const { credentials, origin } = bus.stack;
    const emitter = new Emitter({ transport: httpTransport({ url: `${origin}/publish`, credentials }) });
    expect(await emitter.to('member:3').emit('notification', { message: 'hola' })).toMatchObject({
      ok: true,
    });
    expect(await note).toEqual({ message: 'hola' });
  });

  test('does every operation of the contract', async () => {
    const call = { op: 'app', app: 'watch-groups', call: 'getConnectedClients' };
    const grant = { op: 'grant', identity: 7, room: 'chat:1' };
    expect(await post(JSON.stringify(call))).toMatchObject({ status: 200, body: { ok: true } });
    expect(await post(JSON.stringify(grant))).toEqual({
      status: 200,
      body: { ok: true, result: { granted: true } },
    });
  });

  test.each([
    ['a request that is wrong', JSON.stringify({ op: 'emit', event: 'x', rooms: 'a' }), 'rooms'],
    ['an unknown call', JSON.stringify({ op: 'app', app: 'marketplace', call: 'x' }), 'call'],
    ['what is no request', '[]', undefined],
    ['text that is no JSON', '{"op":', 'body'],
    ['no body', '', 'body'],
  ])('answers 400 in the form of a result to %s', async (_what, text, field) => {
    const { status, body } = await post(text);
    expect(status).toBe(400);
    expect(body).toMatchObject({
      ok: false,
      error: { message: expect.any(String), retryable: false, ...(field && { field }) },
    });
  });

  test.each<[string, Post]>([
    ['signed with another secret', { secretAccessKey: 'wrong' }],
    ['signed for another service', { service: 'lambda' }],
    ['of another body than was signed', { sent: '{"op":"disconnectSockets","close":true}' }],
  ])('is forbidden to a request %s', async (_what, change) => {
    const answer = await post(JSON.stringify(request('member:1')), change);
    expect(answer).toEqual({ status: 403, body: { message: 'Forbidden' } });
  });

  test('is forbidden to a request that nobody signed, and is no other method’s', async () => {
    const body = JSON.stringify(request('member:1'));
    expect((await fetch(`${bus.stack.origin}/publish`, { method: 'POST', body })).status).toBe(403);
    expect((await fetch(`${bus.stack.origin}/publish`)).status).toBe(404);
  });
});
