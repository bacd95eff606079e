import { beforeEach, describe, expect, test, vi } from 'vitest';
import * as z from 'zod/mini';
import { defineApp } from '../../lambdas/apps/define-app.ts';
import { ConnectionLimits, countedAddress } from '../../lambdas/bus/limits.ts';
import { Messages } from '../../lambdas/bus/messages.ts';
import { pollingId } from '../../lambdas/bus/names.ts';
import { Upgrades } from '../../lambdas/bus/upgrade.ts';
import { DEFAULT_LIMITS } from '../../lambdas/contract/limits.ts';
import { parseOffset } from '../../lambdas/contract/offsets.ts';
import {
  connected,
  connectionId,
  FakeClock,
  HANDSHAKE,
  joinedNamespace,
  pollRequest,
  SeededRandom,
  type World,
  type WorldOptions,
  world,
} from '../support/world.ts';

const ONE = connectionId(1);
const OTHER = connectionId(2);
const anything = z.unknown();

const talk = defineApp({
  name: 'talk',
  auth: {
    authenticate: async ({ auth }) => {
      const { id } = (auth ?? {}) as { id?: string };
      return id === undefined ? { kind: 'accepted' } : { kind: 'accepted', identity: { id } };
    },
  },
  serverEvents: { said: anything },
  rooms: { 'list:': { canJoin: () => true, history: true } },
  http: [
    {
      method: 'POST',
      path: '/tell',
      async handle(_request, io) {
        await io.emit('said', 1);
        return { status: 200, body: {} };
      },
    },
  ],
  clientEvents: {
    hello: { payload: anything, handle: () => ({ ok: true }) },
    'be counted': {
      payload: z.union([z.string(), z.number()]),
      handle: (socket, who) => socket.countAs(who).then(() => undefined),
    },
    wait: { payload: anything, handle: (socket) => socket.eventually(() => false).then(() => undefined) },
    join: {
      payload: z.array(z.string()),
      handle: (socket, rooms) => socket.join(rooms).then(() => undefined),
    },
    'tell-all': { payload: anything, handle: (socket) => socket.nsp.emit('said', 1) },
    'tell-twice': {
      payload: anything,
      handle: async (socket) => {
        await socket.emit('said', 1);
        await socket.nsp.emit('said', 2);
      },
    },
    'tell-list': { payload: anything, handle: (socket) => socket.nsp.to('list:1').emit('said', 1) },
    'ask-all': {
      payload: anything,
      handle: async (socket) => {
        await socket.nsp.timeout(1).emitWithAck('said', 1);
      },
    },
  },
});

let at: World;
async function begin(options: Partial<WorldOptions> = {}): Promise<void> {
  at = await world({ applications: [talk], ...options });
  for (const n of [1, 2]) await joinedNamespace(at, await connected(at, n));
  // Of the ten packets that its CONNECT counted as it has nine again.
  at.clock.advance(180);
}
const acks = (id: string) => at.wire.to(id).filter((frame) => frame.startsWith('43'));
const refused = (id: string) => acks(id).filter((frame) => frame.includes('"rate_limited"'));
/** A client that polls, in its namespace. */
const polling = async () => {
  const { sid } = JSON.parse((await pollRequest(at, 'GET')).body.slice(1)) as { sid: string };
  const post = (session: string, frames: readonly string[]) =>
    pollRequest(at, 'POST', session, frames.join('\x1e'));
  await post(sid, ['40']);
  at.clock.advance(180);
  return { sid, id: pollingId(sid), post, appends: vi.spyOn(at.bus.outbox, 'append') };
};
const say = async (count: number, frame = '421["hello"]') => {
  for (let n = 0; n < count; n += 1) await at.messages.handle(ONE, frame);
};

/** A packet that cannot be refused, one too many. */
const close = async (id: string) => {
  for (let n = 0; n < 101; n += 1) await at.messages.handle(id, '43["an answer"]');
};
const lineOf = (id: string) => {
  const isIts = ({ message, fields }: { readonly message: string; readonly fields: unknown }) =>
    message === 'closing a connection' && (fields as { readonly connectionId: string }).connectionId === id;
  return at.log.lines.find(isIts)?.fields;
};

