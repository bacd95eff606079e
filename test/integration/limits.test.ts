/** What happens to a client that goes beyond a limit, on the template, and to its neighbours: nothing. */
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { fileURLToPath } from 'node:url';
import pMap from 'p-map';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { attack } from '../../bench/attack-run.ts';
import { synthesise } from '../support/assembly.ts';
import { heard, startTestStack, type TestStack } from '../support/stack.ts';

const APP = fileURLToPath(new URL('../../bench/relay-app.ts', import.meta.url));
const PER_ADDRESS = 5;

describe('without a front door', () => {
  let bus: TestStack;
  beforeAll(async () => {
    const settings = {
      APPS: APP,
      IDENTITY: 'trusted',
      FRONT_DOOR: 'false',
      CONNECTIONS_PER_ADDRESS: String(PER_ADDRESS),
    };
    bus = await startTestStack({ assembly: await synthesise(settings) });
  });
  afterAll(() => bus?.close());

  /** What the upgrade is answered with, of a client at an address of this machine. */
  async function upgrade(localAddress: string): Promise<number> {
    const { hostname, port } = new URL(bus.stack.dynamodbEndpoint);
    const url = `ws://${hostname}:${port}/prod?EIO=4&transport=websocket`;
    const socket = new WebSocket(url, { localAddress });
    sockets.push(socket);
    socket.on('error', () => undefined);
    const [, response] = (await Promise.race([
      once(socket, 'unexpected-response'),
      once(socket, 'open'),
    ])) as [unknown, IncomingMessage | undefined];
    response?.resume();
    return response?.statusCode ?? 101;
  }
  const sockets: WebSocket[] = [];

  test('an address has so many connections; others are let in, and a free place is taken', {
    timeout: 60_000,
  }, async () => {
    const statuses = await pMap(Array(PER_ADDRESS + 2).fill('127.0.0.3'), upgrade, { concurrency: 1 });
    expect(statuses).toEqual([...Array(PER_ADDRESS).fill(101), 429, 429]);
    expect(await upgrade('127.0.0.4')).toBe(101);
    const [first] = sockets as [WebSocket];
    first.close();
    await once(first, 'close');
    await bus.stack.settled();
    expect(await upgrade('127.0.0.3')).toBe(101);
    for (const socket of sockets) socket.terminate();
    expect(bus.logs.filter((line) => line.includes('access denied'))).toEqual([]);
  });
});

describe('an attack', () => {
  test('keeps nobody from being heard, and nothing goes over its bound', { timeout: 180_000 }, async () => {
    const bus = await startTestStack({
      assembly: await synthesise({
        APPS: APP,
        IDENTITY: 'trusted',
        EVENTS_PER_SECOND: '3',
        EVENT_BURST: '6',
      }),
      host: { maxInstances: 2 },
    });
    try {
      const { quiet, attacked, assaults } = await attack(bus.stack.origin, {
        honest: 6,
        everyMs: 1_000,
        hostile: Array.from({ length: 6 }, (_, n) => (n % 2 === 0 ? 'flood' : 'garbage')),
        seconds: 3,
        perSecond: 20,
        patienceMs: 20_000,
      });
      expect([quiet.lost, attacked.lost]).toEqual([0, 0]);
      expect(assaults.filter(({ closed }) => !closed)).toEqual([]);
      // Each of two instances lets its burst through, and three a second until it is closed.
      expect(assaults.filter(({ accepted, seconds }) => accepted > 2 * (6 + 3 * seconds))).toEqual([]);
      const floods = assaults.filter(({ malice }) => malice === 'flood');
      for (const { accepted, sent } of floods) expect(accepted).toBeLessThan(sent);
      expect(bus.logs.filter((line) => line.includes('"level":"ERROR"'))).toEqual([]);
    } finally {
      await bus.close();
    }
  });
});

test('a stock client that goes beyond its limit is told so', { timeout: 60_000 }, async () => {
  const bus = await startTestStack({
    assembly: await synthesise({ APPS: APP, IDENTITY: 'trusted', EVENT_BURST: '3', EVENTS_PER_SECOND: '1' }),
    host: { maxInstances: 1 },
  });
  try {
    const [socket, neighbour] = [bus.client(), bus.client()];
    await Promise.all([heard(socket, 'connect'), heard(neighbour, 'connect')]);
    const answers = await Promise.all(
      Array.from({ length: 6 }, () => socket.emitWithAck('enter', { pair: 'one' })),
    );
    expect(answers.filter(({ ok }) => !ok)).toContainEqual({
      ok: false,
      error: { code: 'rate_limited', message: 'too many events' },
    });
    expect(await neighbour.emitWithAck('enter', { pair: 'two' })).toEqual({ ok: true });
  } finally {
    await bus.close();
  }
});
