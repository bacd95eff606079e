import { beforeEach, describe, expect, test } from 'vitest';
import * as z from 'zod/mini';
import { defineApp } from '../../lambdas/apps/define-app.ts';
import type { PresenceDue } from '../../lambdas/bus/ports.ts';
import { SocketSession } from '../../lambdas/bus/socket-session.ts';
import { connected, connectionId, joinedNamespace, type World, world } from '../support/world.ts';

const ROOM = 'doc:1';
const told: string[] = [];
/** What the next notice does before it is done. */
let meanwhile: (() => Promise<void>) | undefined;
const notice =
  (name: string) =>
  async (_io: unknown, { room, who }: { room: string; who: unknown }) => {
    told.push(`${name} ${room} ${String(who)}`);
    const act = meanwhile;
    meanwhile = undefined;
    await act?.();
  };
const docs = defineApp({
  name: 'docs',
  auth: { authenticate: async ({ auth }) => ({ kind: 'accepted', identity: auth as never }) },
  rooms: {
    'doc:': { canJoin: () => true, presence: { onEnter: notice('enter'), onLeave: notice('leave') } },
    'desk:': { canJoin: () => true, presence: { who: ({ data }) => (data.seat ?? 'nobody') as string } },
    'plain:': { canJoin: () => true },
  },
  serverEvents: { said: z.string() },
  clientEvents: {
    open: { payload: z.string(), handle: (socket, room) => socket.join(room) },
    close: { payload: z.string(), handle: (socket, room) => socket.leave(room) },
    sit: {
      payload: z.tuple([z.string(), z.string()]),
      handle: async (socket, [seat, room]) => {
        socket.data.seat = seat;
        await socket.join(room);
      },
    },
    who: {
      payload: z.string(),
      handle: async ({ nsp }, room) => ({ ok: true, room: { ...(await nsp.presence(room)) } as never }),
    },
  },
});

let at: World;
beforeEach(async () => {
  told.length = 0;
  meanwhile = undefined;
  at = await world({ applications: [docs] });
});

/** A tab of somebody. */
async function tab(n: number, id?: number | string, here = at) {
  const connection = await connected(here, n);
  const socket = await joinedNamespace(here, connection, '/', id === undefined ? {} : { id });
  return {
    connection,
    socket,
    emit: (...args: unknown[]) => here.messages.handle(connection, `42${JSON.stringify(args)}`),
  };
}
const present = async (room = ROOM) => at.publisher.handle({ op: 'presence', room });
const linger = () => at.lifecycle.presences.linger();
const dueRows = async () => {
  const all: PresenceDue[] = [];
  const minute = Math.floor(at.clock.now() / 60_000);
  for (let each = minute; each < minute + 4; each += 1)
    for (let shard = 0; shard < at.store.dueShards(); shard += 1)
      for (const due of await at.store.due(each, shard)) if (due.kind === 'presence') all.push(due);
  return all;
};
/** A minute later, and the sweep that comes then. */
const nextSweep = async (ms = 61_000) => {
  at.clock.advance(ms);
  await at.sweeper.sweep();
};

describe('somebody with two tabs', () => {
  test('comes once, is there with both, and leaves once, when none has been left for 3 s', async () => {
    const [one, two] = [await tab(1, 7), await tab(2, 7)];
    await one.emit('open', ROOM);
    await two.emit('open', ROOM);
    expect(told).toEqual(['enter doc:1 7']);
    expect(await present()).toEqual({
      ok: true,
      result: {
        count: 1,
        members: [
          {
            who: 7,
            sockets: expect.toSatisfy(
              (all: string[]) => all.toSorted().join() === [one.socket, two.socket].sort().join(),
            ),
          },
        ],
      },
    });
    await one.emit('close', ROOM);
    await linger();
    await at.lifecycle.disconnected(two.connection);
    expect(told).toEqual(['enter doc:1 7']);
    const left = at.clock.now();
    await linger();
    expect(told).toEqual(['enter doc:1 7', 'leave doc:1 7']);
    expect(at.clock.now()).toBe(left + 3_000);
    expect(await present()).toEqual({ ok: true, result: { count: 0, members: [] } });
    expect(await dueRows()).toEqual([]);
  });

  test('that leaves with one of them is not waited for', async () => {
    const [one, two] = [await tab(1, 7), await tab(2, 7)];
    for (const each of [one, two]) await each.emit('open', ROOM);
    await at.lifecycle.disconnected(one.connection);
    const left = at.clock.now();
    await linger();
    expect(at.clock.now()).toBe(left);
    expect(await dueRows()).toEqual([]);
  });
});

