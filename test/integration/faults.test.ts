/**
 * The stock client on a stack where calls fail, get lost and conflict. What is promised then: an event whose publisher
 * was told `ok` reaches every client in the room, or the client is disconnected, so that it knows to come back.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { FaultRules } from '../../local/faults/rules.ts';
import { recorded, startTestStack, type TestStack, token } from '../support/stack.ts';

const FAULTS: FaultRules = {
  calls: {
    'connections.POST': { throttled: 0.1, lost: 0.02, error: 0.02, latency: { uniform: [0, 5] } },
    'dynamodb.*': { error: 0.04, lost: 0.02, conflict: 0.05, throttled: 0.02 },
    'lambda.Invoke': { error: 0.05 },
  },
  asynchronous: { duplicated: 0.05 },
  shuffle: { windowMs: 2, gapMs: 5 },
  quotas: { transactionMs: 2 },
};

const CLIENTS = 8;
const EVENTS = 40;

let bus: TestStack;

beforeAll(async () => {
  bus = await startTestStack({ faults: FAULTS, seed: 20, host: { retryDelaysMs: [200, 400] } });
});

afterAll(() => bus.close());

describe('with faults everywhere', () => {
  test('every acknowledged event arrives, or its client is disconnected', { timeout: 60_000 }, async () => {
    const clients = await Promise.all(
      Array.from({ length: CLIENTS }, async (_, index) => {
        const socket = bus.client({
          auth: { token: await token({ sub: String(index), username: `u${index}` }) },
          reconnection: true,
          reconnectionDelay: 50,
          reconnectionDelayMax: 200,
          timeout: 5_000,
        });
        let isConnected = false;
        socket.on('connected', () => {
          isConnected = true;
        });
        // One whose CONNECT went wrong is closed by the sweep within a minute or two, which is not waited for here.
        const waited = Date.now() + 15_000;
        await expect.poll(() => isConnected || Date.now() > waited, { timeout: 20_000 }).toBe(true);
        return socket;
      }),
    );
    const joined = await Promise.all(
      clients.map(
        (socket) =>
          new Promise<boolean>((resolve) => {
            socket.once('joined-group', () => resolve(true));
            socket.once('error', () => resolve(false));
            socket.once('disconnect', () => resolve(false));
            setTimeout(() => resolve(false), 8_000).unref();
            socket.emit('join-group', { groupId: 5 });
          }),
      ),
    );
    const members = clients.filter((socket, index) => joined[index] && socket.connected);
    expect(members.length).toBeGreaterThan(CLIENTS / 2);
    const seen = members.map((socket) => {
      const events = recorded(socket);
      let isOn = true;
      socket.once('disconnect', () => {
        isOn = false;
      });
      return { events, isOn: () => isOn };
    });
    const acknowledged: number[] = [];
    for (let n = 0; n < EVENTS; n += 1) {
      const outcome = await bus.stack.invoke('publish', {
        op: 'emit',
        rooms: ['group:5'],
        event: 'notification',
        args: [{ message: String(n) }],
      });
      if (outcome.kind === 'result' && (outcome.value as { ok: boolean }).ok) acknowledged.push(n);
    }
    await bus.stack.settled();
    expect(acknowledged.length).toBeGreaterThan(EVENTS / 2);
    const missing = () =>
      seen
        .filter(({ isOn }) => isOn())
        .map(({ events }) => {
          const messages = new Set(
            events
              .filter(({ event }) => event === 'notification')
              .map(({ args }) => (args[0] as { message: string }).message),
          );
          return acknowledged.filter((n) => !messages.has(String(n)));
        });
    await expect.poll(() => missing().flat(), { timeout: 10_000 }).toEqual([]);
  });

  test('all of them did happen, or all this showed nothing', () => {
    const { faults } = bus.stack;
    for (const kind of ['throttled', 'lost', 'error', 'conflict', 'latency'] as const)
      expect([kind, faults.count(kind) > 0]).toEqual([kind, true]);
  });

  test('no message was answered with an error frame of the gateway: nothing was thrown out of a route', () => {
    const thrown = bus.logs.filter(
      (line) => line.includes('Invoke Error') && !line.includes('"function":"open"'),
    );
    expect(thrown).toEqual([]);
  });
});
