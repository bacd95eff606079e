import { afterEach, describe, expect, it } from 'vitest';
import type { Integration, Invocation } from '../../../local/gateway/websocket-api.ts';
import { answering, type Client, held, ManualClock, OK, type SeenEvent, TestGateway } from './support.ts';

let gateway: TestGateway | undefined;

afterEach(async () => {
  await gateway?.stop();
  gateway = undefined;
});

async function start(options: Parameters<typeof TestGateway.start>[0] = {}): Promise<TestGateway> {
  gateway = await TestGateway.start(options);
  return gateway;
}

/** The frame of an error, rebuilt from the event of the message that caused it. */
function frame(message: string, { requestContext }: SeenEvent): string {
  return `{"message": "${message}", "connectionId":"${requestContext.connectionId}", "requestId":"${requestContext.requestId}"}`;
}

/** Resolves when the gateway has handled everything this client sent before. */
async function flushed(client: Client): Promise<void> {
  const pong = new Promise<void>((resolve) => client.ws.once('pong', () => resolve()));
  client.ws.ping();
  await pong;
}

describe('routing', () => {
  const custom = () => new Map<string, Integration>([['send', async () => OK]]);

  it('takes the route the expression selects, and shows its key', async () => {
    const gw = await start({ routes: custom() });
    const client = await gw.open();
    client.ws.send('{"action":"send"}');
    expect((await gw.messages.next()).requestContext.routeKey).toBe('send');
  });

  it.each([
    '{"action":"unknown"}',
    '{}',
    '2',
    '42["send"]',
    'not json',
    '{"action":"$connect"}',
    '{"action":"$disconnect"}',
  ])('falls back to $default on %s', async (text) => {
    const gw = await start({ routes: custom() });
    const client = await gw.open();
    client.ws.send(text);
    expect((await gw.messages.next()).requestContext.routeKey).toBe('$default');
    expect(gw.connects.size).toBe(1);
    expect(gw.disconnects.size).toBe(0);
  });

  it('answers Forbidden where nothing matches and there is no $default, and stays open', async () => {
    const gw = await start({ routes: custom(), without: ['$default'] });
    const client = await gw.open();
    client.ws.send('hello');
    const text = await client.messages.next();
    const { connectionId } = (await gw.connects.next()).requestContext;
    expect(text).toMatch(
      new RegExp(
        `^\\{"message": "Forbidden", "connectionId":"${connectionId}", "requestId":"[\\w-]{11}F[\\w-]{3}="\\}$`,
      ),
    );
    client.ws.send('{"action":"send"}');
    expect((await gw.messages.next()).requestContext.routeKey).toBe('send');
  });
});

