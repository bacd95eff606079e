/** Who is in a room and what is told of them, in every order in which the calls of several invocations can interleave. */
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { describe, expect, test, vi } from 'vitest';
import { DynamoStore } from '../../lambdas/adapters/dynamo-store.ts';
import { defineApp } from '../../lambdas/apps/define-app.ts';
import { Lifecycle } from '../../lambdas/bus/lifecycle.ts';
import type { Due, PresenceDue, SocketRef } from '../../lambdas/bus/ports.ts';
import { BUS_TABLE } from '../support/bus-table.ts';
import { explore, type Gate } from '../support/interleavings.ts';
import { connected, FakeClock, joinedNamespace, SeededRandom, type World, world } from '../support/world.ts';

// Thousands of orders, on machines that may be busy.
vi.setConfig({ testTimeout: 120_000 });

const ROOM = 'doc:1';
const WHO = 'ana';
let told: string[] = [];
const app = defineApp({
  name: 'docs',
  rooms: {
    'doc:': {
      canJoin: () => true,
      presence: {
        who: () => WHO,
        onEnter: () => void told.push('enter'),
        onLeave: () => void told.push('leave'),
      },
    },
  },
});

/** Two tabs of one person: which of them are in the room before the race. */
async function startingPoint(...joined: number[]) {
  told = [];
  const at = await world({ applications: [app] });
  const sockets: SocketRef[] = [];
  for (const n of [1, 2]) {
    const connectionId = await connected(at, n);
    const id = await joinedNamespace(at, connectionId);
    sockets.push({ namespace: '/', id, connectionId, connectedAt: at.clock.now() });
  }
  for (const n of joined)
    await at.lifecycle.presences.join(sockets[n]!, [ROOM], at.clock.now(), { [ROOM]: WHO });
  return { rows: await at.table.rows(), sockets, told: [...told] };
}

const STARTS = {
  nobody: await startingPoint(),
  one: await startingPoint(0),
  both: await startingPoint(0, 1),
};

interface Race {
  readonly at: World;
  readonly sockets: readonly SocketRef[];
  readonly client: (client: DynamoDBDocumentClient) => DynamoDBDocumentClient;
}

type Act = (race: Race) => Promise<unknown>;

async function raceFrom(start: keyof typeof STARTS, client: Race['client']): Promise<Race> {
  const { rows, sockets, told: before } = STARTS[start];
  told = [...before];
  return { at: await world({ applications: [app], rows, client, clock: new FakeClock() }), sockets, client };
}

/** Another instance of a function; killed after so many calls. */
function instance({ at, client }: Race, survives = Number.POSITIVE_INFINITY): Lifecycle {
  let left = survives;
  const inner = client(at.table.client);
  const mortal = {
    send: async (command: never) => {
      left -= 1;
      if (left < 0) throw new Error('killed');
      return inner.send(command);
    },
  } as unknown as DynamoDBDocumentClient;
  const { clock } = at;
  const seed = at.bus.random.bytes(4).reduce((sum, byte) => sum * 256 + byte, 0);
  const parts = { client: mortal, table: BUS_TABLE, clock, random: new SeededRandom(seed) };
  return new Lifecycle({ ...at.bus, store: new DynamoStore({ ...parts, isHot: () => false }) });
}

const join =
  (n: number, survives?: number): Act =>
  async (race) =>
    instance(race, survives).presences.join(race.sockets[n]!, [ROOM], race.at.clock.now(), { [ROOM]: WHO });
const leave =
  (n: number, survives?: number): Act =>
  async (race) => {
    const { presences } = instance(race, survives);
    await presences.leave(race.sockets[n]!, [ROOM], { [ROOM]: WHO });
    await presences.linger();
  };
const disconnect =
  (n: number, survives?: number): Act =>
  async (race) => {
    const lifecycle = instance(race, survives);
    await lifecycle.disconnected(race.sockets[n]!.connectionId);
    await lifecycle.presences.linger();
  };
/** DISCONNECT: what the end of a connection does for each of its sockets, in fewer calls. */
const dismiss =
  (n: number): Act =>
  async (race) => {
    const lifecycle = instance(race);
    await lifecycle.leaveNamespace(race.sockets[n]!);
    await lifecycle.presences.linger();
  };
/** A leave whose telling is left to the sweep. */
const slip =
  (n: number): Act =>
  async (race) =>
    instance(race).presences.leave(race.sockets[n]!, [ROOM], { [ROOM]: WHO });

const dueRows = async (at: World): Promise<PresenceDue[]> => {
  const dues: Due[] = [];
  const minutes = new Set<number>();
  for (const row of await at.table.rows())
    if (row.kind?.S === 'presence') minutes.add(Math.ceil(Number(row.at?.N) / 60_000));
  for (const minute of minutes)
    for (let shard = 0; shard < at.store.dueShards(); shard += 1)
      dues.push(...(await at.store.due(minute, shard)));
  return dues.filter((due) => due.kind === 'presence');
};

/** What the sweep does with presence rows that fell due, until there are none. */
async function sweep({ at }: Race): Promise<void> {
  for (let ticks = 0; ticks < 3; ticks += 1) {
    at.clock.advance(121_000);
    for (const due of await dueRows(at))
      if (await at.lifecycle.presences.settle(due)) await at.store.removeDue(due);
  }
}

const state = async ({ at }: Race) => JSON.stringify([await at.table.rows(), at.clock.now(), told]);

