import { describe, expect, test } from 'vitest';
import * as z from 'zod/mini';
import { type AppDefinition, type AppSocket, defineApp, id } from '../../lambdas/apps/define-app.ts';
import { type Answer, type AppContext, BusError } from '../../lambdas/bus/public.ts';
import { FakeClock, START, type World, world } from '../support/world.ts';
import { Client } from './client.ts';

const serverEvents = { said: z.object({ text: z.string() }), rang: z.undefined() };
type ListSocket = AppSocket<typeof serverEvents, undefined>;
type Script = (socket: ListSocket, payload: unknown, context: AppContext) => Promise<Answer> | Answer;
type Extras = Partial<AppDefinition<typeof serverEvents, never, Record<never, never>, undefined>>;

/** An application whose one event does what a test writes. */
function lists(script: Script = () => undefined, extras: Extras = {}) {
  return defineApp({
    name: 'lists',
    serverEvents,
    rooms: {
      'list:': { canJoin: (_socket, list) => list !== 'private' },
      'list:later:': { canJoin: async (_socket, rest) => rest === 'yes' },
      'nobody:': {},
    },
    ...extras,
    clientEvents: { run: { payload: z.unknown(), handle: script } },
  });
}

const neighbour = defineApp({
  name: 'neighbour',
  serverEvents,
  rooms: { 'theirs:': { canJoin: () => true } },
  clientEvents: {
    'join-theirs': {
      payload: z.optional(z.string()),
      handle: async (socket, room) => {
        await socket.join(room ?? 'theirs:1');
        socket.data.colour = 'red';
      },
    },
  },
});

/** Clients that have joined the rooms of their place in the list. */
async function clientsIn(at: World, ...rooms: string[][]): Promise<Client[]> {
  const clients: Client[] = [];
  for (const [index, own] of rooms.entries()) {
    const client = await Client.connect(at, index + 1);
    for (const room of own) expect(await client.ask('run', { join: room })).toEqual({ ok: true });
    clients.push(client);
  }
  return clients;
}

/** Joins where the payload says so, else does what the test is about. */
const joiningOr =
  (script: Script): Script =>
  async (socket, payload, context) => {
    const { join } = (payload ?? {}) as { readonly join?: unknown };
    if (typeof join !== 'string') return script(socket, payload, context);
    await socket.join(join);
  };

const texts = (client: Client) => client.heard('said').map((said) => (said as { text: string }).text);

describe('a definition', () => {
  test.each(['', 'Upper', '1st', 'with space', 'with:colon', 'ümlaut', '-dash', 'under_score'])(
    'is refused where its name is %j',
    (name) => {
      expect(() => defineApp({ name })).toThrow(TypeError);
      expect(() => defineApp({ name })).toThrow(`'${name}'`);
    },
  );

  test('is refused where its namespace does not begin with a slash', () => {
    expect(() => defineApp({ name: 'app', namespace: 'chat' })).toThrow('begin with a slash');
  });

  test('is refused where a room prefix is empty, because it would own every room', () => {
    expect(() => defineApp({ name: 'app', rooms: { '': { canJoin: () => true } } })).toThrow('prefix');
  });

  test('lives on the namespace / and declares nothing where it says nothing', () => {
    expect(defineApp({ name: 'my-app-2' })).toMatchObject({
      name: 'my-app-2',
      namespace: '/',
      rooms: {},
      clientEvents: {},
      serverEvents: {},
      backend: {},
      events: { server: {}, client: {} },
    });
  });

  test('keeps its payload schemas for typed clients and documentation', () => {
    const app = lists();
    expect(app.events.server).toBe(serverEvents);
    expect(Object.keys(app.events.client)).toEqual(['run']);
    expect(z.safeParse(app.events.client.run, { any: 'thing' }).success).toBe(true);
  });

  test('has hooks and authentication only where they were given', () => {
    expect(Object.keys(lists())).not.toEqual(expect.arrayContaining(['auth']));
    const app = defineApp({ name: 'app', origins: () => ['https://a.example'], onConnect: () => undefined });
    expect(Object.keys(app)).toEqual(expect.arrayContaining(['origins', 'onConnect']));
    expect(Object.keys(app)).not.toContain('onDisconnect');
  });
});

describe('an id', () => {
  test.each(['a', 'ñandú', 'x'.repeat(256), 0, -1, Number.MAX_SAFE_INTEGER])('may be %j', (value) => {
    expect(z.safeParse(id(), value).success).toBe(true);
  });

  test.each(['', 'x'.repeat(257), '\ud800', 1.5, 2 ** 53, Number.NaN, null, undefined, true, {}, ['a'], 1n])(
    'may not be %o',
    (value) => {
      expect(z.safeParse(id(), value).success).toBe(false);
    },
  );
});

