import { describe, expect, test } from 'vitest';
import { Emitter, PayloadError, PublishError, watchGroups } from '../../emitter/index.ts';
import { MAX_PACKET_BYTES, publishRequestSchema } from '../../lambdas/contract/publish.ts';
import { REPORT, RecordingTransport } from './recording.ts';

function emitter() {
  const transport = new RecordingTransport();
  const unseen: unknown[] = [];
  const io = new Emitter({ transport, onUnseenFailure: (error) => unseen.push(error) });
  return { io, transport, unseen };
}

/** What a chain of calls sends. */
async function request(emit: (io: Emitter) => Promise<unknown>): Promise<unknown> {
  const { io, transport } = emitter();
  await emit(io);
  expect(transport.sent).toHaveLength(1);
  expect(publishRequestSchema.safeParse(transport.sent[0]).success).toBe(true);
  return transport.sent[0];
}

const EVERYBODY = { op: 'emit', namespace: '/', rooms: [], except: [], event: 'said', args: [] };

describe('what is sent', () => {
  const cases: [string, (io: Emitter) => Promise<unknown>, object][] = [
    ['an event to everybody', (io) => io.emit('said'), {}],
    [
      'its arguments',
      (io) => io.emit('said', { a: [1, null] }, 'b', 3),
      { args: [{ a: [1, null] }, 'b', 3] },
    ],
    ['a room', (io) => io.to('a').emit('said'), { rooms: ['a'] }],
    ['rooms', (io) => io.to('a').in(['b', 'c']).to('d').emit('said'), { rooms: ['a', 'b', 'c', 'd'] }],
    ['an exception', (io) => io.except('a').except(['b']).emit('said'), { except: ['a', 'b'] }],
    ['both', (io) => io.to('a').except('b').emit('said'), { rooms: ['a'], except: ['b'] }],
    ['a volatile event', (io) => io.volatile.emit('said'), { flags: { volatile: true } }],
    [
      'volatile to a room',
      (io) => io.to('a').volatile.in('b').emit('said'),
      { rooms: ['a', 'b'], flags: { volatile: true } },
    ],
    ['a namespace', (io) => io.of('/admin').emit('said'), { namespace: '/admin' }],
    ['a namespace written without its slash', (io) => io.of('admin').emit('said'), { namespace: '/admin' }],
    ['the main namespace', (io) => io.of('/').emit('said'), {}],
    [
      'a namespace chosen late, with rooms of its own',
      (io) => io.to('a').except('b').volatile.of('/admin').to('c').emit('said'),
      { namespace: '/admin', rooms: ['c'] },
    ],
    ['compressed or not', (io) => io.compress(true).to('a').compress(false).emit('said'), { rooms: ['a'] }],
    [
      'what JSON makes of the arguments',
      (io) => io.emit('said', new Date(0), undefined, { a: undefined, b: Number.NaN }),
      { args: ['1970-01-01T00:00:00.000Z', null, { b: null }] },
    ],
    [
      'a client’s event named like a method of every object',
      (io) => io.emit('toString'),
      { event: 'toString' },
    ],
  ];

  test.each(cases)('%s', async (_what, emit, expected) => {
    expect(await request(emit)).toStrictEqual({ ...EVERYBODY, ...expected });
  });

  test('a call of an application', async () => {
    expect(await request((io) => io.call('app', 'doIt', 1, { a: undefined, at: new Date(0) }))).toStrictEqual(
      {
        op: 'app',
        app: 'app',
        call: 'doIt',
        args: [1, { at: '1970-01-01T00:00:00.000Z' }],
      },
    );
  });

  test('does not change when a narrower copy is made of an emitter', async () => {
    const { io, transport } = emitter();
    const base = io.to('a');
    base.to('b');
    base.except('c');
    base.of('/other');
    void base.volatile;
    await base.emit('said');
    await io.emit('said');
    expect(transport.sent).toEqual([{ ...EVERYBODY, rooms: ['a'] }, EVERYBODY]);
  });

  test('does not change when the caller’s list of rooms does', async () => {
    const { io, transport } = emitter();
    const rooms = ['a'];
    const narrowed = io.to(rooms);
    rooms.push('b');
    await narrowed.emit('said');
    expect(transport.sent).toEqual([{ ...EVERYBODY, rooms: ['a'] }]);
  });

  test('is answered with the report of the deployment', async () => {
    const { io } = emitter();
    expect(await io.emit('said')).toEqual(REPORT);
  });

  test('by a call is answered with its result alone', async () => {
    const { io, transport } = emitter();
    transport.answer = async () => ({ ok: true, result: [1] });
    expect(await io.call('app', 'list')).toEqual([1]);
  });
});

