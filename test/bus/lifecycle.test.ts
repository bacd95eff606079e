import { beforeEach, describe, expect, test } from 'vitest';
import { defineApp } from '../../lambdas/apps/define-app.ts';
import { slotOf } from '../../lambdas/bus/heartbeat.ts';
import type { AuthOutcome } from '../../lambdas/bus/public.ts';
import {
  connected,
  connectionId,
  HANDSHAKE,
  joinedNamespace,
  START,
  type World,
  world,
} from '../support/world.ts';

const MINUTE = 60_000;
const hooks: string[] = [];
let verdict: AuthOutcome = { kind: 'accepted' };
const lists = defineApp({
  name: 'lists',
  auth: { authenticate: async () => verdict },
  rooms: { 'list:': { canJoin: () => true } },
  onConnect: (socket) => void hooks.push(`connect ${socket.id}`),
  onDisconnect: (socket) => void hooks.push(`disconnect ${socket.id} ${[...socket.rooms].sort().join()}`),
});
const other = defineApp({ name: 'other', namespace: '/other' });
const ID = connectionId(1);

let at: World;
beforeEach(async () => {
  hooks.length = 0;
  verdict = { kind: 'accepted' };
  at = await world({ applications: [lists, other] });
});

const accept = async () => {
  await at.lifecycle.accept({ id: ID, connectedAt: at.clock.now(), handshake: HANDSHAKE, credentials: {} });
  return at.opened.at(-1)!;
};
const inSlot = async (id = ID) => {
  const group = { kind: 'slot', slot: slotOf(id, 4) } as const;
  for (let shard = 0; shard < at.store.shards(group); shard += 1) {
    const { members } = await at.store.members(group, shard, {});
    if (members.some((member) => member.connectionId === id)) return true;
  }
  return false;
};
const members = async (namespace = '/') => {
  const pages = Array.from({ length: 16 }, (_, shard) =>
    at.store.members({ kind: 'namespace', namespace }, shard, {}),
  );
  return (await Promise.all(pages)).flatMap((page) => page.members.map(({ id }) => id));
};
const dueAt = async (time: number) => {
  const shards = Array.from({ length: at.store.dueShards() }, (_, shard) =>
    at.store.due(Math.ceil(time / MINUTE), shard),
  );
  return (await Promise.all(shards)).flat();
};

describe('a connection that opens', () => {
  test('is durable before anybody is asked to greet it', async () => {
    const order: string[] = [];
    const { lifecycle } = await world({
      applications: [lists],
      client: (client) =>
        ({
          send: async (command: never) => {
            const answer = await client.send(command);
            order.push('written');
            return answer;
          },
        }) as never,
    }).then((made) => {
      const { open } = made.bus.workers;
      Object.assign(made.bus.workers, {
        open: (work: Parameters<typeof open>[0]) => {
          order.push('asked');
          return open(work);
        },
      });
      return made;
    });
    await lifecycle.accept({ id: ID, connectedAt: START, handshake: HANDSHAKE, credentials: {} });
    expect(order).toEqual(['written', 'asked']);
  });

  test('is due to be in a namespace after 45 s, and to be recycled between 100 and 118 minutes', async () => {
    await accept();
    expect(await dueAt(START + 45_000)).toMatchObject([{ kind: 'namespace', at: START + 45_000 }]);
    const recycles = [];
    for (let minute = 100; minute <= 118; minute += 1)
      recycles.push(...(await dueAt(START + minute * MINUTE)));
    expect(recycles).toMatchObject([{ kind: 'recycle', connectionId: ID }]);
  });

  test('is greeted with the open packet, and only then joins its heartbeat slot', async () => {
    const work = await accept();
    let early: boolean | undefined;
    at.wire.outcome = () => 'ok';
    const { post } = at.wire;
    at.wire.post = async (id, frame) => {
      early = await inSlot();
      return post.call(at.wire, id, frame);
    };
    await at.lifecycle.greet(work);
    expect(early).toBe(false);
    expect(await inSlot()).toBe(true);
    const [frame] = at.wire.to(ID);
    expect(frame![0]).toBe('0');
    expect(JSON.parse(frame!.slice(1))).toEqual({
      sid: work.sid,
      upgrades: [],
      pingInterval: 240_000,
      pingTimeout: 120_000,
      maxPayload: 32_768,
    });
  });

  test('is greeted again after a 410: the gateway may not know it yet', async () => {
    const work = await accept();
    let tries = 0;
    at.wire.outcome = () => {
      tries += 1;
      return tries < 4 ? 'gone' : 'ok';
    };
    await at.lifecycle.greet(work);
    expect(at.wire.to(ID)).toHaveLength(1);
    expect(await inSlot()).toBe(true);
  });

  test.each(['gone', 'throttled', 'failed', 'refused'] as const)(
    'is cut, and never pinged, where its greeting stays %s',
    async (outcome) => {
      const work = await accept();
      at.wire.outcome = () => outcome;
      await at.lifecycle.greet(work);
      expect(at.wire.closed).toEqual([ID]);
      expect(await inSlot()).toBe(false);
      expect(at.clock.now() - START).toBeLessThanOrEqual(10_000);
    },
  );

  test('may be greeted twice', async () => {
    const work = await accept();
    await at.lifecycle.greet(work);
    await at.lifecycle.greet(work);
    expect(at.wire.closed).toEqual([]);
    expect(await inSlot()).toBe(true);
  });

  test('that is over before it is greeted does not join the heartbeat', async () => {
    const work = await accept();
    await at.lifecycle.disconnected(ID);
    await at.lifecycle.greet(work);
    expect(await inSlot()).toBe(false);
  });
});