describe('join', () => {
  const joins = lists(async (socket, room) => {
    await socket.join(room as string);
    return { ok: true, rooms: [...socket.rooms] };
  });

  test('puts the socket into a room its kind lets it join, at once and for the next event', async () => {
    const at = await world({ applications: [joins] });
    const ana = await Client.connect(at, 1);
    expect(await ana.ask('run', 'list:1')).toEqual({ ok: true, rooms: [ana.id, 'list:1'] });
    expect(await ana.ask('run', ['list:2', 'list:later:yes'])).toEqual({
      ok: true,
      rooms: expect.arrayContaining([ana.id, 'list:1', 'list:2', 'list:later:yes']),
    });
  });

  test.each([
    ['the kind refuses it', 'list:private'],
    ['the kind refuses it after thinking about it', 'list:later:no'],
    ['the kind says nothing of joining', 'nobody:1'],
    ['nobody declared the prefix', 'elsewhere:1'],
    ['it belongs to another application', 'theirs:1'],
    ['it is the own room of a socket', 'AAAAAAAAAAAAAAAAAAAA'],
  ])('is forbidden where %s', async (_reason, room) => {
    const at = await world({ applications: [joins, neighbour] });
    const ana = await Client.connect(at, 1);
    expect(await ana.ask('run', room)).toEqual({
      ok: false,
      error: { code: 'forbidden', message: expect.stringContaining(room) },
    });
    expect((await at.store.socket({ namespace: '/', id: ana.id }))?.rooms).toEqual({});
  });

  test('joins none of several rooms where one is forbidden', async () => {
    const at = await world({ applications: [joins] });
    const ana = await Client.connect(at, 1);
    expect(await ana.ask('run', ['list:1', 'list:private'])).toMatchObject({ error: { code: 'forbidden' } });
    expect((await at.store.socket({ namespace: '/', id: ana.id }))?.rooms).toEqual({});
  });

  test.each([
    ['empty', ''],
    ['longer than 2 KB', `list:${'x'.repeat(2_048)}`],
    ['not well-formed Unicode', 'list:\ud800'],
  ])('refuses a room name that is %s', async (_reason, room) => {
    const at = await world({ applications: [joins] });
    const ana = await Client.connect(at, 1);
    expect(await ana.ask('run', room)).toMatchObject({
      ok: false,
      error: { code: 'invalid_payload', field: 'room' },
    });
  });

  test('is undone by leave', async () => {
    const script = joiningOr(async (socket) => {
      await socket.leave('list:1');
      return { ok: true, rooms: [...socket.rooms] };
    });
    const at = await world({ applications: [lists(script)] });
    const [ana] = await clientsIn(at, ['list:1', 'list:2']);
    expect(await ana!.ask('run')).toEqual({ ok: true, rooms: [ana!.id, 'list:2'] });
    await at.publisher.handle({ op: 'emit', rooms: ['list:1'], event: 'said', args: [{ text: 'gone?' }] });
    expect(texts(ana!)).toEqual([]);
  });

  test('cannot be undone for a room of another application', async () => {
    const script: Script = async (socket) => {
      await socket.leave('theirs:1');
    };
    const at = await world({ applications: [lists(script), neighbour] });
    const ana = await Client.connect(at, 1);
    await ana.ask('join-theirs');
    expect(await ana.ask('run')).toMatchObject({ error: { code: 'forbidden' } });
    expect((await at.store.socket({ namespace: '/', id: ana.id }))?.rooms).toHaveProperty(['theirs:1']);
  });
});