describe('a message', () => {
  it('is invoked beside the ones before it, which may end later', async () => {
    const first = held();
    const order: string[] = [];
    const integration: Integration = async (event) => {
      if (event.body === 'first') await first.integration(event);
      order.push(String(event.body));
      return OK;
    };
    const gw = await start({ routes: new Map([['$default', integration]]) });
    const client = await gw.open();
    client.ws.send('first');
    client.ws.send('second');
    await gw.messages.next();
    await gw.messages.next();
    await flushed(client);
    expect(order).toEqual(['second']);
    first.release();
  });

  it('passes through the given scheduler, which may reorder', async () => {
    const starts: (() => void)[] = [];
    const gw = await start({ shuffle: (_, begin) => starts.push(begin) });
    const client = await gw.open();
    for (const text of ['a', 'b', 'c']) client.ws.send(text);
    await flushed(client);
    expect(gw.messages.size).toBe(0);
    for (const begin of starts.reverse()) begin();
    const bodies = [await gw.messages.next(), await gw.messages.next(), await gw.messages.next()];
    expect(bodies.map(({ body }) => body)).toEqual(['c', 'b', 'a']);
  });

  const failures: [string, string, Integration][] = [
    ['throws', 'Internal server error', () => Promise.reject(new Error('no'))],
    ['fails', 'Internal server error', async (): Promise<Invocation> => ({ kind: 'error' })],
    ['answers nothing', 'Internal server error', answering(undefined)],
    ['times out', 'Endpoint request timed out', async (): Promise<Invocation> => ({ kind: 'timeout' })],
    ['is throttled', 'Too Many Requests', async (): Promise<Invocation> => ({ kind: 'throttled' })],
  ];
  it.each(failures)(
    'whose function %s brings the frame "%s", and the connection stays open',
    async (_, text, integration) => {
      const gw = await start({ routes: new Map([['$default', integration]]) });
      const client = await gw.open();
      client.ws.send('x');
      expect(await client.messages.next()).toBe(frame(text, await gw.messages.next()));
      client.ws.send('y');
      expect(await client.messages.next()).toBe(frame(text, await gw.messages.next()));
    },
  );

  it('times out after 29 seconds, and what the function answers then is not heard', async () => {
    const clock = new ManualClock();
    const slow = held();
    const gw = await start({ clock, routes: new Map([['$default', slow.integration]]) });
    const client = await gw.open();
    client.ws.send('x');
    const event = await gw.messages.next();
    clock.advance(28_999);
    await flushed(client);
    expect(client.messages.size).toBe(0);
    clock.advance(1);
    expect(await client.messages.next()).toBe(frame('Endpoint request timed out', event));
    slow.release({ kind: 'error' });
    await flushed(client);
    expect(client.messages.size).toBe(0);
  });

  it('over the quota brings "Too Many Requests" and is not invoked', async () => {
    const gw = await start({ admit: (what) => what !== 'message' });
    const client = await gw.open();
    client.ws.send('x');
    expect(await client.messages.next()).toMatch(/^\{"message": "Too Many Requests", "connectionId":"/);
    expect(gw.messages.size).toBe(0);
  });

  it.each([200, 301, 401, 501])(
    'answered with %i sends nothing on a one-way route, and the connection stays open',
    async (statusCode) => {
      const gw = await start({ routes: new Map([['$default', answering({ statusCode, body: 'reply' })]]) });
      const client = await gw.open();
      client.ws.send('x');
      await gw.messages.next();
      await flushed(client);
      expect(client.messages.size).toBe(0);
      expect(client.ws.readyState).toBe(client.ws.OPEN);
    },
  );

  it('on a two-way route is answered with the body, as one text frame', async () => {
    const base64 = { statusCode: 200, body: Buffer.from('reply').toString('base64'), isBase64Encoded: true };
    const gw = await start({
      routes: new Map([
        ['$default', answering({ statusCode: 200, body: 'plain' })],
        ['encoded', answering(base64)],
        ['silent', answering({ statusCode: 200 })],
      ]),
      routeResponses: new Set(['$default', 'encoded', 'silent']),
    });
    const client = await gw.open();
    client.ws.send('x');
    expect(await client.messages.next()).toBe('plain');
    client.ws.send('{"action":"silent"}');
    await flushed(client);
    client.ws.send('{"action":"encoded"}');
    expect(await client.messages.next()).toBe('reply');
  });
});

describe('limits of messages', () => {
  it('a frame of 32,768 bytes is accepted', async () => {
    const gw = await start();
    const client = await gw.open();
    client.ws.send('x'.repeat(32_768));
    expect((await gw.messages.next()).body).toHaveLength(32_768);
  });

  it.each([32_769, 65_536, 131_073, 200_000])(
    'a frame of %i bytes closes the connection with 1009',
    async (size) => {
      const gw = await start();
      const client = await gw.open();
      client.ws.send('x'.repeat(size));
      expect((await client.closed).code).toBe(1009);
      expect((await gw.disconnects.next()).requestContext.disconnectStatusCode).toBe(1009);
      expect(gw.messages.size).toBe(0);
    },
  );

  it('the bytes of a frame count, not its characters', async () => {
    const gw = await start();
    const client = await gw.open();
    client.ws.send('€'.repeat(10_923));
    expect((await client.closed).code).toBe(1009);
  });

  it('a message in fragments may have 131,072 bytes', async () => {
    const gw = await start();
    const client = await gw.open();
    for (let part = 0; part < 4; part++) client.ws.send('x'.repeat(32_768), { fin: part === 3 });
    expect((await gw.messages.next()).body).toHaveLength(131_072);
  });

  it('a message in fragments over 131,072 bytes closes the connection with 1009', async () => {
    const gw = await start();
    const client = await gw.open();
    for (let part = 0; part < 4; part++) client.ws.send('x'.repeat(32_768), { fin: false });
    client.ws.send('x', { fin: true });
    expect((await client.closed).code).toBe(1009);
    expect((await gw.disconnects.next()).requestContext.disconnectStatusCode).toBe(1009);
    expect(gw.messages.size).toBe(0);
  });

  it('one fragment over 32,768 bytes closes the connection with 1009, though the message would fit', async () => {
    const gw = await start();
    const client = await gw.open();
    client.ws.send('x', { fin: false });
    client.ws.send('x'.repeat(32_769), { fin: true });
    expect((await client.closed).code).toBe(1009);
  });

  it('a binary frame closes the connection with 1003', async () => {
    const gw = await start();
    const client = await gw.open();
    client.ws.send(Buffer.from([1, 2, 3]));
    expect((await client.closed).code).toBe(1003);
    expect((await gw.disconnects.next()).requestContext.disconnectStatusCode).toBe(1003);
    expect(gw.messages.size).toBe(0);
  });

  it('messages after the offending frame are not routed', async () => {
    const gw = await start();
    const client = await gw.open();
    client.ws.send('x'.repeat(32_769));
    client.ws.send('after');
    await client.closed;
    expect(gw.messages.size).toBe(0);
  });
});