describe('a connection', () => {
  beforeEach(() => begin());

  test('that sends as many events as it may at once hears no refusal', async () => {
    await say(99);
    expect(acks(ONE)).toHaveLength(99);
    expect(refused(ONE)).toEqual([]);
  });

  test('costs one write for each thirty of its events, on average, however few it sends', async () => {
    const told = vi.spyOn(at.bus.store, 'tally');
    for (let n = 0; n < 100; n += 1) {
      await say(6);
      at.clock.advance(10_000);
    }
    expect(acks(ONE)).toHaveLength(600);
    expect(told.mock.calls.length).toBeGreaterThan(600 / 30 / 2);
    expect(told.mock.calls.length).toBeLessThan((600 / 30) * 2);
  });

  test.each([
    [30, 60],
    // None of them sees as much as it would tell.
    [150, 16],
  ])('whose events reach %i instances, %i each, is refused some of them', async (count, each) => {
    const instances = Array.from(
      { length: count },
      () => new Messages(at.bus, at.lifecycle, new Upgrades(at.bus, at.lifecycle)),
    );
    for (let n = 0; n < each; n += 1)
      for (const instance of instances) await instance.handle(ONE, '421["hello"]');
    // Twice the 600 that it may send in ten seconds, and what was not told of.
    expect(acks(ONE).length - refused(ONE).length).toBeLessThan(2 * 600 + 29 * count);
    expect(refused(ONE).length).toBeGreaterThan(0);
    const before = refused(ONE).length;
    at.clock.advance(10_000);
    await instances[0]!.handle(ONE, '421["hello"]');
    expect(refused(ONE)).toHaveLength(before);
  });

  test('that keeps to its limit is held to be over it by no chance, over however many instances its events are spread', () => {
    const random = new SeededRandom(11);
    const clock = new FakeClock();
    for (const count of [1, 6, 60, 600]) {
      for (let times = 0; times < 50; times += 1) {
        const instances = Array.from(
          { length: count },
          () => new ConnectionLimits(DEFAULT_LIMITS, clock, random),
        );
        let total = 0;
        for (let n = 0; n < 600; n += 1) {
          if (n % 60 === 59) clock.advance(999);
          const limits = instances[n % count]!;
          limits.admits(ONE);
          const share = limits.share(ONE);
          total += share?.packets ?? 0;
          expect(share === undefined || limits.holds(ONE, share, total)).toBe(true);
        }
        clock.advance(20_000);
      }
    }
  });

  test('that sends one too many is refused it, by its acknowledgement, and may go on a moment later', async () => {
    await say(100);
    expect(refused(ONE)).toEqual([
      '431[{"ok":false,"error":{"code":"rate_limited","message":"too many events"}}]',
    ]);
    at.clock.advance(20);
    await say(1);
    expect(refused(ONE)).toHaveLength(1);
    expect(at.wire.closed).toEqual([]);
  });

  test('that wants no acknowledgement is told once a second by an error event', async () => {
    await say(120, '42["hello"]');
    const errors = at.wire.to(ONE).filter((frame) => frame.startsWith('42["error"'));
    expect(errors.map((frame) => JSON.parse(frame.slice(2))[1])).toEqual([
      { message: 'too many events', code: 'rate_limited', event: 'hello', timestamp: expect.any(String) },
    ]);
  });

  test('that is over its limit in three seconds of a minute is closed, and what it had sent is dropped', async () => {
    const over = () => say(151);
    await over();
    at.clock.advance(1_000);
    await over();
    expect(at.wire.closed).toEqual([]);
    at.clock.advance(1_000);
    await over();
    expect(at.wire.closed).toEqual([ONE]);
    const heard = at.wire.posts.length;
    const reads = vi.spyOn(at.bus.store, 'connection');
    await say(500);
    expect(at.wire.posts).toHaveLength(heard);
    expect(reads).not.toHaveBeenCalled();
    expect(at.wire.to(OTHER).slice(2)).toEqual([]);
  });

  test('that is closed for it is in the log with its address and its user, for whoever has to shut it out', async () => {
    const id = await connected(at, 3);
    await at.messages.handle(id, '40{"id":"ana"}');
    await close(id);
    expect(lineOf(id)).toMatchObject({ address: HANDSHAKE.address, user: 'ana' });
    await close(ONE);
    expect(lineOf(ONE)).toHaveProperty('address', HANDSHAKE.address);
    expect(lineOf(ONE)).not.toHaveProperty('user');
  });

  test('is closed for it also where nobody can be told whose it is', async () => {
    await say(100);
    vi.spyOn(at.bus.store, 'connection').mockRejectedValueOnce(new Error('the table does not answer'));
    await at.messages.handle(ONE, '43["an answer"]');
    expect(at.wire.closed).toEqual([ONE]);
    expect(lineOf(ONE)).not.toHaveProperty('address');
  });

  test('that was over its limit long ago begins anew', async () => {
    for (let n = 0; n < 5; n += 1) {
      await say(151);
      at.clock.advance(31_000);
    }
    expect(at.wire.closed).toEqual([]);
  });

  test('whose strikes come from several instances is closed at the third, of which there is one a second', async () => {
    const strikes = () => at.store.strike(ONE, at.clock.now(), 60_000);
    expect([await strikes(), await strikes()]).toEqual([1, 1]);
    at.clock.advance(1_000);
    expect([await strikes(), await strikes()]).toEqual([2, 2]);
    at.clock.advance(1_000);
    await say(101);
    expect(at.wire.closed).toEqual([ONE]);
  });

  test('whose events wait in vain has no more than twenty of them in ten seconds, though each comes to another instance', async () => {
    const fresh = () => new Messages(at.bus, at.lifecycle, new Upgrades(at.bus, at.lifecycle));
    const window = () => Math.floor(at.clock.now() / 10_000);
    await fresh().handle(ONE, '421["wait"]');
    expect(await at.store.tally(ONE, { window: window(), packets: 0 })).toBe(60);
    await at.store.tally(ONE, { window: window(), packets: 19 * 60 });
    // It learns it by its own wait, and what comes next is refused.
    const last = fresh();
    await last.handle(ONE, '421["wait"]');
    expect(refused(ONE)).toEqual([]);
    await last.handle(ONE, '421["wait"]');
    expect(refused(ONE)).toHaveLength(1);
  });

  test.each([
    ['its wait in vain', '421["wait"]', 'tally'],
    [
      'its strike',
      `421${JSON.stringify(['join', Array.from({ length: 91 }, (_, n) => `list:${n}`)])}`,
      'strike',
    ],
  ] as const)(
    'is answered its event once though the table fails when %s is to be written',
    async (_what, frame, call) => {
      const written = vi.spyOn(at.bus.store, call).mockRejectedValue(new Error('throttled'));
      await at.messages.handle(ONE, frame);
      expect(written).toHaveBeenCalledOnce();
      expect(acks(ONE)).toHaveLength(1);
    },
  );

  test('that leaves while the table fails is closed: it believes that it has left', async () => {
    vi.spyOn(at.bus.store, 'connection').mockRejectedValueOnce(new Error('throttled'));
    await at.messages.handle(ONE, '41');
    expect(at.wire.closed).toEqual([ONE]);
  });

  test('has its events added up in the row that it has, of one window', async () => {
    const tally = (window: number, packets: number, id = ONE) => at.store.tally(id, { window, packets });
    expect([await tally(7, 30), await tally(7, 30), await tally(8, 30), await tally(7, 30)]).toEqual([
      30, 60, 30, 0,
    ]);
    expect(await tally(7, 30, connectionId(9))).toBe(0);
  });

  test('that is gone has no strikes', async () => {
    expect(await at.store.strike(connectionId(9), at.clock.now(), 60_000)).toBe(0);
  });

  test('that polls has each event of its request counted', async () => {
    await at.messages.handleAll(ONE, Array(110).fill('421["hello"]'));
    expect(acks(ONE)).toHaveLength(110);
    expect(refused(ONE)).toHaveLength(11);
  });

  test('that polls is told what its request was refused in one write', async () => {
    const { sid, id, post, appends } = await polling();
    await post(sid, Array(140).fill('420["hello"]'));
    // The answers of those that were let in, and one for all the others.
    expect(appends.mock.calls.map(([, frames]) => frames.length)).toEqual([...Array(99).fill(1), 41]);
    expect(await at.store.connection(id)).toMatchObject({ open: true });
  });

  test('that polls and sends far too many packets in one request is closed, at the price of those that were let in', async () => {
    const { sid, id, post, appends } = await polling();
    await post(sid, Array(2_500).fill('420["hello"]'));
    expect(appends).toHaveBeenCalledTimes(99);
    expect(await at.store.connection(id)).toMatchObject({ open: false });
  });

  test.each([
    ['pongs', '3'],
    ['probes', '2probe'],
    ['noops', '6'],
  ])(
    'that sends too many %s is not told of it, but closed in the third such second',
    async (_what, frame) => {
      const slots = vi.spyOn(at.bus.store, 'touchSlot');
      const links = vi.spyOn(at.bus.outbox, 'probedBy');
      const heard = at.wire.posts.length;
      // Not the wire's: a probe that belongs to no session closes that at once.
      const closed = vi.spyOn(at.lifecycle, 'disconnected');
      for (let n = 0; n < 3; n += 1) {
        await say(500, frame);
        expect(closed).toHaveBeenCalledTimes(n < 2 ? 0 : 1);
        at.clock.advance(1_000);
      }
      expect(slots.mock.calls.length + links.mock.calls.length).toBeLessThanOrEqual(99 + 2 * 50);
      expect(at.wire.posts).toHaveLength(heard);
    },
  );

  test('that sends one pong too many is answered its next event', async () => {
    await say(100, '3');
    at.clock.advance(1_000);
    await say(1);
    expect(acks(ONE)).toEqual(['431[{"ok":true}]']);
    expect(at.wire.closed).toEqual([]);
  });

  test('that wants to take over when it is over its limit is closed: nobody believes that it has', async () => {
    await say(100, '5');
    expect(at.wire.closed).toEqual([ONE]);
  });

  test('that leaves when it is over its limit is closed: nobody believes that it has left', async () => {
    await say(100);
    await at.messages.handle(ONE, '41');
    expect(at.wire.closed).toEqual([ONE]);
  });

  test('that connects and leaves again and again may do so ten times at once and five times a second', async () => {
    const connects = async (count: number) => {
      const before = at.wire.to(ONE).length;
      for (let n = 0; n < count; n += 1) {
        await at.messages.handle(ONE, '41');
        await at.messages.handle(ONE, '40');
      }
      return at.wire.to(ONE).slice(before);
    };
    at.clock.advance(2_000);
    const replies = await connects(9);
    expect(replies.map((frame) => frame.slice(0, 3))).toEqual(Array(9).fill('40{'));
    await at.messages.handle(ONE, '41');
    await at.messages.handle(ONE, '40');
    expect(at.wire.to(ONE).at(-1)).toContain('rate_limited');
    expect(at.wire.closed).toEqual([]);
  });

  test('has its CONNECTs added up over all instances as ten packets each', async () => {
    const told = vi.spyOn(at.bus.store, 'tally');
    const instance = () => new Messages(at.bus, at.lifecycle, new Upgrades(at.bus, at.lifecycle));
    for (let n = 0; n < 90; n += 1) {
      await instance().handle(ONE, '41');
      await instance().handle(ONE, '40');
      at.clock.advance(500);
    }
    const packets = told.mock.calls.reduce((sum, [, share]) => sum + share.packets, 0);
    expect(packets).toBeGreaterThan((90 * 11) / 2);
    expect(packets).toBeLessThan(90 * 11 * 2);
  });

  test('with a bucket that holds less than a CONNECT counts as connects all the same', async () => {
    await begin({ limits: { eventBurst: 2 } });
    expect(at.wire.to(ONE).at(-1)).toMatch(/^40/);
  });

  test('that asks for a namespace too often is refused it', async () => {
    await say(99);
    await at.messages.handle(ONE, '40');
    expect(at.wire.to(ONE).at(-1)).toBe('44{"message":"too many events","data":{"code":"rate_limited"}}');
  });

  test('takes nothing from its neighbours', async () => {
    await say(300);
    await at.messages.handle(OTHER, '421["hello"]');
    expect(acks(OTHER)).toEqual(['431[{"ok":true}]']);
  });
});

