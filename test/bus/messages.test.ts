import fc from 'fast-check';
import { Encoder, PacketType } from 'socket.io-parser';
import { beforeEach, describe, expect, test } from 'vitest';
import * as z from 'zod/mini';
import { defineApp } from '../../lambdas/apps/define-app.ts';
import { slotOf } from '../../lambdas/bus/heartbeat.ts';
import { BusError } from '../../lambdas/bus/public.ts';
import { connected, connectionId, joinedNamespace, START, type World, world } from '../support/world.ts';

const ID = connectionId(1);
const PEER = connectionId(2);
const anything = z.unknown();
const serverEvents = { said: anything, told: anything };
let unawaited: Promise<unknown>[] = [];
const circular: Record<string, unknown> = {};
circular.self = circular;

const talk = defineApp({
  name: 'talk',
  serverEvents,
  rooms: { 'list:': { canJoin: (_, list) => list !== 'secret' } },
  clientEvents: {
    echo: { payload: anything, handle: (_, payload) => ({ ok: true, payload: payload as never }) },
    silent: { payload: anything, handle: () => undefined },
    strict: { payload: z.object({ id: z.int() }), handle: () => undefined },
    say: {
      payload: anything,
      handle: async (socket) => {
        await socket.emit('said', 1);
        await socket.nsp.emit('told', 2);
      },
    },
    mutter: {
      payload: anything,
      handle: (socket) => {
        unawaited = [socket.emit('said', 1), socket.nsp.emit('told', 2), socket.emit('said', 3)];
      },
    },
    join: { payload: z.string(), handle: (socket, room) => socket.join(room).then(() => undefined) },
    'join-many': {
      payload: z.array(z.string()),
      handle: (socket, rooms) => socket.join(rooms).then(() => ({ ok: true, rooms: [...socket.rooms] })),
    },
    leave: { payload: z.string(), handle: (socket, room) => socket.leave(room).then(() => undefined) },
    'join-unawaited': { payload: z.string(), handle: (socket, room) => void socket.join(room) },
    forbid: {
      payload: anything,
      handle: () => {
        throw new BusError('forbidden', 'not yours', { field: 'id' });
      },
    },
    break: {
      payload: anything,
      handle: () => {
        throw new Error('secret cause');
      },
    },
    undeclared: { payload: anything, handle: (socket) => socket.emit('never' as 'said', 1) },
    huge: { payload: anything, handle: () => ({ text: 'x'.repeat(140_000) }) },
    circular: { payload: anything, handle: () => circular as never },
    remember: {
      payload: z.object({ key: z.string(), value: z.optional(z.unknown()) }),
      handle: (socket, { key, value }) => {
        if (value === undefined) delete socket.data[key];
        else socket.data[key] = value as never;
      },
    },
    recall: { payload: anything, handle: (socket) => ({ data: { ...socket.data } }) },
    bye: {
      payload: anything,
      handle: async (socket) => {
        await socket.disconnect();
        return { ok: true };
      },
    },
    'tell-list': {
      payload: z.string(),
      handle: (socket, room) => socket.to(room).emit('told', room),
    },
    'many-files': {
      payload: z.int(),
      handle: (socket, count) =>
        socket.emit(
          'said',
          Array.from({ length: count }, () => Buffer.from('x')),
        ),
    },
  },
});
const neighbour = defineApp({
  name: 'neighbour',
  rooms: { 'theirs:': { canJoin: () => true } },
  clientEvents: {
    'neighbour:data': { payload: anything, handle: (socket) => ({ data: { ...socket.data } }) },
  },
});

let at: World;
let id: string;
let begun: number;
beforeEach(async () => {
  unawaited = [];
  at = await world({ applications: [talk, neighbour] });
  await connected(at, 1);
  id = await joinedNamespace(at, ID);
  await connected(at, 2);
  await joinedNamespace(at, PEER);
  begun = at.wire.to(ID).length;
});

