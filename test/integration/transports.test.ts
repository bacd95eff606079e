/** The stock client where something between it and the stack refuses, holds up or cuts what it tries. */
import { fileURLToPath } from 'node:url';
import pMap from 'p-map';
import { io, type ManagerOptions, type Socket, type SocketOptions } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { synthesise } from '../support/assembly.ts';
import { alive } from '../support/bus-rows.ts';
import { type Meddler, startMeddler } from '../support/meddler.ts';
import { startTestStack, type TestStack } from '../support/stack.ts';

const APP = fileURLToPath(new URL('./fixtures/apps/echo.ts', import.meta.url));
const ALLOWED = 'https://app.example';
/** Longest wait for anything; ms. */
const PATIENCE_MS = 10_000;
/** Two silent cycles, the patience and the sweep after them; ms. */
const UNTIL_REAPED = 6 * 60_000;
/** Events by which a client that was cut must be back. */
const MOST = 200;
const NOBODY = { connections: 0, sockets: 0, memberships: 0, slots: 0 };

let bus: TestStack;
let between: Meddler;
let sockets: Socket[] = [];
beforeAll(async () => {
  bus = await startTestStack({
    assembly: await synthesise({
      APPS: APP,
      IDENTITY: 'trusted',
      ORIGINS: ALLOWED,
      POLL_HOLD_SECONDS: '1',
      PING_INTERVAL_MINUTES: '1',
      PING_TIMEOUT_MINUTES: '2',
    }),
    schedule: true,
  });
});
afterAll(() => bus?.close());

beforeEach(async () => {
  between = await startMeddler(bus.stack.port);
});
afterEach(async () => {
  for (const socket of sockets) socket.disconnect();
  sockets = [];
  await between.close();
});

function dial(options?: Partial<ManagerOptions & SocketOptions>, origin = between.origin): Socket {
  const socket = options === undefined ? io(origin) : io(origin, options);
  sockets.push(socket);
  return socket;
}

const soon = <T>(value: () => T) => expect.poll(value, { timeout: PATIENCE_MS });
const transportOf = (socket: Socket) => socket.io.engine.transport.name;
const ask = (socket: Socket, event: string, payload: unknown) =>
  socket.timeout(PATIENCE_MS).emitWithAck(event, payload);
const publish = async (room: string, text: string) =>
  expect(
    await bus.stack.invoke('publish', {
      op: 'emit',
      rooms: [`all:${room}`],
      event: 'said',
      args: [{ text }],
    }),
  ).toMatchObject({ value: { ok: true } });

/** What a client hears from now on, as numbers. */
function numbers(socket: Socket): number[] {
  const heard: number[] = [];
  socket.on('said', ({ text }: { text: string }) => heard.push(Number(text)));
  return heard;
}

const upTo = (last: number) => Array.from({ length: last }, (_, index) => index + 1);

async function works(socket: Socket, room: string): Promise<void> {
  expect(await ask(socket, 'join', { room })).toMatchObject({ ok: true });
  const heard = numbers(socket);
  for (const n of upTo(3))
    expect(await ask(socket, 'say', { room, text: String(n) })).toMatchObject({ ok: true });
  await publish(room, '4');
  await soon(() => heard).toEqual([1, 2, 3, 4]);
}

describe('where no WebSocket gets through', () => {
  test.each<[string, () => boolean | Promise<boolean>]>([
    ['is refused', () => false],
    ['is never answered', () => new Promise<boolean>(() => {})],
  ])('default options stay on polling and work: it %s', async (what, handshake) => {
    between.handshake = handshake;
    const ana = dial();
    await works(ana, what);
    expect(ana.connected).toBe(true);
    expect(transportOf(ana)).toBe('polling');
  });

  test('a client that tries it first goes on with polling', async () => {
    between.handshake = () => false;
    const ana = dial({ transports: ['websocket', 'polling'], tryAllTransports: true });
    await works(ana, 'fallback');
    expect(transportOf(ana)).toBe('polling');
  });
});