describe('an emit reaches', () => {
  const said = { text: 'x' };
  const cases: [string, string, (socket: ListSocket, others: string[]) => Promise<void>][] = [
    ['the socket itself', 'a', (socket) => socket.emit('said', said)],
    ['the others in a room', 'b', (socket) => socket.to('list:1').emit('said', said)],
    ['the same by in', 'b', (socket) => socket.in('list:1').emit('said', said)],
    [
      'a union of rooms once each',
      'bc',
      (socket) => socket.to('list:1').to(['list:2', 'list:3']).emit('said', said),
    ],
    ['everybody else', 'bcd', (socket) => socket.broadcast.emit('said', said)],
    [
      'everybody else but an excepted room',
      'bd',
      (socket) => socket.broadcast.except('list:2').emit('said', said),
    ],
    ['the same by except alone', 'bd', (socket) => socket.except('list:2').emit('said', said)],
    [
      'a room without an excepted socket',
      'c',
      (socket, [b]) => socket.to(['list:1', 'list:3']).except(b!).emit('said', said),
    ],
    ['the whole namespace', 'abcd', (socket) => socket.nsp.emit('said', said)],
    [
      'a room, the socket included, by the namespace',
      'ab',
      (socket) => socket.nsp.to('list:1').emit('said', said),
    ],
    [
      'the namespace without a room',
      'cd',
      (socket) => socket.nsp.except(['list:1']).volatile.emit('said', said),
    ],
    ["one socket by its own room's name", 'd', (socket, [, , d]) => socket.to(d!).emit('said', said)],
    ['the others in a room, volatile', 'b', (socket) => socket.volatile.to('list:1').emit('said', said)],
    [
      'the others without a room, volatile',
      'bd',
      (socket) => socket.volatile.except('list:2').emit('said', said),
    ],
    ['the socket itself, volatile', 'a', (socket) => socket.volatile.emit('said', said)],
  ];

  test.each(cases)('%s: %s', async (_what, expected, act) => {
    const script = joiningOr((socket, others) => act(socket, others as string[]));
    const at = await world({ applications: [lists(script)] });
    const clients = await clientsIn(at, ['list:1'], ['list:1', 'list:3'], ['list:2', 'list:3'], []);
    const [a, ...others] = clients;
    await a!.emit(
      'run',
      others.map((each) => each.id),
    );
    const heard = clients.flatMap((each, index) => texts(each).map(() => 'abcd'[index]));
    expect(heard.join('')).toBe(expected);
  });

  test('nobody in a room of another application', async () => {
    const at = await world({
      applications: [lists((socket) => socket.to('theirs:1').emit('said', said)), neighbour],
    });
    const [ana, bea] = [await Client.connect(at, 1), await Client.connect(at, 2)];
    await bea.ask('join-theirs');
    expect(await ana.ask('run')).toMatchObject({ error: { code: 'forbidden' } });
    expect(texts(bea)).toEqual([]);
  });

  test('nobody where a broadcast was only prepared: each step is a copy', async () => {
    const script = joiningOr(async (socket) => {
      const base = socket.nsp.to('list:1');
      base.to('list:2');
      base.except('list:1');
      await base.emit('said', said);
    });
    const at = await world({ applications: [lists(script)] });
    const [ana, bea] = await clientsIn(at, ['list:1'], ['list:2']);
    await ana!.emit('run');
    expect([texts(ana!), texts(bea!)]).toEqual([['x'], []]);
  });

  test('another namespace never', async () => {
    const script: Script = async (socket) => {
      expect(socket.nsp.name).toBe('/side');
      await socket.nsp.emit('said', said);
    };
    const at = await world({ applications: [lists(script, { namespace: '/side' }), neighbour] });
    const ana = await Client.connect(at, 1, { namespace: '/side' });
    const bea = await Client.connect(at, 2);
    await ana.emit('run');
    expect([texts(ana), texts(bea)]).toEqual([['x'], []]);
  });
});

describe('an emit', () => {
  test('goes out before the acknowledgement and in order, also where nobody awaited it', async () => {
    const at = await world({
      applications: [
        lists((socket) => {
          void socket.emit('said', { text: '1' });
          void socket.nsp.emit('said', { text: '2' });
          void socket.emit('rang');
        }),
      ],
    });
    const ana = await Client.connect(at, 1);
    await ana.ask('run');
    expect(at.wire.to(ana.connectionId).slice(-4)).toEqual([
      '42["said",{"text":"1"}]',
      '42["said",{"text":"2"}]',
      '42["rang"]',
      '430[{"ok":true}]',
    ]);
  });

  test('of an event the application does not declare is its own mistake', async () => {
    const at = await world({
      applications: [lists((socket) => socket.emit('sayd' as 'said', { text: 'x' }))],
    });
    const ana = await Client.connect(at, 1);
    expect(await ana.ask('run')).toMatchObject({ error: { code: 'internal' } });
    expect(ana.heard('sayd')).toEqual([]);
    expect(at.log.lines.some(({ level }) => level === 'error')).toBe(true);
  });

  test.each([
    ['a payload that is not what was declared', [{ text: 7 }]],
    ['no payload where one was declared', []],
    ['more than one payload', [{ text: 'x' }, 'more']],
  ])('of %s is not sent', async (_what, args) => {
    const at = await world({
      applications: [lists((socket) => socket.nsp.emit('said', ...(args as [{ text: string }])))],
    });
    const ana = await Client.connect(at, 1);
    expect(await ana.ask('run')).toMatchObject({ error: { code: 'internal' } });
    expect(ana.heard('said')).toEqual([]);
  });

  test('that is too large names the arguments', async () => {
    const at = await world({
      applications: [lists((socket) => socket.emit('said', { text: 'x'.repeat(131_072) }))],
    });
    const ana = await Client.connect(at, 1);
    expect(await ana.ask('run')).toMatchObject({ error: { code: 'invalid_payload', field: 'args' } });
  });

  test('is tried again, and a socket that stays deaf is closed; a volatile one is tried once', async () => {
    const at = await world({
      applications: [
        lists((socket, kind) =>
          kind === 'volatile'
            ? socket.volatile.emit('said', { text: 'x' })
            : socket.emit('said', { text: 'x' }),
        ),
      ],
    });
    const ana = await Client.connect(at, 1);
    let tries = 0;
    at.wire.outcome = (_connection, frame) => {
      if (!frame.includes('said')) return 'ok';
      tries += 1;
      return 'throttled';
    };
    await ana.emit('run', 'volatile');
    expect([tries, ana.cut]).toEqual([1, false]);
    await ana.emit('run');
    expect(tries).toBeGreaterThan(3);
    expect(ana.cut).toBe(true);
  });
});

