import { beforeEach, describe, expect, test } from 'vitest';
import * as z from 'zod/mini';
import { defineApp, id as idSchema } from '../../lambdas/apps/define-app.ts';
import { BusError } from '../../lambdas/bus/public.ts';
import type { PublishRequestInput } from '../../lambdas/contract/publish.ts';
import { connected, connectionId, joinedNamespace, START, type World, world } from '../support/world.ts';

const app = defineApp({
  name: 'lists',
  rooms: { 'list:': {} },
  serverEvents: { added: z.object({ list: idSchema() }) },
  backend: {
    add: {
      args: z.tuple([idSchema(), z.optional(z.object({ text: z.string() }))]),
      handle: async (io, [list]) => {
        await io.to(`list:${list}`).emit('added', { list });
        return { list };
      },
    },
    later: {
      args: z.tuple([]),
      handle: async (io) => void io.emit('added', { list: 1 }),
    },
    refuse: {
      args: z.tuple([]),
      handle: async () => {
        throw new BusError('forbidden', 'not yours');
      },
    },
    break: {
      args: z.tuple([]),
      handle: async () => {
        throw new Error('secret cause');
      },
    },
  },
});
const ONE = connectionId(1);
const TWO = connectionId(2);

let at: World;
let socketOne: string;
beforeEach(async () => {
  at = await world({ applications: [app] });
  await connected(at, 1);
  socketOne = await joinedNamespace(at, ONE);
  await connected(at, 2);
  await joinedNamespace(at, TWO);
  const ref = { namespace: '/', id: socketOne, connectionId: ONE, connectedAt: START };
  await at.store.join(ref, ['list:1'], START);
});

const emit = (request: Partial<PublishRequestInput>) =>
  at.publisher.handle({ op: 'emit', event: 'added', args: [{ list: 1 }], ...request });
const frame = '42["added",{"list":1}]';
const heard = () => [ONE, TWO].map((id) => at.wire.to(id).filter((each) => each === frame).length);

describe('an emit', () => {
  test('without rooms reaches the whole namespace, and says what became of it', async () => {
    expect(await emit({})).toEqual({
      ok: true,
      id: expect.stringMatching(/^[\w-]{20}$/),
      offset: expect.stringMatching(/^[0-9a-z]{9}[\w-]{20}$/),
      audience: 2,
      posted: 2,
      gone: 0,
      failed: 0,
      ranges: 0,
    });
    expect(heard()).toEqual([1, 1]);
  });

  test('reaches the rooms it names without those it excepts, each socket once', async () => {
    expect(await emit({ rooms: ['list:1', socketOne] })).toMatchObject({ audience: 1 });
    expect(heard()).toEqual([1, 0]);
    expect(await emit({ except: ['list:1'] })).toMatchObject({ audience: 1 });
    expect(heard()).toEqual([1, 1]);
  });

  test('keeps the id it was given', async () => {
    expect(await emit({ id: 'order-7' })).toMatchObject({ id: 'order-7' });
  });

  test('to an empty room is no error', async () => {
    expect(await emit({ rooms: ['list:none'] })).toMatchObject({ ok: true, audience: 0, posted: 0 });
  });

  test('counts who is gone and who failed, and reaches the others', async () => {
    at.wire.outcome = (id) => (id === ONE ? 'gone' : 'ok');
    expect(await emit({})).toMatchObject({ ok: true, audience: 2, posted: 1, gone: 1, failed: 0 });
    at.wire.outcome = (id) => (id === ONE ? 'refused' : 'ok');
    expect(await emit({})).toMatchObject({ ok: true, audience: 2, posted: 1, gone: 0, failed: 1 });
    expect(heard()).toEqual([0, 2]);
  });

  test('cleans up after a recipient that has gone for good', async () => {
    at.clock.advance(60_000);
    at.wire.outcome = (id) => (id === ONE ? 'gone' : 'ok');
    await emit({});
    expect((await at.store.connection(ONE))?.open).toBe(false);
    at.wire.outcome = () => 'ok';
    expect(await emit({})).toMatchObject({ audience: 1, gone: 0 });
  });

  test('that is volatile is tried once', async () => {
    let tries = 0;
    at.wire.outcome = () => {
      tries += 1;
      return 'throttled';
    };
    expect(await emit({ flags: { volatile: true } })).toMatchObject({ failed: 2 });
    expect([tries, at.wire.closed]).toEqual([2, []]);
  });

  test('puts its attachments in the place of their placeholders', async () => {
    const args = [{ file: { _placeholder: true, num: 0 } }];
    expect(await emit({ args, attachments: ['AQID'] })).toMatchObject({ ok: true });
    expect(at.wire.to(ONE).slice(-2)).toEqual([
      '451-["added",{"file":{"_placeholder":true,"num":0}}]',
      'bAQID',
    ]);
  });
});

