import { beforeEach, describe, expect, test } from 'vitest';
import { defineApp } from '../../lambdas/apps/define-app.ts';
import { exceptionToken } from '../../lambdas/bus/names.ts';
import type { LoggedGroup } from '../../lambdas/bus/ports.ts';
import { OVERLAP_MS, SKEW_MS } from '../../lambdas/bus/replay.ts';
import { messageId, offsetText } from '../../lambdas/contract/offsets.ts';
import {
  connected,
  deliverRanges,
  FakeClock,
  joinedNamespace,
  START,
  type World,
  world,
} from '../support/world.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

let connects: boolean[] = [];
const app = defineApp({
  name: 'rooms',
  rooms: { 'room:': { canJoin: () => true } },
  auth: {
    authenticate: async ({ auth }) => {
      const { as = 1, until } = (auth ?? {}) as { as?: number; until?: number };
      const identity = { id: as };
      return until === undefined
        ? { kind: 'accepted', identity }
        : { kind: 'accepted', identity, expiresAt: until };
    },
  },
  onConnect: (socket) => void connects.push(socket.recovered),
});

/** 20 characters that are bytes of base64url. */
const idOf = (name: string) => name.padEnd(20, 'A');
const offset = (at: number, name: string) => offsetText({ position: START + at, id: idOf(name) });

let at: World;
let old: string;
let socketId: string;
let pid: string;

/** The session begins at second 0, with its connection. */
beforeEach(async () => {
  connects = [];
  at = await world({ applications: [app], clock: new FakeClock() });
  old = await connected(at, 1);
  socketId = await joinedNamespace(at, old);
  const reply = at.wire.framesTo(old).find((frame) => frame.startsWith('40{')) ?? '';
  pid = (JSON.parse(reply.slice(2)) as { pid: string }).pid;
});

const goTo = (second: number) => at.clock.advance(START + second * SECOND - at.clock.now());
const ref = () => ({ namespace: '/', id: socketId, connectionId: old, connectedAt: START });

interface Entry {
  readonly to?: 'a' | 'b' | 'both' | 'all' | 'me';
  /** Milliseconds after the session began, by the publisher's clock. */
  readonly at: number;
  readonly id: string;
  readonly doneAt?: number;
  readonly except?: 'me' | 'a' | 'somebody';
  readonly range?: 'mine' | 'others';
  readonly ends?: true | 'somebody else';
}

function logsOf({ to = 'a' }: Entry): LoggedGroup[] {
  const room = (name: string): LoggedGroup => ({ kind: 'room', namespace: '/', room: name });
  if (to === 'all') return [{ kind: 'namespace', namespace: '/' }];
  if (to === 'me') return [room(socketId)];
  return to === 'both' ? [room('room:a'), room('room:b')] : [room(`room:${to}`)];
}

async function append(entry: Entry): Promise<void> {
  const position = START + entry.at;
  const id = idOf(entry.id);
  const excepted = { me: socketId, a: 'room:a', somebody: 'x'.repeat(20) };
  const ranges = { mine: { through: '_'.repeat(20) }, others: { after: '_'.repeat(20) } };
  await at.bus.eventLog.append(logsOf(entry), {
    position,
    id,
    frames: entry.ends === undefined ? [`42["said","${entry.id}","${offsetText({ position, id })}"]`] : [],
    except: entry.except === undefined ? [] : [exceptionToken(excepted[entry.except])],
    ...(entry.range === undefined ? {} : { range: ranges[entry.range] }),
    ...(entry.ends === 'somebody else' ? { identity: '2' } : {}),
  });
  if (entry.doneAt !== undefined) {
    const [first = { kind: 'namespace', namespace: '/' } as const, ...others] = logsOf(entry);
    await at.bus.eventLog.markDone([first, ...others], { position, id }, START + entry.doneAt);
  }
}

interface Back {
  readonly recovered: boolean;
  /** What it was sent before the reply, in order. */
  readonly sent: readonly string[];
  readonly id: string;
}