describe('CONNECT', () => {
  const replies = () => at.wire.to(ID).filter((frame) => frame.startsWith('40'));

  test('is answered once, after the socket and its membership are durable', async () => {
    await connected(at, 1);
    let durable: unknown;
    const { post } = at.wire;
    at.wire.post = async (id, frame) => {
      const connection = await at.store.connection(ID);
      const socket = await at.store.socket({ namespace: '/', id: connection?.namespaces['/'] ?? '' });
      durable = { state: socket?.state, members: await members(), id: socket?.id };
      return post.call(at.wire, id, frame);
    };
    const id = await joinedNamespace(at, ID);
    expect(durable).toEqual({ state: 'pending', members: [id], id });
    expect(replies()).toEqual([`40{"sid":"${id}"}`]);
    expect((await at.store.socket({ namespace: '/', id }))?.state).toBe('open');
    expect(hooks).toEqual([`connect ${id}`]);
  });

  test.each(['gone', 'throttled'] as const)(
    'is answered again where it was certainly %s',
    async (outcome) => {
      await connected(at, 1);
      let tries = 0;
      at.wire.outcome = () => {
        tries += 1;
        return tries < 3 ? outcome : 'ok';
      };
      await joinedNamespace(at, ID);
      expect([tries, replies().length]).toEqual([3, 1]);
      expect(at.wire.closed).toEqual([]);
      expect(hooks).toHaveLength(1);
    },
  );

  test.each(['failed', 'refused'] as const)(
    'whose answer %s is not answered twice: the connection is closed',
    async (outcome) => {
      await connected(at, 1);
      let tries = 0;
      at.wire.outcome = () => {
        tries += 1;
        return outcome;
      };
      await at.messages.handle(ID, '40');
      expect(tries).toBe(1);
      expect(at.wire.closed).toEqual([ID]);
      expect((await at.store.connection(ID))?.open).toBe(false);
      expect(await members()).toEqual([]);
      expect(hooks).toEqual([]);
    },
  );

  test('that cannot be handled closes the connection, so that the client comes back', async () => {
    await connected(at, 1);
    Object.assign(lists.auth!, {
      authenticate: async () => {
        throw new Error('the secret cannot be read');
      },
    });
    try {
      await at.messages.handle(ID, '40');
    } finally {
      Object.assign(lists.auth!, { authenticate: async () => verdict });
    }
    expect(at.wire.closed).toEqual([ID]);
    expect(at.log.lines.some(({ level }) => level === 'error')).toBe(true);
    expect(JSON.stringify(at.wire.posts)).not.toContain('the secret');
  });

  test.each(['/nobody', '/constructor', '/__proto__', '/other/'])(
    'to %s, where nobody lives, is refused as Socket.IO does, and the connection goes on',
    async (namespace) => {
      await connected(at, 1);
      await at.messages.handle(ID, `40${namespace},`);
      expect(at.wire.to(ID).at(-1)).toBe(`44${namespace},{"message":"Invalid namespace"}`);
      expect(at.wire.closed).toEqual([]);
      await joinedNamespace(at, ID);
    },
  );

  test('to two namespaces gives two sockets on one connection', async () => {
    await connected(at, 1);
    const one = await joinedNamespace(at, ID);
    const two = await joinedNamespace(at, ID, '/other');
    expect(one).not.toBe(two);
    expect((await at.store.connection(ID))?.namespaces).toEqual({ '/': one, '/other': two });
    expect([await members(), await members('/other')]).toEqual([[one], [two]]);
  });

  test('that is refused is told why, with data, and leaves nothing behind', async () => {
    verdict = { kind: 'refused', message: 'API key required', data: { code: 401 } };
    await connected(at, 1);
    await at.messages.handle(ID, '40');
    expect(at.wire.to(ID).at(-1)).toBe('44{"message":"API key required","data":{"code":401}}');
    expect(await members()).toEqual([]);
    expect((await at.store.connection(ID))?.namespaces).toEqual({});
    verdict = { kind: 'refused', message: 'no' };
    await at.messages.handle(ID, '40');
    expect(at.wire.to(ID).at(-1)).toBe('44{"message":"no"}');
    verdict = { kind: 'accepted' };
    await joinedNamespace(at, ID);
  });

  test('that is expelled is connected, told why and disconnected, and never a member', async () => {
    verdict = { kind: 'expelled', event: 'error', args: [{ message: 'Token inválido' }] };
    await connected(at, 1);
    await at.messages.handle(ID, '40');
    const frames = at.wire.to(ID).slice(1);
    expect(frames[0]).toMatch(/^40\{"sid":"[\w-]{20}"\}$/);
    expect(frames.slice(1)).toEqual(['42["error",{"message":"Token inválido"}]', '41']);
    expect(await members()).toEqual([]);
    expect(hooks).toEqual([]);
    expect(at.wire.closed).toEqual([]);
  });

  test('keeps what authentication found out, and is due to end with the token', async () => {
    verdict = { kind: 'accepted', identity: { id: 7 }, expiresAt: START + 10 * MINUTE };
    await connected(at, 1);
    const id = await joinedNamespace(at, ID);
    expect((await at.store.socket({ namespace: '/', id }))?.identities).toEqual({ lists: { id: 7 } });
    expect(await dueAt(START + 10 * MINUTE)).toMatchObject([{ kind: 'expiry', socket: { id } }]);
    expect(await dueAt(START + 45_000)).toContainEqual(expect.objectContaining({ kind: 'pending' }));
  });

  test('on a connection that was closed meanwhile is not answered', async () => {
    await connected(at, 1);
    const connection = (await at.store.connection(ID))!;
    await at.lifecycle.disconnected(ID);
    expect(await at.lifecycle.connectNamespace(connection, '/', undefined)).toBe('done');
    expect(replies()).toEqual([]);
    expect(await members()).toEqual([]);
  });
});