test('a page that is loaded again within 3 s neither leaves nor comes, and is there all the time', async () => {
  const before = await tab(1, 'ana');
  await before.emit('open', ROOM);
  await at.lifecycle.disconnected(before.connection);
  expect(await present()).toEqual({ ok: true, result: { count: 1, members: [{ who: 'ana', sockets: [] }] } });
  at.clock.advance(2_900);
  const after = await tab(2, 'ana');
  await after.emit('open', ROOM);
  await linger();
  await nextSweep();
  expect(told).toEqual(['enter doc:1 ana']);
  expect(await present()).toMatchObject({ result: { members: [{ who: 'ana', sockets: [after.socket] }] } });
});

test('who comes back after 3 s has left, and comes again', async () => {
  const before = await tab(1, 'ana');
  await before.emit('open', ROOM);
  await before.emit('close', ROOM);
  await linger();
  await (await tab(2, 'ana')).emit('open', ROOM);
  expect(told).toEqual(['enter doc:1 ana', 'leave doc:1 ana', 'enter doc:1 ana']);
});

test('who comes back while it is told that they left is told to have come after that', async () => {
  const before = await tab(1, 'ana');
  await before.emit('open', ROOM);
  const after = await tab(2, 'ana');
  await before.emit('close', ROOM);
  meanwhile = () => after.emit('open', ROOM);
  await linger();
  expect(told).toEqual(['enter doc:1 ana', 'leave doc:1 ana', 'enter doc:1 ana']);
  expect(await present()).toMatchObject({ result: { count: 1 } });
});

test('who leaves while it is told that they came is told to have left after that', async () => {
  const one = await tab(1, 'ana');
  meanwhile = () => at.lifecycle.disconnected(one.connection).then(linger);
  await one.emit('open', ROOM);
  await nextSweep();
  expect(told).toEqual(['enter doc:1 ana', 'leave doc:1 ana']);
  await nextSweep();
  expect(await dueRows()).toEqual([]);
});

test('a notice that fails is not repeated, and the join stands', async () => {
  const one = await tab(1, 'ana');
  meanwhile = async () => {
    throw new Error('hook');
  };
  await one.emit('open', ROOM);
  await nextSweep();
  expect(told).toEqual(['enter doc:1 ana']);
  expect(at.log.lines).toContainEqual(expect.objectContaining({ message: 'a presence hook failed' }));
  expect(await present()).toMatchObject({ result: { count: 1 } });
});