describe('socket.data', () => {
  test('is saved when the handler ends and seen by the next event', async () => {
    const at = await world({
      applications: [
        lists((socket) => {
          const count = Number(socket.data.count ?? 0);
          socket.data.count = count + 1;
          return { ok: true, count };
        }),
      ],
    });
    const ana = await Client.connect(at, 1);
    expect(await ana.ask('run')).toEqual({ ok: true, count: 0 });
    expect(await ana.ask('run')).toEqual({ ok: true, count: 1 });
    expect(await ana.ask('run')).toEqual({ ok: true, count: 2 });
  });

  test('is also saved where a nested value changed or a key was deleted', async () => {
    const script: Script = (socket, step) => {
      if (step === 1) Object.assign(socket.data, { tags: { a: 1 }, gone: true });
      if (step === 2) {
        (socket.data.tags as Record<string, number>).a = 2;
        delete socket.data.gone;
      }
      return { ok: true, data: { ...socket.data } };
    };
    const at = await world({ applications: [lists(script)] });
    const ana = await Client.connect(at, 1);
    await ana.emit('run', 1);
    await ana.emit('run', 2);
    expect(await ana.ask('run', 3)).toEqual({ ok: true, data: { tags: { a: 2 } } });
  });

  test('keeps what two handlers at once changed under different keys', async () => {
    let bothRun: () => void = () => undefined;
    const both = new Promise<void>((resolve) => {
      bothRun = resolve;
    });
    let running = 0;
    const script: Script = async (socket, key) => {
      if (key === 'read') return { ok: true, data: { ...socket.data } };
      if (key === 'begin') {
        Object.assign(socket.data, { one: false, two: false, three: false });
        return undefined;
      }
      running += 1;
      if (running === 2) bothRun();
      await both;
      socket.data[String(key)] = true;
      return undefined;
    };
    const at = await world({ applications: [lists(script)] });
    const ana = await Client.connect(at, 1);
    await ana.emit('run', 'begin');
    await Promise.all([ana.emit('run', 'one'), ana.emit('run', 'two')]);
    expect(await ana.ask('run', 'read')).toEqual({ ok: true, data: { one: true, two: true, three: false } });
  });

  test('costs no write where nothing changed', async () => {
    const at = await world({ applications: [lists((socket) => ({ ok: true, data: socket.data }))] });
    const ana = await Client.connect(at, 1);
    const before = JSON.stringify(await at.table.rows());
    await ana.ask('run');
    expect(JSON.stringify(await at.table.rows())).toBe(before);
  });

  test('belongs to one application', async () => {
    const at = await world({
      applications: [lists((socket) => ({ ok: true, data: socket.data })), neighbour],
    });
    const ana = await Client.connect(at, 1);
    await ana.ask('join-theirs');
    expect(await ana.ask('run')).toEqual({ ok: true, data: {} });
  });

  test('holds JSON values only', async () => {
    const at = await world({
      applications: [
        lists((socket) => {
          socket.data.tick = (() => 1) as never;
        }),
      ],
    });
    const ana = await Client.connect(at, 1);
    expect(await ana.ask('run')).toMatchObject({ error: { code: 'invalid_payload', field: 'data.tick' } });
  });
});

describe('disconnect', () => {
  test('tells the client, ends its memberships and runs nothing more for it', async () => {
    let runs = 0;
    const script = joiningOr(async (socket) => {
      runs += 1;
      await socket.disconnect();
    });
    const at = await world({ applications: [lists(script)] });
    const [ana, bea] = await clientsIn(at, ['list:1'], []);
    expect(await ana!.ask('run')).toBeUndefined();
    expect([ana!.dismissed, ana!.cut, bea!.dismissed]).toEqual([true, false, false]);
    expect(
      await at.publisher.handle({ op: 'emit', rooms: ['list:1'], event: 'said', args: [{ text: 'x' }] }),
    ).toMatchObject({ audience: 0 });
    await ana!.emit('run');
    expect(runs).toBe(1);
    expect(ana!.cut).toBe(false);
  });

  test('cuts the connection where it is asked to', async () => {
    const at = await world({ applications: [lists((socket) => socket.disconnect(true))] });
    const ana = await Client.connect(at, 1);
    await ana.emit('run');
    expect([ana.dismissed, ana.cut]).toEqual([true, true]);
  });

  test('leaves the namespace free for another CONNECT', async () => {
    const at = await world({ applications: [lists((socket) => socket.disconnect())] });
    const ana = await Client.connect(at, 1);
    const first = ana.id;
    await ana.emit('run');
    await ana.join();
    expect(ana.id).not.toBe(first);
    expect([ana.dismissed, ana.cut]).toEqual([false, false]);
  });
});

