import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { SignJWT } from 'jose';
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { watchGroupsOnly } from '../support/assembly.ts';
import { heard, JWT_SECRET, startTestStack, type TestStack, token } from '../support/stack.ts';

let bus: TestStack;
let bystander: Socket;
beforeAll(async () => {
  bus = await startTestStack({ assembly: watchGroupsOnly() });
  bystander = bus.client({ auth: { token: await token({ sub: '99', username: 'bystander' }) } });
  await heard(bystander, 'connected');
});
afterAll(async () => {
  // Whatever the others sent: this client never noticed.
  expect(bystander.connected).toBe(true);
  expect(await bystander.emitWithAck('join-group', { groupId: 'last' })).toEqual({
    ok: true,
    groupId: 'last',
  });
  expect(bus.logs.filter((line) => line.includes('"level":"ERROR"'))).toEqual([]);
  await bus.close();
});
beforeEach(() => expect(bystander.connected).toBe(true));

/** Frames and the close of a raw WebSocket that has been greeted with the open packet. */
async function rawConnection() {
  const socket = new WebSocket(
    `${bus.stack.origin.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`,
  );
  const frames: string[] = [];
  const closed = new Promise<{ code: number; reason: string }>((resolve) =>
    socket.on('close', (code, reason) => resolve({ code, reason: String(reason) })),
  );
  const greeted = new Promise<void>((resolve) =>
    socket.on('message', (data) => {
      frames.push(String(data));
      resolve();
    }),
  );
  await greeted;
  return { socket, frames, closed };
}

async function upgradeStatus(
  query: string,
  headers: Record<string, string | string[]> = {},
): Promise<number | undefined> {
  const socket = new WebSocket(`${bus.stack.origin.replace('http', 'ws')}/socket.io/?${query}`, {
    headers: headers as Record<string, string>,
  });
  socket.on('error', () => undefined);
  const [, response] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage];
  response.resume();
  return response.statusCode;
}

const EXPELLED = { timestamp: expect.any(String) };

describe('a token', () => {
  const expelled = async (auth: Record<string, unknown>) => {
    const socket = bus.client({ auth });
    const [error, reason] = await Promise.all([heard(socket, 'error'), heard(socket, 'disconnect')]);
    return { error, reason };
  };

  test('that is missing is answered with "Token no proporcionado" and a disconnect', async () => {
    const { error, reason } = await expelled({});
    expect(error).toEqual({ message: 'Token no proporcionado', ...EXPELLED });
    expect(reason).toBe('io server disconnect');
  });

  test.each([
    ['is no token', async () => 'junk'],
    ['is expired', () => token({ sub: '1' }, { expires: '-1h' })],
    [
      'was signed with another key',
      () => token({ sub: '1' }, { secret: 'another secret, also long enough for HS256' }),
    ],
    [
      'names another algorithm',
      () =>
        new SignJWT({ sub: '1' })
          .setProtectedHeader({ alg: 'HS512' })
          .sign(new TextEncoder().encode(JWT_SECRET)),
    ],
    [
      'is not signed at all',
      async () =>
        `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from('{"sub":"1"}').toString('base64url')}.`,
    ],
    ['names no user', () => token({ username: 'nobody' })],
  ])('that %s is answered with "Token inválido" and a disconnect', async (_, make) => {
    const { error, reason } = await expelled({ token: await make() });
    expect(error).toEqual({ message: 'Token inválido', ...EXPELLED });
    expect(reason).toBe('io server disconnect');
    expect(
      await bus.stack.invoke('publish', { op: 'app', app: 'watch-groups', call: 'getConnectedClients' }),
    ).toMatchObject({ value: { ok: true, result: [expect.objectContaining({ userId: 99 })] } });
  });

  test('in the Authorization header is as good as one in auth', async () => {
    const socket = bus.client({
      extraHeaders: { Authorization: `Bearer ${await token({ sub: 'h', username: 'hugo' })}` },
    });
    expect(await heard(socket, 'connected')).toMatchObject({ user: { id: 'h', username: 'hugo' } });
    socket.disconnect();
  });

  test('that is bad in the Authorization header is refused like one in auth', async () => {
    const socket = bus.client({ extraHeaders: { Authorization: 'Bearer junk' } });
    expect(await heard(socket, 'error')).toMatchObject({ message: 'Token inválido' });
  });
});

