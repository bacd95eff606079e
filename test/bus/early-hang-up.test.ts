import { expect, test } from 'vitest';
import { defineApp } from '../../lambdas/apps/define-app.ts';
import { connectionId, HANDSHAKE, world } from '../support/world.ts';

const app = defineApp({ name: 'lists' });

test('a client that hangs up before it is greeted is given up as soon as its row says so', async () => {
  const at = await world({ applications: [app] });
  const id = connectionId(1);
  await at.lifecycle.accept({ id, connectedAt: at.clock.now(), handshake: HANDSHAKE, credentials: {} });
  await at.lifecycle.disconnected(id);
  at.wire.outcome = () => 'gone';
  const begun = at.clock.now();
  await at.lifecycle.greet(at.opened[0]!);
  expect(at.clock.now() - begun).toBeLessThan(500);
});

test('a client that stays unreachable for three seconds is given up though its row is open', async () => {
  const at = await world({ applications: [app] });
  const id = connectionId(1);
  await at.lifecycle.accept({ id, connectedAt: at.clock.now(), handshake: HANDSHAKE, credentials: {} });
  at.wire.outcome = () => 'gone';
  const begun = at.clock.now();
  await at.lifecycle.greet(at.opened[0]!);
  expect(at.clock.now() - begun).toBeGreaterThan(2_000);
  expect(at.clock.now() - begun).toBeLessThanOrEqual(3_500);
  expect(at.wire.closed).toEqual([id]);
});