/** What the client was sent since the test began. */
const frames = () => at.wire.to(ID).slice(begun);
const send = (frame: string) => at.messages.handle(ID, frame);
const asks = async (event: string, payload?: unknown) => {
  await send(`427${JSON.stringify(payload === undefined ? [event] : [event, payload])}`);
  const reply = frames().findLast((frame) => frame.startsWith('437'));
  return reply === undefined ? undefined : (JSON.parse(reply.slice(3)) as unknown[])[0];
};

describe('a frame that breaks the protocol closes the connection, and no other', () => {
  test.each([
    ['a second CONNECT', '40'],
    ['an event to a namespace that was not joined', '42/other,["e"]'],
    ['an event to a namespace that nobody lives on', '42/nobody,["e"]'],
    ['an acknowledgement to a namespace that was not joined', '43/other,1[]'],
    ['a DISCONNECT from a namespace that was not joined', '41/other,'],
    ['a CONNECT_ERROR', '44{"message":"no"}'],
    ['a ping', '2'],
    ['an open packet', '0{}'],
    ['junk', 'junk'],
    ['nothing', ''],
    ['a message that is no packet', '4x'],
    ['broken JSON', '42["e"'],
    ['a reserved event', '42["disconnect"]'],
    ['binary data', 'bAAAA'],
    ['an event that announces binary data', '451-["e",{"_placeholder":true,"num":0}]'],
  ])('%s', async (_, frame) => {
    await send(frame);
    expect(at.wire.closed).toEqual([ID]);
    expect((await at.store.connection(ID))?.open).toBe(false);
    expect((await at.store.socket({ namespace: '/', id }))?.state).toBe('closed');
    expect((await at.store.connection(PEER))?.open).toBe(true);
    expect(frames()).toEqual([]);
  });

  test('and where it cannot be cleaned up, says so in the log and throws nothing', async () => {
    at.lifecycle.close = async () => {
      throw new Error('unavailable');
    };
    await expect(send('junk')).resolves.toBeUndefined();
    expect(at.log.lines).toContainEqual(expect.objectContaining({ level: 'error' }));
  });
});

describe('a frame that is no violation', () => {
  test.each([
    ['a pong', '3'],
    ['an acknowledgement nobody waits for', '431["x"]'],
    ['an Engine.IO close', '1'],
    ['an upgrade', '5'],
    ['a noop', '6'],
    ['an event nobody handles', '42["nobody"]'],
    ['an event with a number for a name', '42[7]'],
  ])('is taken in silence: %s', async (_, frame) => {
    await send(frame);
    expect([at.wire.closed, frames()]).toEqual([[], []]);
  });

  test.each(['42["say"]', '421["say"]', '41', '43["x"]'])(
    'is dropped where it arrives after a DISCONNECT: %s',
    async (frame) => {
      await send('41');
      await send(frame);
      expect([at.wire.closed, frames()]).toEqual([[], []]);
    },
  );

  test('is a violation again a minute after the DISCONNECT', async () => {
    await send('41');
    at.clock.advance(60_000);
    await send('42["say"]');
    expect(at.wire.closed).toEqual([ID]);
  });

  test('is dropped where its connection is closed or unknown', async () => {
    await at.lifecycle.disconnected(ID);
    await send('421["say"]');
    await at.messages.handle(connectionId(9), '421["say"]');
    await at.messages.handle(connectionId(9), '40');
    expect([at.wire.closed, frames()]).toEqual([[], []]);
    expect(at.wire.to(connectionId(9))).toEqual([]);
  });
});

describe('a pong', () => {
  const seen = async () => {
    const group = { kind: 'slot', slot: slotOf(ID, 4) } as const;
    const pages = Array.from({ length: 16 }, (_, shard) => at.store.members(group, shard, {}));
    const all = (await Promise.all(pages)).flatMap(({ members }) => members);
    return all.find((member) => member.connectionId === ID)?.seen;
  };

  test('is written down', async () => {
    at.clock.advance(5_000);
    await send('3');
    expect(await seen()).toBe(at.clock.now());
  });

  test('costs nothing where that is switched off', async () => {
    const before = await seen();
    Object.assign(at.bus.config, { trackPongs: false });
    at.clock.advance(5_000);
    await send('3');
    expect(await seen()).toBe(before);
  });
});