describe('a handshake', () => {
  test('from a foreign origin gets 403', async () => {
    expect(await upgradeStatus('EIO=4&transport=websocket', { Origin: 'https://evil.example' })).toBe(403);
  });

  test.each([
    [['https://evil.example', 'https://app.example']],
    [['https://app.example', 'https://app.example']],
  ])('with two origins gets 403: %j', async (origins) =>
    expect(await upgradeStatus('EIO=4&transport=websocket', { Origin: origins })).toBe(403),
  );

  test.each(['https://app.example', 'http://localhost:3000'])('from %s is let in', async (origin) => {
    const socket = bus.client({
      extraHeaders: { Origin: origin },
      auth: { token: await token({ sub: 'o' }) },
    });
    await heard(socket, 'connected');
    socket.disconnect();
  });

  test('from the page of the stack itself is let in', async () => {
    const auth = { token: await token({ sub: 'o' }) };
    const socket = bus.client({ extraHeaders: { Origin: bus.stack.origin }, auth });
    await heard(socket, 'connected');
    socket.disconnect();
  });

  test.each([
    'EIO=3&transport=websocket',
    'transport=websocket',
    'EIO=4&transport=websocket&sid=nobody',
    'EIO=4&EIO=4&transport=websocket',
    'EIO=4&transport=websocket&transport=websocket&sid=',
    'EIO=4&transport=websocket&sid=nobody&sid=__proto__',
  ])('with the query %s gets 400', async (query) => expect(await upgradeStatus(query)).toBe(400));
});

describe('an HTTP request', () => {
  const get = async (query: string) => {
    const response = await fetch(`${bus.stack.origin}/socket.io/?${query}`);
    return { status: response.status, body: await response.json() };
  };

  test.each([
    'EIO=4',
    'EIO=4&transport=carrier-pigeon',
    'EIO=4&transport=webtransport',
    'EIO=4&transport=polling&transport=polling',
    'EIO=4&transport=__proto__',
  ])('with the query %s gets 400 and code 0', async (query) => {
    expect(await get(query)).toEqual({ status: 400, body: { code: 0, message: 'Transport unknown' } });
  });

  test('with an unknown session gets 400 and code 1', async () => {
    expect(await get('EIO=4&transport=polling&sid=nobody')).toEqual({
      status: 400,
      body: { code: 1, message: 'Session ID unknown' },
    });
  });

  test('of another protocol version gets 400 and code 5', async () => {
    expect(await get('EIO=3&transport=polling')).toEqual({
      status: 400,
      body: { code: 5, message: 'Unsupported protocol version' },
    });
  });

  test('to nowhere gets 404 in the form of all HTTP errors', async () => {
    const response = await fetch(`${bus.stack.origin}/nowhere`);
    expect(response.status).toBe(404);
    expect(await response.json()).toEqual({ error: { code: 'not_found', message: expect.any(String) } });
  });
});

