import { once } from 'node:events';
import { connect } from 'node:net';
import { PostToConnectionCommand } from '@aws-sdk/client-apigatewaymanagementapi';
import { afterEach, describe, expect, it } from 'vitest';
import type { Integration, Invocation } from '../../../local/gateway/websocket-api.ts';
import { answering, held, ManualClock, maskedText, OK, rawUpgrade, TestGateway } from './support.ts';

let gateway: TestGateway | undefined;

afterEach(async () => {
  await gateway?.stop();
  gateway = undefined;
});

async function start(options: Parameters<typeof TestGateway.start>[0] = {}): Promise<TestGateway> {
  gateway = await TestGateway.start(options);
  return gateway;
}

const onConnect = (integration: Integration) => new Map([['$connect', integration]]);

describe('the upgrade', () => {
  it('waits until $connect has answered, and is not addressable before', async () => {
    const { integration, release } = held();
    const gw = await start({ routes: onConnect(integration) });
    let opened = false;
    const client = gw.open().then((value) => {
      opened = true;
      return value;
    });
    const { connectionId } = (await gw.connects.next()).requestContext;

    const post = () =>
      gw.management().send(new PostToConnectionCommand({ ConnectionId: connectionId, Data: '0{}' }));
    await expect(post()).rejects.toMatchObject({ name: 'GoneException' });
    expect(opened).toBe(false);
    expect([...gw.api.connections()]).toEqual([]);

    release();
    const { messages } = await client;
    await post();
    expect(await messages.next()).toBe('0{}');
  });

  it.each([200, 201, 204, 299])('opens on %i', async (statusCode) => {
    const gw = await start({ routes: onConnect(answering({ statusCode })) });
    expect((await gw.upgrade()).status).toBe(101);
  });

  it.each([301, 400, 401, 403, 501])(
    'passes %i through without the body of the function',
    async (statusCode) => {
      const routes = onConnect(answering({ statusCode, body: 'secret', headers: { 'X-Own': 'x' } }));
      const gw = await start({ routes });
      const answer = await gw.upgrade();
      expect(answer).toMatchObject({ status: statusCode, body: '' });
      expect(answer.headers['x-amz-apigw-id']).toMatch(/^[\w-]{15}=$/);
      expect(gw.disconnects.size).toBe(0);
    },
  );

  it.each<[string, Integration]>([
    ['throws', () => Promise.reject(new Error('no'))],
    [
      'throws before it has a promise',
      () => {
        throw new Error('no');
      },
    ],
    ['fails', async (): Promise<Invocation> => ({ kind: 'error' })],
    ['returns nothing', answering(undefined)],
    ['returns no statusCode', answering({ body: 'x' })],
    [
      'returns a header that would break the response',
      answering({ statusCode: 200, headers: { A: 'b\r\nC: d' } }),
    ],
  ])('answers 502 when $connect %s', async (_, integration) => {
    const gw = await start({ routes: onConnect(integration) });
    const answer = await gw.upgrade();
    expect(answer.status).toBe(502);
    expect(answer.body).toMatch(/^\{"message": "Internal server error", "connectionId":"/);
  });

  it('answers 504 when the host reports a timeout', async () => {
    const gw = await start({ routes: onConnect(async () => ({ kind: 'timeout' })) });
    expect((await gw.upgrade()).status).toBe(504);
  });

  it('answers 504 when $connect takes 29 seconds, and not a moment earlier', async () => {
    const clock = new ManualClock();
    const gw = await start({ clock, routes: onConnect(() => new Promise(() => {})) });
    const answer = gw.upgrade();
    await gw.connects.next();
    clock.advance(28_999);
    let answered = false;
    void answer.then(() => {
      answered = true;
    });
    await gw.http('GET', '/prod');
    expect(answered).toBe(false);
    clock.advance(1);
    expect((await answer).status).toBe(504);
  });

  it('answers 500 when the function behind $connect is throttled', async () => {
    const gw = await start({ routes: onConnect(async () => ({ kind: 'throttled' })) });
    expect((await gw.upgrade()).status).toBe(500);
  });

  it('answers 429 when the quota of new connections is used up, without asking $connect', async () => {
    const gw = await start({ admit: (what) => what !== 'connection' });
    expect((await gw.upgrade()).status).toBe(429);
    expect(gw.connects.size).toBe(0);
  });

  it('takes the stage with and without a trailing slash', async () => {
    const gw = await start();
    expect((await gw.upgrade('/prod?EIO=4')).status).toBe(101);
    expect((await gw.upgrade('/prod/?EIO=4')).status).toBe(101);
  });

  it.each(['/', '/other', '/prod/socket.io/', '/prod/x', '/production', '/prod//', '/Prod', '//prod'])(
    'answers 403 on an upgrade of %s',
    async (path) => {
      const gw = await start();
      const answer = await gw.upgrade(path);
      expect(answer).toMatchObject({ status: 403, body: '{"message":"Forbidden"}' });
      expect(gw.connects.size).toBe(0);
    },
  );

  it.each([
    ['no key', {}, 403],
    ['a wrong key', { 'x-api-key': 'wrong' }, 403],
    ['a key', { 'X-Api-Key': 'right' }, 101],
  ])('answers an upgrade with %s where one is wanted: %j, %i', async (_, headers, status) => {
    const gw = await start({ apiKeys: [{ id: 'k1', value: 'right' }] });
    const answer = await gw.upgrade('/prod', headers);
    expect(answer.status).toBe(status);
    if (status === 403) expect(answer.body).toBe('{"message":"Forbidden"}');
    expect(gw.connects.size).toBe(status === 101 ? 1 : 0);
  });

  it('tells the functions which key was shown', async () => {
    const gw = await start({ apiKeys: [{ id: 'k1', value: 'right' }] });
    await gw.upgrade('/prod', { 'x-api-key': 'right' });
    const { headers, requestContext } = await gw.connects.next();
    expect(requestContext.identity).toMatchObject({ apiKey: 'right', apiKeyId: 'k1' });
    expect(headers).toMatchObject({ 'x-api-key': 'right' });
  });

  it('answers 414 to a URL of more than 4,096 characters', async () => {
    const gw = await start({});
    const url = (length: number) => '/prod?x='.padEnd(length, 'a');
    expect((await gw.upgrade(url(4_096))).status).toBe(101);
    expect((await gw.upgrade(url(4_097))).status).toBe(414);
  });

  it('goes by the path the front door rewrote, with the query of the request', async () => {
    const gw = await start({ entry: { path: '/prod' } });
    await gw.open('/socket.io/?EIO=4');
    expect((await gw.connects.next()).queryStringParameters).toEqual({ EIO: '4' });
  });

  it.each([
    ['a key that is no key', { 'Sec-WebSocket-Key': 'short' }],
    ['a foreign version', { 'Sec-WebSocket-Version': '12' }],
  ])('answers 400 to %s without asking $connect', async (_, headers) => {
    const gw = await start();
    expect((await gw.upgrade('/prod', headers)).status).toBe(400);
    expect(gw.connects.size).toBe(0);
  });

  it('answers 426 to an upgrade to another protocol', async () => {
    const gw = await start();
    expect((await gw.upgrade('/prod', { Upgrade: 'h2c' })).status).toBe(426);
  });

  it.each(['/prod', '/prod/', '/prod?transport=polling', '/prod/extra'])(
    'answers 426 to a plain GET of %s',
    async (path) => {
      const gw = await start();
      expect((await gw.http('GET', path)).status).toBe(426);
    },
  );

  it.each([
    ['GET', '/'],
    ['GET', '/other'],
    ['POST', '/prod'],
  ])('answers 403 to a plain %s of %s', async (method, path) => {
    const gw = await start();
    expect(await gw.http(method, path)).toMatchObject({ status: 403, body: '{"message":"Forbidden"}' });
  });

  it('opens without a $connect route', async () => {
    const gw = await start({ without: ['$connect'] });
    expect((await gw.upgrade()).status).toBe(101);
  });

  it('never opens, and runs no $disconnect, for a client that left before the 101', async () => {
    const { integration, release } = held();
    const gw = await start({ routes: onConnect(integration) });
    const socket = connect(gw.port, '127.0.0.1');
    socket.write(rawUpgrade('/prod'));
    await gw.connects.next();
    socket.resetAndDestroy();
    await once(socket, 'close');
    // A request on another connection is answered after the gateway has seen the reset.
    await gw.http('GET', '/prod');
    release();
    await gw.http('GET', '/prod');
    expect([...gw.api.connections()]).toEqual([]);
    expect(gw.disconnects.size).toBe(0);
  });
});

describe('the 101', () => {
  it('chooses a subprotocol only where the function did', async () => {
    const chosen = { statusCode: 200, headers: { 'Sec-WebSocket-Protocol': 'two' } };
    const gw = await start({ routes: onConnect(answering(chosen)) });
    const client = await gw.open('/prod', ['one', 'two']);
    expect(client.ws.protocol).toBe('two');
  });

  it('chooses no subprotocol by itself, on which a client gives up', async () => {
    const gw = await start();
    await expect(gw.open('/prod', ['one'])).rejects.toThrow('Server sent no subprotocol');
  });

  it('carries the headers of the function, cookies included, but none of the gateway’s own', async () => {
    const value = {
      statusCode: 200,
      headers: { 'X-Own': 7, Upgrade: 'h2c', 'Sec-WebSocket-Accept': 'x', 'Content-Length': '3' },
      multiValueHeaders: { 'Set-Cookie': ['a=1', 'b=2'] },
    };
    const gw = await start({ routes: onConnect(answering(value)) });
    const { headers } = await gw.upgrade();
    expect(headers['set-cookie']).toEqual(['a=1', 'b=2']);
    expect(headers['x-own']).toBe('7');
    expect(headers.upgrade).toBe('websocket');
    expect(headers['sec-websocket-accept']).toMatch(/^[\w+/]{27}=$/);
    expect(headers['content-length']).toBeUndefined();
  });

  it('negotiates no compression', async () => {
    const gw = await start();
    const { headers } = await gw.upgrade('/prod', { 'Sec-WebSocket-Extensions': 'permessage-deflate' });
    expect(headers['sec-websocket-extensions']).toBeUndefined();
  });

  it('is followed by frames that are routed, even when they were sent with the handshake', async () => {
    const { integration, release } = held();
    const gw = await start({
      routes: new Map([
        ['$connect', integration],
        ['$default', async () => OK],
      ]),
    });
    const socket = connect(gw.port, '127.0.0.1');
    socket.write(Buffer.concat([Buffer.from(rawUpgrade('/prod')), maskedText('early')]));
    await gw.connects.next();
    socket.write(maskedText('later'));
    release();
    const bodies = [(await gw.messages.next()).body, (await gw.messages.next()).body];
    expect(bodies).toEqual(['early', 'later']);
    socket.destroy();
  });
});