describe('an event', () => {
  test('reaches its handler with its payload, and what that returns is the acknowledgement', async () => {
    expect(await asks('echo', { a: [1, 'é'] })).toEqual({ ok: true, payload: { a: [1, 'é'] } });
    expect(await asks('silent')).toEqual({ ok: true });
  });

  test('without an id is not acknowledged', async () => {
    await send('42["echo",1]');
    expect(frames()).toEqual([]);
  });

  test('with the id 0 is acknowledged', async () => {
    await send('420["silent"]');
    expect(frames()).toEqual(['430[{"ok":true}]']);
  });

  test('that nobody handles is not found', async () => {
    expect(await asks('nobody')).toMatchObject({ ok: false, error: { code: 'not_found' } });
    expect(await asks('constructor')).toMatchObject({ ok: false, error: { code: 'not_found' } });
    expect(frames().some((frame) => frame.startsWith('42'))).toBe(false);
  });

  test('with a wrong payload is refused by the name of the field, as error event and acknowledgement', async () => {
    expect(await asks('strict', { id: 'x' })).toMatchObject({
      ok: false,
      error: { code: 'invalid_payload', field: 'id' },
    });
    // The acknowledgement first: an error handler may end the socket.
    const [ack, error] = frames();
    expect(JSON.parse(error!.slice(2))).toMatchObject([
      'error',
      { code: 'invalid_payload', event: 'strict', timestamp: new Date(at.clock.now()).toISOString() },
    ]);
    expect(ack).toMatch(/^437/);
  });

  test('that the application refuses is refused in its own words', async () => {
    expect(await asks('forbid')).toEqual({
      ok: false,
      error: { code: 'forbidden', message: 'not yours', field: 'id' },
    });
    expect(JSON.parse(frames()[1]!.slice(2))[1]).toMatchObject({ code: 'forbidden', message: 'not yours' });
  });

  test('whose handler throws is an internal error without details; the details are in the log', async () => {
    expect(await asks('break')).toEqual({
      ok: false,
      error: { code: 'internal', message: 'internal error' },
    });
    expect(JSON.parse(frames()[1]!.slice(2))[1]).toMatchObject({ code: 'internal', event: 'break' });
    expect(JSON.stringify(at.wire.posts)).not.toContain('secret cause');
    const line = at.log.lines.find(({ message }) => message === 'a handler failed');
    expect(String((line!.fields as { error: unknown }).error)).toContain('secret cause');
    expect(at.wire.closed).toEqual([]);
  });

  test('whose handler emits what it did not declare sends nothing of it', async () => {
    expect(await asks('undeclared')).toMatchObject({ error: { code: 'internal' } });
    expect(frames().some((frame) => frame.includes('never'))).toBe(true);
    expect(frames().filter((frame) => frame.startsWith('42["never"'))).toEqual([]);
  });

  test.each(['huge', 'circular'])('whose answer is %s is acknowledged all the same', async (event) => {
    expect(await asks(event)).toEqual({ ok: false, error: { code: 'internal', message: 'internal error' } });
  });

  test('emits before its acknowledgement, in the order of the handler', async () => {
    await asks('say');
    expect(frames()).toEqual(['42["said",1]', '42["told",2]', '437[{"ok":true}]']);
  });

  test('that the handler did not wait for goes out all the same, in order and before the acknowledgement', async () => {
    await asks('mutter');
    expect(frames()).toEqual(['42["said",1]', '42["told",2]', '42["said",3]', '437[{"ok":true}]']);
    expect(unawaited).toHaveLength(3);
  });

  test('that ends its socket is not acknowledged: the client is told by DISCONNECT', async () => {
    await asks('bye');
    expect(frames()).toEqual(['41']);
    expect((await at.store.socket({ namespace: '/', id }))?.state).toBe('closed');
  });

  test('on a socket whose CONNECT reply is still under way proves that it arrived', async () => {
    const connection = await connected(at, 3);
    const record = (await at.store.socket({ namespace: '/', id }))!;
    const pending = {
      ...record,
      id: 'B'.repeat(20),
      connectionId: connection,
      state: 'pending' as const,
      hooksDue: false,
    };
    await at.store.connectSocket(pending, []);
    await at.messages.handle(connection, '421["silent"]');
    expect(at.wire.to(connection).at(-1)).toBe('431[{"ok":true}]');
    expect(await at.store.socket(pending)).toMatchObject({ state: 'open', hooksDue: true });
  });

  test('takes at most four calls of the table before its last post', async () => {
    const other = await connected(at, 77);
    await joinedNamespace(at, other);
    await at.messages.handle(other, '42["join","list:1"]');
    const calls: string[] = [];
    const counted = await world({
      applications: [talk, neighbour],
      rows: await at.table.rows(),
      client: (client) =>
        ({
          send: (command: { constructor: { name: string } }) => {
            calls.push(command.constructor.name);
            return client.send(command as never);
          },
        }) as never,
    });
    await counted.messages.handle(ID, '42["join","list:1"]');
    calls.length = 0;
    let before = 0;
    counted.wire.outcome = () => {
      before = calls.length;
      return 'ok';
    };
    await counted.messages.handle(ID, '42["tell-list","list:1"]');
    // Connection, socket, log, membership; and after the posts that they are done.
    expect(calls).toEqual(['GetCommand', 'GetCommand', 'PutCommand', 'QueryCommand', 'UpdateCommand']);
    expect(before).toBe(4);
  });

  test('with as many binary values as a client takes goes out; with one more it is the fault of the application', async () => {
    expect(await asks('many-files', 10)).toEqual({ ok: true });
    expect(frames().filter((frame) => frame.startsWith('b'))).toHaveLength(10);
    expect(await asks('many-files', 11)).toMatchObject({ ok: false });
    expect(frames().filter((frame) => frame.startsWith('b'))).toHaveLength(10);
  });
});