/** Comes back on another connection. */
async function back(auth: Record<string, unknown>, n = 2): Promise<Back> {
  const connection = await connected(at, n);
  await at.messages.handle(connection, `40${JSON.stringify(auth)}`);
  const frames = at.wire.framesTo(connection);
  const reply = frames.findIndex((frame) => frame.startsWith('40{'));
  const { sid, pid: shown } = JSON.parse(frames[reply]?.slice(2) ?? '{}') as { sid: string; pid: string };
  const sent = frames.slice(0, reply).flatMap((frame) => /^42\["said","(\w+)"/.exec(frame)?.[1] ?? []);
  return { recovered: shown === pid, sent, id: sid };
}

interface Case {
  readonly name: string;
  readonly log?: readonly Entry[];
  /** Room → seconds after the session began. @default a at 1 */
  readonly joined?: Readonly<Record<string, number>>;
  /** When the connection is noticed to be over. @default second 100; never where null */
  readonly dropped?: number | null;
  /** When the client comes back. @default second 110 */
  readonly back?: number;
  /** The last offset that the client had. */
  readonly since?: string;
  readonly auth?: Readonly<Record<string, unknown>>;
  /** What it is sent; null: it is a new session. */
  readonly expected: readonly string[] | null;
}

const T = 90 * SECOND;
const cases: readonly Case[] = [
  { name: 'nothing was published', expected: [] },
  {
    name: 'nothing was received: all since the session began',
    log: [
      { at: 5_000, id: 'e1' },
      { at: T, id: 'e2' },
    ],
    expected: ['e1', 'e2'],
  },
  {
    name: 'after the last event',
    log: [
      { at: T, id: 'e1' },
      { at: T + 1, id: 'e2' },
    ],
    since: offset(T, 'e1'),
    expected: ['e2'],
  },
  {
    name: 'in the order of their positions, whatever room they are from',
    log: [
      { at: T + 2, id: 'e2', to: 'all' },
      { at: T + 1, id: 'e1' },
      { at: T + 3, id: 'e3', to: 'me' },
    ],
    since: offset(T, 'e0'),
    expected: ['e1', 'e2', 'e3'],
  },
  {
    name: 'two rooms in one millisecond: both, by their ids',
    joined: { a: 1, b: 1 },
    log: [
      { at: T, id: 'e2', to: 'b' },
      { at: T, id: 'e1' },
    ],
    expected: ['e1', 'e2'],
  },
  {
    name: 'the last event and another in its millisecond: the other',
    joined: { a: 1, b: 1 },
    log: [
      { at: T, id: 'e2', to: 'b' },
      { at: T, id: 'e1' },
    ],
    since: offset(T, 'e2'),
    expected: ['e1'],
  },
  {
    name: 'one event for two of its rooms: once',
    joined: { a: 1, b: 1 },
    log: [{ at: T, id: 'e1', to: 'both' }],
    expected: ['e1'],
  },
  { name: 'a room that it is not in', log: [{ at: T, id: 'e1', to: 'b' }], expected: [] },
  {
    name: 'before the last event and not done: it may be under way, so it is sent',
    log: [
      { at: T - 1_000, id: 'e1' },
      { at: T, id: 'e2' },
    ],
    since: offset(T, 'e2'),
    expected: ['e1'],
  },
  {
    name: 'before the last event and done long before it: received',
    log: [
      { at: T - 6_000, id: 'e1', doneAt: T - SKEW_MS - 1 },
      { at: T, id: 'e2' },
    ],
    since: offset(T, 'e2'),
    expected: [],
  },
  {
    name: 'before the last event and done, but so shortly that the clocks may have it the other way round',
    log: [
      { at: T - 6_000, id: 'e1', doneAt: T - SKEW_MS },
      { at: T, id: 'e2' },
    ],
    since: offset(T, 'e2'),
    expected: ['e1'],
  },
  {
    name: 'further before the last event than anything is under way',
    log: [
      { at: T - OVERLAP_MS - 1, id: 'e1' },
      { at: T, id: 'e2' },
    ],
    since: offset(T, 'e2'),
    expected: [],
  },
  {
    name: 'publishers whose clocks are two seconds behind and ahead: what the slow one said last is sent',
    log: [
      { at: T - 2_000, id: 'slow' },
      { at: T + 2_000, id: 'fast' },
    ],
    since: offset(T + 2_000, 'fast'),
    expected: ['slow'],
  },
  {
    name: 'volatile events in between: their offset is a time, their id in no log',
    log: [
      { at: T, id: 'e1', doneAt: T + 10 },
      { at: T + 9_000, id: 'e2' },
    ],
    since: offset(T + 8_000, 'v1'),
    expected: ['e2'],
  },
  {
    name: 'an offset that is garbage, as one of an event whose acknowledgement was asked for: all since the session began',
    log: [
      { at: 5_000, id: 'e1', doneAt: 5_010 },
      { at: T, id: 'e2' },
    ],
    since: 'just a text',
    expected: ['e1', 'e2'],
  },
  {
    name: 'an offset of the future is none',
    log: [{ at: T, id: 'e1' }],
    since: offset(10 * MINUTE, 'e1'),
    expected: ['e1'],
  },
  {
    name: 'an offset from before the session: all since it began, and no more',
    log: [
      { at: -MINUTE, id: 'e0', to: 'all' },
      { at: T, id: 'e1', to: 'all' },
    ],
    since: offset(-2 * MINUTE, 'e0'),
    expected: ['e1'],
  },
  {
    name: 'joined in the middle: from then on, and what the clocks may have misplaced',
    joined: { a: 50 },
    log: [
      { at: 50_000 - SKEW_MS - 1, id: 'e1' },
      { at: 50_000 - SKEW_MS, id: 'e2' },
      { at: 50_001, id: 'e3' },
    ],
    expected: ['e2', 'e3'],
  },
  { name: 'not for this socket', log: [{ at: T, id: 'e1', except: 'me' }], expected: [] },
  { name: 'not for a room that it is in', log: [{ at: T, id: 'e1', to: 'all', except: 'a' }], expected: [] },
  { name: 'not for somebody else', log: [{ at: T, id: 'e1', except: 'somebody' }], expected: ['e1'] },
  { name: 'written anew for others', log: [{ at: T, id: 'e1', range: 'others' }], expected: [] },
  {
    name: 'written anew for it and others: once, where it stood first',
    log: [
      { at: T, id: 'e1' },
      { at: T + 1, id: 'e2' },
      { at: T + 2, id: 'e1', range: 'mine' },
    ],
    expected: ['e1', 'e2'],
  },
  {
    name: 'written anew for it, and the first time is long over',
    log: [
      { at: T - 60_000, id: 'e1' },
      { at: T, id: 'e2' },
      { at: T + 1, id: 'e1', range: 'mine' },
    ],
    since: offset(T, 'e2'),
    expected: ['e1'],
  },
  {
    name: 'a write that was made again since it took too long, and done then: received',
    log: [
      { at: T - 8_000, id: 'e1' },
      { at: T - 7_000, id: 'e1', doneAt: T - 6_900 },
      { at: T, id: 'e2' },
    ],
    since: offset(T, 'e2'),
    expected: [],
  },
  {
    name: 'a thousand',
    log: Array.from({ length: 1_000 }, (_, n) => ({ at: T + n, id: `e${n}` })),
    expected: Array.from({ length: 1_000 }, (_, n) => `e${n}`),
  },
  {
    name: 'more than a thousand: a new session, and no part of them',
    log: Array.from({ length: 1_001 }, (_, n) => ({ at: T + n, id: `e${n}` })),
    expected: null,
  },
  {
    name: 'within five minutes of its end',
    dropped: 100,
    back: 400,
    log: [{ at: T, id: 'e1' }],
    expected: ['e1'],
  },
  {
    name: 'more than five minutes after its end',
    dropped: 100,
    back: 401,
    log: [{ at: T, id: 'e1' }],
    expected: null,
  },
  {
    name: 'its end was never noticed: however late',
    dropped: null,
    back: 3_600,
    log: [{ at: T, id: 'e1' }],
    expected: ['e1'],
  },
  {
    name: 'disconnected by the server meanwhile',
    log: [{ at: 105_000, id: 'end', ends: true }],
    expected: null,
  },
  {
    name: 'disconnected by the server meanwhile, and says that its last event came after that',
    back: 150,
    since: offset(149_000, 'forged'),
    log: [{ at: 105_000, id: 'end', ends: true }],
    expected: null,
  },
  {
    name: 'somebody else was disconnected meanwhile',
    log: [{ at: 105_000, id: 'end', ends: 'somebody else' }],
    expected: [],
  },
  {
    name: 'it was disconnected before it joined',
    joined: { a: 60 },
    log: [{ at: 50_000, id: 'end', ends: true }],
    expected: [],
  },
  { name: 'as somebody else', auth: { as: 2 }, log: [{ at: T, id: 'e1' }], expected: null },
];

describe('who comes back', () => {
  test.each(cases)('$name', async ({ log = [], joined = { a: 1 }, since, auth, expected, ...when }) => {
    for (const [room, second] of Object.entries(joined).sort(([, one], [, other]) => one - other)) {
      goTo(second);
      expect(await at.store.join(ref(), [`room:${room}`], at.clock.now())).toBe('joined');
    }
    for (const entry of log) await append(entry);
    const { dropped = 100, back: returns = 110 } = when;
    if (dropped !== null) {
      goTo(dropped);
      await at.lifecycle.disconnected(old);
    }
    goTo(returns);
    const result = await back({ pid, ...(since === undefined ? {} : { offset: since }), ...auth });
    expect(result.sent).toEqual(expected ?? []);
    expect(result.recovered).toBe(expected !== null);
    expect(result.id === socketId).toBe(expected !== null);
    expect(connects).toEqual([false, expected !== null]);
    const rooms = (await at.store.socket({ namespace: '/', id: result.id }))?.rooms;
    expect(Object.keys(rooms ?? {})).toEqual(
      expected === null ? [] : Object.keys(joined).map((room) => `room:${room}`),
    );
  });

  test.each([
    ['another secret', () => ({ pid: `${pid.slice(0, 20)}${'A'.repeat(20)}` })],
    ['a socket that never was', () => ({ pid: `${'A'.repeat(20)}${pid.slice(20)}` })],
    ['no text', () => ({ pid: 7 })],
    ['its own text', () => ({ pid: 'session-of-the-application' })],
    ['an offset alone', () => ({ offset: offset(0, 'e1') })],
  ])('with %s has a new session, and the old one is as it was', async (_what, auth) => {
    await at.store.join(ref(), ['room:a'], at.clock.now());
    const result = await back(auth());
    expect(result.recovered).toBe(false);
    expect(await at.store.socket({ namespace: '/', id: socketId })).toMatchObject({
      connectionId: old,
      state: 'open',
    });
    expect(at.wire.closed).toEqual([]);
  });

  test.each([
    ['left the namespace', () => at.messages.handle(old, '41')],
    ['was disconnected by the server', () => at.lifecycle.disconnectSocket(ref(), false)],
    ['sent what no client sends', () => at.messages.handle(old, '4x')],
  ])('and had %s has a new session', async (_what, end) => {
    await end();
    expect(await back({ pid })).toMatchObject({ recovered: false });
  });

  test('and was closed for a frame out of order has its session', async () => {
    await at.messages.handle(old, '42/elsewhere,["e"]');
    expect(at.wire.closed).toContain(old);
    expect(await back({ pid })).toMatchObject({ recovered: true });
  });

  test('takes the session from a connection that is still there, which is cut and takes nothing with it', async () => {
    await at.store.join(ref(), ['room:a'], at.clock.now());
    expect(await back({ pid })).toMatchObject({ recovered: true, id: socketId });
    expect(at.wire.closed).toContain(old);
    await at.lifecycle.disconnected(old);
    const { payload } = {
      payload: await at.publisher.handle({ op: 'emit', rooms: ['room:a'], event: 'said', args: [1] }),
    };
    expect(payload).toMatchObject({ ok: true, posted: 1 });
  });

  test('may come back again and again, with the same pid and from the same last event', async () => {
    await at.store.join(ref(), ['room:a'], at.clock.now());
    await append({ at: T, id: 'e1' });
    goTo(100);
    for (let n = 2; n < 6; n += 1) {
      expect(await back({ pid }, n)).toMatchObject({ recovered: true, sent: ['e1'], id: socketId });
    }
  });

  test('whose replay cannot be posted is closed, and has everything the next time', async () => {
    await at.store.join(ref(), ['room:a'], at.clock.now());
    for (const id of ['e1', 'e2', 'e3']) await append({ at: T, id });
    goTo(100);
    at.wire.outcome = (_, frame) => (frame.includes('"e2"') ? 'failed' : 'ok');
    const failed = await back({ pid });
    expect(failed.id).toBeUndefined();
    expect(at.wire.closed).toHaveLength(2);
    at.wire.outcome = () => 'ok';
    expect(await back({ pid }, 3)).toMatchObject({ recovered: true, sent: ['e1', 'e2', 'e3'] });
  });

  test('to which an event could not be posted, nor its connection be cut, has it the next time, whatever it heard later', async () => {
    await at.store.join(ref(), ['room:a'], at.clock.now());
    goTo(10);
    at.wire.outcome = (_, frame) => (frame.includes('lost') ? 'failed' : 'ok');
    at.wire.closes = false;
    const say = (text: string) =>
      at.publisher.handle({ op: 'emit', rooms: ['room:a'], event: 'said', args: [text] });
    await say('lost');
    goTo(60);
    await say('later');
    const later = /"([0-9a-z]{9}[\w-]{20})"\]$/.exec(at.wire.framesTo(old).at(-1) ?? '')?.[1];
    at.wire.outcome = () => 'ok';
    at.wire.closes = true;
    goTo(61);
    expect(await back({ pid, offset: later })).toMatchObject({ recovered: true, sent: ['lost'] });
    // It is over then.
    goTo(120);
    expect(await back({ pid, offset: later }, 3)).toMatchObject({ recovered: true, sent: [] });
  });

  test('brings a proof for each connection, and is held to what it has proven since', async () => {
    const connectAs = async (n: number, auth: object) => {
      const connection = await connected(at, n);
      await at.messages.handle(connection, `40${JSON.stringify(auth)}`);
      const reply = at.wire.framesTo(connection).find((frame) => frame.startsWith('40{')) ?? '40{}';
      return { connection, shown: (JSON.parse(reply.slice(2)) as { pid?: string }).pid };
    };
    const expiries = async (second: number) => {
      const minute = Math.ceil((START + second * SECOND) / MINUTE);
      const shards = Array.from({ length: at.store.dueShards() }, (_, shard) => at.store.due(minute, shard));
      return (await Promise.all(shards)).flat().filter(({ kind }) => kind === 'expiry');
    };
    const first = await connectAs(7, { until: START + 300 * SECOND });
    expect(await expiries(300)).toMatchObject([{ connectionId: first.connection }]);
    goTo(60);
    // A fresh token is as good as the first one was.
    const second = await connectAs(8, { pid: first.shown, until: START + 900 * SECOND });
    expect(second.shown).toBe(first.shown);
    expect(await expiries(900)).toMatchObject([{ connectionId: second.connection }]);
    const socket = { namespace: '/', id: String(first.shown).slice(0, 20), connectionId: second.connection };
    // Beyond the life of any connection: the session is held to it all the same.
    await at.store.saveExpiry({ ...socket, connectedAt: START }, START + 200 * MINUTE);
    goTo(120 * 60);
    const third = await connectAs(9, { pid: first.shown });
    expect(third.shown).toBe(first.shown);
    expect(await expiries(200 * 60)).toMatchObject([{ connectionId: third.connection }]);
    goTo(201 * 60);
    expect((await connectAs(10, { pid: first.shown })).shown).not.toBe(first.shown);
  });

  test.each([
    ['revoked', { op: 'revoke', identity: 1, room: 'room:a' }],
    ['disconnected', { op: 'disconnectSockets', rooms: ['room:a'] }],
    ['taken out of a room', { op: 'socketsLeave', rooms: ['room:a'], leave: ['room:a'] }],
  ])('and is %s while it is sent what it missed is cut, and has a new session', async (_what, request) => {
    await at.store.join(ref(), ['room:a'], at.clock.now());
    await append({ at: T, id: 'e1' });
    goTo(100);
    await at.lifecycle.disconnected(old);
    let done: Promise<unknown> | undefined;
    const { post } = at.wire;
    at.wire.post = async (id, frame) => {
      if (frame.includes('"e1"')) {
        at.wire.post = post;
        done = at.publisher.handle(request);
        await done;
      }
      return at.wire.closed.includes(id) ? 'gone' : post.call(at.wire, id, frame);
    };
    const cut = await back({ pid });
    expect(await done).toMatchObject({ ok: true });
    expect(cut.recovered).toBe(false);
    expect(at.wire.closed.length).toBeGreaterThan(0);
    expect(await back({ pid }, 3)).toMatchObject({ recovered: false, sent: [] });
  });

  test('and has missed what can never be posted is closed once, and then has a new session', async () => {
    await at.store.join(ref(), ['room:a'], at.clock.now());
    await append({ at: T, id: 'e1' });
    goTo(100);
    at.wire.outcome = (_, frame) => (frame.includes('"e1"') ? 'refused' : 'ok');
    expect((await back({ pid })).id).toBeUndefined();
    expect(await back({ pid }, 3)).toMatchObject({ recovered: false, sent: [] });
  });

  test('and has missed more than there is time for is closed once, and then has a new session', async () => {
    await at.store.join(ref(), ['room:a'], at.clock.now());
    for (let n = 0; n < 20; n += 1) await append({ at: T + n, id: `e${n}` });
    goTo(100);
    at.wire.outcome = (_, frame) => {
      if (frame.startsWith('42')) at.clock.advance(1_000);
      return 'ok';
    };
    expect((await back({ pid })).id).toBeUndefined();
    expect(await back({ pid }, 3)).toMatchObject({ recovered: false, sent: [] });
  });

  test('of more than 16 MB has a new session, and no more than that is read', async () => {
    await at.store.join(ref(), ['room:a'], at.clock.now());
    const big = 'x'.repeat(350_000);
    for (let n = 0; n < 60; n += 1) {
      const position = START + T + n;
      const id = idOf(`e${n}`);
      await at.bus.eventLog.append([{ kind: 'room', namespace: '/', room: 'room:a' }], {
        position,
        id,
        frames: [`42["said","${big}","${offsetText({ position, id })}"]`],
        except: [],
      });
    }
    goTo(100);
    expect(await back({ pid })).toMatchObject({ recovered: false });
    const limits = { from: 0, limit: 99, characters: 1_000_000 };
    const read = await at.bus.eventLog.read({ kind: 'room', namespace: '/', room: 'room:a' }, limits);
    expect(read.length).toBeLessThan(10);
  });

  test('with two gaps, the second while it recovers from the first, has what was in both', async () => {
    await at.store.join(ref(), ['room:a'], at.clock.now());
    goTo(10);
    await append({ at: 10_000, id: 'gap1' });
    await at.store.noteGap(ref(), at.clock.now());
    goTo(60);
    let second = '';
    const { post } = at.wire;
    at.wire.post = async (id, frame) => {
      if (frame.includes('"gap1"') && second === '') {
        second = id;
        await append({ at: 60_000, id: 'gap2' });
        await at.store.noteGap({ ...ref(), connectionId: id }, at.clock.now());
      }
      return post.call(at.wire, id, frame);
    };
    expect(await back({ pid, offset: offset(59_000, 'e1') })).toMatchObject({
      recovered: true,
      sent: ['gap1'],
    });
    goTo(120);
    expect((await back({ pid, offset: offset(119_000, 'e2') }, 3)).sent).toContain('gap2');
  });

  test('and joined an excepted room only later is sent what was not for that room', async () => {
    await at.store.join(ref(), ['room:b'], at.clock.now());
    await append({ to: 'b', at: T, id: 'e1', except: 'a' });
    goTo(95);
    await at.store.join(ref(), ['room:a'], at.clock.now());
    goTo(100);
    expect(await back({ pid })).toMatchObject({ recovered: true, sent: ['e1'] });
  });
});