describe('whom a socket counts as', () => {
  test('is itself where it has no identity', async () => {
    const one = await tab(1);
    await one.emit('open', ROOM);
    expect(told).toEqual([`enter doc:1 ${one.socket}`]);
  });

  test('is what the kind makes of it when it joins, also when that changes', async () => {
    const one = await tab(1, 7);
    await one.emit('sit', ['left', 'desk:1']);
    await one.emit('sit', ['right', 'desk:2']);
    expect(await present('desk:1')).toMatchObject({
      result: { members: [{ who: 'left', sockets: [one.socket] }] },
    });
    await at.lifecycle.disconnected(one.connection);
    at.clock.advance(3_000);
    for (const room of ['desk:1', 'desk:2'])
      expect(await present(room)).toMatchObject({ result: { count: 0 } });
  });

  test('must be something that can be a key: nobody joins without', async () => {
    const one = await tab(1, 7);
    await one.emit('sit', ['', 'desk:1']);
    expect((await at.store.socket({ namespace: '/', id: one.socket }))?.rooms).toEqual({});
  });

  test('is settled by who joins first, where two invocations join it at a time', async () => {
    const one = await tab(1, 7);
    const record = (await at.store.socket({ namespace: '/', id: one.socket }))!;
    const stale = () => new SocketSession(at.bus, record, at.lifecycle);
    await one.emit('sit', ['left', 'desk:1']);
    await stale().join(['desk:1'], { data: { seat: 'right' } } as never);
    const { members } = await at.store.presence.list('/', 'desk:1', { leftAfter: 0, limit: 9 });
    expect(members.map(({ who }) => who)).toEqual(['left']);
  });

  test('7 and "7" are one', async () => {
    const [one, two] = [await tab(1, 7), await tab(2, '7')];
    for (const each of [one, two]) await each.emit('open', ROOM);
    expect(told).toEqual(['enter doc:1 7']);
    for (const each of [one, two]) await at.lifecycle.disconnected(each.connection);
    await linger();
    expect(told).toEqual(['enter doc:1 7', 'leave doc:1 7']);
  });
});

describe('whoever ends it', () => {
  const ends: [string, (one: { connection: string; socket: string }) => Promise<unknown>][] = [
    ['DISCONNECT', ({ connection }) => at.messages.handle(connection, '41')],
    ['a kill', () => at.publisher.handle({ op: 'disconnectSockets', rooms: [ROOM], close: true })],
    ['a leave by a backend', () => at.publisher.handle({ op: 'socketsLeave', rooms: [ROOM], leave: [ROOM] })],
    ['a revocation', () => at.publisher.handle({ op: 'revoke', identity: 7, room: ROOM })],
    [
      'a reaping',
      async ({ connection, socket }) => {
        at.clock.advance(30_000);
        const group = { kind: 'room', namespace: '/', room: ROOM } as const;
        await at.lifecycle.reap([{ id: socket, connectionId: connection, group }]);
      },
    ],
  ];
  test.each(ends)('%s: they leave, told by the sweep where nobody waits', async (_what, end) => {
    const one = await tab(1, 7);
    await one.emit('open', ROOM);
    await end(one);
    expect(told).toEqual(['enter doc:1 7']);
    await nextSweep();
    expect(told).toEqual(['enter doc:1 7', 'leave doc:1 7']);
    expect([await present(), await dueRows()]).toEqual([{ ok: true, result: { count: 0, members: [] } }, []]);
  });
});

describe('a socket that comes back on another connection', () => {
  test('counts again, silently, as whom it counted, whether or not the old one was cleaned up', async () => {
    const one = await tab(1, 7);
    await one.emit('open', ROOM);
    const ref = { namespace: '/', id: one.socket };
    const open = (await at.store.socket(ref))!;
    // Before: nothing changes.
    await at.lifecycle.presences.returned(new SocketSession(at.bus, open, at.lifecycle));
    expect(await present()).toMatchObject({ result: { members: [{ who: 7, sockets: [one.socket] }] } });
    // After: it is put back, as the recovery puts the socket back.
    await at.lifecycle.disconnected(one.connection);
    const { rooms } = (await at.store.socket(ref))!;
    const next = { ...open, connectionId: connectionId(9), rooms, presences: {} };
    await at.store.createConnection(
      { ...(await at.store.connection(one.connection))!, id: next.connectionId, open: true, namespaces: {} },
      [],
    );
    await at.store.connectSocket({ ...next, state: 'open' }, []);
    await at.lifecycle.presences.returned(new SocketSession(at.bus, next, at.lifecycle));
    // The old connection's end, once more and late, takes nothing away.
    await at.store.presence.end(open, [{ room: ROOM, who: 7, at: at.clock.now() }]);
    await linger();
    expect(told).toEqual(['enter doc:1 7']);
    expect(await present()).toMatchObject({ result: { members: [{ who: 7, sockets: [one.socket] }] } });
  });
});