describe('on a connection', () => {
  test('the first frame is an open packet with the heartbeat of the template', async () => {
    const { socket, frames } = await rawConnection();
    expect(JSON.parse(frames[0]!.slice(1))).toEqual({
      sid: expect.stringMatching(/^[\w-]{20}$/),
      upgrades: [],
      pingInterval: 240_000,
      pingTimeout: 120_000,
      maxPayload: 32_768,
    });
    socket.terminate();
  });

  test('an unknown namespace is refused with "Invalid namespace"', async () => {
    const { socket, frames } = await rawConnection();
    socket.send('40/nowhere,');
    await expect.poll(() => frames[1]).toBe('44/nowhere,{"message":"Invalid namespace"}');
    socket.terminate();
  });

  test.each([
    'junk',
    '',
    '9',
    '4x',
    '42["early"]',
    '42',
    '2',
    'bAAAA',
    '451-["x",{"_placeholder":true,"num":0}]',
    '40x',
  ])('the frame %j closes it', async (frame) => {
    const { socket, closed } = await rawConnection();
    socket.send(frame);
    expect(await closed).toEqual({ code: 1000, reason: 'Connection Closed Normally' });
  });

  test('a second CONNECT to the same namespace closes it', async () => {
    const { socket, frames, closed } = await rawConnection();
    const auth = JSON.stringify({ token: await token({ sub: 'twice' }) });
    socket.send(`40${auth}`);
    await expect.poll(() => frames.some((frame) => frame.startsWith('40{"sid"'))).toBe(true);
    socket.send(`40${auth}`);
    expect(await closed).toMatchObject({ code: 1000 });
  });

  test('a frame of 200 KB closes it with 1009', async () => {
    const { socket, closed } = await rawConnection();
    socket.send(`42["x","${'x'.repeat(200_000)}"]`);
    expect(await closed).toMatchObject({ code: 1009 });
  });

  test('a binary frame closes it with 1003', async () => {
    const { socket, closed } = await rawConnection();
    socket.send(Buffer.from([1, 2, 3]));
    expect(await closed).toMatchObject({ code: 1003 });
  });
});

describe('an event', () => {
  test.each([
    ['join-group', {}, 'Error al unirse al grupo', 'groupId'],
    ['join-group', undefined, 'Error al unirse al grupo', undefined],
    ['leave-group', { groupId: null }, 'Error al salir del grupo', 'groupId'],
    ['watch-episode', { groupId: 1, seriesId: {} }, 'Error al registrar el episodio visto', 'seriesId'],
  ])(
    '%s with %j fails with an acknowledgement and an error event',
    async (event, payload, message, field) => {
      const error = heard(bystander, 'error');
      const ack = await bystander.emitWithAck(event, payload);
      expect(ack).toMatchObject({
        ok: false,
        error: { code: 'invalid_payload', ...(field ? { field } : {}) },
      });
      expect(await error).toEqual({ message, ...EXPELLED });
    },
  );

  test('to a group that one has not joined is forbidden', async () => {
    const ack = await bystander.emitWithAck('group-activity', { groupId: 'other', type: 'x', data: 1 });
    expect(ack).toMatchObject({ ok: false, error: { code: 'forbidden' } });
  });

  test('that nobody handles is acknowledged as not found', async () => {
    expect(await bystander.emitWithAck('no-such-event')).toMatchObject({
      ok: false,
      error: { code: 'not_found' },
    });
  });
});

describe('a publish', () => {
  const publish = async (request: unknown) =>
    (await bus.stack.invoke('publish', request)) as { value: unknown };

  test.each([
    [{ op: 'emit', room: ['group:1'], event: 'x' }, 'room'],
    [{ op: 'emit', rooms: 'group:1', event: 'x' }, 'rooms'],
    [{ op: 'emit', rooms: ['a', ''], event: 'x' }, 'rooms[1]'],
    [{ op: 'emit' }, 'event'],
    [{ op: 'emit', event: 'disconnect' }, 'event'],
    [{ op: 'emit', event: 'x', namespace: 'chat' }, 'namespace'],
    [{ op: 'emit', event: 'x', namespace: '/nowhere' }, 'namespace'],
    [{ op: 'emit', event: 'x', args: {} }, 'args'],
    [{ op: 'emit', event: 'x', flags: { volatile: 'yes' } }, 'flags.volatile'],
    [{ op: 'emit', event: 'x', args: ['x'.repeat(131_072)] }, 'args'],
    [{ op: 'nonsense' }, 'op'],
    [{ op: 'app', app: 'nobody', call: 'x' }, 'app'],
    [{ op: 'app', app: 'watch-groups', call: 'constructor' }, 'call'],
    [{ op: 'app', app: 'watch-groups', call: 'getConnectedClients', args: [1] }, 'args'],
  ])('that is wrong is refused by name: %#', async (request, field) => {
    const { value } = await publish(request);
    expect(value).toMatchObject({ ok: false, error: { field, message: expect.any(String) } });
  });

  test.each([null, 7, 'text', []])('that is %j is refused', async (request) => {
    expect((await publish(request)).value).toMatchObject({ ok: false, error: { code: 'invalid_payload' } });
  });
});
