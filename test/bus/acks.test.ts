/** Events that clients answer, as Socket.IO's `emitWithAck`. */
import { beforeEach, describe, expect, test } from 'vitest';
import * as z from 'zod/mini';
import { type AppSocket, defineApp, type Namespace } from '../../lambdas/apps/public.ts';
import { AckTimeoutError } from '../../lambdas/bus/errors.ts';
import type { Page, Store } from '../../lambdas/bus/ports.ts';
import { Publisher } from '../../lambdas/bus/publisher.ts';
import type { PublishRequestInput } from '../../lambdas/contract/publish.ts';
import { connected, connectionId, joinedNamespace, START, type World, world } from '../support/world.ts';

const serverEvents = { ask: z.unknown(), next: z.unknown() };
type Own = AppSocket<typeof serverEvents, undefined>;
type Io = Namespace<typeof serverEvents, undefined>;

/** What the application does when a client says `go`, or a backend calls it; and what came of it. */
let act: (socket: Own) => unknown;
let actForBackend: (io: Io) => unknown;
let outcome: Promise<unknown> = Promise.resolve();
let onClosed: (socket: Own) => unknown = () => undefined;

const app = defineApp({
  name: 'quiz',
  rooms: { 'room:': { canJoin: () => true } },
  serverEvents,
  clientEvents: {
    go: {
      payload: z.unknown(),
      handle: async (socket) => {
        outcome = Promise.resolve(act(socket));
        await outcome.catch(() => {});
      },
    },
  },
  onDisconnect: async (socket) => void (await onClosed(socket)),
  backend: { go: { args: z.tuple([]), handle: async (io) => actForBackend(io) } },
});