/** A clock whose sleeps are the moments in which something else happens. */
class MeanwhileClock extends FakeClock {
  meanwhile: (sleeps: number) => Promise<void> = async () => undefined;
  sleeps = 0;

  override async sleep(ms: number): Promise<void> {
    await super.sleep(ms);
    this.sleeps += 1;
    await this.meanwhile(this.sleeps);
  }
}

describe('refresh', () => {
  test('writes what was changed, and sees what others have joined, saved and removed meanwhile', async () => {
    let meanwhile = async () => {};
    const script: Script = async (socket, what) => {
      if (what === 'begin') Object.assign(socket.data, { theirs: 1, gone: 1, mine: 1 });
      if (what === 'other') {
        expect(socket.data).toEqual({ theirs: 1, gone: 1, mine: 2 });
        await socket.join('list:1');
        socket.data.theirs = 2;
        delete socket.data.gone;
      }
      if (what !== 'look') return;
      socket.data.mine = 2;
      void socket.refresh();
      await socket.refresh();
      await meanwhile();
      socket.data.own = 3;
      await socket.refresh();
      expect(socket.data).toEqual({ theirs: 2, mine: 2, own: 3 });
      expect([...socket.rooms]).toEqual([socket.id, 'list:1']);
    };
    const at = await world({ applications: [lists(script)] });
    const ana = await Client.connect(at, 1);
    await ana.ask('run', 'begin');
    meanwhile = async () => void expect(await ana.ask('run', 'other')).toEqual({ ok: true });
    expect(await ana.ask('run', 'look')).toEqual({ ok: true });
    expect((await at.store.socket({ namespace: '/', id: ana.id }))?.data).toEqual({
      'lists:theirs': 2,
      'lists:mine': 2,
      'lists:own': 3,
    });
  });

  test('refuses where the socket is closed', async () => {
    const script: Script = async (socket) => {
      await socket.disconnect();
      await socket.refresh();
    };
    const at = await world({ applications: [lists(script)] });
    const ana = await Client.connect(at, 1);
    await ana.ask('run');
    expect(ana.dismissed).toBe(true);
    expect(at.log.lines.filter(({ level }) => level === 'error')).toEqual([]);
  });
});

describe('eventually', () => {
  const script: Script = async (socket, what) => {
    if (what === 'join') return void (await socket.join('list:1'));
    if (what === 'name') {
      socket.data.name = 'ana';
      return undefined;
    }
    const ready = await socket.eventually(() => socket.rooms.has('list:1') || socket.data.name !== undefined);
    if (!ready) throw new BusError('forbidden', 'not a member');
    return { ok: true, name: socket.data.name ?? null };
  };

  async function waiting() {
    const clock = new MeanwhileClock();
    const at = await world({ applications: [lists(script)], clock });
    const ana = await Client.connect(at, 1);
    clock.sleeps = 0;
    return { at, ana, clock };
  }

  test('is true at once where it is so already', async () => {
    const { ana, clock } = await waiting();
    await ana.emit('run', 'join');
    expect(await ana.ask('run')).toEqual({ ok: true, name: null });
    expect(clock.sleeps).toBe(0);
  });

  test('sees a room that an earlier message joins meanwhile', async () => {
    const { ana, clock } = await waiting();
    clock.meanwhile = async (sleeps) => {
      if (sleeps === 3) await ana.emit('run', 'join');
    };
    expect(await ana.ask('run')).toEqual({ ok: true, name: null });
    expect(clock.sleeps).toBe(3);
  });

  test('sees data that an earlier message saves meanwhile', async () => {
    const { ana, clock } = await waiting();
    clock.meanwhile = async (sleeps) => {
      if (sleeps === 2) await ana.emit('run', 'name');
    };
    expect(await ana.ask('run')).toEqual({ ok: true, name: 'ana' });
  });

  test('is false after 1.5 s, and the handler refuses', async () => {
    const { ana, clock } = await waiting();
    const begun = clock.now();
    expect(await ana.ask('run')).toMatchObject({ ok: false, error: { code: 'forbidden' } });
    expect(clock.now() - begun).toBe(1_500);
  });

  test('still sees what arrives in the last moment, and nothing after it', async () => {
    const { ana, clock } = await waiting();
    const begun = clock.now();
    clock.meanwhile = async () => {
      if (clock.now() - begun === 1_500) await ana.emit('run', 'join');
    };
    expect(await ana.ask('run')).toMatchObject({ ok: true });
  });

  test('is false at once where the socket is gone', async () => {
    const { at, ana, clock } = await waiting();
    clock.meanwhile = async (sleeps) => {
      if (sleeps === 1) await at.lifecycle.disconnected(ana.connectionId);
    };
    await ana.emit('run');
    expect(clock.sleeps).toBe(1);
  });
});

