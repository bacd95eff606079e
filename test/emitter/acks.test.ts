/** `emitWithAck` of backends. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, expectTypeOf, test } from 'vitest';
import { AckTimeoutError, Emitter, httpTransport, lambdaTransport, retrying } from '../../emitter/index.ts';
import { type PublishResult, publishRequestSchema } from '../../lambdas/contract/publish.ts';
import { REPORT, RecordingTransport } from './recording.ts';

interface Events {
  asked: (question: { readonly text: string }, answer: (yes: boolean) => void) => void;
  counted: (answer: (...counts: [number, string]) => void) => void;
  told: (text: string) => void;
}

function answering(...results: (PublishResult | Error)[]) {
  const transport = new RecordingTransport();
  transport.answer = async () => {
    const next = results.shift() ?? { ...REPORT, responses: [], missing: 0 };
    if (next instanceof Error) throw next;
    return next;
  };
  return transport;
}

describe('an emit that is answered', () => {
  test('asks for 10 s where it is not told how long', async () => {
    const transport = answering();
    const io = new Emitter({ transport });
    await io.emitWithAck('asked', { text: 'x' });
    await io.timeout(300).to('a').except('b').volatile.emitWithAck('asked', 1, 2);
    await io.to('a').timeout(300).of('/b').emitWithAck('asked');
    expect(transport.sent).toEqual([
      {
        op: 'emit',
        namespace: '/',
        rooms: [],
        except: [],
        event: 'asked',
        args: [{ text: 'x' }],
        flags: { ackTimeoutMs: 10_000 },
      },
      expect.objectContaining({ rooms: ['a'], except: ['b'], flags: { ackTimeoutMs: 300, volatile: true } }),
      expect.objectContaining({ namespace: '/b', rooms: [], flags: { ackTimeoutMs: 300 } }),
    ]);
    for (const request of transport.sent) expect(publishRequestSchema.safeParse(request).success).toBe(true);
  });

  test('leaves plain emits as they are', async () => {
    const transport = answering(REPORT);
    await new Emitter({ transport }).timeout(300).emit('told', 'x');
    expect(transport.sent[0]).not.toHaveProperty('flags');
  });

  test('resolves to the answers', async () => {
    const transport = answering({ ...REPORT, responses: [true, null], missing: 0 });
    expect(await new Emitter({ transport }).emitWithAck('asked')).toEqual([true, null]);
  });

  test('rejects with the answers that came where some did not', async () => {
    const transport = answering({ ...REPORT, responses: [true], missing: 1 });
    const failure = await new Emitter({ transport }).emitWithAck('asked').catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(AckTimeoutError);
    expect(failure).toMatchObject({
      name: 'AckTimeoutError',
      message: 'operation has timed out',
      code: 'ack_timeout',
      retryable: false,
      responses: [true],
      missing: 1,
    });
  });

  test('rejects where the deployment does not know of answers', async () => {
    await expect(new Emitter({ transport: answering(REPORT) }).emitWithAck('asked')).rejects.toMatchObject({
      code: 'unavailable',
      retryable: false,
    });
  });

  test.each([0, 25_001, 1.5, Number.NaN])('for %d ms is refused at once, by the name of the field', (ms) => {
    const transport = answering();
    const io = new Emitter({ transport });
    expect(() => io.timeout(ms).emitWithAck('asked')).toThrow(
      expect.objectContaining({ name: 'PayloadError', field: 'flags.ackTimeoutMs' }),
    );
    expect(transport.sent).toEqual([]);
  });

  test('that nobody awaits is reported like any other', async () => {
    const unseen: unknown[] = [];
    const transport = answering({ ...REPORT, responses: [], missing: 2 });
    const io = new Emitter({ transport, onUnseenFailure: (error) => unseen.push(error) });
    void io.emitWithAck('asked');
    await io.flush();
    await expect.poll(() => unseen).toEqual([expect.any(AckTimeoutError)]);
  });

  test.each([
    ['throttled', 2],
    ['unreachable', 2],
    ['timeout', 1],
    ['unavailable', 1],
  ])('that was %s takes %i tries: clients that were asked are not asked again', async (code, tries) => {
    const refusal: PublishResult = { ok: false, error: { code, message: 'no', retryable: true } };
    const transport = answering(refusal);
    const io = new Emitter({ transport: retrying(transport, { tries: 4, delayMs: 1 }) });
    await io.emitWithAck('asked').catch(() => undefined);
    expect(transport.sent).toHaveLength(tries);
  });
});

describe('a transport', () => {
  test.each(['HTTP', 'invoke'])('by %s waits as much longer as clients may take', async (way) => {
    const server = createServer((request, response) => {
      let body = '';
      request.on('data', (part) => {
        body += String(part);
      });
      request.on('end', () => {
        // Nobody answers a plain emit; a question later than the transport alone would wait.
        if (!body.includes('ackTimeoutMs')) return;
        setTimeout(() => response.end(JSON.stringify({ ...REPORT, responses: ['x'], missing: 0 })), 100);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const credentials = { accessKeyId: 'a', secretAccessKey: 'b' };
    const common = { region: 'us-east-1', credentials, timeoutMs: 20 };
    const transport =
      way === 'HTTP'
        ? httpTransport({ url, ...common })
        : lambdaTransport({ functionName: 'publish', endpoint: url, ...common });
    try {
      const io = new Emitter({ transport });
      expect(await io.timeout(5_000).emitWithAck('asked')).toEqual(['x']);
      await expect(io.emit('told')).rejects.toMatchObject({ code: 'timeout' });
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});

describe('the types of an emitter with an event map', () => {
  const io = new Emitter<Events>({ transport: answering() });

  test('know what clients are asked and what they answer', () => {
    const use = async () => {
      expectTypeOf(await io.emitWithAck('asked', { text: 'x' })).toEqualTypeOf<boolean[]>();
      expectTypeOf(await io.to('a').timeout(5).emitWithAck('counted')).toEqualTypeOf<number[]>();
      // The map does not tell.
      expectTypeOf(await io.emitWithAck('told', 'x')).toEqualTypeOf<unknown[]>();
      // @ts-expect-error: an event that does not exist
      await io.emitWithAck('aksed', { text: 'x' });
      // @ts-expect-error: an argument of another type
      await io.emitWithAck('asked', { text: 7 });
      // @ts-expect-error: the callback is the emitter's own
      await io.emitWithAck('asked', { text: 'x' }, () => undefined);
      // @ts-expect-error: a missing argument
      await io.emitWithAck('asked');
    };
    expectTypeOf(use).returns.resolves.toBeVoid();
  });

  test('of one without take and give anything', () => {
    const any = new Emitter({ transport: answering() });
    const use = () => any.emitWithAck('anything', 1, { two: 2 });
    expectTypeOf(use).returns.resolves.toEqualTypeOf<unknown[]>();
  });
});
