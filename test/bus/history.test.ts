import { beforeEach, describe, expect, test } from 'vitest';
import * as z from 'zod/mini';
import { defineApp } from '../../lambdas/apps/define-app.ts';
import type { HistoryOptions, RoomHistory } from '../../lambdas/bus/public.ts';
import type { EncodedHistory } from '../../lambdas/contract/history.ts';
import { offsetText, parseOffset } from '../../lambdas/contract/offsets.ts';
import type { PublishRequestInput } from '../../lambdas/contract/publish.ts';
import { connected, connectionId, joinedNamespace, START, type World, world } from '../support/world.ts';

const said = z.object({ n: z.number(), bytes: z.optional(z.instanceof(Uint8Array)) });
let read: RoomHistory | undefined;

const app = defineApp({
  name: 'lists',
  recovery: { unlogged: ['typing'] },
  rooms: { 'list:': { canJoin: () => true } },
  serverEvents: { said, typing: z.undefined() },
  clientEvents: {
    say: {
      payload: z.object({ n: z.number() }),
      handle: (socket, { n }) => socket.to('list:1').emit('said', { n }),
    },
    read: {
      payload: z.object({ room: z.string(), options: z.optional(z.any()) }),
      async handle(socket, { room, options }) {
        read = await socket.nsp.history(room, options as HistoryOptions | undefined);
        return { ok: true };
      },
    },
  },
});
const neighbour = defineApp({ name: 'others', rooms: { 'other:': {} } });
const logless = defineApp({
  name: 'logless',
  namespace: '/logless',
  recovery: false,
  rooms: { 'x:': {} },
  backend: { read: { args: z.tuple([]), handle: (io) => io.history('x:1') } },
});

let at: World;
beforeEach(async () => {
  read = undefined;
  at = await world({ applications: [app, neighbour, logless] });
});

async function emit(n: number, request: Partial<PublishRequestInput> = {}): Promise<string> {
  at.clock.advance(10);
  const args = [{ n }];
  const answer = await at.publisher.handle({
    op: 'emit',
    rooms: ['list:1'],
    event: 'said',
    args,
    ...request,
  });
  return (answer as { offset: string }).offset;
}

async function history(request: Partial<PublishRequestInput> = {}): Promise<EncodedHistory> {
  const answer = await at.publisher.handle({ op: 'history', room: 'list:1', ...request });
  expect(answer).toMatchObject({ ok: true });
  return (answer as unknown as { result: EncodedHistory }).result;
}

const numbers = ({ events }: EncodedHistory) => events.map(({ args }) => (args[0] as { n: number }).n);
const positionOf = (offset: string | undefined) => parseOffset(offset)?.position;
const failed = async (request: object) =>
  ((await at.publisher.handle({ op: 'history', room: 'list:1', ...request })) as { error: unknown }).error;

describe('a history', () => {
  test('is what was published to the room, oldest first, without the offset of each', async () => {
    const offsets = [await emit(1), await emit(2, { args: [{ n: 2 }, 'more'] })];
    await emit(3, { rooms: ['list:2'] });
    await emit(4, { rooms: [] });
    expect(await history()).toEqual({
      events: [
        { offset: offsets[0], event: 'said', args: [{ n: 1 }], at: positionOf(offsets[0]) },
        { offset: offsets[1], event: 'said', args: [{ n: 2 }, 'more'], at: positionOf(offsets[1]) },
      ],
      more: false,
    });
  });

  test('has an event that several rooms were sent, whoever it was not for', async () => {
    await emit(1, { rooms: ['list:2', 'list:1'], except: ['list:3'] });
    expect(numbers(await history())).toEqual([1]);
  });

  test('has neither volatile nor unlogged events, nor what ends sessions', async () => {
    await emit(1, { flags: { volatile: true } });
    await emit(2, { event: 'typing' });
    await at.publisher.handle({ op: 'disconnectSockets', rooms: ['list:1'] });
    expect(await history()).toEqual({ events: [], more: false });
  });

  test('is that of the last 2 h 15 min', async () => {
    await emit(1);
    at.clock.advance(136 * 60_000);
    expect(numbers(await history())).toEqual([]);
  });

  test('begins after an offset, and goes on from page to page', async () => {
    const offsets = [];
    for (let n = 0; n < 7; n += 1) offsets.push(await emit(n));
    const pages: number[][] = [];
    let since = offsets[0];
    for (let more = true; more; ) {
      const page = await history({ since, limit: 2 });
      pages.push(numbers(page));
      since = page.events.at(-1)?.offset;
      more = page.more;
    }
    expect(pages).toEqual([
      [1, 2],
      [3, 4],
      [5, 6],
    ]);
  });

  test('without one is the last events, and says that there are earlier ones', async () => {
    for (let n = 0; n < 5; n += 1) await emit(n);
    const { more, ...rest } = await history({ limit: 3 });
    expect([numbers({ more, ...rest }), more]).toEqual([[2, 3, 4], true]);
    expect((await history({ limit: 5 })).more).toBe(false);
  });

  test('has 100 events unless it is asked for more', async () => {
    for (let n = 0; n < 130; n += 1) await emit(n);
    expect(numbers(await history())).toEqual(Array.from({ length: 100 }, (_, n) => n + 30));
    expect(numbers(await history({ limit: 1_000 }))).toHaveLength(130);
  });

  test('has no more than a megabyte, and more where it says so', async () => {
    const args = [{ n: 1, text: 'x'.repeat(120_000) }];
    for (let n = 0; n < 10; n += 1) await emit(n, { args });
    const last = await history();
    expect([last.events.length, last.more]).toEqual([8, true]);
    const first = await history({ since: offsetText({ position: START, id: 'A'.repeat(20) }) });
    expect([first.events.length, first.more]).toEqual([8, true]);
    const rest = await history({ since: first.events.at(-1)?.offset });
    expect([rest.events.length, rest.more]).toEqual([2, false]);
  });

  test('has a message once that is in the log again', async () => {
    const offset = await emit(1);
    const group = { kind: 'room', namespace: '/', room: 'list:1' } as const;
    const [entry] = await at.bus.eventLog.read(group, { from: 0, limit: 1 });
    // As after a slow write, and for a part of a large audience that was late.
    await at.bus.eventLog.append([group], { ...entry!, position: entry!.position + 5 });
    await at.bus.eventLog.append([group], {
      ...entry!,
      position: entry!.position + 1_000,
      range: { after: 'A'.repeat(20) },
    });
    const second = await emit(2);
    expect(numbers(await history())).toEqual([1, 2]);
    expect(numbers(await history({ since: offset }))).toEqual([2]);
    expect(numbers(await history({ since: second }))).toEqual([]);
    const before = offsetText({ position: START, id: 'A'.repeat(20) });
    expect(numbers(await history({ since: before, limit: 1 }))).toEqual([1]);
  });

  test('has binary values as an emit takes them', async () => {
    const args = [{ n: 1, bytes: { _placeholder: true, num: 0 } }];
    await emit(1, { args, attachments: ['AQID'] });
    expect((await history()).events).toEqual([
      expect.objectContaining({ event: 'said', args, attachments: ['AQID'] }),
    ]);
  });
});

