/** The operations beside emit and call: what they ask for, what they give back, what they refuse. */
import { describe, expect, test } from 'vitest';
import { Emitter, PayloadError, RemoteSocket } from '../../emitter/index.ts';
import { type PublishRequestInput, publishRequestSchema } from '../../lambdas/contract/publish.ts';
import { RecordingTransport } from './recording.ts';

function answering(result: unknown) {
  const transport = new RecordingTransport();
  transport.answer = async () => ({ ok: true, result });
  return { transport, io: new Emitter({ transport }) };
}

const SOCKET = {
  id: 'AAAAAAAAAAAAAAAAAAAA',
  rooms: ['AAAAAAAAAAAAAAAAAAAA', 'user:1'],
  handshake: { headers: { origin: 'x' }, address: '::1', issued: 1 },
  data: { app: { a: 1 } },
  identities: { app: { id: 1 } },
};
const target = { namespace: '/n', rooms: ['a'], except: ['b'] };

describe('what is asked of the deployment', () => {
  const cases: [string, (io: Emitter) => Promise<unknown>, PublishRequestInput][] = [
    ['a join', (io) => io.socketsJoin('c'), { op: 'socketsJoin', ...target, join: ['c'] }],
    [
      'a join of several',
      (io) => io.socketsJoin(['c', 'd']),
      { op: 'socketsJoin', ...target, join: ['c', 'd'] },
    ],
    ['a leave', (io) => io.socketsLeave(['c']), { op: 'socketsLeave', ...target, leave: ['c'] }],
    ['a disconnect', (io) => io.disconnectSockets(), { op: 'disconnectSockets', ...target, close: false }],
    ['a close', (io) => io.disconnectSockets(true), { op: 'disconnectSockets', ...target, close: true }],
    ['a grant', (io) => io.grant('7', 'c'), { op: 'grant', namespace: '/n', identity: '7', room: 'c' }],
    ['a revocation', (io) => io.revoke(7, 'c'), { op: 'revoke', namespace: '/n', identity: 7, room: 'c' }],
  ];

  test.each(cases)('of %s', async (_what, ask, expected) => {
    const { transport, io } = answering({ sockets: 2, revoked: true });
    await ask(io.of('n').to('a').except('b'));
    expect(transport.sent).toEqual([expected]);
    expect(publishRequestSchema.safeParse(expected).success).toBe(true);
  });

  test('of a fetch', async () => {
    const { transport, io } = answering([SOCKET]);
    await io.of('/n').in('a').except('b').fetchSockets();
    expect(transport.sent).toEqual([{ op: 'fetchSockets', ...target }]);
  });
});

describe('how many, and who', () => {
  test('is asked of the rooms that were chosen, and comes back as it is', async () => {
    const counting = answering({ count: 3 });
    expect(await counting.io.of('/n').in('a').except('b').countSockets()).toBe(3);
    expect(counting.transport.sent).toEqual([{ op: 'countSockets', ...target }]);
    const room = { count: 1, members: [{ who: 7, sockets: ['x'] }] };
    const { transport, io } = answering(room);
    expect(await io.of('/n').in('a').presence()).toEqual(room);
    expect(transport.sent).toEqual([{ op: 'presence', namespace: '/n', room: 'a' }]);
  });

  test.each<(io: Emitter) => Emitter>([
    (io) => io,
    (io) => io.in(['a', 'b']),
    (io) => io.in('a').except('b'),
  ])('is refused at once where it is not of one room', (chosen) => {
    const { transport, io } = answering({});
    expect(() => chosen(io).presence()).toThrow(PayloadError);
    expect(transport.sent).toEqual([]);
  });
});

describe('the history of a room', () => {
  const offset = `000000001${'A'.repeat(20)}`;

  test('is asked for by its options', async () => {
    const { transport, io } = answering({ events: [], more: false });
    expect(await io.of('n').in('a').history({ since: offset, limit: 7 })).toEqual({
      events: [],
      more: false,
    });
    await io.to('a').history();
    expect(transport.sent).toEqual([
      { op: 'history', namespace: '/n', room: 'a', since: offset, limit: 7 },
      { op: 'history', namespace: '/', room: 'a' },
    ]);
  });

  test('comes with its bytes in their places', async () => {
    const event = { offset, event: 'file', at: 1 };
    const place = { _placeholder: true, num: 0 };
    const { io } = answering({
      events: [
        { ...event, args: [{ bytes: place }, 2], attachments: ['AQID'] },
        { ...event, args: [place] },
      ],
      more: true,
    });
    expect(await io.in('a').history()).toEqual({
      events: [
        { ...event, args: [{ bytes: Buffer.from([1, 2, 3]) }, 2] },
        // It had no attachments: somebody's own object.
        { ...event, args: [place] },
      ],
      more: true,
    });
  });
});

