import { describe, expect, test } from 'vitest';
import { Emitter, PublishError, retrying } from '../../emitter/index.ts';
import type { PublishRequestInput, PublishResult } from '../../lambdas/contract/publish.ts';
import { REPORT, RecordingTransport } from './recording.ts';

const POLICY = { tries: 4, delayMs: 1, maxDelayMs: 2 };
const failing = (code: string, retryable = true) => new PublishError(code, 'no', { retryable });
const refusal = (code: string, retryable: boolean): PublishResult => ({
  ok: false,
  error: { code, message: 'no', retryable },
});
const DONE: PublishResult = { ok: true, result: { sockets: 1 } };

/** A transport that answers, or fails, in this order, and its emitter. */
function scripted(...script: (PublishResult | Error)[]) {
  const transport = new RecordingTransport();
  transport.answer = async () => {
    const next = script.shift() ?? REPORT;
    if (next instanceof Error) throw next;
    return next;
  };
  return { transport, io: new Emitter({ transport: retrying(transport, POLICY) }) };
}

const ids = (sent: readonly PublishRequestInput[]) =>
  sent.map((each) => ('id' in each ? each.id : undefined));

describe('trying again', () => {
  test('happens until it works, under one id', async () => {
    const { transport, io } = scripted(
      failing('unavailable'),
      refusal('in_progress', true),
      failing('timeout'),
    );
    expect(await io.emit('said')).toEqual(REPORT);
    expect(transport.sent).toHaveLength(4);
    expect(new Set(ids(transport.sent)).size).toBe(1);
    expect(ids(transport.sent)[0]).toEqual(expect.any(String));
  });

  test('ends with the last failure', async () => {
    const all = Array.from({ length: 9 }, (_, n) => failing(`unavailable-${n}`));
    const { transport, io } = scripted(...all);
    await expect(io.emit('said')).rejects.toMatchObject({ code: 'unavailable-3' });
    expect(transport.sent).toHaveLength(POLICY.tries);
  });

  test.each([
    ['a refusal', refusal('invalid_payload', false), 'invalid_payload'],
    ['a failure for good', failing('forbidden', false), 'forbidden'],
  ])('does not happen after %s', async (_what, outcome, code) => {
    const { transport, io } = scripted(outcome);
    await expect(io.emit('said')).rejects.toMatchObject({ code });
    expect(transport.sent).toHaveLength(1);
  });

  test('does not happen after an error that is none of ours', async () => {
    const { transport, io } = scripted(new RangeError('a bug'));
    await expect(io.emit('said')).rejects.toThrow('a bug');
    expect(transport.sent).toHaveLength(1);
  });

  test('does not happen for a volatile emit', async () => {
    const { transport, io } = scripted(failing('unavailable'));
    await expect(io.volatile.emit('said')).rejects.toMatchObject({ code: 'unavailable' });
    expect(transport.sent).toHaveLength(1);
  });

  test.each([
    ['throttled', 2],
    ['unreachable', 2],
    ['timeout', 1],
    ['interrupted', 1],
    ['unavailable', 1],
  ])('of a call that was %s takes %i tries, since it may not be repeatable', async (code, tries) => {
    const { transport, io } = scripted(failing(code), { ok: true, result: 1 });
    await io.call('app', 'recordChange').catch(() => undefined);
    expect(transport.sent).toHaveLength(tries);
  });

  test('happens for the other operations', async () => {
    const { transport, io } = scripted(failing('timeout'), DONE);
    expect(await io.to('a').socketsJoin('b')).toEqual({ sockets: 1 });
    expect(transport.sent).toHaveLength(2);
  });

  test('is waited for by flush', async () => {
    const { transport, io } = scripted(failing('unavailable'), failing('unavailable'));
    void io.emit('said');
    await io.flush();
    expect(transport.sent).toHaveLength(3);
  });
});

test('two emits are two publishes', async () => {
  const { transport, io } = scripted();
  await io.emit('said');
  await io.emit('said');
  expect(new Set(ids(transport.sent)).size).toBe(2);
});