describe('rooms', () => {
  const rooms = (from: number, count: number) =>
    JSON.stringify(['join', Array.from({ length: count }, (_, n) => `list:${from + n}`)]);

  test('are joined again all at once, and then ten a second', async () => {
    await begin({ limits: { roomsPerSocket: 20 } });
    await at.messages.handle(ONE, `421${rooms(0, 20)}`);
    expect(acks(ONE)).toEqual(['431[{"ok":true}]']);
    await at.messages.handle(ONE, `422${rooms(20, 1)}`);
    expect(refused(ONE)).toEqual([expect.stringContaining('10 rooms a second')]);
  });

  test('beyond what a socket may be in are refused', async () => {
    await begin({ limits: { roomsPerSocket: 20 } });
    await at.messages.handle(ONE, `421${rooms(0, 20)}`);
    at.clock.advance(1_000);
    await at.messages.handle(ONE, `422${rooms(20, 1)}`);
    expect(refused(ONE)).toEqual([expect.stringContaining('in too many rooms')]);
  });

  test('joined too often end the connection like too many events', async () => {
    await begin({ limits: { roomsPerSocket: 20, joinsPerSecond: 1 } });
    await at.messages.handle(ONE, `421${rooms(0, 20)}`);
    for (let n = 0; n < 3; n += 1) {
      await at.messages.handle(ONE, `422${rooms(20, 10)}`);
      at.clock.advance(1_000);
    }
    expect(at.wire.closed).toEqual([ONE]);
  });
});