describe('what is read', () => {
  test('is refused where nobody keeps it', async () => {
    for (const room of ['plain:1', 'nobody'])
      expect(await present(room)).toMatchObject({
        ok: false,
        error: { code: 'invalid_payload', field: 'room' },
      });
  });

  test('is what a handler gets too', async () => {
    const one = await tab(1, 7);
    await one.emit('open', ROOM);
    await at.messages.handle(one.connection, `421${JSON.stringify(['who', ROOM])}`);
    const answer = at.wire.to(one.connection).at(-1)!;
    expect(JSON.parse(answer.slice(3))[0].room).toEqual({
      count: 1,
      members: [{ who: 7, sockets: [one.socket] }],
    });
  });

  test('of many rooms at once, more than a transaction holds', async () => {
    const one = await tab(1, 7);
    const rooms = Array.from({ length: 70 }, (_, n) => `desk:${n}`);
    const session = new SocketSession(
      at.bus,
      (await at.store.socket({ namespace: '/', id: one.socket }))!,
      at.lifecycle,
    );
    await session.join(rooms);
    expect(await present('desk:69')).toMatchObject({ result: { count: 1 } });
    await at.lifecycle.disconnected(one.connection);
    at.clock.advance(3_000);
    expect(await present('desk:69')).toMatchObject({ result: { count: 0 } });
  });
});

test.each([
  [90, 1],
  [60, 60],
  [58, 33],
])(
  'a socket in %i rooms, %i of them with presence, is counted again when it is recovered',
  async (rooms, kept) => {
    const first = await connected(at, 1);
    const id = await joinedNamespace(at, first, '/', { id: 7 });
    const reply = at.wire.framesTo(first).find((frame) => frame.startsWith('40{')) ?? '';
    const { pid } = JSON.parse(reply.slice(2)) as { pid: string };
    for (let n = 0; n < rooms; n += 1)
      await at.messages.handle(first, `42["open","${n < kept ? 'doc' : 'plain'}:${n}"]`);
    at.clock.advance(1_000);
    await at.lifecycle.disconnected(first);
    await linger();
    expect(await present('doc:0')).toMatchObject({ result: { count: 0 } });
    const second = await connected(at, 2);
    await at.messages.handle(second, `40${JSON.stringify({ id: 7, pid })}`);
    expect(await at.store.socket({ namespace: '/', id })).toMatchObject({
      connectionId: second,
      state: 'open',
    });
    for (const room of ['doc:0', `doc:${kept - 1}`]) {
      expect(await present(room)).toMatchObject({ result: { count: 1, members: [{ who: 7 }] } });
    }
  },
);

test('a recovered socket whose function died before it was counted again is counted by the sweep', async () => {
  const first = await connected(at, 1);
  await joinedNamespace(at, first, '/', { id: 7 });
  const reply = at.wire.framesTo(first).find((frame) => frame.startsWith('40{')) ?? '';
  const { pid } = JSON.parse(reply.slice(2)) as { pid: string };
  await at.messages.handle(first, `42["open","${ROOM}"]`);
  await at.lifecycle.disconnected(first);
  at.clock.advance(3_000);
  await linger();
  const { presences } = at.lifecycle;
  const returned = presences.returned.bind(presences);
  let isKilled: () => void = () => {};
  const killed = new Promise<void>((resolve) => {
    isKilled = resolve;
  });
  presences.returned = () => {
    isKilled();
    return new Promise(() => {});
  };
  const second = await connected(at, 2);
  void at.messages.handle(second, `40${JSON.stringify({ id: 7, pid })}`);
  await killed;
  presences.returned = returned;
  expect(await present()).toMatchObject({ result: { count: 0 } });
  await nextSweep();
  expect(await present()).toMatchObject({ result: { count: 1, members: [{ who: 7 }] } });
});
