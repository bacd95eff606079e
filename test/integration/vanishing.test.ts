import type { Socket as TcpSocket } from 'node:net';
import type { Socket } from 'socket.io-client';
import { afterEach, expect, test } from 'vitest';
import { watchGroupsOnly } from '../support/assembly.ts';
import { alive, busRows } from '../support/bus-rows.ts';
import { heard, startTestStack, type TestStack, token } from '../support/stack.ts';

const MINUTE = 60_000;
/** The deployment's. */
const INTERVAL = 4 * MINUTE;
const PATIENCE = 2 * MINUTE;
const TWO_CYCLES_AND_A_SWEEP = 2 * INTERVAL + MINUTE;
/** Posts to it succeed, so only silence tells: two whole cycles and the patience, seen by the slot's next sweep. */
const TWO_SILENT_CYCLES_AND_A_SWEEP = 2 * INTERVAL + PATIENCE + INTERVAL + MINUTE;
const NOBODY = { connections: 0, sockets: 0, memberships: 0, slots: 0 };

let bus: TestStack;
afterEach(() => bus?.close());

async function present(options: Parameters<typeof startTestStack>[0] = {}): Promise<Socket> {
  bus = await startTestStack({ assembly: watchGroupsOnly(), schedule: true, ...options });
  const client = bus.client({ auth: { token: await token({ sub: '1' }, { expires: '6h' }) } });
  await heard(client, 'connected');
  await client.emitWithAck('join-group', { groupId: 'g' });
  await expect.poll(() => alive(bus.stack)).toEqual({ connections: 1, sockets: 1, memberships: 4, slots: 1 });
  return client;
}

/** The TCP connection under a stock client in Node. */
function tcpOf(client: Socket): TcpSocket {
  const { ws } = client.io.engine.transport as unknown as { ws: { _socket: TcpSocket } };
  return ws._socket;
}

test('a client whose TCP connection is cut without a close leaves no row behind', async () => {
  const client = await present();
  tcpOf(client).resetAndDestroy();
  await bus.stack.advance(TWO_CYCLES_AND_A_SWEEP);
  expect(await alive(bus.stack)).toEqual(NOBODY);
});

test('a client whose TCP connection is cut leaves no row behind, though its $disconnect is lost', async () => {
  const client = await present({ faults: { disconnect: { lost: 1 } } });
  tcpOf(client).resetAndDestroy();
  await bus.stack.advance(TWO_CYCLES_AND_A_SWEEP);
  expect(bus.stack.faults.count('disconnect-lost')).toBe(1);
  expect(await alive(bus.stack)).toEqual(NOBODY);
});

test('a client that has vanished without a word, to which posts still go, leaves no row behind', async () => {
  const faults = { connections: { halfOpen: 1, halfOpenAfterMs: [30_000, 30_000] as [number, number] } };
  await present({ faults });
  await bus.stack.advance(TWO_SILENT_CYCLES_AND_A_SWEEP);
  expect(await alive(bus.stack)).toEqual(NOBODY);
});

test('a client that stays is kept through it all, and through a sweep that does not come for two minutes', async () => {
  const client = await present({ schedule: false });
  const dropped = heard(client, 'disconnect').then(
    () => true,
    () => false,
  );
  for (let minute = 0; minute < 20; minute += 1) {
    await bus.stack.advance(MINUTE);
    // Two ticks in a row are missed, twice.
    if (minute % 8 < 6) await bus.stack.tick();
  }
  expect(client.connected).toBe(true);
  expect(await alive(bus.stack)).toEqual({ connections: 1, sockets: 1, memberships: 4, slots: 1 });
  client.disconnect();
  await dropped;
});

test('a socket whose token expires is closed by the next sweep', async () => {
  bus = await startTestStack({ assembly: watchGroupsOnly(), schedule: true });
  const client = bus.client({ auth: { token: await token({ sub: '1' }, { expires: '10m' }) } });
  await heard(client, 'connected');
  await bus.stack.advance(9 * MINUTE);
  expect(client.connected).toBe(true);
  const told = heard(client, 'disconnect');
  await bus.stack.advance(2 * MINUTE);
  await told;
  expect(await alive(bus.stack)).toEqual(NOBODY);
});

test('rows that may remain are gone once their time to live has passed', async () => {
  const client = await present({ schedule: false });
  client.disconnect();
  await bus.stack.advance(10 * MINUTE);
  expect(await busRows(bus.stack, 'c')).not.toEqual([]);
  await bus.stack.advance(26 * 60 * MINUTE);
  const rows = await Promise.all((['c', 's', 'm', 'd'] as const).map((kind) => busRows(bus.stack, kind)));
  expect(rows.flat()).toEqual([]);
});