test('one name in two namespaces is two messages', () => {
  const name = 'order-00000000001234';
  expect(messageId('/', name)).not.toBe(messageId('/two', name));
  expect(messageId('/', name)).toBe(messageId('/', name));
});

test('a secret is kept as a hash alone', async () => {
  const rows = JSON.stringify(await at.table.rows());
  const secret = pid.slice(20);
  expect(rows).not.toContain(secret);
  expect(rows).not.toContain(Buffer.from(secret, 'base64url').toString('base64'));
  expect(JSON.stringify(at.log.lines)).not.toContain(secret);
});

test('what is posted late is in the log anew before its members are read, as the same message', async () => {
  const divided = await world({ applications: [app], clock: at.clock, inlinePosts: 1 });
  const connections: string[] = [];
  for (let n = 1; n <= 12; n += 1) {
    const connection = await connected(divided, n);
    await joinedNamespace(divided, connection);
    connections.push(connection);
  }
  const published = await divided.publisher.handle({ op: 'emit', event: 'said', args: ['late'] });
  expect(published).toMatchObject({ ok: true });
  const whole: LoggedGroup = { kind: 'namespace', namespace: '/' };
  const begun = at.clock.now();
  const [first] = await divided.bus.eventLog.read(whole, { from: 0, limit: 9 });
  divided.clock.advance(60 * SECOND);
  await deliverRanges(divided);
  const entries = await divided.bus.eventLog.read(whole, { from: 0, limit: 99 });
  const anew = entries.slice(1);
  expect(anew.length).toBeGreaterThan(0);
  for (const entry of anew) {
    expect(entry).toMatchObject({ id: first?.id, range: expect.anything() });
    expect(entry.position).toBeGreaterThanOrEqual(begun + 60 * SECOND);
    expect(entry.frames[0]).toContain(offsetText(entry));
  }
  const late = divided.wire.posts.filter(({ frame }) => frame.includes('"late"')).slice(1);
  expect(late).toHaveLength(11);
  const offsets = new Set(anew.map(offsetText));
  for (const { frame } of late) expect([...offsets].some((each) => frame.includes(each))).toBe(true);
});