const [ONE, TWO, THREE] = [1, 2, 3].map(connectionId) as [string, string, string];
/** A post of an event with an acknowledgement id. */
const QUESTION = /^42(\d+)(\["ask".*)$/;

let at: World;
/** What the client of a connection does with a question. */
let reactions: Map<string, (id: string) => unknown>;
/** Tables are asked this, since the test began. */
let calls: string[];

beforeEach(async () => {
  calls = [];
  reactions = new Map();
  onClosed = () => undefined;
  at = await world({
    applications: [app],
    client: (client) => {
      const send = (command: object) => {
        calls.push(command.constructor.name.replace('Command', ''));
        return client.send(command as never);
      };
      return { send } as unknown as typeof client;
    },
  });
  const post = at.wire.post.bind(at.wire);
  at.wire.post = async (id, frame) => {
    const posted = await post(id, frame);
    const [, ackId] = QUESTION.exec(frame) ?? [];
    if (posted === 'ok' && ackId !== undefined) await reactions.get(id)?.(ackId);
    return posted;
  };
  for (const n of [1, 2, 3]) {
    await connected(at, n);
    await joinedNamespace(at, connectionId(n));
  }
  calls.length = 0;
});

const says = (from: string, frame: string) => at.messages.handle(from, frame);
const answers = (from: string, ...args: unknown[]) =>
  reactions.set(from, (id) => says(from, `43${id}${JSON.stringify(args)}`));
/** Lets a handler run, and tells what came of it. */
const go = async (run: typeof act): Promise<unknown> => {
  act = run;
  await says(ONE, '42["go"]');
  return outcome;
};
const questions = (id: string) => at.wire.to(id).filter((frame) => QUESTION.test(frame));
/** Rows of questions and answers. */
const ackRows = async () =>
  (await at.table.rows()).filter(({ p }) => Buffer.from(String(p?.B), 'base64')[0] === 0x61);
const elapsed = () => at.clock.now() - START;
const publish = (request: Partial<PublishRequestInput>) =>
  at.publisher.handle({ op: 'emit', event: 'ask', flags: { ackTimeoutMs: 1_000 }, ...request });

describe('a socket that is asked', () => {
  test('answers with its first argument; the question has no offset to recover from', async () => {
    answers(ONE, { n: 1 }, 'more');
    expect(await go((socket) => socket.emitWithAck('ask', { q: 1 }))).toEqual({ n: 1 });
    const [frame] = questions(ONE);
    expect(QUESTION.exec(frame!)?.[2]).toBe('["ask",{"q":1}]');
    expect(Number(QUESTION.exec(frame!)?.[1])).toBeLessThan(2 ** 48);
    expect(questions(TWO)).toEqual([]);
  });

  test('may answer with nothing', async () => {
    answers(ONE);
    expect(await go((socket) => socket.emitWithAck('ask'))).toBeUndefined();
  });

  test('and is silent is a timeout, after 10 s or after what was asked for', async () => {
    const failure = { name: 'AckTimeoutError', code: 'ack_timeout', message: 'operation has timed out' };
    await expect(go((socket) => socket.emitWithAck('ask'))).rejects.toMatchObject(failure);
    expect(elapsed()).toBe(10_000);
    await expect(go((socket) => socket.timeout(300).emitWithAck('ask'))).rejects.toMatchObject(failure);
    expect(elapsed()).toBe(10_300);
  });

  test('and is gone is not waited for', async () => {
    at.wire.outcome = (_id, frame) => (QUESTION.test(frame) ? 'gone' : 'ok');
    await expect(go((socket) => socket.emitWithAck('ask'))).rejects.toThrow(AckTimeoutError);
    expect(elapsed()).toBe(0);
  });

  test('is asked once with `volatile`', async () => {
    let tries = 0;
    at.wire.outcome = (_id, frame) => {
      if (!QUESTION.test(frame)) return 'ok';
      tries += 1;
      return 'throttled';
    };
    await expect(go((socket) => socket.volatile.timeout(500).emitWithAck('ask'))).rejects.toThrow(
      AckTimeoutError,
    );
    expect([tries, elapsed(), at.wire.closed]).toEqual([1, 0, []]);
  });

  test.each([0, -1, 1.5, 20_001, Number.NaN])('for %d ms is a mistake that names the field', async (ms) => {
    await expect(go(async (socket) => socket.timeout(ms).emitWithAck('ask'))).rejects.toMatchObject({
      code: 'invalid_payload',
      field: 'timeout',
    });
    await expect(go(async (socket) => socket.nsp.timeout(ms))).rejects.toMatchObject({ field: 'timeout' });
    expect(questions(ONE)).toEqual([]);
  });

  test('an event that is not declared, or too large, is refused and not posted', async () => {
    await expect(go(async (socket) => socket.emitWithAck('never' as 'ask'))).rejects.toThrow(/declare/);
    await expect(go(async (socket) => socket.emitWithAck('ask', 'x'.repeat(132_000)))).rejects.toMatchObject({
      code: 'invalid_payload',
      field: 'args',
    });
    expect([questions(ONE), await ackRows()]).toEqual([[], []]);
  });

  test('in its place among the emits, and the waiting does not hold up those after it', async () => {
    let ackId = '';
    reactions.set(ONE, (id) => {
      ackId = id;
    });
    const post = at.wire.post.bind(at.wire);
    at.wire.post = async (id, frame) => {
      const posted = await post(id, frame);
      // The client answers only once it has heard what was emitted after the question.
      if (frame.startsWith('42["next",2')) await says(ONE, `43${ackId}["late enough"]`);
      return posted;
    };
    const answer = await go(async (socket) => {
      void socket.emit('next', 1);
      const asked = socket.emitWithAck('ask');
      await socket.emit('next', 2);
      return asked;
    });
    expect(answer).toBe('late enough');
    expect(at.wire.to(ONE).slice(2, 5)).toEqual([
      expect.stringMatching(/^42\["next",1/),
      expect.stringMatching(QUESTION),
      expect.stringMatching(/^42\["next",2/),
    ]);
  });

  test('is asked although nobody waits, and the handler is not held up', async () => {
    await go((socket) => void socket.emitWithAck('ask'));
    expect(questions(ONE)).toHaveLength(1);
    expect(elapsed()).toBeLessThan(10_000);
    await expect.poll(elapsed).toBe(10_000);
  });

  test('when it is over already is not asked', async () => {
    let closing: Promise<unknown> = Promise.resolve();
    onClosed = (socket) => {
      closing = socket.timeout(100).emitWithAck('ask');
      return closing.catch(() => {});
    };
    answers(ONE, 'still here');
    await says(ONE, '41');
    await expect(closing).rejects.toThrow(AckTimeoutError);
    expect([questions(ONE), elapsed()]).toEqual([[], 0]);
  });
});

describe('many that are asked', () => {
  test('answer under one id, each as it likes', async () => {
    answers(ONE, 1);
    answers(TWO, { two: 2 });
    answers(THREE);
    const all = (await go((socket) => socket.nsp.emitWithAck('ask', 'all?'))) as unknown[];
    expect(new Set(all)).toEqual(new Set([1, { two: 2 }, undefined]));
    expect(new Set([ONE, TWO, THREE].flatMap(questions)).size).toBe(1);
    expect(elapsed()).toBe(0);
  });

  test('of which one is silent are a failure with the answers of the others', async () => {
    answers(ONE, 1);
    answers(THREE, 3);
    const asked = go((socket) => socket.nsp.timeout(700).emitWithAck('ask'));
    const failure = await asked.catch((error: unknown) => error as AckTimeoutError);
    expect(failure).toMatchObject({ message: 'operation has timed out' });
    expect(new Set((failure as AckTimeoutError).responses)).toEqual(new Set([1, 3]));
    expect(elapsed()).toBe(700);
  });

  test('are the sockets of the target and no others', async () => {
    for (const [n, id] of [ONE, TWO, THREE].entries()) answers(id, n + 1);
    expect(await go((socket) => socket.broadcast.emitWithAck('ask'))).toHaveLength(2);
    expect(await go((socket) => socket.timeout(50).to('room:none').emitWithAck('ask'))).toEqual([]);
    const own = async (socket: Own) => {
      await socket.join('room:a');
      return [
        await socket.nsp.to('room:a').emitWithAck('ask'),
        await socket.nsp.in('room:a').except('room:a').emitWithAck('ask'),
        await socket.to('room:a').timeout(50).emitWithAck('ask'),
      ];
    };
    expect(await go(own)).toEqual([[1], [], []]);
  });

  test('by a backend call of the application', async () => {
    for (const id of [ONE, TWO, THREE]) answers(id, 'here');
    actForBackend = (io) => io.timeout(900).emitWithAck('ask');
    expect(await at.publisher.handle({ op: 'app', app: 'quiz', call: 'go' })).toEqual({
      ok: true,
      result: ['here', 'here', 'here'],
    });
  });

  test('and are gone are cleaned up after, and missing at once', async () => {
    at.clock.advance(60_000);
    at.wire.outcome = (id, frame) => (id === TWO && QUESTION.test(frame) ? 'gone' : 'ok');
    answers(ONE, 1);
    answers(THREE, 3);
    await expect(go((socket) => socket.nsp.emitWithAck('ask'))).rejects.toMatchObject({
      responses: expect.arrayContaining([1, 3]),
    });
    expect(elapsed()).toBe(60_000);
    expect((await at.store.connection(TWO))?.open).toBe(false);
  });
});

describe('of the answers', () => {
  test('the first of a socket counts', async () => {
    reactions.set(ONE, async (id) => {
      await says(ONE, `43${id}["first"]`);
      await says(ONE, `43${id}["second"]`);
    });
    expect(await go((socket) => socket.emitWithAck('ask'))).toBe('first');
    expect(await ackRows()).toHaveLength(2);
  });

  test('those of one socket at the same time are one', async () => {
    reactions.set(ONE, async (id) => {
      await Promise.all(['a', 'b', 'c'].map((text) => says(ONE, `43${id}["${text}"]`)));
    });
    expect(await go((socket) => socket.emitWithAck('ask'))).toMatch(/^[abc]$/);
    expect(await ackRows()).toHaveLength(2);
  });

  test('one that is late leaves nothing, and costs one read besides that of the connection', async () => {
    let ackId = '';
    reactions.set(ONE, (id) => {
      ackId = id;
    });
    await go((socket) => socket.timeout(100).emitWithAck('ask')).catch(() => {});
    at.clock.advance(1);
    calls.length = 0;
    const before = await at.table.rows();
    await says(ONE, `43${ackId}["late"]`);
    expect(calls).toEqual(['Get', 'Get']);
    expect(await at.table.rows()).toEqual(before);
  });

  test('one that is made up leaves nothing, and costs one read besides that of the connection', async () => {
    const before = await at.table.rows();
    await says(ONE, '4312["made up"]');
    expect(calls).toEqual(['Get', 'Get']);
    expect(await at.table.rows()).toEqual(before);
    expect(at.wire.closed).toEqual([]);
  });

  test.each([
    ['over 48 bits', `43${2 ** 48}["x"]`],
    ['beyond all numbers', `43${'9'.repeat(400)}["x"]`],
    ['none at all', '43["x"]'],
  ])('one whose id is %s is not even looked for', async (_what, frame) => {
    await says(ONE, frame);
    expect(calls).toEqual(['Get']);
    expect(at.wire.closed).toEqual([]);
  });

  test('that of a socket that was not asked is not counted', async () => {
    reactions.set(ONE, async (id) => {
      await says(TWO, `43${id}["me too"]`);
      await says(ONE, `43${id}["mine"]`);
    });
    expect(await go((socket) => socket.nsp.to(socket.id).emitWithAck('ask'))).toEqual(['mine']);
    reactions.set(ONE, (id) => says(TWO, `43${id}["for you"]`));
    await expect(go((socket) => socket.timeout(50).emitWithAck('ask'))).rejects.toThrow(AckTimeoutError);
  });

  test('that of another namespace, under the same id, is not counted', async () => {
    reactions.set(ONE, (id) => says(ONE, `43/other,${id}["x"]`));
    await expect(go((socket) => socket.timeout(50).emitWithAck('ask'))).rejects.toThrow(AckTimeoutError);
  });

  test('that of a socket whose CONNECT reply is not known to have arrived counts: it proves it', async () => {
    const fourth = connectionId(4);
    await connected(at, 4);
    const one = (await at.store.socket({
      namespace: '/',
      id: (await at.store.connection(ONE))!.namespaces['/']!,
    }))!;
    const pending = { ...one, id: 'P'.repeat(20), connectionId: fourth, state: 'pending' as const };
    await at.store.connectSocket({ ...pending, hooksDue: false }, []);
    answers(fourth, 4);
    expect(await publish({ rooms: [pending.id] })).toMatchObject({ responses: [4], missing: 0 });
  });

  test('that of a client that has left meanwhile is dropped', async () => {
    reactions.set(TWO, async (id) => {
      await says(TWO, '41');
      await says(TWO, `43${id}["ghost"]`);
    });
    await expect(go((socket) => socket.broadcast.timeout(50).emitWithAck('ask'))).rejects.toMatchObject({
      responses: [],
    });
    expect(at.wire.closed).toEqual([]);
  });

  test('that of a connection that is closed is dropped', async () => {
    reactions.set(TWO, async (id) => {
      await at.lifecycle.disconnected(TWO);
      await says(TWO, `43${id}["ghost"]`);
    });
    await expect(go((socket) => socket.broadcast.timeout(50).emitWithAck('ask'))).rejects.toMatchObject({
      responses: [],
    });
  });

  test('one as large as a frame may be arrives, one that no frame can hold does not', async () => {
    const large = 'x'.repeat(32_000);
    answers(ONE, large);
    expect(await go((socket) => socket.emitWithAck('ask'))).toBe(large);
    reactions.set(ONE, (id) => says(ONE, `43${id}[[${Array(6_500).fill('1e20').join()}]]`));
    expect(await go((socket) => socket.emitWithAck('ask'))).toHaveLength(6_500);
    reactions.set(ONE, (id) => at.messages.handleAll(ONE, [`43${id}["${'x'.repeat(300_000)}"]`]));
    await expect(go((socket) => socket.timeout(50).emitWithAck('ask'))).rejects.toThrow(AckTimeoutError);
    expect(at.log.lines).toContainEqual(
      expect.objectContaining({ level: 'warn', message: 'an answer is too large to be kept' }),
    );
  });

  test('a binary one of a client that polls is bytes', async () => {
    reactions.set(ONE, async (id) => {
      const frames = [`461-${id}[{"file":{"_placeholder":true,"num":0}}]`, 'bAQID'];
      await at.messages.handleAll(ONE, frames);
    });
    expect(await go((socket) => socket.emitWithAck('ask'))).toEqual({ file: Buffer.from([1, 2, 3]) });
  });

  test('rows are gone a few minutes later', async () => {
    answers(ONE, 1);
    await go((socket) => socket.emitWithAck('ask'));
    const rows = await ackRows();
    expect(rows).toHaveLength(2);
    for (const row of rows) expect(Number(row.t?.N)).toBe((START + 10_000 + 120_000) / 1_000);
  });
});

describe('a client that polls', () => {
  const SEPARATOR = '\x1e';
  let sid: string;
  let marks = 0;
  const request = (method: string, body?: string) => {
    marks += 1;
    const query = { EIO: '4', transport: 'polling', t: `m${marks}`, ...(sid === '' ? {} : { sid }) };
    const headers = { 'content-type': 'text/plain' };
    return at.polling.handle({
      method,
      headers,
      query,
      body,
      address: '127.0.0.1',
      secure: true,
      at: at.clock.now(),
    } as Parameters<typeof at.polling.handle>[0]);
  };
  const frames = async () => (await request('GET')).body.split(SEPARATOR);

  beforeEach(async () => {
    sid = '';
    sid = JSON.parse((await request('GET')).body.slice(1)).sid;
    await request('POST', '40');
    await frames();
  });

  test('is not waited for while its own request is handled: it sends nothing before that is answered', async () => {
    act = (socket) => socket.emitWithAck('ask');
    await request('POST', '42["go"]');
    await expect(outcome).rejects.toThrow(AckTimeoutError);
    expect(elapsed()).toBeLessThan(10_000);
    expect(await frames()).toEqual([expect.stringMatching(QUESTION)]);
    expect(at.log.lines).toContainEqual(
      expect.objectContaining({
        level: 'warn',
        message: 'a client that polls cannot answer while its own request is handled',
      }),
    );
  });

  test('may ask others', async () => {
    for (const id of [ONE, TWO, THREE]) answers(id, 'here');
    act = (socket) => socket.broadcast.emitWithAck('ask');
    await request('POST', '42["go"]');
    expect(await outcome).toEqual(['here', 'here', 'here']);
  });

  test('answers what others ask', async () => {
    const asked = go((socket) => socket.broadcast.except([]).timeout(5_000).emitWithAck('ask'));
    answers(TWO, 2);
    answers(THREE, 3);
    const heard = await frames();
    const [, id] = QUESTION.exec(heard[0]!)!;
    await request('POST', `43${id}["by polling"]`);
    expect(new Set((await asked) as unknown[])).toEqual(new Set([2, 3, 'by polling']));
  });
});

describe('a publish that waits for answers', () => {
  test('has them beside its report', async () => {
    answers(ONE, 1);
    answers(TWO);
    const result = await publish({ id: 'q1', args: [{ q: 1 }] });
    expect(result).toEqual({
      ok: true,
      id: 'q1',
      offset: null,
      audience: 3,
      posted: 3,
      gone: 0,
      failed: 0,
      ranges: 0,
      responses: expect.arrayContaining([1, null]),
      missing: 1,
    });
    expect(elapsed()).toBe(1_000);
  });

  test('does not wait for who is gone or could not be reached', async () => {
    at.wire.outcome = (id) => (id === ONE ? 'gone' : id === TWO ? 'refused' : 'ok');
    answers(THREE, 3);
    expect(await publish({})).toMatchObject({ posted: 1, gone: 1, failed: 1, responses: [3], missing: 2 });
    expect(elapsed()).toBe(0);
  });

  test('may be volatile: whom the one try does not reach is missing', async () => {
    at.wire.outcome = (id) => (id === ONE ? 'throttled' : 'ok');
    answers(TWO, 2);
    answers(THREE, 3);
    const flags = { volatile: true, ackTimeoutMs: 1_000 };
    expect(await publish({ flags })).toMatchObject({ posted: 2, failed: 1, missing: 1 });
    expect([elapsed(), at.wire.closed]).toEqual([0, []]);
  });

  test('to nobody is answered by nobody, and writes nothing', async () => {
    expect(await publish({ rooms: ['room:none'] })).toMatchObject({ audience: 0, responses: [], missing: 0 });
    expect(await ackRows()).toEqual([]);
  });

  test('sends attachments, and has binary answers as JSON has a Buffer', async () => {
    reactions.set(ONE, (id) =>
      at.messages.handleAll(ONE, [`461-${id}[{"_placeholder":true,"num":0}]`, 'bAQID']),
    );
    const args = [{ _placeholder: true, num: 0 }];
    const socketId = (await at.store.connection(ONE))!.namespaces['/']!;
    at.wire.post = ((post) => async (id: string, frame: string) => {
      const posted = await post(id, frame);
      const [, ackId] = /^451-(\d+)\["ask"/.exec(frame) ?? [];
      if (ackId !== undefined) await reactions.get(id)?.(ackId);
      return posted;
    })(at.wire.post);
    expect(await publish({ rooms: [socketId], args, attachments: ['AQID'] })).toMatchObject({
      responses: [{ type: 'Buffer', data: [1, 2, 3] }],
    });
  });

  test.each([
    [0, 'flags.ackTimeoutMs'],
    [25_001, 'flags.ackTimeoutMs'],
    [1.5, 'flags.ackTimeoutMs'],
    ['1s', 'flags.ackTimeoutMs'],
  ])('for %j is refused by the name of the field', async (ackTimeoutMs, field) => {
    const result = await at.publisher.handle({ op: 'emit', event: 'ask', flags: { ackTimeoutMs } });
    expect(result).toMatchObject({ ok: false, error: { code: 'invalid_payload', field } });
    expect(questions(ONE)).toEqual([]);
  });

  test('to more than 1,000 is refused by the name of the field, and nobody is asked', async () => {
    const publisherTo = (sockets: number) => {
      const members = Array.from({ length: sockets }, (_, n) => {
        const bytes = Buffer.alloc(15);
        bytes.writeUInt32BE(n, 0);
        return { id: bytes.toString('base64url'), connectionId: connectionId(100 + n) };
      });
      const store = Object.create(at.store, {
        shards: { value: () => 1 },
        members: { value: async (): Promise<Page> => ({ members }) },
      }) as Store;
      return new Publisher({ ...at.bus, store }, at.lifecycle);
    };
    const request = { op: 'emit', event: 'ask', flags: { ackTimeoutMs: 1 } };
    const before = at.wire.posts.length;
    expect(await publisherTo(1_001).handle(request)).toMatchObject({
      ok: false,
      error: { code: 'invalid_payload', field: 'rooms', message: expect.stringContaining('1000') },
    });
    expect([at.wire.posts.length - before, await ackRows()]).toEqual([0, []]);
    expect(await publisherTo(1_000).handle(request)).toMatchObject({
      ok: true,
      posted: 1_000,
      missing: 1_000,
    });
  });

  test('whose answers are too many for a Lambda to hand over is an error that is not to be repeated', async () => {
    for (const id of [ONE, TWO, THREE]) answers(id, 'x'.repeat(32_000));
    const responses = { answer: async () => true, await: async () => {} };
    const acks = {
      ...responses,
      answers: async (_key: unknown, ids: readonly string[]) =>
        ids.map((socketId) => ({ socketId, frames: [`430["${'x'.repeat(2_000_000)}"]`] })),
    };
    const result = await new Publisher({ ...at.bus, acks }, at.lifecycle).handle({
      op: 'emit',
      event: 'ask',
      flags: { ackTimeoutMs: 10 },
    });
    expect(result).toMatchObject({ ok: false, error: { code: 'internal', retryable: false } });
  });
});
