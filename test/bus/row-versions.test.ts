/** What docs/deploy.md says of rows, "A new version, with clients connected". */
import { expect, test } from 'vitest';
import * as z from 'zod/mini';
import { ROW_VERSION } from '../../lambdas/adapters/rows.ts';
import { defineApp } from '../../lambdas/apps/define-app.ts';
import { pollingId } from '../../lambdas/bus/names.ts';
import {
  connected,
  connectionId,
  joinedNamespace,
  pollRequest,
  type World,
  world,
} from '../support/world.ts';

const talk = defineApp({
  name: 'talk',
  auth: { authenticate: async () => ({ kind: 'accepted', identity: { id: 7 } }) },
  rooms: { 'list:': { canJoin: () => true, presence: {} } },
  serverEvents: { said: z.string() },
  clientEvents: {
    join: { payload: z.string(), handle: (socket, room) => socket.join(room) },
    say: { payload: z.string(), handle: (socket, text) => socket.nsp.to('list:1').emit('said', text) },
  },
});

/** Two clients, one of which polls, in a room with presence and a log; one publish with an id, one that asks. */
async function used(): Promise<World> {
  const at = await world({ applications: [talk] });
  const id = connectionId(1);
  await joinedNamespace(at, await connected(at, 1));
  await at.messages.handle(id, '420["join","list:1"]');
  await at.messages.handle(id, '42["say","hello"]');
  const { sid } = JSON.parse((await pollRequest(at, 'GET')).body.slice(1)) as { sid: string };
  await pollRequest(at, 'POST', sid, '40');
  await pollRequest(at, 'POST', sid, '42["join","list:1"]');
  await at.publisher.handle({ op: 'emit', id: 'order 1', rooms: ['list:1'], event: 'said', args: ['x'] });
  await at.store.strike(id, at.clock.now(), 60_000);
  await at.lifecycle.disconnected(pollingId(sid));
  return at;
}

const text = (version: number) => ({ N: String(version) });

test('every row says of which version it is, for a later one to know it by, but memberships', async () => {
  const rows = await (await used()).table.rows();
  expect(rows.length).toBeGreaterThan(15);
  const others = rows.filter(({ v }) => v?.N !== String(ROW_VERSION));
  // They are counted by the thousand, and have no more than an address and their times.
  for (const row of others)
    expect(['c', 'p', 's', 't', 'seen']).toEqual(expect.arrayContaining(Object.keys(row)));
});

test('a row of a later version is read as any other: its client is neither deaf nor cut', async () => {
  const at = await used();
  await at.table.restore((await at.table.rows()).map((row) => ({ ...row, v: text(ROW_VERSION + 1) })));
  await at.messages.handle(connectionId(1), '421["say","still here"]');
  expect(at.wire.to(connectionId(1)).slice(-2)).toEqual(['42["said","still here"]', '431[{"ok":true}]']);
  await at.sweeper.sweep();
  expect(at.wire.closed).toEqual([]);
});
