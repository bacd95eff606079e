import { fileURLToPath } from 'node:url';
import { io, type ManagerOptions, type Socket, type SocketOptions } from 'socket.io-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { synthesise } from '../support/assembly.ts';
import { alive } from '../support/bus-rows.ts';
import { heard, startTestStack, type TestStack } from '../support/stack.ts';

const APP = fileURLToPath(new URL('./fixtures/apps/echo.ts', import.meta.url));

let bus: TestStack;
const sockets: Socket[] = [];
beforeAll(async () => {
  bus = await startTestStack({
    assembly: synthesise({ APPS: APP, IDENTITY: 'trusted', POLL_HOLD_SECONDS: '1' }),
  });
});
afterAll(async () => {
  for (const socket of sockets) socket.disconnect();
  await bus.close();
});

/** The stock client with these options and no others. */
async function dial(options?: Partial<ManagerOptions & SocketOptions>): Promise<Socket> {
  const socket = options === undefined ? io(bus.stack.origin) : io(bus.stack.origin, options);
  sockets.push(socket);
  await heard(socket, 'connect');
  return socket;
}

const transportOf = (socket: Socket) => socket.io.engine.transport.name;
const bytes = Buffer.from([0, 1, 254, 255]);

describe('the stock client, given nothing but the origin', () => {
  test('connects by polling, takes over by WebSocket, and hears', async () => {
    const ana = await dial();
    await expect.poll(() => transportOf(ana), { timeout: 5_000 }).toBe('websocket');
    await ana.emitWithAck('join', { room: 'x' });
    const said = heard(ana, 'said');
    expect(await ana.emitWithAck('say', { room: 'x', text: 'hola' })).toMatchObject({ ok: true });
    expect(await said).toEqual({ text: 'hola' });
  });
});

describe.each<[string, string, Partial<ManagerOptions & SocketOptions>]>([
  ['polling', 'polling', { transports: ['polling'] }],
  ['websocket', 'websocket', { transports: ['websocket'] }],
  [
    'both, the second one first',
    'websocket',
    { transports: ['websocket', 'polling'], tryAllTransports: true },
  ],
])('the stock client with %s', (_what, transport, options) => {
  test('joins, is acknowledged and hears', async () => {
    const ana = await dial({ ...options, forceNew: true });
    expect(transportOf(ana)).toBe(transport);
    const room = `only-${_what}`;
    await ana.emitWithAck('join', { room });
    const all = [1, 2, 3].map((n) => ana.timeout(5_000).emitWithAck('say', { room, text: String(n) }));
    const texts: string[] = [];
    ana.on('said', ({ text }: { text: string }) => texts.push(text));
    expect(await Promise.all(all)).toMatchObject([{ ok: true }, { ok: true }, { ok: true }]);
    await expect.poll(() => [...texts].sort()).toEqual(['1', '2', '3']);
  });
});

describe('binary values', () => {
  test('come and go by polling', async () => {
    const ana = await dial({ transports: ['polling'], forceNew: true });
    await ana.emitWithAck('join', { room: 'binary' });
    const said = heard<{ bytes: Uint8Array }>(ana, 'said');
    const answer = await ana.emitWithAck('say', { room: 'binary', text: 'file', bytes });
    expect(answer).toMatchObject({ ok: true, bytes: 4 });
    expect(Buffer.from((await said).bytes)).toEqual(bytes);
  });

  test('go by polling to a member on a WebSocket', async () => {
    const [ana, bea] = await Promise.all([
      dial({ transports: ['polling'], forceNew: true }),
      dial({ transports: ['websocket'], forceNew: true }),
    ]);
    await bea.emitWithAck('join', { room: 'mixed' });
    const said = heard<{ bytes: Uint8Array }>(bea, 'said');
    await ana.emitWithAck('say', { room: 'mixed', text: 'file', bytes });
    expect(Buffer.from((await said).bytes)).toEqual(bytes);
  });
});

describe('the end', () => {
  test('a client that disconnects leaves no rows, whatever it came by', async () => {
    for (const options of [{ transports: ['polling'] }, { transports: ['websocket'] }, {}]) {
      const socket = await dial({ ...options, forceNew: true });
      await socket.emitWithAck('join', { room: 'gone' });
      socket.disconnect();
    }
    for (const socket of sockets) socket.disconnect();
    await expect
      .poll(() => alive(bus.stack), { timeout: 8_000 })
      .toEqual({
        connections: 0,
        sockets: 0,
        memberships: 0,
        slots: 0,
      });
  });
});

describe('without a front door', () => {
  test('the stock client is told where its transports live', { timeout: 60_000 }, async () => {
    const settings = { APPS: APP, IDENTITY: 'trusted', FRONT_DOOR: 'false', POLL_HOLD_SECONDS: '1' };
    const apart = await startTestStack({ assembly: synthesise(settings) });
    try {
      const { deployment, origin } = apart.stack;
      expect(deployment.frontDoor).toBeUndefined();
      const { hostname, pathname } = new URL(deployment.outputs.get('WebSocketUrl') ?? '');
      const socket = io(deployment.outputs.get('HttpUrl') ?? '', {
        forceNew: true,
        transportOptions: { websocket: { hostname, path: pathname } },
      });
      sockets.push(socket);
      await heard(socket, 'connect');
      await expect.poll(() => transportOf(socket), { timeout: 5_000 }).toBe('websocket');
      expect(await socket.emitWithAck('join', { room: 'apart' })).toMatchObject({ ok: true });
      const direct = await fetch(`${origin}/socket.io/?EIO=4&transport=websocket`);
      expect(direct.status).not.toBe(426);
      for (const path of ['/socket.io', '/socket.io/']) {
        const answer = await fetch(`${origin}${path}?EIO=4&transport=polling`);
        expect([path, (await answer.text()).slice(0, 7)]).toEqual([path, '0{"sid"']);
      }
      socket.disconnect();
    } finally {
      await apart.close();
    }
  });
});