describe('fetchSockets', () => {
  const script = joiningOr(async (socket, payload) => {
    const { mark, of } = (payload ?? {}) as { readonly mark?: string; readonly of?: string };
    if (mark !== undefined) {
      socket.data.mark = mark;
      return undefined;
    }
    const sockets = await socket.nsp.fetchSockets(of);
    return {
      ok: true,
      found: sockets.map(({ id: socketId, rooms, data, handshake }) => ({
        id: socketId,
        rooms: [...rooms].filter((room) => room !== socketId),
        data: { ...data },
        address: handshake.address,
      })),
    };
  });

  test('finds every open socket of the namespace, with its rooms and this application’s data', async () => {
    const at = await world({ applications: [lists(script), neighbour] });
    const [ana, bea, gone] = await clientsIn(at, ['list:1'], ['list:2'], ['list:1']);
    await bea!.emit('run', { mark: 'b' });
    await bea!.emit('join-theirs');
    await at.lifecycle.disconnected(gone!.connectionId);
    const { found } = (await ana!.ask('run')) as { found: { id: string }[] };
    expect(found).toHaveLength(2);
    expect(found).toContainEqual({ id: ana!.id, rooms: ['list:1'], data: {}, address: '127.0.0.1' });
    expect(found).toContainEqual({
      id: bea!.id,
      rooms: expect.arrayContaining(['list:2', 'theirs:1']),
      data: { mark: 'b' },
      address: '127.0.0.1',
    });
  });

  test('finds the sockets of one room', async () => {
    const at = await world({ applications: [lists(script)] });
    const [ana, bea] = await clientsIn(at, ['list:1'], ['list:2']);
    expect(await ana!.ask('run', { of: 'list:2' })).toMatchObject({ found: [{ id: bea!.id }] });
    expect(await ana!.ask('run', { of: 'list:3' })).toEqual({ ok: true, found: [] });
  });
});

describe('an acknowledgement', () => {
  test('is { ok: true } where the handler returns nothing', async () => {
    const at = await world({ applications: [lists()] });
    expect(await (await Client.connect(at, 1)).ask('run')).toEqual({ ok: true });
  });

  test('is what the handler returns', async () => {
    const at = await world({ applications: [lists(async () => ({ ok: true, n: 1 }))] });
    expect(await (await Client.connect(at, 1)).ask('run')).toEqual({ ok: true, n: 1 });
  });

  test('is not sent where the client asked for none', async () => {
    const at = await world({ applications: [lists()] });
    const ana = await Client.connect(at, 1);
    const before = ana.packets().length;
    await ana.emit('run');
    expect(ana.packets()).toHaveLength(before);
  });

  test('says not_found for an event nobody handles, and the socket goes on', async () => {
    const at = await world({ applications: [lists()] });
    const ana = await Client.connect(at, 1);
    expect(await ana.ask('toString')).toMatchObject({ ok: false, error: { code: 'not_found' } });
    expect(ana.events()).toEqual([]);
    expect(await ana.ask('run')).toEqual({ ok: true });
  });
});