describe('DISCONNECT', () => {
  test('ends one socket, runs its hooks with its rooms, and frees its namespace for another CONNECT', async () => {
    await connected(at, 1);
    const id = await joinedNamespace(at, ID);
    const two = await joinedNamespace(at, ID, '/other');
    await at.store.join(
      { namespace: '/', id, connectionId: ID, connectedAt: START },
      ['list:1'],
      at.clock.now(),
    );
    await at.messages.handle(ID, '41');
    expect(hooks).toEqual([`connect ${id}`, `disconnect ${id} ${[id, 'list:1'].sort().join()}`]);
    expect([await members(), await members('/other')]).toEqual([[], [two]]);
    const next = await joinedNamespace(at, ID);
    expect(next).not.toBe(id);
    expect((await at.store.connection(ID))?.namespaces).toEqual({ '/': next, '/other': two });
    expect(at.wire.closed).toEqual([]);
  });

  test('of the server tells the client, and closes the connection only where that is asked for', async () => {
    await connected(at, 1);
    const id = await joinedNamespace(at, ID);
    const ref = { namespace: '/', id, connectionId: ID, connectedAt: START };
    await at.lifecycle.disconnectSocket(ref, false);
    expect(at.wire.to(ID).at(-1)).toBe('41');
    expect(at.wire.closed).toEqual([]);
    const two = await joinedNamespace(at, ID, '/other');
    await at.lifecycle.disconnectSocket({ ...ref, namespace: '/other', id: two }, true);
    expect(at.wire.to(ID).at(-1)).toBe('41/other,');
    expect(at.wire.closed).toEqual([ID]);
  });

  test.each(['throttled', 'failed', 'refused'] as const)(
    'of the server whose DISCONNECT was %s ends the connection, so that no client is left deaf',
    async (outcome) => {
      await connected(at, 1);
      const id = await joinedNamespace(at, ID);
      at.wire.outcome = () => outcome;
      await at.lifecycle.disconnectSocket(
        { namespace: '/', id, connectionId: ID, connectedAt: START },
        false,
      );
      expect(at.wire.closed).toEqual([ID]);
      expect((await at.store.connection(ID))?.open).toBe(false);
    },
  );

  test('of the server tries a throttled DISCONNECT again', async () => {
    await connected(at, 1);
    const id = await joinedNamespace(at, ID);
    let tries = 0;
    at.wire.outcome = () => {
      tries += 1;
      return tries < 3 ? 'throttled' : 'ok';
    };
    await at.lifecycle.disconnectSocket({ namespace: '/', id, connectionId: ID, connectedAt: START }, false);
    expect([at.wire.to(ID).at(-1), at.wire.closed]).toEqual(['41', []]);
  });
});