describe('a handler that joins', () => {
  const rooms = async () => Object.keys((await at.store.socket({ namespace: '/', id }))?.rooms ?? {}).sort();

  test('a room of its application is in it, until it leaves', async () => {
    expect(await asks('join', 'list:1')).toEqual({ ok: true });
    expect(await rooms()).toEqual(['list:1']);
    expect(await asks('leave', 'list:1')).toEqual({ ok: true });
    expect(await rooms()).toEqual([]);
  });

  test('the same room twice at once is in it once', async () => {
    expect(await asks('join-many', ['list:1', 'list:1', 'list:2'])).toEqual({
      ok: true,
      rooms: [id, 'list:1', 'list:2'],
    });
    expect(await rooms()).toEqual(['list:1', 'list:2']);
  });

  test.each(['theirs:1', 'nobody:1', 'list:secret', 'LIST:1'])('%s is forbidden to', async (room) => {
    expect(await asks('join', room)).toMatchObject({ ok: false, error: { code: 'forbidden' } });
    expect(await rooms()).toEqual([]);
  });

  test.each(['', 'list:\ud800', `list:${'x'.repeat(2_044)}`])(
    '%j is told that this is no name',
    async (room) => {
      expect(await asks('join', room)).toMatchObject({ error: { code: 'invalid_payload', field: 'room' } });
    },
  );

  test('and does not wait for it is in the room before the acknowledgement', async () => {
    await asks('join-unawaited', 'list:1');
    expect(await rooms()).toEqual(['list:1']);
  });

  test('a 91st room is refused', async () => {
    const many = Array.from({ length: 90 }, (_, i) => `list:${i}`);
    expect(await asks('join-many', many)).toMatchObject({ ok: true });
    expect(await asks('join', 'list:90')).toMatchObject({ ok: false, error: { code: 'rate_limited' } });
    expect(await asks('join', 'list:0')).toEqual({ ok: true });
  });
});