describe('a backend that asks for what is none', () => {
  test.each([
    [{ since: 'x' }, 'since'],
    [{ limit: 0 }, 'limit'],
    [{ limit: 1_001 }, 'limit'],
    [{ limit: 1.5 }, 'limit'],
    [{ room: '' }, 'room'],
    [{ namespace: '/nowhere' }, 'namespace'],
    [{ namespace: '/logless' }, 'namespace'],
  ])('%j is told which field is wrong', async (request, field) => {
    expect(await failed(request)).toMatchObject({ code: 'invalid_payload', field, retryable: false });
  });

  test('is told that a namespace without recovery has none', async () => {
    const message = 'namespace: /logless keeps no log, because its recovery is off';
    expect(await failed({ namespace: '/logless' })).toMatchObject({ message });
    const call = await at.publisher.handle({ op: 'app', app: 'logless', call: 'read' });
    expect(call).toMatchObject({ ok: false, error: { message } });
  });
});

describe('a handler', () => {
  const ONE = connectionId(1);
  beforeEach(async () => {
    await connected(at, 1);
    await joinedNamespace(at, ONE);
  });
  const ask = async (payload: object) => {
    await at.messages.handle(ONE, `421["read",${JSON.stringify(payload)}]`);
    const answer = at.wire.to(ONE).findLast((frame) => frame.startsWith('431['));
    return JSON.parse(answer?.slice(3) ?? '[]')[0] as unknown;
  };

  test('reads its rooms, with bytes where they were', async () => {
    await at.messages.handle(ONE, '42["say",{"n":1}]');
    await emit(2, { args: [{ n: 2, bytes: { _placeholder: true, num: 0 } }], attachments: ['AQID'] });
    expect(await ask({ room: 'list:1' })).toEqual({ ok: true });
    expect(read).toMatchObject({
      events: [{ args: [{ n: 1 }] }, { args: [{ n: 2, bytes: Buffer.from([1, 2, 3]) }] }],
      more: false,
    });
    expect(read?.events.map((event) => Object.keys(event).sort())).toEqual(
      Array(2).fill(['args', 'at', 'event', 'offset']),
    );
    expect(await ask({ room: 'list:1', options: { limit: 1 } })).toEqual({ ok: true });
    expect(read).toMatchObject({ events: [{ args: [{ n: 2 }] }], more: true });
  });

  test.each(['other:1', 'nobody:1', 'AAAAAAAAAAAAAAAAAAAA'])('may not read %s', async (room) => {
    expect(await ask({ room })).toMatchObject({ ok: false, error: { code: 'forbidden' } });
    expect(read).toBeUndefined();
  });

  test.each([
    [{ since: 'x' }, 'since'],
    [{ limit: 1_001 }, 'limit'],
  ])('that gives %j is told which field is wrong', async (options, field) => {
    expect(await ask({ room: 'list:1', options })).toMatchObject({
      ok: false,
      error: { code: 'invalid_payload', field },
    });
  });
});