test('a connection whose greeting failed and that cannot be cut is pinged', async () => {
  const work = await accept();
  at.wire.outcome = () => 'failed';
  at.wire.closes = false;
  await at.lifecycle.greet(work);
  expect(await inSlot()).toBe(true);
});

test('a connection that cannot be cut keeps its rows: its client hears on, and is cut the next time', async () => {
  await connected(at, 1);
  const id = await joinedNamespace(at, ID);
  at.wire.closes = false;
  await expect(at.lifecycle.close(ID)).rejects.toMatchObject({ code: 'unavailable' });
  expect((await at.store.connection(ID))?.open).toBe(true);
  expect(await members()).toEqual([id]);
  expect(await inSlot()).toBe(true);
  at.wire.closes = true;
  await at.lifecycle.close(ID);
  expect([await members(), await inSlot()]).toEqual([[], false]);
});

describe('a connection that ends', () => {
  test('ends all its sockets, once, however often it is told', async () => {
    await connected(at, 1);
    const id = await joinedNamespace(at, ID);
    await joinedNamespace(at, ID, '/other');
    await at.lifecycle.disconnected(ID);
    await at.lifecycle.disconnected(ID);
    await at.lifecycle.close(ID);
    expect(hooks).toEqual([`connect ${id}`, `disconnect ${id} ${id}`]);
    expect([await members(), await members('/other'), await inSlot()]).toEqual([[], [], false]);
    expect((await at.store.socket({ namespace: '/', id }))?.state).toBe('closed');
  });

  test('that nobody knows is no error', async () => {
    await expect(at.lifecycle.disconnected(connectionId(5))).resolves.toBeUndefined();
  });

  test('runs every application’s connect hook, also where one fails and cannot be told of', async () => {
    const fails = async () => {
      throw new Error('no table');
    };
    const broken = defineApp({ name: 'broken', onConnect: fails, onError: fails });
    at = await world({ applications: [broken, lists] });
    const socket = await joinedNamespace(at, await connected(at, 1));
    expect([hooks, at.wire.closed]).toEqual([[`connect ${socket}`], []]);
    expect(at.log.lines.filter(({ level }) => level === 'error').map(({ message }) => message)).toEqual([
      'a connect hook failed',
      'a failure could not be reported',
    ]);
  });

  test('before its connect hooks ran has no disconnect hooks', async () => {
    await connected(at, 1);
    at.wire.outcome = () => 'failed';
    await at.messages.handle(ID, '40');
    expect(hooks).toEqual([]);
  });

  test('is cleaned up also where a hook fails', async () => {
    const failing = defineApp({
      name: 'failing',
      namespace: '/failing',
      onDisconnect: () => {
        throw new Error('hook');
      },
    });
    at = await world({ applications: [failing] });
    await connected(at, 1);
    await joinedNamespace(at, ID, '/failing');
    await at.lifecycle.disconnected(ID);
    expect([await members('/failing'), await inSlot()]).toEqual([[], false]);
    expect(at.log.lines).toContainEqual(
      expect.objectContaining({ level: 'error', message: 'a disconnect hook failed' }),
    );
  });
});

