import type { Socket as TcpSocket } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { Socket } from 'socket.io-client';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { synthesise, watchGroupsOnly } from '../support/assembly.ts';
import { alive } from '../support/bus-rows.ts';
import { heard, recorded, startTestStack, type TestStack, token } from '../support/stack.ts';

// Each test has a stack of its own, on machines that may be busy.
vi.setConfig({ testTimeout: 60_000 });

const APP = fileURLToPath(new URL('./fixtures/apps/sessions.ts', import.meta.url));
const MINUTE = 60_000;
const ALWAYS = { reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 50 };

let bus: TestStack;
afterEach(() => bus?.close());

async function start(options: Parameters<typeof startTestStack>[0] = {}): Promise<void> {
  bus = await startTestStack({ assembly: await synthesise({ APPS: APP, IDENTITY: 'trusted' }), ...options });
}

/** A client in the room `a`; nothing has been sent to it. */
async function member(options: Parameters<TestStack['client']>[0] = {}): Promise<Socket> {
  const client = bus.client({ ...ALWAYS, ...options });
  await heard(client, 'connect');
  await client.emitWithAck('join', { room: 'a' });
  return client;
}

/** The TCP connection under a stock client in Node, over a WebSocket. */
function tcpOf(client: Socket): TcpSocket {
  const { ws } = client.io.engine.transport as unknown as { ws: { _socket: TcpSocket } };
  return ws._socket;
}

/** Publishes numbers to the room, as a backend would. */
async function publish(...numbers: readonly number[]): Promise<void> {
  for (const n of numbers) {
    const request = { op: 'emit', rooms: ['room:a'], event: 'said', args: [{ n }] };
    const { value: payload } = (await bus.stack.invoke('publish', request)) as { value?: unknown };
    expect(payload).toMatchObject({ ok: true });
  }
}

function numbers(all: ReturnType<typeof recorded>): unknown[] {
  return all.flatMap(({ event, args }) => (event === 'said' ? [(args[0] as { n: number }).n] : []));
}

/** Cut off, and kept from coming back until `meanwhile` is done. */
async function away(client: Socket, meanwhile: () => Promise<unknown>): Promise<void> {
  const gone = heard(client, 'disconnect');
  client.io.reconnection(false);
  tcpOf(client).resetAndDestroy();
  await gone;
  await meanwhile();
  const back = heard(client, 'connect');
  client.io.reconnection(true);
  client.connect();
  await back;
}

describe('a client that comes back', () => {
  test('has its id, its rooms, its data and what it missed, in order, once', async () => {
    await start();
    const client = await member();
    await client.emitWithAck('keep', { text: 'kept' });
    const { id } = client;
    const all = recorded(client);
    await publish(1);
    await expect.poll(() => numbers(all)).toEqual([1]);
    await away(client, () => publish(2, 3, 4));
    expect(client.recovered).toBe(true);
    expect(client.id).toBe(id);
    expect(await client.emitWithAck('who')).toEqual({ rooms: ['room:a', id].sort(), kept: 'kept' });
    await publish(5);
    await expect.poll(() => numbers(all).at(-1)).toBe(5);
    // What was published within seconds of the last event may come once more, unless that came long after it was done.
    expect(numbers(all).filter((n) => n !== 1)).toEqual([2, 3, 4, 5]);
    expect(all.find(({ event }) => event === 'greeted')?.args[0]).toEqual({ recovered: true });
  });

  test('is given what it missed before it is told that it is connected', async () => {
    await start();
    const client = await member();
    const frames: string[] = [];
    await away(client, async () => {
      await publish(1);
      // The stock client keeps early events back: what it receives tells.
      client.io.on('open', () => client.io.engine.on('data', (data: string) => frames.push(String(data))));
    });
    const packets = frames.filter((frame) => frame.startsWith('2') || frame.startsWith('0'));
    expect(packets).toEqual([
      expect.stringMatching(/^2\["said",\{"n":1\},"[0-9a-z]{9}[\w-]{20}"\]$/),
      expect.stringMatching(/^0\{"sid":"[\w-]{20}","pid":"[\w-]{40}"\}$/),
    ]);
  });

  test('is recovered before it has ever received an event', async () => {
    await start();
    const client = await member();
    const all = recorded(client);
    await away(client, () => publish(1));
    expect(client.recovered).toBe(true);
    await expect.poll(() => numbers(all)).toEqual([1]);
  });

  test('is recovered though its $disconnect was lost, and its old rows are gone', async () => {
    await start({ faults: { disconnect: { lost: 1 } } });
    const client = await member();
    const { id } = client;
    const all = recorded(client);
    await away(client, () => publish(1));
    expect(bus.stack.faults.count('disconnect-lost')).toBe(1);
    expect([client.recovered, client.id]).toEqual([true, id]);
    await publish(2);
    await expect.poll(() => numbers(all)).toEqual([1, 2]);
  });

  test('is recovered where it is faster than its $disconnect, which then takes nothing from it', async () => {
    await start({ faults: { disconnect: { late: { probability: 1, ms: [1_500, 1_500] } } } });
    const client = await member();
    const all = recorded(client);
    await away(client, async () => {});
    expect(client.recovered).toBe(true);
    expect(bus.stack.faults.count('disconnect-late')).toBe(1);
    await bus.stack.settled();
    await publish(1);
    await expect.poll(() => numbers(all)).toEqual([1]);
    expect(await alive(bus.stack)).toMatchObject({ sockets: 1, memberships: 2 });
  });

  test.each(['message', 'disconnect'])(
    'is recovered in the end where the first invocation of %s is killed at any of its calls',
    { timeout: 120_000 },
    async (name) => {
      await start({ schedule: true });
      const client = await member();
      const all = recorded(client);
      const { id } = client;
      for (let call = 1; call <= 6; call += 1) {
        await away(client, async () => {
          await publish(call);
          bus.stack.faults.replace({
            kills: [{ function: name, probability: 1, calls: [call, call], effect: 'either' }],
          });
          // One invocation is killed, or ends before that call; the next ones are not.
          void expect
            .poll(() => bus.stack.faults.count('killed'), { timeout: 3_000 })
            .toBe(1)
            .then(
              () => bus.stack.faults.clear(),
              () => bus.stack.faults.clear(),
            );
        });
        bus.stack.faults.clear();
        await expect
          .poll(() => client.connected && numbers(all).includes(call), { timeout: 15_000 })
          .toBe(true);
      }
      expect([client.recovered, client.id]).toEqual([true, id]);
      expect([...new Set(numbers(all))]).toEqual([1, 2, 3, 4, 5, 6]);
    },
  );

  test('is recovered over long polling', async () => {
    await start();
    const client = await member({ transports: ['polling'] });
    const all = recorded(client);
    const { id } = client;
    const gone = heard(client, 'disconnect');
    client.io.reconnection(false);
    client.io.engine.close();
    await gone;
    await publish(1, 2);
    const back = heard(client, 'connect');
    client.connect();
    await back;
    expect([client.recovered, client.id]).toEqual([true, id]);
    await expect.poll(() => numbers(all)).toEqual([1, 2]);
  });

  test('is recovered after the cut at two hours, and after an hour in which nothing was said', {
    timeout: 60_000,
  }, async () => {
    await start({ schedule: true });
    const client = await member();
    const all = recorded(client);
    const { id } = client;
    await publish(1);
    await expect.poll(() => numbers(all)).toEqual([1]);
    const back = async () => {
      if (!client.connected) await expect.poll(() => client.connected, { interval: 5 }).toBe(true);
    };
    await bus.stack.advance(125 * MINUTE, { between: back });
    await back();
    expect([client.recovered, client.id]).toEqual([true, id]);
    await away(client, () => publish(2));
    expect([client.recovered, client.id]).toEqual([true, id]);
    await expect.poll(() => numbers(all)).toEqual([1, 2]);
  });
});

