/** Who is in a room, as stock clients see it: tabs, pages that are loaded again, and functions that die. */
import type { Socket as TcpSocket } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { Socket } from 'socket.io-client';
import { afterEach, expect, test, vi } from 'vitest';
import { Emitter } from '../../emitter/index.ts';
import type { PublishRequestInput, PublishResult } from '../../lambdas/contract/publish.ts';
import type { FaultRules } from '../../local/faults/rules.ts';
import { synthesise } from '../support/assembly.ts';
import { heard, recorded, startTestStack, type TestStack } from '../support/stack.ts';

// The grace period passes on the real clock, on machines that may be busy.
vi.setConfig({ testTimeout: 60_000 });

const APP = fileURLToPath(new URL('./fixtures/apps/reading-room.ts', import.meta.url));
const ROOM = 'book:1';

let bus: TestStack;
afterEach(() => bus?.close());

async function open(options: Parameters<typeof startTestStack>[0] = {}): Promise<void> {
  bus = await startTestStack({ assembly: synthesise({ APPS: APP, IDENTITY: 'trusted' }), ...options });
}

/** The TCP connection under a stock client in Node: cut, it says no goodbye. */
function tcpOf(client: Socket): TcpSocket {
  const { ws } = client.io.engine.transport as unknown as { ws: { _socket: TcpSocket } };
  return ws._socket;
}

/** A tab of somebody, in the room. */
async function tab(id: string): Promise<Socket> {
  const socket = bus.client({ auth: { id } });
  await heard(socket, 'connect');
  expect(await socket.emitWithAck('open', '1')).toEqual({ ok: true });
  return socket;
}

function backend(): Emitter {
  const send = async (request: PublishRequestInput): Promise<PublishResult> => {
    const outcome = await bus.stack.invoke('publish', request);
    return (outcome as unknown as { value: PublishResult }).value;
  };
  return new Emitter({ transport: { send } });
}

test('two tabs are one, a page that is loaded again has not left, and who is gone leaves 3 s later', async () => {
  await open();
  const ana = await tab('ana');
  const notices = recorded(ana);
  const came = heard(ana, 'came');
  const one = await tab('bea');
  expect(await came).toEqual({ room: ROOM, who: 'bea' });
  const two = await tab('bea');
  const everybody = await ana.emitWithAck('who', '1');
  expect(everybody.count).toBe(2);
  expect(everybody.members).toContainEqual({ who: 'ana', sockets: [ana.id] });
  const room = backend().in(ROOM);
  expect(await room.countSockets()).toBe(3);
  const { members } = await room.presence();
  expect([...members.find(({ who }) => who === 'bea')!.sockets].sort()).toEqual([one.id, two.id].sort());

  one.disconnect();
  two.disconnect();
  const reloaded = await tab('bea');
  await bus.stack.settled();
  expect(await room.presence()).toMatchObject({ count: 2 });
  expect(notices.filter(({ event }) => event !== 'came')).toEqual([]);

  const left = heard(ana, 'left');
  const gone = performance.now();
  reloaded.disconnect();
  expect(await left).toEqual({ room: ROOM, who: 'bea' });
  expect(performance.now() - gone).toBeGreaterThan(2_900);
  expect(await room.presence()).toEqual({ count: 1, members: [{ who: 'ana', sockets: [ana.id] }] });
  expect(notices.map(({ event }) => event)).toEqual(['came', 'left']);
});

test('a function that is killed while it waits leaves the notice to the next sweep', async () => {
  // Eight calls take the socket out of everything and look whether another tab is left; after 3 s comes the ninth.
  const kills: FaultRules['kills'] = [
    { function: 'disconnect', probability: 1, calls: [9, 9], effect: 'before' },
  ];
  await open({ schedule: true, faults: { kills } });
  const ana = await tab('ana');
  const bea = await tab('bea');
  const notices = recorded(ana);
  tcpOf(bea).resetAndDestroy();
  await expect.poll(() => bus.stack.faults.count('killed'), { timeout: 10_000 }).toBe(1);
  expect(notices).toEqual([]);
  const left = heard(ana, 'left');
  await bus.stack.advance(125_000);
  expect(await left).toEqual({ room: ROOM, who: 'bea' });
  await bus.stack.advance(10 * 60_000);
  expect(notices.filter(({ event }) => event === 'left')).toHaveLength(1);
  expect(await backend().in(ROOM).presence()).toMatchObject({ count: 1 });
});
