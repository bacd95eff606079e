import { once } from 'node:events';
import { connect } from 'node:net';
import { DeleteConnectionCommand, PostToConnectionCommand } from '@aws-sdk/client-apigatewaymanagementapi';
import { afterEach, describe, expect, it } from 'vitest';
import type { Integration } from '../../../local/gateway/websocket-api.ts';
import { held, ManualClock, OK, rawUpgrade, TestGateway } from './support.ts';

let gateway: TestGateway | undefined;

afterEach(async () => {
  await gateway?.stop();
  gateway = undefined;
});

const MINUTE = 60_000;

async function opened(options: Parameters<typeof TestGateway.start>[0] = {}) {
  gateway = await TestGateway.start(options);
  const client = await gateway.open();
  const { connectionId } = (await gateway.connects.next()).requestContext;
  return { gw: gateway, client, connectionId };
}

async function closing(gw: TestGateway) {
  const { requestContext } = await gw.disconnects.next();
  return [requestContext.disconnectStatusCode, requestContext.disconnectReason];
}

describe('a connection ends', () => {
  it('with 1001 "Going away" after ten minutes without a message', async () => {
    const clock = new ManualClock();
    const { gw, client } = await opened({ clock });
    clock.advance(10 * MINUTE - 1);
    expect([...gw.api.connections()]).toHaveLength(1);
    clock.advance(1);
    expect(await client.closed).toEqual({ code: 1001, reason: 'Going away' });
    expect(await closing(gw)).toEqual([1001, 'Going away']);
  });

  it('ten minutes after the last message, which a message of the client puts off', async () => {
    const clock = new ManualClock();
    const { gw, client } = await opened({ clock });
    clock.advance(9 * MINUTE);
    client.ws.send('3');
    await gw.messages.next();
    clock.advance(10 * MINUTE - 1);
    expect([...gw.api.connections()]).toHaveLength(1);
    clock.advance(1);
    expect((await client.closed).code).toBe(1001);
  });

  it('ten minutes after the last message, which a post puts off', async () => {
    const clock = new ManualClock();
    const { gw, client, connectionId } = await opened({ clock });
    clock.advance(9 * MINUTE);
    const path = `/@connections/${encodeURIComponent(connectionId)}`;
    expect((await gw.call('POST', path, '2', clock.now())).status).toBe(200);
    expect(await client.messages.next()).toBe('2');
    clock.advance(10 * MINUTE - 1);
    expect([...gw.api.connections()]).toHaveLength(1);
    clock.advance(1);
    expect((await client.closed).code).toBe(1001);
  });

  it('in spite of pings, which are answered but do not count', async () => {
    const clock = new ManualClock();
    const { client } = await opened({ clock });
    clock.advance(9 * MINUTE);
    client.ws.ping('x');
    const [payload] = await once(client.ws, 'pong');
    expect(String(payload)).toBe('x');
    clock.advance(MINUTE);
    expect((await client.closed).code).toBe(1001);
  });

  it('with 1001 "Going away" after two hours, however busy it is', async () => {
    const clock = new ManualClock();
    const { gw, client } = await opened({ clock });
    for (let step = 0; step < 15; step++) {
      client.ws.send('3');
      await gw.messages.next();
      clock.advance(8 * MINUTE - (step === 14 ? 1 : 0));
    }
    expect([...gw.api.connections()]).toHaveLength(1);
    clock.advance(1);
    expect(await client.closed).toEqual({ code: 1001, reason: 'Going away' });
    expect(await closing(gw)).toEqual([1001, 'Going away']);
  });

  it('with 1000 "Connection Closed Normally" by DELETE, and is gone at once', async () => {
    const { gw, client, connectionId } = await opened();
    const management = gw.management();
    await management.send(new DeleteConnectionCommand({ ConnectionId: connectionId }));
    await expect(
      management.send(new PostToConnectionCommand({ ConnectionId: connectionId, Data: 'x' })),
    ).rejects.toMatchObject({ name: 'GoneException' });
    expect(await client.closed).toEqual({ code: 1000, reason: 'Connection Closed Normally' });
    expect(await closing(gw)).toEqual([1000, 'Connection Closed Normally']);
  });

  it('with 1005 when the client gives no code', async () => {
    const { gw, client } = await opened();
    client.ws.close();
    expect(await closing(gw)).toEqual([1005, 'Client-side close frame status not set']);
  });

  it('with the code and reason of the client when it gives them', async () => {
    const { gw, client } = await opened();
    client.ws.close(3000, 'bye');
    expect(await closing(gw)).toEqual([3000, 'bye']);
  });

  it('with 1006 when TCP drops without a close frame', async () => {
    const { gw, client } = await opened();
    client.ws.terminate();
    expect(await closing(gw)).toEqual([1006, 'Connection closed abnormally']);
  });

  it.each([
    ['1007', 'is not UTF-8', Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28])],
    ['1002', 'is not masked', Buffer.from([0x81, 0x01, 0x61])],
  ])('with %s on a frame that %s', async (code, _, bytes) => {
    const { gw, client } = await opened();
    (client.ws as unknown as { _socket: NodeJS.WritableStream })._socket.write(bytes);
    expect((await client.closed).code).toBe(Number(code));
    expect((await closing(gw))[0]).toBe(Number(code));
  });

  it('and $disconnect runs once, also when both sides close at the same time', async () => {
    const { gw, client, connectionId } = await opened();
    client.ws.close(1000);
    await gw
      .management()
      .send(new DeleteConnectionCommand({ ConnectionId: connectionId }))
      .catch(() => {});
    await client.closed;
    await gw.disconnects.next();
    await gw.stop();
    gateway = undefined;
    expect(gw.disconnects.size).toBe(0);
  });

  it('for posts as soon as the client has said so, though TCP is still there', async () => {
    gateway = await TestGateway.start();
    const socket = connect(gateway.port, '127.0.0.1');
    socket.write(rawUpgrade('/prod'));
    await once(socket, 'data');
    const { connectionId } = (await gateway.connects.next()).requestContext;
    // An empty close frame; the gateway answers with one of its own and waits for the end of TCP.
    const answered = once(socket, 'data');
    socket.write(Buffer.from([0x88, 0x80, 0, 0, 0, 0]));
    await answered;
    const post = new PostToConnectionCommand({ ConnectionId: connectionId, Data: 'x' });
    await expect(gateway.management().send(post)).rejects.toMatchObject({ name: 'GoneException' });
    socket.destroy();
  });

  it('and is forgotten', async () => {
    const { gw, client } = await opened();
    expect([...gw.api.connections()]).toHaveLength(1);
    client.ws.close();
    await gw.disconnects.next();
    expect([...gw.api.connections()]).toEqual([]);
  });

  it('and is not addressable when $disconnect runs', async () => {
    let seen: unknown;
    const integration: Integration = async (event) => {
      const { connectionId } = event.requestContext as { connectionId: string };
      const post = new PostToConnectionCommand({ ConnectionId: connectionId, Data: 'x' });
      seen = await gateway
        ?.management()
        .send(post)
        .catch((error: Error) => error.name);
      return OK;
    };
    const { gw, client } = await opened({ routes: new Map([['$disconnect', integration]]) });
    client.ws.close();
    await client.closed;
    await gw.stop();
    gateway = undefined;
    expect(seen).toBe('GoneException');
  });

  it('while its messages run, and a failure then tells nobody', async () => {
    const { integration, release } = held();
    const { gw, client } = await opened({ routes: new Map([['$default', integration]]) });
    client.ws.send('x');
    await gw.messages.next();
    client.ws.close();
    await gw.disconnects.next();
    release({ kind: 'error' });
    await client.closed;
    expect(client.messages.size).toBe(0);
  });
});