describe('a request that is refused names the field, and sends nothing', () => {
  const lone = '\ud800';
  test.each<[string, unknown, string]>([
    ['no event', { op: 'emit' }, 'event'],
    ['an empty event', { op: 'emit', event: '' }, 'event'],
    ['a reserved event', { op: 'emit', event: 'disconnect' }, 'event'],
    ['an event that is no text', { op: 'emit', event: 7 }, 'event'],
    ['an unknown op', { op: 'shout', event: 'e' }, 'op'],
    ['no op', { event: 'e' }, 'op'],
    ['rooms that are no list', { op: 'emit', event: 'e', rooms: 'list:1' }, 'rooms'],
    ['an empty room', { op: 'emit', event: 'e', rooms: ['a', ''] }, 'rooms[1]'],
    ['a room of broken Unicode', { op: 'emit', event: 'e', rooms: [lone] }, 'rooms[0]'],
    ['a room over 2 KB', { op: 'emit', event: 'e', rooms: ['é'.repeat(1_025)] }, 'rooms[0]'],
    ['too many rooms', { op: 'emit', event: 'e', rooms: Array.from({ length: 91 }, String) }, 'rooms'],
    ['an excepted room that is no text', { op: 'emit', event: 'e', except: [1] }, 'except[0]'],
    ['a namespace without a slash', { op: 'emit', event: 'e', namespace: 'x' }, 'namespace'],
    ['a namespace nobody lives on', { op: 'emit', event: 'e', namespace: '/x' }, 'namespace'],
    ['args that are no list', { op: 'emit', event: 'e', args: {} }, 'args'],
    ['a flag that is none', { op: 'emit', event: 'e', flags: { volatile: 'yes' } }, 'flags.volatile'],
    ['an empty id', { op: 'emit', event: 'e', id: '' }, 'id'],
    ['attachments that are no base64', { op: 'emit', event: 'e', attachments: ['!'] }, 'attachments[0]'],
    [
      'too many attachments',
      { op: 'emit', event: 'e', attachments: Array.from({ length: 11 }, () => 'AQID') },
      'attachments',
    ],
    [
      'a placeholder without attachment',
      { op: 'emit', event: 'e', args: [{ _placeholder: true, num: 1 }], attachments: ['AQID'] },
      'attachments',
    ],
    ['too large a payload', { op: 'emit', event: 'e', args: ['x'.repeat(131_072)] }, 'args'],
    [
      'too large an attachment',
      {
        op: 'emit',
        event: 'e',
        args: [{ _placeholder: true, num: 0 }],
        attachments: [Buffer.alloc(100_000).toString('base64')],
      },
      'args',
    ],
    [
      'attachments that are too large together',
      {
        op: 'emit',
        event: 'e',
        args: [0, 1, 2, 3].map((num) => ({ _placeholder: true, num })),
        attachments: [0, 1, 2, 3].map(() => Buffer.alloc(90_000).toString('base64')),
      },
      'args',
    ],
    ['a call that is no text', { op: 'app', app: 'lists', call: 1 }, 'call'],
    ['a wrong argument', { op: 'app', app: 'lists', call: 'add', args: [{}] }, 'args[0]'],
    [
      'a wrong part of an argument',
      { op: 'app', app: 'lists', call: 'add', args: [1, { text: 2 }] },
      'args[1].text',
    ],
  ])('%s', async (_, request, field) => {
    const before = at.wire.posts.length;
    const result = await at.publisher.handle(request);
    expect(result).toMatchObject({
      ok: false,
      error: { code: 'invalid_payload', field, retryable: false },
    });
    expect((result as { error: { message: string } }).error.message).toMatch(
      new RegExp(`^(${field.replace(/[[\]]/g, '\\$&')}: |the encoded packet is)`),
    );
    expect(at.wire.posts).toHaveLength(before);
  });

  test.each([undefined, null, 7, 'emit', [], {}])('%j, which is no request', async (request) => {
    expect(await at.publisher.handle(request)).toMatchObject({
      ok: false,
      error: { code: 'invalid_payload' },
    });
  });

  test.each([
    ['app', { op: 'app', app: 'nobody', call: 'add' }],
    ['app', { op: 'app', app: 'constructor', call: 'add' }],
    ['call', { op: 'app', app: 'lists', call: 'never' }],
    ['call', { op: 'app', app: 'lists', call: 'constructor' }],
  ])('%s that is not there: %j', async (field, request) => {
    expect(await at.publisher.handle(request)).toMatchObject({
      ok: false,
      error: { code: 'not_found', field },
    });
  });

  test('args of a wrong number', async () => {
    for (const args of [[], [1, { text: 'a' }, 3]]) {
      const result = await at.publisher.handle({ op: 'app', app: 'lists', call: 'add', args });
      expect(result).toMatchObject({ ok: false, error: { code: 'invalid_payload' } });
      const { error } = result as { error: { field: string; message: string } };
      expect(error.field).toMatch(/^args/);
      expect(error.message.startsWith(`${error.field}: `)).toBe(true);
    }
  });

  test('room names that would be too large to be handed over are refused', async () => {
    const rooms = Array.from({ length: 90 }, (_, n) => `list:${'\u0001'.repeat(2_030)}${n}`);
    expect(await emit({ rooms })).toMatchObject({
      ok: false,
      error: { code: 'invalid_payload', field: 'rooms' },
    });
    expect(heard()).toEqual([0, 0]);
  });

  test('the largest packet is not refused', async () => {
    // Its offset is 29 characters, a comma and quotes.
    const text = 'x'.repeat(131_072 - '42["added",""]'.length - 32);
    expect(await emit({ args: [text] })).toMatchObject({ ok: true, posted: 2 });
    expect(await emit({ args: [`${text}x`] })).toMatchObject({ ok: false, error: { field: 'args' } });
  });
});

describe('a call of an application', () => {
  const call = (name: string, ...args: readonly unknown[]) =>
    at.publisher.handle({ op: 'app', app: 'lists', call: name, args });

  test('does what the application offers, and answers with what that returns', async () => {
    expect(await call('add', 1)).toEqual({ ok: true, result: { list: 1 } });
    expect(heard()).toEqual([1, 0]);
  });

  test('is answered after what it did not wait for has gone out', async () => {
    expect(await call('later')).toEqual({ ok: true, result: null });
    expect(heard()).toEqual([1, 1]);
  });

  test('that the application refuses is refused in its own words', async () => {
    expect(await call('refuse')).toEqual({
      ok: false,
      error: { code: 'forbidden', message: 'not yours', retryable: false },
    });
  });

  test('that fails is an error to try again, without details; those are in the log', async () => {
    const result = await call('break');
    expect(result).toMatchObject({ ok: false, error: { code: 'internal', retryable: true } });
    expect(JSON.stringify(result)).not.toContain('secret cause');
    expect(at.log.lines).toContainEqual(expect.objectContaining({ level: 'error' }));
  });
});