describe('a client that comes back is a new one', () => {
  test('after five minutes', async () => {
    await start({ schedule: true });
    const client = await member();
    const { id } = client;
    const all = recorded(client);
    await away(client, async () => {
      await publish(1);
      await bus.stack.settled();
      await bus.stack.advance(6 * MINUTE);
    });
    expect(client.recovered).toBe(false);
    expect(client.id).not.toBe(id);
    expect(await client.emitWithAck('who')).toEqual({ rooms: [client.id], kept: null });
    expect(numbers(all)).toEqual([]);
  });

  test('where it had left by itself', async () => {
    await start();
    const client = await member();
    const { id } = client;
    client.disconnect();
    client.connect();
    await heard(client, 'connect');
    expect(client.recovered).toBe(false);
    expect(client.id).not.toBe(id);
  });

  test('where a backend has disconnected it, its room or everybody meanwhile', async () => {
    await start();
    for (const rooms of [['room:a'], []]) {
      const client = await member();
      await away(client, async () => {
        await bus.stack.settled();
        const { value: payload } = (await bus.stack.invoke('publish', {
          op: 'disconnectSockets',
          rooms,
        })) as { value?: unknown };
        expect(payload).toMatchObject({ ok: true });
      });
      expect(client.recovered).toBe(false);
      client.disconnect();
    }
  });

  test('where its own `auth` has keys of those names: nobody gets a session by guessing', async () => {
    await start();
    const victim = await member();
    const { _pid: pid } = victim as unknown as { readonly _pid: string };
    for (const own of [
      { pid: 'mine' },
      { pid: `${pid.slice(0, 20)}${'A'.repeat(20)}`, offset: 'x' },
      { pid: 7 },
    ]) {
      const client = bus.client({ auth: own });
      await heard(client, 'connect');
      expect(client.recovered).toBe(false);
      expect(client.id).not.toBe(victim.id);
    }
    expect(await victim.emitWithAck('who')).toMatchObject({ rooms: ['room:a', victim.id].sort() });
  });
});

describe('identity', () => {
  test('that has expired, or is another, does not recover; the same with a fresh token does', async () => {
    bus = await startTestStack({ assembly: watchGroupsOnly(), schedule: true });
    const auth = { token: await token({ sub: '1' }, { expires: '2m' }) };
    const client = bus.client({ ...ALWAYS, auth });
    await heard(client, 'connected');
    const { id } = client;
    auth.token = await token({ sub: '1' });
    await away(client, async () => {});
    expect([client.recovered, client.id]).toEqual([true, id]);
    auth.token = await token({ sub: '1', groups: ['g'] });
    await away(client, async () => {});
    expect(client.recovered).toBe(false);
    auth.token = await token({ sub: '2' });
    await away(client, async () => {});
    expect(client.recovered).toBe(false);
    expect(client.id).not.toBe(id);
    auth.token = await token({ sub: '2' }, { expires: '-1m' });
    const refused = heard<{ message: string }>(client, 'error');
    await away(client, async () => {});
    expect((await refused).message).toMatch(/./);
    expect(client.recovered).toBeFalsy();
  });
});

test('events of a namespace without recovery have no offset, and its clients no pid', async () => {
  bus = await startTestStack({});
  const client = bus.client({ auth: { apiKey: 'an API key for tests only' } }, '/sync');
  const all = recorded(client);
  await heard(client, 'connect');
  expect((client as unknown as { _pid?: string })._pid).toBeUndefined();
  client.emit('sync:orders');
  await expect.poll(() => all.map(({ args }) => args)).toEqual([[[]]]);
});