describe('binary arguments', () => {
  const bytes = Uint8Array.of(0, 1, 254, 255);
  const shorts = Uint16Array.of(1, 0xfffe);
  const asBytes = (view: ArrayBufferView) => Buffer.from(view.buffer, view.byteOffset, view.byteLength);
  const kinds: [string, unknown, Buffer][] = [
    ['a Buffer', Buffer.from(bytes), Buffer.from(bytes)],
    ['a Buffer that is part of another', Buffer.from(bytes).subarray(1, 3), Buffer.of(1, 254)],
    ['bytes', bytes, Buffer.from(bytes)],
    ['an ArrayBuffer', bytes.buffer, Buffer.from(bytes)],
    ['a DataView', new DataView(bytes.buffer, 1, 2), Buffer.of(1, 254)],
    ['whole numbers of two bytes', shorts, asBytes(shorts)],
    ['floating-point numbers', Float64Array.of(1.5), asBytes(Float64Array.of(1.5))],
    ['no bytes at all', new Uint8Array(), Buffer.alloc(0)],
  ];

  test.each(kinds)('of %s travel as placeholder and base64', async (_kind, value, expected) => {
    expect(await request((io) => io.emit('said', { file: value, name: 'x' }))).toStrictEqual({
      ...EVERYBODY,
      args: [{ file: { _placeholder: true, num: 0 }, name: 'x' }],
      attachments: [expected.toString('base64')],
    });
  });

  test('are numbered in their order', async () => {
    const sent = await request((io) => io.emit('said', [Buffer.of(1), { b: Buffer.of(2) }], Buffer.of(3)));
    expect(sent).toMatchObject({
      args: [[{ num: 0 }, { b: { num: 1 } }], { _placeholder: true, num: 2 }],
      attachments: ['AQ==', 'Ag==', 'Aw=='],
    });
  });
});