describe('what comes back', () => {
  test('is how many sockets there were', async () => {
    const { io } = answering({ revoked: true, sockets: 3 });
    const counts = [io.socketsJoin('a'), io.socketsLeave('a'), io.disconnectSockets(), io.revoke(1, 'a')];
    expect(await Promise.all(counts)).toEqual(Array(4).fill({ sockets: 3 }));
  });

  test('of a grant is nothing', async () => {
    expect(await answering({ granted: true }).io.grant(1, 'a')).toBeUndefined();
  });

  test('of a fetch are sockets that can be told things', async () => {
    const { transport, io } = answering([SOCKET]);
    const [socket] = await io.of('/n').fetchSockets();
    expect(socket).toBeInstanceOf(RemoteSocket);
    expect(socket).toMatchObject({ id: SOCKET.id, handshake: SOCKET.handshake, data: SOCKET.data });
    expect(socket?.rooms.has('user:1')).toBe(true);
    transport.sent.length = 0;
    transport.answer = async () => ({ ok: true, result: { sockets: 1 } });
    await socket?.join('x');
    await socket?.leave(['y']);
    await socket?.disconnect(true);
    await socket?.emit('said', 1).catch(() => undefined);
    const own = { namespace: '/n', rooms: [SOCKET.id], except: [] };
    expect(transport.sent).toEqual([
      { op: 'socketsJoin', ...own, join: ['x'] },
      { op: 'socketsLeave', ...own, leave: ['y'] },
      { op: 'disconnectSockets', ...own, close: true },
      { op: 'emit', ...own, event: 'said', args: [1] },
    ]);
  });

  test.each([
    ['a count', (io: Emitter) => io.socketsJoin('a')],
    ['sockets', (io: Emitter) => io.fetchSockets()],
    ['events', (io: Emitter) => io.in('a').history()],
  ])('is an error where %s should be and is not', async (_what, ask) => {
    await expect(ask(answering({ other: 1 }).io)).rejects.toMatchObject({
      name: 'PublishError',
      code: 'unavailable',
      retryable: false,
    });
  });
});

describe('what is refused at once', () => {
  const cases: [string, (io: Emitter) => unknown, string][] = [
    ['a join of no room', (io) => io.socketsJoin([]), 'join'],
    ['a join of a room without a name', (io) => io.socketsJoin(['a', '']), 'join[1]'],
    ['a leave of a number', (io) => io.socketsLeave(7 as never), 'leave[0]'],
    ['a close that is neither true nor false', (io) => io.disconnectSockets('yes' as never), 'close'],
    ['a fetch from an empty room', (io) => io.in('').fetchSockets(), 'rooms[0]'],
    ['a grant to nobody', (io) => io.grant(undefined as never, 'a'), 'identity'],
    ['a grant to a fraction', (io) => io.grant(1.5, 'a'), 'identity'],
    ['a grant of no room', (io) => io.grant(1, ''), 'room'],
    ['a history of no room', (io) => io.history(), 'rooms'],
    ['a history of two rooms', (io) => io.in(['a', 'b']).history(), 'rooms'],
    ['a history with exceptions', (io) => io.in('a').except('b').history(), 'rooms'],
    ['a history since nothing', (io) => io.in('a').history({ since: 'x' }), 'since'],
    ['a history of everything', (io) => io.in('a').history({ limit: 1_001 }), 'limit'],
    ['a revocation from nobody', (io) => io.revoke('', 'a'), 'identity'],
  ];

  test.each(cases)('%s', (_what, ask, field) => {
    const { transport, io } = answering(undefined);
    let refusal: unknown;
    try {
      ask(io);
    } catch (error) {
      refusal = error;
    }
    expect(refusal).toBeInstanceOf(PayloadError);
    expect(refusal).toMatchObject({ field, code: 'invalid_payload' });
    expect(transport.sent).toEqual([]);
  });
});