describe('a WebSocket that is cut while it takes over', () => {
  type Cut = Parameters<Meddler['frame']>;
  const cases: [string, { at: Cut; verdict: 'cut before' | 'cut after'; connects: number }][] = [
    ['before its question', { at: ['client', '2probe'], verdict: 'cut before', connects: 1 }],
    ['after its question', { at: ['client', '2probe'], verdict: 'cut after', connects: 1 }],
    ['before the answer', { at: ['server', '3probe'], verdict: 'cut before', connects: 1 }],
    ['before it asks to take over', { at: ['client', '5'], verdict: 'cut before', connects: 2 }],
    ['after it has asked to take over', { at: ['client', '5'], verdict: 'cut after', connects: 2 }],
  ];

  test.each(cases)(
    '%s: nothing is repeated, reordered, or lost to a connected client',
    {
      timeout: 40_000,
    },
    async (what, { at, verdict, connects }) => {
      const bea = dial({ transports: ['websocket'], forceNew: true }, bus.stack.origin);
      await ask(bea, 'join', { room: `${what} to bea` });
      const beaHears = numbers(bea);
      let cuts = 0;
      between.frame = (...frame) => {
        if (cuts > 0 || frame.join() !== at.join()) return 'pass';
        cuts += 1;
        return verdict;
      };
      const ana = dial();
      let connected = 0;
      let joined = false;
      ana.on('disconnect', () => {
        joined = false;
      });
      ana.on('connect', () => {
        connected += 1;
        ana.emit('join', { room: what }, () => {
          joined = true;
        });
      });
      const heard = numbers(ana);
      const acknowledged: number[] = [];
      let published = 0;
      // Five more once all is well again.
      for (let after = 0; after < 5 && published < MOST; ) {
        if (cuts === 1 && connected === connects && joined) after += 1;
        published += 1;
        const text = String(published);
        const said = ana.timeout(1_500).emitWithAck('say', { room: `${what} to bea`, text });
        await Promise.all([
          publish(what, text),
          said.then(
            () => acknowledged.push(Number(text)),
            () => {},
          ),
        ]);
      }
      expect({ cuts, connected, joined }).toEqual({ cuts: 1, connected: connects, joined: true });
      await soon(() => heard.at(-1)).toBe(published);
      // In order, each once; and from the last join on all of them.
      expect(heard).toEqual([...new Set(heard)].sort((a, b) => a - b));
      expect(heard.slice(-5)).toEqual(upTo(published).slice(-5));
      if (connects === 1) expect(heard).toEqual(upTo(published).slice(-heard.length));
      // What was acknowledged has happened, and once. A client that comes back sends what it kept in one breath, and what is
      // sent in one breath over a WebSocket may be handled in any order.
      await soon(() => beaHears).toEqual(expect.arrayContaining(acknowledged));
      expect(beaHears).toHaveLength(new Set(beaHears).size);
      expect(acknowledged.length).toBeGreaterThanOrEqual(5);
    },
  );
});

describe('a request to receive that is cut', () => {
  test('makes the client connect anew; the ping cycle closes what it left', { timeout: 60_000 }, async () => {
    const ana = dial({ transports: ['polling'] });
    await ask(ana, 'join', { room: 'cut' });
    const first = ana.id;
    let reconnections = 0;
    ana.on('connect', () => {
      reconnections += 1;
    });
    await soon(() => between.waiting()).toBe(1);
    between.cutWaiting();
    await soon(() => reconnections).toBe(1);
    expect([ana.recovered, ana.id]).toEqual([true, first]);
    await works(ana, 'cut again');
    expect((await alive(bus.stack)).connections).toBeGreaterThanOrEqual(2);
    for (const socket of sockets) socket.disconnect();
    await soon(() => between.waiting()).toBe(0);
    await bus.stack.advance(UNTIL_REAPED);
    expect(await alive(bus.stack)).toEqual(NOBODY);
  });
});

describe('a stream of events to clients that are being upgraded', () => {
  test('reaches each of them whole, once, and in order', { timeout: 120_000 }, async () => {
    const CLIENTS = 8;
    const EVENTS = 80;
    const held: (() => void)[] = [];
    between.handshake = () => new Promise<boolean>((resolve) => held.push(() => resolve(true)));
    const clients = upTo(CLIENTS).map(() => dial());
    await pMap(clients, (client) => ask(client, 'join', { room: 'stream' }));
    const heard = clients.map(numbers);
    await soon(() => held.length).toBe(CLIENTS);
    for (const n of upTo(EVENTS)) {
      // The last of them begins while there is still something to hear.
      if (n % 8 === 0) held.shift()?.();
      await publish('stream', String(n));
    }
    for (const one of heard) await soon(() => one).toEqual(upTo(EVENTS));
    expect(clients.map(transportOf)).toEqual(clients.map(() => 'websocket'));
  });
});

describe('pages of other origins', () => {
  const ask = (method: string, origin: string) =>
    fetch(`${bus.stack.origin}/socket.io/?EIO=4&transport=polling`, {
      method,
      headers: {
        origin,
        ...(method === 'OPTIONS' && {
          'access-control-request-method': 'POST',
          'access-control-request-headers': 'authorization',
        }),
      },
    });
  const cors = ({ headers }: Response) =>
    Object.fromEntries([...headers].filter(([name]) => name.startsWith('access-control-')));

  test('may poll with credentials where they are allowed, and nobody else', async () => {
    const allowed = { 'access-control-allow-origin': ALLOWED, 'access-control-allow-credentials': 'true' };
    const preflight = await ask('OPTIONS', ALLOWED);
    expect(preflight.status).toBe(204);
    expect(cors(preflight)).toEqual({
      ...allowed,
      'access-control-allow-methods': 'GET, POST',
      'access-control-allow-headers': 'authorization',
      'access-control-max-age': expect.any(String),
    });
    const answer = await ask('GET', ALLOWED);
    expect(answer.status).toBe(200);
    expect(cors(answer)).toEqual(allowed);
    expect(answer.headers.get('vary')).toMatch(/origin/i);

    for (const foreign of [`${ALLOWED}.evil.example`, 'http://app.example', 'null']) {
      expect(cors(await ask('OPTIONS', foreign))).toEqual({});
      const refused = await ask('GET', foreign);
      expect(refused.status).toBe(403);
      expect(cors(refused)).toEqual({});
      expect(await refused.json()).toEqual({ code: 4, message: 'Forbidden' });
    }
  });
});
