import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Emitter, PublishError } from '../../emitter/index.ts';
import type { PublishResult } from '../../lambdas/contract/publish.ts';
import { REPORT, RecordingTransport } from './recording.ts';

const refused: PublishResult = { ok: false, error: { code: 'internal', message: 'down', retryable: true } };

const unhandled: unknown[] = [];
const note = (error: unknown) => unhandled.push(error);
beforeEach(() => {
  unhandled.length = 0;
  process.on('unhandledRejection', note);
});
afterEach(() => void process.off('unhandledRejection', note));

function failing(answer: () => Promise<PublishResult> = async () => refused) {
  const transport = new RecordingTransport();
  transport.answer = answer;
  const reported: unknown[] = [];
  const io = new Emitter({ transport, onUnseenFailure: (error) => reported.push(error) });
  return { io, transport, reported };
}

/** After this, whatever the microtasks had to do is done, and Node has looked for unhandled rejections. */
const macrotasks = async () => {
  for (let i = 0; i < 3; i += 1) await new Promise((resolve) => setImmediate(resolve));
};

/** A promise and what settles it. */
function deferred<T>() {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

describe('a failure nobody awaited', () => {
  const ways: [string, (io: Emitter) => unknown][] = [
    ['an emit', (io) => io.emit('said')],
    ['an emit to a room', (io) => io.to('a').volatile.emit('said')],
    ['a call', (io) => io.call('app', 'x')],
  ];
  const answers: [string, () => Promise<PublishResult>][] = [
    ['refused', async () => refused],
    ['refused later', () => new Promise((resolve) => setImmediate(() => resolve(refused)))],
    ['unanswered', () => Promise.reject(new PublishError('unreachable', 'down', { retryable: true }))],
    [
      'unanswered by a transport that throws',
      () => {
        throw new PublishError('unreachable', 'down', { retryable: true });
      },
    ],
  ];
  const cases = ways.flatMap(([what, emit]) => answers.map(([how, answer]) => ({ what, emit, how, answer })));

  test.each(cases)('of $what that was $how is reported, never an unhandled rejection', async (each) => {
    const { io, reported } = failing(each.answer);
    void each.emit(io);
    await macrotasks();
    expect(reported).toEqual([expect.objectContaining({ name: 'PublishError', message: 'down' })]);
    expect(unhandled).toEqual([]);
  });

  test('goes to the console where nobody else wants it', async () => {
    const error = vi.spyOn(console, 'error').mockImplementation(() => undefined);
    const transport = new RecordingTransport();
    transport.answer = async () => refused;
    void new Emitter({ transport }).emit('said');
    await macrotasks();
    expect(error).toHaveBeenCalledExactlyOnceWith(
      expect.stringContaining('nobody awaited'),
      expect.objectContaining({ code: 'internal' }),
    );
    error.mockRestore();
  });

  test('is reported once for each publish', async () => {
    const { io, reported } = failing();
    void io.emit('one');
    void io.emit('two');
    await macrotasks();
    expect(reported).toHaveLength(2);
  });
});

describe('a failure somebody looks at is not reported', () => {
  const ways: [string, (work: Promise<unknown>) => Promise<unknown>][] = [
    [
      'by await',
      async (work) => {
        await work;
      },
    ],
    ['by then', (work) => work.then(() => 'never')],
    ['by catch', (work) => work.catch((error: unknown) => Promise.reject(error))],
    ['by finally', (work) => work.finally(() => undefined)],
    ['by Promise.all', (work) => Promise.all([work])],
    ['by returning it from an async function', async (work) => work],
    ['by Promise.resolve', (work) => Promise.resolve(work)],
  ];

  test.each(ways)('%s', async (_how, look) => {
    const { io, reported } = failing();
    await expect(look(io.emit('said'))).rejects.toMatchObject({ code: 'internal' });
    await expect(look(io.call('app', 'x'))).rejects.toMatchObject({ code: 'internal' });
    await macrotasks();
    expect([reported, unhandled]).toEqual([[], []]);
  });

  test('and by allSettled', async () => {
    const { io, reported } = failing();
    const settled = await Promise.allSettled([io.emit('said'), io.emit('said')]);
    expect(settled.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    await macrotasks();
    expect([reported, unhandled]).toEqual([[], []]);
  });
});

describe('a success', () => {
  test('is a promise like any other', async () => {
    const { io, reported } = failing(async () => REPORT);
    const work = io.emit('said');
    expect(work).toBeInstanceOf(Promise);
    expect(await work.then(({ posted }) => posted)).toBe(2);
    expect(await work).toEqual(REPORT);
    expect(reported).toEqual([]);
  });
});

describe('flush', () => {
  test('waits for everything sent before it, failed or not, and for nothing sent after', async () => {
    const { io, transport, reported } = failing();
    const [one, two, three] = [
      deferred<PublishResult>(),
      deferred<PublishResult>(),
      deferred<PublishResult>(),
    ];
    const queue = [one.promise, two.promise, three.promise];
    transport.answer = () => queue.shift()!;
    void io.emit('one');
    void io.to('a').call('app', 'two');
    let flushed = false;
    const flushing = io
      .of('/elsewhere')
      .flush()
      .then(() => {
        flushed = true;
      });
    void io.emit('three');
    await macrotasks();
    expect(flushed).toBe(false);
    one.resolve(refused);
    await macrotasks();
    expect(flushed).toBe(false);
    two.resolve({ ok: true, result: null });
    await flushing;
    expect(flushed).toBe(true);
    await macrotasks();
    expect(reported).toHaveLength(1);
    three.resolve(REPORT);
    await io.flush();
    expect(unhandled).toEqual([]);
  });

  test('resolves where there is nothing to wait for', async () => {
    await expect(failing().io.flush()).resolves.toBeUndefined();
  });

  test('never rejects, and by then the failures nobody awaited have been reported', async () => {
    const { io, reported } = failing();
    void io.emit('said');
    await expect(io.flush()).resolves.toBeUndefined();
    expect(reported).toHaveLength(1);
  });
});