describe('a frame', () => {
  test('that is larger than allowed closes its connection; the open packet says how large it may be', async () => {
    await begin({ limits: { payloadBytes: 2_048 } });
    expect(at.wire.to(ONE)[0]).toContain('"maxPayload":2048');
    await at.messages.handle(ONE, `421["hello","${'x'.repeat(1_000)}"]`);
    expect(at.wire.closed).toEqual([]);
    await at.messages.handle(ONE, `421["hello","${'x'.repeat(3_000)}"]`);
    expect(at.wire.closed).toEqual([ONE]);
  });
});

describe('an event', () => {
  test('may cause as many posts as allowed in all emits of its handler', async () => {
    await begin({ limits: { postsPerEvent: 3 } });
    await at.messages.handle(ONE, '421["tell-twice"]');
    expect(acks(ONE)).toEqual(['431[{"ok":true}]']);
    expect(at.wire.to(OTHER).at(-1)).toBe('42["said",2]');
  });

  test('that would cause more is refused, posts nothing and leaves nothing to recover', async () => {
    await begin({ limits: { postsPerEvent: 2 } });
    await at.messages.handle(ONE, '421["tell-twice"]');
    expect(refused(ONE)).toEqual([expect.stringContaining('at most 2 posts')]);
    expect(at.wire.to(OTHER)).not.toContain('42["said",2]');
    const group = { kind: 'namespace', namespace: '/' } as const;
    expect(await at.bus.eventLog.read(group, { from: 0, limit: 10 })).toEqual([]);
    expect(at.log.lines).toContainEqual(
      expect.objectContaining({ level: 'warn', message: 'an emit was refused' }),
    );
  });

  test('to an audience that would be divided counts those who were not read', async () => {
    await begin({ inlinePosts: 1, limits: { postsPerEvent: 3 } });
    for (let n = 3; n < 20; n += 1) await joinedNamespace(at, await connected(at, n));
    await at.messages.handle(ONE, '421["tell-all"]');
    expect(refused(ONE)).toHaveLength(1);
    expect(at.handedOver).toEqual([]);
  });

  test('that asks more than it may asks nobody', async () => {
    await begin({ limits: { postsPerEvent: 1 } });
    await at.messages.handle(ONE, '421["ask-all"]');
    expect(refused(ONE)).toHaveLength(1);
    expect(at.wire.to(OTHER).filter((frame) => frame.includes('said'))).toEqual([]);
  });

  test('is bounded as a request to a route is', async () => {
    const ask = async () => {
      const request = { path: '/tell', headers: {}, query: {}, body: '{}', address: '192.0.2.7' };
      const { statusCode, body } = await at.router.handle({ method: 'POST', ...request });
      return [statusCode, (JSON.parse(body) as { error?: { code: string } }).error?.code];
    };
    await begin({ limits: { postsPerEvent: 2 } });
    expect(await ask()).toEqual([200, undefined]);
    await begin({ limits: { postsPerEvent: 1 } });
    expect(await ask()).toEqual([429, 'rate_limited']);
    expect(at.wire.to(OTHER).filter((frame) => frame.includes('said'))).toEqual([]);
    expect(at.log.lines.filter(({ level }) => level === 'error')).toEqual([]);
  });

  test('of a backend has no bound', async () => {
    await begin({ limits: { postsPerEvent: 1 } });
    const result = await at.publisher.handle({ op: 'emit', event: 'said', args: [1] });
    expect(result).toMatchObject({ ok: true, posted: 2 });
    expect(parseOffset((result as { offset: string }).offset)).toBeDefined();
  });
});