/** Who is there says the same as the memberships, and the notices say the same as who is there. */
async function disagreement(race: Race, crashed = false): Promise<string | undefined> {
  const { at, sockets } = race;
  await sweep(race);
  const { members } = await at.store.members({ kind: 'room', namespace: '/', room: ROOM }, 0, {});
  const row = await at.store.presence.get({ namespace: '/', room: ROOM, who: WHO });
  const there = [...(row?.sockets ?? [])].sort();
  if (
    there.join() !==
    members
      .map(({ id }) => id)
      .sort()
      .join()
  )
    return 'who is there are not the members';
  if (row !== undefined && there.length === 0) return 'a row of nobody';
  for (const socket of sockets) {
    const record = await at.store.socket(socket);
    const counts = record?.presences?.[ROOM] === WHO;
    if (counts !== there.includes(socket.id)) return 'a socket and the room do not agree';
  }
  if ((await dueRows(at)).length > 0) return 'something stays due';
  if ((told.at(-1) === 'enter') !== there.length > 0) return `who is there, and is told: ${told.join()}`;
  if (!crashed && told.some((notice, n) => notice !== (n % 2 === 0 ? 'enter' : 'leave')))
    return `told out of order: ${told.join()}`;
  return undefined;
}

async function holds(start: keyof typeof STARTS, ...work: readonly Act[]): Promise<number> {
  const prepare = (gate: Gate) => raceFrom(start, (client) => gate.client(client));
  const result = await explore({ prepare, work, state, check: (race) => disagreement(race) });
  expect([...result.violations]).toEqual([]);
  return result.runs;
}

describe('in every order in which the calls can interleave', () => {
  const cases: [string, keyof typeof STARTS, readonly Act[]][] = [
    ['two tabs join', 'nobody', [join(0), join(1)]],
    ['two tabs leave', 'both', [leave(0), leave(1)]],
    ['one tab leaves, one is gone', 'both', [leave(0), disconnect(1)]],
    ['both tabs are gone', 'both', [dismiss(0), disconnect(1)]],
    ['one tab leaves and another joins', 'one', [leave(0), join(1)]],
    ['one tab is gone and another joins', 'one', [disconnect(0), join(1)]],
    ['one tab joins, leaves and is gone', 'nobody', [join(0), slip(0), dismiss(0)]],
    ['one tab joins twice', 'nobody', [join(0), join(0)]],
    ['one tab joins and leaves', 'nobody', [join(0), leave(0)]],
  ];
  test.each(cases)('%s', async (_what, start, work) => {
    expect(await holds(start, ...work)).toBeGreaterThan(1);
  });
});

describe('a function that is killed after any of its calls', () => {
  const cases: [string, keyof typeof STARTS, (survives: number) => readonly Act[]][] = [
    ['a join', 'nobody', (survives) => [join(0, survives)]],
    ['a join, and a leave after it', 'nobody', (survives) => [join(0, survives), leave(0)]],
    ['a join, and the end of the connection', 'nobody', (survives) => [join(0, survives), disconnect(0)]],
    ['a leave', 'one', (survives) => [leave(0, survives)]],
    ['a leave, and another tab joins', 'one', (survives) => [leave(0, survives), join(1)]],
    ['a disconnect that is repeated', 'one', (survives) => [disconnect(0, survives), disconnect(0)]],
    [
      'a disconnect, repeated, and another tab joins',
      'one',
      (survives) => [disconnect(0, survives), join(1), disconnect(0)],
    ],
    ['a join of a second tab', 'one', (survives) => [join(1, survives), disconnect(0)]],
  ];
  test.each(cases)('%s: the sweep mends it', async (_what, start, work) => {
    for (let survives = 0; survives < 16; survives += 1) {
      const race = await raceFrom(start, (client) => client);
      for (const act of work(survives)) await act(race).catch(() => undefined);
      expect([survives, await disagreement(race, true)]).toEqual([survives, undefined]);
    }
  });

  test('while another tab joins, in every order', async () => {
    for (let survives = 1; survives < 14; survives += 3) {
      const prepare = (gate: Gate) => raceFrom('one', (client) => gate.client(client));
      const killed: Act = (race) => disconnect(0, survives)(race).catch(() => undefined);
      const check = async (race: Race) => {
        await disconnect(0)(race);
        return disagreement(race, true);
      };
      const result = await explore({ prepare, work: [killed, join(1)], state, check });
      expect([survives, ...result.violations]).toEqual([survives]);
    }
  });

  test('repeats a notice at most where it was killed between the notice and its being noted', async () => {
    const heard: string[] = [];
    for (let survives = 0; survives < 16; survives += 1) {
      const race = await raceFrom('nobody', (client) => client);
      await join(0, survives)(race).catch(() => undefined);
      await sweep(race);
      heard.push(told.join());
    }
    expect(heard.filter((all) => all === 'enter,enter')).toHaveLength(1);
    expect(heard.every((all) => ['', 'enter', 'enter,enter'].includes(all))).toBe(true);
    heard.length = 0;
    for (let survives = 0; survives < 16; survives += 1) {
      const race = await raceFrom('one', (client) => client);
      await leave(0, survives)(race).catch(() => undefined);
      await sweep(race);
      heard.push(told.join());
    }
    expect(heard.filter((all) => all === 'enter,leave,leave')).toHaveLength(1);
    expect(heard.every((all) => all.startsWith('enter'))).toBe(true);
  });
});