describe('a call that cannot be sent', () => {
  const circular: Record<string, unknown> = {};
  circular.self = circular;
  const circularWithBytes: Record<string, unknown> = { bytes: Buffer.of(1) };
  circularWithBytes.self = circularWithBytes;
  const deep = JSON.parse(`${'['.repeat(20_000)}${']'.repeat(20_000)}`) as unknown;
  const large = 'x'.repeat(MAX_PACKET_BYTES);

  const cases: [string, (io: Emitter) => unknown, string][] = [
    ['an event without a name', (io) => io.emit(''), 'event'],
    ['an event that is no text', (io) => io.emit(7 as never), 'event'],
    ...['connect', 'connect_error', 'disconnect', 'disconnecting', 'newListener', 'removeListener'].map(
      (name): [string, (io: Emitter) => unknown, string] => [
        `an event named ${name}`,
        (io) => io.emit(name),
        'event',
      ],
    ),
    ['a room without a name', (io) => io.to('').emit('said'), 'rooms[0]'],
    ['a room that is a number', (io) => io.to(7 as never).emit('said'), 'rooms[0]'],
    ['a room that is missing', (io) => io.to(undefined as never).emit('said'), 'rooms[0]'],
    ['the second room', (io) => io.to(['a', '']).emit('said'), 'rooms[1]'],
    ['a room of half a character', (io) => io.to('\ud83d').emit('said'), 'rooms[0]'],
    ['a room’s name over 2 KB', (io) => io.to('ñ'.repeat(1_025)).emit('said'), 'rooms[0]'],
    [
      'more than 90 rooms',
      (io) => io.to(Array.from({ length: 91 }, (_, i) => `r${i}`)).emit('said'),
      'rooms',
    ],
    ['an exception without a name', (io) => io.except('').emit('said'), 'except[0]'],
    ['a namespace over 2 KB', (io) => io.of('x'.repeat(2_048)).emit('said'), 'namespace'],
    ['a circular argument', (io) => io.emit('said', circular), 'args'],
    ['a circular argument with bytes', (io) => io.emit('said', circularWithBytes), 'args'],
    ['a BigInt', (io) => io.emit('said', { n: 1n }), 'args'],
    ['a function', (io) => io.emit('said', 1, () => 2), 'args[1]'],
    ['a symbol', (io) => io.emit('said', Symbol('x')), 'args[0]'],
    ['a Blob', (io) => io.emit('said', new Blob(['x'])), 'args'],
    ['an argument nested too deeply', (io) => io.emit('said', deep), 'args'],
    ['more than 128 KB', (io) => io.emit('said', large), 'args'],
    ['more than 128 KB as UTF-8', (io) => io.emit('said', 'ñ'.repeat(MAX_PACKET_BYTES / 2)), 'args'],
    ['more than 128 KB as base64', (io) => io.emit('said', Buffer.alloc(98_304)), 'args'],
    ['an event name over 128 KB', (io) => io.emit(large), 'args'],
    [
      'more than ten binary values',
      (io) => io.emit('said', ...Array.from({ length: 11 }, () => Buffer.of(1))),
      'attachments',
    ],
    ['a call without an application', (io) => io.call('', 'x'), 'app'],
    ['a call without a name', (io) => io.call('app', ''), 'call'],
    ['a call with a circular argument', (io) => io.call('app', 'x', circular), 'args'],
    ['a call with a BigInt', (io) => io.call('app', 'x', 1n), 'args'],
    ['a call with a function', (io) => io.call('app', 'x', () => 1), 'args[0]'],
  ];

  test.each(cases)('for %s throws at once, names the field and sends nothing', (_why, emit, field) => {
    const { io, transport } = emitter();
    let thrown: unknown;
    try {
      void emit(io);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(PayloadError);
    expect(thrown).toBeInstanceOf(TypeError);
    expect(thrown).toMatchObject({ name: 'PayloadError', code: 'invalid_payload', retryable: false, field });
    expect((thrown as Error).message).toContain(field);
    expect(transport.sent).toEqual([]);
  });

  test.each([500, 1_000, 2_000, 3_000, 4_000, 6_000, 9_000, 13_000])(
    'for arguments nested %i deep is told so, where they are not sent',
    async (depth) => {
      const { io, transport } = emitter();
      const nested = JSON.parse(`${'['.repeat(depth)}${']'.repeat(depth)}`) as unknown;
      try {
        await io.emit('said', nested);
        expect(transport.sent).toHaveLength(1);
      } catch (error) {
        expect(error).toBeInstanceOf(PayloadError);
        expect(transport.sent).toEqual([]);
      }
    },
  );

  test('is one byte over what can', async () => {
    const frame = (text: string, namespace = '') => `42${namespace}${JSON.stringify(['said', text])}`;
    const fits = (namespace: string) => 'x'.repeat(MAX_PACKET_BYTES - frame('', namespace).length);
    for (const [of, prefix] of [
      ['/', ''],
      ['/admin', '/admin,'],
    ] as const) {
      const { io } = emitter();
      await expect(io.of(of).emit('said', fits(prefix))).resolves.toEqual(REPORT);
      expect(() => io.of(of).emit('said', `${fits(prefix)}x`)).toThrow(PayloadError);
    }
    const { io } = emitter();
    await expect(io.emit('said', Buffer.alloc(98_301))).resolves.toEqual(REPORT);
  });
});

describe('a refusal by the deployment', () => {
  test.each([
    [
      { code: 'forbidden', message: 'no', retryable: false },
      { code: 'forbidden', retryable: false },
    ],
    [
      { code: 'internal', message: 'no', retryable: true },
      { code: 'internal', retryable: true },
    ],
    [
      { code: 'invalid_payload', message: 'no', field: 'rooms[1]' },
      { code: 'invalid_payload', retryable: false, field: 'rooms[1]' },
    ],
  ])('%j rejects with what it says', async (error, expected) => {
    const { io, transport, unseen } = emitter();
    transport.answer = async () => ({ ok: false, error });
    const failure: unknown = await io.emit('said').catch((thrown: unknown) => thrown);
    expect(failure).toBeInstanceOf(PublishError);
    expect(failure).toMatchObject({ name: 'PublishError', message: 'no', field: undefined, ...expected });
    await expect(io.call('app', 'x')).rejects.toMatchObject(expected);
    expect(unseen).toEqual([]);
  });
});

describe('watchGroups', () => {
  test('emits to the group and to the user, by ids of either type', async () => {
    const { io, transport } = emitter();
    const groups = watchGroups(io);
    expect(await groups.emitToGroup(7, 'series-added', { seriesName: 'Dark', addedBy: 'ana' })).toEqual(
      REPORT,
    );
    await groups.emitToGroup('7', 'any', null);
    await groups.emitToUser('bea', 'notification', { message: 'hola' });
    expect(transport.sent).toEqual([
      {
        ...EVERYBODY,
        rooms: ['group:7'],
        event: 'series-added',
        args: [{ seriesName: 'Dark', addedBy: 'ana' }],
      },
      { ...EVERYBODY, rooms: ['group:7'], event: 'any', args: [null] },
      { ...EVERYBODY, rooms: ['member:bea'], event: 'notification', args: [{ message: 'hola' }] },
    ]);
  });

  test('asks who is connected', async () => {
    const { io, transport } = emitter();
    const client = { socketId: 'x', userId: 1, username: 'ana', groups: [7, 'b'] };
    transport.answer = async () => ({ ok: true, result: [client] });
    expect(await watchGroups(io).getConnectedClients()).toEqual([client]);
    expect(transport.sent).toEqual([
      { op: 'app', app: 'watch-groups', call: 'getConnectedClients', args: [] },
    ]);
  });

  test('refuses a wrong event at once', () => {
    const { io } = emitter();
    expect(() => watchGroups(io).emitToUser(1, 'disconnect', {})).toThrow(PayloadError);
  });
});