describe('what an operator counts', () => {
  const counts = () => {
    const { RateLimited = 0, LimitCloses = 0, RefusedHandshakes = 0 } = at.metrics.counts;
    return [RateLimited, LimitCloses, RefusedHandshakes];
  };
  const open = (query: Record<string, string>, headers: Record<string, string> = {}) =>
    at.polling.handle({
      method: 'GET',
      headers,
      query: { EIO: '4', transport: 'polling', ...query },
      body: undefined,
      address: HANDSHAKE.address,
      at: at.clock.now(),
    });

  test('is every packet that a limit refuses, told of or not, and each connection that is closed for it', async () => {
    await begin();
    await say(99);
    expect(counts()).toEqual([0, 0, 0]);
    await say(7);
    await say(4, '3');
    expect(counts()).toEqual([11, 0, 0]);
    await at.messages.handle(ONE, '41');
    expect(counts()).toEqual([12, 1, 0]);
    await say(5);
    expect(counts()).toEqual([12, 1, 0]);
  });

  test('is an event that would join too much, or post too much', async () => {
    await begin({ limits: { roomsPerSocket: 1, postsPerEvent: 1 } });
    await at.messages.handle(ONE, '421["join",["list:1"]]');
    await at.messages.handle(ONE, '422["join",["list:2"]]');
    await at.messages.handle(ONE, '423["tell-twice"]');
    expect(counts()).toEqual([2, 0, 0]);
  });

  test('is a connection that its user or its address may not have', async () => {
    await begin({ limits: { connectionsPerUser: 1, connectionsPerAddress: 4 } });
    for (const n of [11, 12]) await at.messages.handle(await connected(at, n), '40{"id":"ana"}');
    expect(counts()).toEqual([1, 0, 0]);
    expect([(await open({})).statusCode, (await open({})).statusCode]).toEqual([200, 429]);
    expect(counts()).toEqual([2, 0, 1]);
  });

  test('is a session by polling that is refused, with its reason in the log; not a request within one', async () => {
    await begin();
    await open({}, { origin: 'https://evil.example' });
    await open({ EIO: '3' });
    expect(counts()).toEqual([0, 0, 2]);
    expect(at.log.lines).toContainEqual(
      expect.objectContaining({
        message: 'handshake refused',
        fields: { code: 4, reason: 'Forbidden', origin: 'https://evil.example', EIO: '4' },
      }),
    );
    await open({ sid: 'unknown' });
    expect(counts()).toEqual([0, 0, 2]);
  });
});

