import { afterAll, beforeAll, expect, test } from 'vitest';
import { synthesise } from '../support/assembly.ts';
import { busRows } from '../support/bus-rows.ts';
import { heard, startTestStack, type TestStack, token } from '../support/stack.ts';

let bus: TestStack;
let assembly: string;
beforeAll(async () => {
  // A cycle of one minute has one slot: every connection is due at every tick.
  const settings = {
    APPS: 'watch-groups',
    IDENTITY: 'trusted',
    PING_INTERVAL_MINUTES: '1',
    PING_TIMEOUT_MINUTES: '2',
  };
  assembly = await synthesise(settings);
  bus = await startTestStack({ assembly });
});
afterAll(() => bus.close());

const rows = (kind: 's' | 'm') => busRows(bus.stack, kind);

test('a tick pings every stock client, whose pong is written down', async () => {
  const ana = bus.client({ auth: { token: await token({ sub: '1' }) } });
  await heard(ana, 'connected');
  await expect.poll(async () => (await rows('m')).filter((row) => row.seen !== undefined)).toHaveLength(1);
  const seen = async () => Number((await rows('m')).find((row) => row.seen !== undefined)?.seen?.N);
  const before = await seen();
  const pinged = new Promise<void>((resolve) => ana.io.engine.once('ping', resolve));
  await bus.stack.tick();
  await pinged;
  await expect.poll(seen).toBeGreaterThan(before);
  expect(ana.connected).toBe(true);
});

test('a client that leaves takes its memberships and its slot with it; what remains is closed and expires', async () => {
  const bea = bus.client({ auth: { token: await token({ sub: '2' }) } });
  await heard(bea, 'connected');
  await bea.emitWithAck('join-group', { groupId: 'g' });
  const others = (await rows('m')).length;
  expect(others).toBeGreaterThan(4);
  for (const socket of [bea]) socket.disconnect();
  await expect.poll(async () => (await rows('m')).length).toBe(others - 4);
  const closed = (await rows('s')).filter((row) => row.state?.S === 'closed');
  expect(closed).toHaveLength(1);
  expect(Number(closed[0]?.t?.N)).toBeLessThan(Date.now() / 1_000 + 3 * 3_600);
});

test('a stock client outlives ten minutes of silence, because the schedule pings it', async () => {
  const timed = await startTestStack({ assembly, schedule: true });
  const ana = timed.client({ auth: { token: await token({ sub: '3' }) } });
  await heard(ana, 'connected');
  let pings = 0;
  ana.io.engine.on('ping', () => {
    pings += 1;
  });
  await timed.stack.advance(12 * 60_000);
  expect(pings).toBeGreaterThanOrEqual(11);
  expect(ana.connected).toBe(true);
  await timed.close();
});