describe('a failure', () => {
  const timestamp = new Date(START).toISOString();

  test('goes out as the error event of the contract and in the acknowledgement', async () => {
    const at = await world({
      applications: [
        lists(() => {
          throw new BusError('rate_limited', 'slowly', { field: 'text' });
        }),
      ],
    });
    const ana = await Client.connect(at, 1);
    expect(await ana.ask('run', {})).toEqual({
      ok: false,
      error: { code: 'rate_limited', message: 'slowly', field: 'text' },
    });
    expect(ana.events()).toEqual([
      { event: 'error', args: [{ message: 'slowly', code: 'rate_limited', event: 'run', timestamp }] },
    ]);
  });

  test('that nobody foresaw tells the client nothing and the log everything', async () => {
    const at = await world({
      applications: [
        lists(() => {
          throw new Error('password is hunter2');
        }),
      ],
    });
    const ana = await Client.connect(at, 1);
    expect(await ana.ask('run')).toEqual({
      ok: false,
      error: { code: 'internal', message: 'internal error' },
    });
    expect(ana.heard('error')).toEqual([
      { message: 'internal error', code: 'internal', event: 'run', timestamp },
    ]);
    expect(at.wire.posts.some(({ frame }) => frame.includes('hunter2'))).toBe(false);
    expect(at.log.lines).toContainEqual(
      expect.objectContaining({
        level: 'error',
        fields: expect.objectContaining({
          event: 'run',
          error: expect.objectContaining({ message: 'password is hunter2' }),
        }),
      }),
    );
  });

  test('of a payload names the field, and the handler does not run', async () => {
    let ran = false;
    const strict = defineApp({
      name: 'strict',
      clientEvents: {
        add: {
          payload: z.object({ item: z.object({ list: id() }) }),
          handle: () => {
            ran = true;
          },
        },
      },
    });
    const at = await world({ applications: [strict] });
    const ana = await Client.connect(at, 1);
    expect(await ana.ask('add', { item: { list: true } })).toEqual({
      ok: false,
      error: {
        code: 'invalid_payload',
        field: 'item.list',
        message: 'item.list: must be a string or a safe integer',
      },
    });
    expect(ran).toBe(false);
  });

  test('leaves unknown keys out of the payload instead of refusing them', async () => {
    let seen: unknown;
    const loose = defineApp({
      name: 'loose',
      clientEvents: {
        add: {
          payload: z.object({ list: id() }),
          handle: (_socket, payload) => {
            seen = payload;
          },
        },
      },
    });
    const at = await world({ applications: [loose] });
    expect(await (await Client.connect(at, 1)).ask('add', { list: 1, more: 2 })).toEqual({ ok: true });
    expect(seen).toEqual({ list: 1 });
  });

  test('is told by the application itself where it has its own way', async () => {
    const at = await world({
      applications: [
        lists(
          () => {
            throw new BusError('forbidden', 'no');
          },
          {
            onError: async (socket, { event, error, payload }) => {
              await socket.emit('said', { text: `${event} ${error.code} ${String(payload)}` });
            },
          },
        ),
      ],
    });
    const ana = await Client.connect(at, 1);
    expect(await ana.ask('run', 'p')).toMatchObject({ error: { code: 'forbidden' } });
    expect(ana.events()).toEqual([{ event: 'said', args: [{ text: 'run forbidden p' }] }]);
  });

  test('to tell of a failure is logged, and the acknowledgement still comes', async () => {
    const at = await world({
      applications: [
        lists(
          () => {
            throw new BusError('forbidden', 'no');
          },
          {
            onError: () => {
              throw new Error('and again');
            },
          },
        ),
      ],
    });
    const ana = await Client.connect(at, 1);
    expect(await ana.ask('run')).toMatchObject({ error: { code: 'forbidden' } });
    expect(at.log.lines.map(({ message }) => message)).toContain('a failure could not be reported');
  });

  test('of an effect nobody awaited breaks nothing', async () => {
    const at = await world({
      applications: [
        lists((socket) => {
          void socket.join('list:private');
        }),
      ],
    });
    expect(await (await Client.connect(at, 1)).ask('run')).toEqual({ ok: true });
  });
});

describe('hooks', () => {
  test('run once when a socket opens and once when it ends, with its data', async () => {
    const seen: unknown[] = [];
    const app = lists(() => undefined, {
      onConnect: async (socket, context) => {
        seen.push(['connect', socket.id, context.now()]);
        socket.data.since = context.now();
        await socket.join('list:1');
      },
      onDisconnect: (socket) => void seen.push(['disconnect', socket.id, { ...socket.data }]),
    });
    const at = await world({ applications: [app] });
    const ana = await Client.connect(at, 1);
    await at.lifecycle.disconnected(ana.connectionId);
    await at.lifecycle.disconnected(ana.connectionId);
    expect(seen).toEqual([
      ['connect', ana.id, START],
      ['disconnect', ana.id, { since: START }],
    ]);
  });

  test('that fail on connect are told to the client, which stays', async () => {
    const app = lists(undefined, {
      onConnect: () => {
        throw new BusError('forbidden', 'not you');
      },
    });
    const at = await world({ applications: [app] });
    const ana = await Client.connect(at, 1);
    expect(ana.heard('error')).toEqual([
      expect.objectContaining({ event: 'connect', code: 'forbidden', message: 'not you' }),
    ]);
    expect(await ana.ask('run')).toEqual({ ok: true });
  });

  test('are given the settings, the neighbours and the kind of identity', async () => {
    let context: AppContext | undefined;
    const app = lists((_socket, _payload, given) => {
      context = given;
    });
    const at = await world({ applications: [app, neighbour], settings: { COLOUR: 'red' } });
    await (await Client.connect(at, 1)).emit('run');
    expect(context).toMatchObject({
      settings: { COLOUR: 'red' },
      neighbours: ['neighbour'],
      identityMode: 'trusted',
    });
  });
});