describe('a connection lives', () => {
  it('without a ping from the gateway', async () => {
    const clock = new ManualClock();
    const { client, gw } = await opened({ clock });
    let pings = 0;
    client.ws.on('ping', () => pings++);
    for (let step = 0; step < 12; step++) {
      clock.advance(9 * MINUTE);
      client.ws.send('3');
      await gw.messages.next();
    }
    client.ws.ping();
    await once(client.ws, 'pong');
    expect(pings).toBe(0);
  });
});

describe('closing everything', () => {
  it('says 1001 to every client and waits for the $disconnect invocations', async () => {
    const { integration, release } = held();
    const { gw, client } = await opened({ routes: new Map([['$disconnect', integration]]) });
    let ended = false;
    const stopped = gw.stop().then(() => {
      ended = true;
    });
    gateway = undefined;
    expect(await closing(gw)).toEqual([1001, 'Going away']);
    expect((await client.closed).code).toBe(1001);
    expect(ended).toBe(false);
    release();
    await stopped;
  });

  it('ends upgrades that are still waiting', async () => {
    const { integration, release } = held();
    gateway = await TestGateway.start({ routes: new Map([['$connect', integration]]) });
    const upgrade = gateway.upgrade().catch((error: NodeJS.ErrnoException) => error.code);
    await gateway.connects.next();
    await gateway.stop();
    expect(await upgrade).toBe('ECONNRESET');
    release();
    gateway = undefined;
  });
});
