import type { Socket } from 'socket.io-client';
import { expect, test } from 'vitest';
import { synthesise } from '../support/assembly.ts';
import { alive } from '../support/bus-rows.ts';
import { heard, startTestStack, token } from '../support/stack.ts';

/** A machine with nothing else to do takes 200 through in less than a minute. */
const CLIENTS = Number(process.env.TWO_HOURS_CLIENTS ?? 12);
const MINUTE = 60_000;
/** API Gateway's longest connection, and the time after it in which whoever was cut comes back. */
const SPAN_MS = 125 * MINUTE;

test('two hours of a deployment: each client is recycled or cut, comes back and hears; nothing of the old ones is left', {
  timeout: 240_000,
}, async () => {
  // The longest interval: what the clients' pings and pongs cost this machine is most of the time it takes.
  const settings = { APPS: 'watch-groups', IDENTITY: 'trusted', PING_INTERVAL_MINUTES: '8' };
  const bus = await startTestStack({ assembly: await synthesise(settings), schedule: true });
  const auth = { token: await token({ sub: '1' }, { expires: '6h' }) };
  const clients: Socket[] = [];
  let reconnections = 0;
  for (let at = 0; at < CLIENTS; at += 1) {
    const client = bus.client({ auth, reconnection: true, reconnectionDelay: 5, reconnectionDelayMax: 50 });
    client.on('connect', () => client.emit('join-group', { groupId: `g${at % 20}` }));
    client.io.on('reconnect', () => {
      reconnections += 1;
    });
    clients.push(client);
  }
  const allConnected = () => clients.every((client) => client.connected);
  const back = async () => {
    if (!allConnected()) await expect.poll(allConnected, { timeout: 30_000, interval: 10 }).toBe(true);
  };
  await back();
  await bus.stack.advance(SPAN_MS, { between: back, quietMs: 20_000 });
  expect(reconnections).toBeGreaterThanOrEqual(CLIENTS);
  expect(reconnections).toBeLessThan(CLIENTS * 1.2);
  await back();
  await bus.stack.settled();
  const { connections, sockets, slots } = await alive(bus.stack);
  expect({ connections, sockets, slots }).toEqual({ connections: CLIENTS, sockets: CLIENTS, slots: CLIENTS });
  const told = clients.filter((_, at) => at % 20 === 0).map((client) => heard(client, 'episode-watched'));
  clients[0]!.emit('watch-episode', { groupId: 'g0', seriesId: 's', episodeId: 'e' });
  await Promise.all(told);
  for (const client of clients) client.disconnect();
  await expect
    .poll(() => alive(bus.stack), { timeout: 15_000 })
    .toEqual({
      connections: 0,
      sockets: 0,
      memberships: 0,
      slots: 0,
    });
  await bus.close();
});