describe('hooks', () => {
  test('that fail are reported to the client and do not stop the next application', async () => {
    const first = defineApp({
      name: 'first',
      onConnect: () => {
        throw new Error('secret cause');
      },
    });
    at = await world({ applications: [first, lists] });
    await connected(at, 1);
    const id = await joinedNamespace(at, ID);
    expect(hooks).toEqual([`connect ${id}`]);
    const error = at.wire.to(ID).find((frame) => frame.startsWith('42["error"'))!;
    expect(JSON.parse(error.slice(2))[1]).toMatchObject({ code: 'internal', event: 'connect' });
    expect(error).not.toContain('secret cause');
  });

  test('may disconnect the socket, and then no later application sees it', async () => {
    const bouncer = defineApp({ name: 'bouncer', onConnect: (socket) => socket.disconnect() });
    at = await world({ applications: [bouncer, lists] });
    await connected(at, 1);
    const id = await joinedNamespace(at, ID);
    expect(at.wire.to(ID).at(-1)).toBe('41');
    expect(hooks).not.toContain(`connect ${id}`);
    expect(await members()).toEqual([]);
  });
});

describe('a recipient whose post says that it has gone', () => {
  const found = (id: string, member: string) => [
    { id: member, connectionId: id, group: { kind: 'namespace', namespace: '/' } as const },
  ];

  test('is left alone while it may still be opening, and cleaned up after 30 seconds', async () => {
    await connected(at, 1);
    const id = await joinedNamespace(at, ID);
    at.clock.advance(START + 29_999 - at.clock.now());
    await at.lifecycle.reap(found(ID, id));
    expect(await members()).toEqual([id]);
    at.clock.advance(1);
    await at.lifecycle.reap(found(ID, id));
    expect(await members()).toEqual([]);
    expect(hooks.at(-1)).toBe(`disconnect ${id} ${id}`);
  });

  test('and whose connection has expired loses the membership that led to it', async () => {
    await connected(at, 1);
    const id = await joinedNamespace(at, ID);
    const ref = { namespace: '/', id, connectionId: ID, connectedAt: START };
    await at.store.join(ref, ['list:1'], START);
    const stranded = await world({
      applications: [lists],
      rows: (await at.table.rows()).filter(
        (row) => Buffer.from(String(row.p?.B), 'base64')[0] === 'm'.charCodeAt(0),
      ),
    });
    const room = { kind: 'room', namespace: '/', room: 'list:1' } as const;
    expect((await stranded.store.members(room, 0, {})).members).toHaveLength(1);
    await stranded.lifecycle.reap([{ id, connectionId: ID, group: room }]);
    expect((await stranded.store.members(room, 0, {})).members).toEqual([]);
    const slot = { kind: 'slot', slot: slotOf(ID, 4) } as const;
    await stranded.lifecycle.reap([{ id, connectionId: ID, group: slot }]);
    expect(await stranded.table.rows()).toEqual([]);
  });

  test('and cannot be cleaned up now does not keep others from being', async () => {
    await connected(at, 1);
    const one = await joinedNamespace(at, ID);
    await connected(at, 2);
    const two = await joinedNamespace(at, connectionId(2));
    at.clock.advance(MINUTE);
    const { disconnected } = at.lifecycle;
    at.lifecycle.disconnected = async (id) => {
      if (id === ID) throw new Error('unavailable');
      return disconnected.call(at.lifecycle, id);
    };
    await at.lifecycle.reap([...found(ID, one), ...found(connectionId(2), two)]);
    expect(await members()).toEqual([one]);
  });
});