describe('socket.data', () => {
  test('is there for the next event, key by key, and only for its own application', async () => {
    await asks('remember', { key: 'a', value: { deep: [1] } });
    await asks('remember', { key: 'b', value: null });
    expect(await asks('recall')).toMatchObject({ data: { a: { deep: [1] }, b: null } });
    expect(await asks('neighbour:data')).toMatchObject({ data: {} });
    await asks('remember', { key: 'a' });
    expect(await asks('recall')).toEqual({ data: { b: null } });
  });
});

describe('while the table cannot be reached', () => {
  const broken = async (works: number) => {
    let left = works;
    const made = await world({
      applications: [talk, neighbour],
      rows: await at.table.rows(),
      client: (client) =>
        ({
          send: async (command: never) => {
            left -= 1;
            if (left < 0) throw Object.assign(new Error('no answer'), { name: 'TimeoutError' });
            return client.send(command);
          },
        }) as never,
    });
    return made;
  };

  test.each([0, 1])('an event is acknowledged as failed, after %i calls', async (works) => {
    const made = await broken(works);
    await made.messages.handle(ID, '427["silent"]');
    expect(made.wire.to(ID)).toEqual([
      '437[{"ok":false,"error":{"code":"internal","message":"internal error"}}]',
    ]);
    expect(made.wire.closed).toEqual([]);
  });

  test('an event without an id goes unanswered, and the connection stays', async () => {
    const made = await broken(0);
    await made.messages.handle(ID, '42["silent"]');
    expect([made.wire.posts, made.wire.closed]).toEqual([[], []]);
    expect(made.log.lines).toContainEqual(expect.objectContaining({ level: 'error' }));
  });

  test('CONNECT closes the connection, so that the client comes back', async () => {
    const made = await broken(1);
    await made.messages.handle(PEER, '40/');
    expect(made.wire.closed).toEqual([PEER]);
  });

  test('a pong is lost, and nothing else', async () => {
    const made = await broken(0);
    await made.messages.handle(ID, '3');
    expect([made.wire.posts, made.wire.closed]).toEqual([[], []]);
  });
});

test('no frame, whatever it is, makes the server throw', async () => {
  const encoder = new Encoder();
  const event = fc
    .tuple(
      fc.constantFrom(...Object.keys(talk.clientEvents), 'nobody', '__proto__'),
      fc.jsonValue(),
      fc.option(fc.nat(), { nil: undefined }),
    )
    .map(([name, payload, ackId]) => {
      const packet = { type: PacketType.EVENT, nsp: '/', data: [name, payload] };
      return `4${String(encoder.encode(ackId === undefined ? packet : { ...packet, id: ackId })[0])}`;
    });
  const shaped = fc
    .tuple(fc.constantFrom('4', '40', '41', '42', '43', '44', '45', 'b', '2', '3'), fc.json())
    .map((parts) => parts.join(''));
  const frame = fc.oneof(event, shaped, fc.string({ unit: 'binary' }));
  const rows = await at.table.rows();
  await fc.assert(
    fc.asyncProperty(
      fc.array(frame, { minLength: 1, maxLength: 8 }),
      fc.boolean(),
      async (some, together) => {
        const made = await world({ applications: [talk, neighbour], rows });
        made.clock.advance(at.clock.now() - START);
        const handle = (each: string) => made.messages.handle(ID, each);
        if (together) await Promise.all(some.map(handle));
        else for (const each of some) await handle(each);
        for (const { frame: sent } of made.wire.posts) expect(sent).toMatch(/^(4[0-6]|b)/);
        expect(made.wire.closed.filter((connection) => connection !== ID)).toEqual([]);
      },
    ),
    { numRuns: 60 },
  );
});