describe('auth', () => {
  const guarded = (authenticate: (auth: unknown) => Awaited<ReturnType<typeof outcome>>) =>
    defineApp({
      name: 'guarded',
      auth: {
        accepts: { user: '' },
        authenticate: async ({ auth }) => authenticate(auth),
      },
      clientEvents: {
        who: {
          payload: z.unknown(),
          handle: (socket) => ({ ok: true, user: socket.identity?.user ?? null }),
        },
      },
    });
  const outcome = async () =>
    ({ kind: 'accepted' }) as
      | { readonly kind: 'accepted'; readonly identity?: { readonly user: string } }
      | { readonly kind: 'refused'; readonly message: string; readonly data?: string }
      | { readonly kind: 'expelled'; readonly event: string; readonly args: readonly string[] };

  test('that accepts gives the socket its identity for every event', async () => {
    const app = guarded((auth) => ({ kind: 'accepted', identity: auth as { user: string } }));
    const at = await world({ applications: [app] });
    const ana = await Client.connect(at, 1, { auth: { user: 'ana' } });
    expect(await ana.ask('who')).toEqual({ ok: true, user: 'ana' });
  });

  test('that accepts without proof gives none', async () => {
    const at = await world({ applications: [guarded(() => ({ kind: 'accepted' }))] });
    expect(await (await Client.connect(at, 1)).ask('who')).toEqual({ ok: true, user: null });
  });

  test('that refuses answers CONNECT_ERROR', async () => {
    const app = guarded(() => ({ kind: 'refused', message: 'no key', data: 'why' }));
    const at = await world({ applications: [app] });
    const ana = await Client.connect(at, 1);
    expect(at.wire.to(ana.connectionId).at(-1)).toBe('44{"message":"no key","data":"why"}');
  });

  test('that expels answers, says why and disconnects', async () => {
    const app = guarded(() => ({ kind: 'expelled', event: 'error', args: ['out'] }));
    const at = await world({ applications: [app] });
    const ana = await Client.connect(at, 1);
    expect(at.wire.to(ana.connectionId).slice(-3)).toEqual([
      expect.stringMatching(/^40\{"sid":/),
      '42["error","out"]',
      '41',
    ]);
    expect(await at.publisher.handle({ op: 'emit', event: 'any' })).toMatchObject({ audience: 0 });
  });
});

describe('what an application offers its backend', () => {
  const app = defineApp({
    name: 'lists',
    serverEvents,
    rooms: { 'list:': { canJoin: () => true } },
    clientEvents: {
      join: {
        payload: id(),
        handle: async (socket, list) => {
          await socket.join(`list:${list}`);
        },
      },
    },
    backend: {
      say: {
        args: z.tuple([id(), z.object({ text: z.string() })]),
        handle: async (io, [list, said]) => {
          void io.to(`list:${list}`).emit('said', said);
          return { to: (await io.fetchSockets(`list:${list}`)).length };
        },
      },
      nothing: { args: z.tuple([]), handle: async () => undefined },
      elsewhere: { args: z.tuple([]), handle: (io) => io.to('theirs:1').emit('rang') },
    },
  });
  const call = (name: string, ...args: unknown[]) => ({ op: 'app', app: 'lists', call: name, args });

  test('is called with its arguments, and answers when its emits are out', async () => {
    const at = await world({ applications: [app] });
    const ana = await Client.connect(at, 1);
    await ana.emit('join', 7);
    expect(await at.publisher.handle(call('say', 7, { text: 'hi' }))).toEqual({
      ok: true,
      result: { to: 1 },
    });
    expect(texts(ana)).toEqual(['hi']);
    expect(await at.publisher.handle(call('nothing'))).toEqual({ ok: true, result: null });
  });

  test.each([
    ['an argument is wrong', call('say', 7, { text: 1 }), 'invalid_payload', 'args[1].text'],
    ['an argument is missing', call('say'), 'invalid_payload', 'args'],
    ['the call is unknown', call('toString'), 'not_found', 'call'],
    ['the application is unknown', { op: 'app', app: 'none', call: 'say' }, 'not_found', 'app'],
    ['it reaches for another application', call('elsewhere'), 'forbidden', undefined],
  ])('says what is wrong where %s', async (_reason, request, code, field) => {
    const at = await world({ applications: [app, neighbour] });
    const answer = await at.publisher.handle(request);
    expect(answer).toMatchObject({ ok: false, error: { code } });
    expect((answer as { error: { field?: string } }).error.field).toBe(field);
  });
});