describe('the connections', () => {
  const REFUSED = '44{"message":"too many connections of one user","data":{"code":"rate_limited"}}';
  const enter = async (n: number, auth: object) => {
    const id = await connected(at, n);
    await at.messages.handle(id, `40${JSON.stringify(auth)}`);
    return id;
  };
  const pidOf = (id: string) => /"pid":"([\w-]{40})"/.exec(at.wire.framesTo(id).join())?.[1];

  test('of a user are as many as allowed; one more is told, closed, and others are not', async () => {
    await begin({ limits: { connectionsPerUser: 2 } });
    for (const n of [11, 12, 13]) await enter(n, { id: 'ana' });
    expect(at.wire.to(connectionId(13)).at(-1)).toBe(REFUSED);
    expect(at.wire.closed).toEqual([connectionId(13)]);
    await enter(14, { id: 'berta' });
    expect(at.wire.closed).toHaveLength(1);
  });

  test.each([
    ['200 characters of two bytes each', 'é'.repeat(200)],
    ['9,000 characters', 'a'.repeat(9_000)],
    ['a number', 7],
  ])('of a user are counted whatever its id: %s', async (_, who) => {
    await begin({ limits: { connectionsPerUser: 2 } });
    for (const n of [11, 12, 13]) await enter(n, { id: who });
    expect(at.wire.to(connectionId(13)).at(-1)).toBe(REFUSED);
    await enter(14, { id: `${who} ` });
    expect(at.wire.closed).toEqual([connectionId(13)]);
  });

  test.each(['', '\ud800', 1.5, null])('of who has the id %j, which names nobody, are not', async (who) => {
    await begin({ limits: { connectionsPerUser: 1 } });
    for (const n of [11, 12]) await enter(n, { id: who });
    expect(at.wire.closed).toEqual([]);
  });

  test('of a user that has left are free again, and none of its rows stays', async () => {
    await begin({ limits: { connectionsPerUser: 2 } });
    for (const n of [11, 12]) await enter(n, { id: 'ana' });
    await at.lifecycle.disconnected(connectionId(11));
    await enter(13, { id: 'ana' });
    expect(at.wire.to(connectionId(13)).at(-1)).not.toBe(REFUSED);
    const ana = { kind: 'user', namespace: '/', user: 'ana' } as const;
    expect([await at.store.countsTo(ana, 2), await at.store.countsTo(ana, 3)]).toEqual([true, false]);
  });

  test('of a user that comes back before its end was noticed are not one more', async () => {
    await begin({ limits: { connectionsPerUser: 1 } });
    const pid = pidOf(await enter(11, { id: 'ana' }));
    expect(pid).toBeDefined();
    await enter(12, { id: 'ana', pid, offset: undefined });
    expect(at.wire.to(connectionId(12)).at(-1)).toContain('"sid"');
    await enter(13, { id: 'ana' });
    expect(at.wire.to(connectionId(13)).at(-1)).toBe(REFUSED);
  });

  describe('of a user who is proven by an event', () => {
    const prove = async (n: number, who: string | number) => {
      await at.messages.handle(connectionId(n), `420${JSON.stringify(['be counted', who])}`);
      const acknowledgement = at.wire.to(connectionId(n)).findLast((frame) => frame.startsWith('430'));
      const [answer] = JSON.parse(acknowledgement!.slice(3)) as [{ ok: boolean; error?: { code: string } }];
      return answer.error?.code ?? 'ok';
    };
    /** How many are counted, up to nine. */
    const counted = async (user: string) => {
      const group = { kind: 'user', namespace: '/', user } as const;
      let most = 0;
      while (most < 9 && (await at.store.countsTo(group, most + 1))) most += 1;
      return most;
    };

    test('are as many as allowed, with those of the handshake; one more is told and stays who it was', async () => {
      await begin({ limits: { connectionsPerUser: 2 } });
      await enter(11, { id: '7' });
      for (const n of [12, 13, 14]) await enter(n, {});
      expect(await prove(12, 7)).toBe('ok');
      expect(await prove(12, '7')).toBe('ok');
      expect(await prove(13, 7)).toBe('rate_limited');
      expect([await counted('7'), at.wire.closed]).toEqual([2, []]);
      await enter(15, { id: '7' });
      expect(at.wire.to(connectionId(15)).at(-1)).toBe(REFUSED);
      await at.lifecycle.disconnected(connectionId(12));
      expect(await counted('7')).toBe(1);
      expect(await prove(13, 7)).toBe('ok');
    });

    test('are not counted as who they were before', async () => {
      await begin({ limits: { connectionsPerUser: 1 } });
      await enter(11, { id: 'ana' });
      expect(await prove(11, 'berta')).toBe('ok');
      expect([await counted('ana'), await counted('berta')]).toEqual([0, 1]);
      await enter(12, { id: 'ana' });
      expect([await prove(11, 'ana'), await prove(12, 'berta')]).toEqual(['rate_limited', 'rate_limited']);
      expect([await counted('ana'), await counted('berta')]).toEqual([1, 1]);
      for (const n of [11, 12]) await at.lifecycle.disconnected(connectionId(n));
      expect([await counted('ana'), await counted('berta')]).toEqual([0, 0]);
    });

    test('are counted until a cleanup that was cut off is done again', async () => {
      await begin({ limits: { connectionsPerUser: 1 } });
      const id = await enter(11, {});
      await prove(11, 'ana');
      const { removeMemberships } = at.store;
      at.store.removeMemberships = () => Promise.reject(new Error('cut off'));
      await expect(at.lifecycle.disconnected(id)).rejects.toThrow('cut off');
      at.store.removeMemberships = removeMemberships;
      expect(await counted('ana')).toBe(1);
      await at.lifecycle.disconnected(id);
      expect(await counted('ana')).toBe(0);
    });

    test('are counted again when they come back; with too many there by then they begin anew', async () => {
      await begin({ limits: { connectionsPerUser: 1 } });
      const pid = pidOf(await enter(11, {}));
      await prove(11, 'ana');
      await at.lifecycle.disconnected(connectionId(11));
      await enter(12, { pid });
      expect(pidOf(connectionId(12))).toBe(pid);
      expect(await counted('ana')).toBe(1);
      await at.lifecycle.disconnected(connectionId(12));
      await enter(13, { id: 'ana' });
      await enter(14, { pid });
      expect(pidOf(connectionId(14))?.slice(0, 20)).not.toBe(pid?.slice(0, 20));
      expect(await counted('ana')).toBe(1);
    });

    test('are any number, and leave no rows, where nobody is counted', async () => {
      await begin({ limits: { connectionsPerUser: 0 } });
      await enter(11, {});
      expect([await prove(11, 'ana'), await counted('ana')]).toEqual(['ok', 0]);
    });
  });

  test('from an address are as many as allowed, over either transport, until one goes', async () => {
    await begin({ limits: { connectionsPerAddress: 3 } });
    const { address } = HANDSHAKE;
    expect(await at.lifecycle.isFull(address)).toBe(false);
    const open = () =>
      at.polling.handle({
        method: 'GET',
        headers: {},
        query: { EIO: '4', transport: 'polling' },
        body: undefined,
        address,
        at: at.clock.now(),
      });
    expect((await open()).statusCode).toBe(200);
    expect(await open()).toMatchObject({
      statusCode: 429,
      body: '{"code":4,"message":"Too many connections"}',
    });
    expect(await at.lifecycle.isFull('192.0.2.7')).toBe(false);
    await at.lifecycle.disconnected(ONE);
    await at.lifecycle.disconnected(ONE);
    expect(await at.lifecycle.isFull(address)).toBe(false);
  });

  test('that nobody counts leave no rows and are never too many', async () => {
    await begin({ limits: { connectionsPerAddress: 0, connectionsPerUser: 0 } });
    for (let n = 11; n < 40; n += 1) await enter(n, { id: 'ana' });
    expect(at.wire.closed).toEqual([]);
    expect(await at.store.countsTo({ kind: 'user', namespace: '/', user: 'ana' }, 1)).toBe(false);
  });
});

test('an instance forgets who was silent for longest', () => {
  const limits = new ConnectionLimits({ ...DEFAULT_LIMITS, eventBurst: 1 }, new FakeClock(), {
    float: () => 0,
  });
  expect([limits.admits('first'), limits.admits('first')]).toEqual([true, false]);
  for (let n = 0; n < 10_000; n += 1) limits.admits(`other ${n}`);
  expect(limits.admits('first')).toBe(true);
});

test.each([
  ['192.0.2.1', '192.0.2.1'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:0DB8:0001:0002::9', '2001:db8:1:2::/64'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
  ['fe80::', 'fe80:0:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['::FFFF:c000:0201', '192.0.2.1'],
  ['0:0:0:0:0:ffff:c000:201', '192.0.2.1'],
  ['::ffff:0:0:192.0.2.1', '0:0:0:0::/64'],
])('the address %s is counted as %s', (address, counted) => {
  expect(countedAddress(address)).toBe(counted);
});
