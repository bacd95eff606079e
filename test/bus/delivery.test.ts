import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import {
  DELIVERY_DEADLINE_MS,
  type DeliveryParts,
  deliver,
  deliverToAll,
  postUntil,
  retryEvents,
  retryNever,
  retryUndelivered,
} from '../../lambdas/bus/delivery.ts';
import type { PostOutcome } from '../../lambdas/bus/ports.ts';
import { FakeClock, FakeLog, FakeWire, SeededRandom, START } from '../support/world.ts';

/** A wire that answers with each outcome in turn, the last one for ever, and remembers every try. */
class ScriptedWire extends FakeWire {
  readonly tries: { readonly connectionId: string; readonly frame: string; readonly at: number }[] = [];
  readonly #outcomes: PostOutcome[];
  readonly #clock: FakeClock;

  constructor(clock: FakeClock, outcomes: readonly PostOutcome[]) {
    super();
    this.#clock = clock;
    this.#outcomes = [...outcomes];
    this.outcome = (connectionId, frame) => {
      this.tries.push({ connectionId, frame, at: this.#clock.now() - START });
      return (this.#outcomes.length > 1 ? this.#outcomes.shift() : this.#outcomes[0]) ?? 'ok';
    };
  }
}

let clock: FakeClock;
let log: FakeLog;
const ID = 'connection';

const partsWith = (...outcomes: PostOutcome[]) => {
  const wire = new ScriptedWire(clock, outcomes);
  const parts: DeliveryParts & { wire: ScriptedWire } = { wire, clock, random: new SeededRandom(1), log };
  return parts;
};

beforeEach(() => {
  clock = new FakeClock();
  log = new FakeLog();
});

describe('a post is tried again', () => {
  test.each([
    ['an event', retryEvents, { ok: 1, gone: 1, throttled: 2, failed: 2, refused: 1 }],
    ['a volatile event', retryNever, { ok: 1, gone: 1, throttled: 1, failed: 1, refused: 1 }],
    [
      'what must arrive exactly once',
      retryUndelivered,
      { ok: 1, gone: 2, throttled: 2, failed: 1, refused: 1 },
    ],
  ])('for %s only after these outcomes', async (_, rule, tries) => {
    for (const [outcome, expected] of Object.entries(tries)) {
      const parts = partsWith(outcome as PostOutcome, 'ok');
      await postUntil(parts, ID, '2', rule, clock.now() + 1_000);
      expect([outcome, parts.wire.tries.length]).toEqual([outcome, expected]);
    }
  });

  test('after pauses that grow to less than 1.2 seconds, and never after the deadline', async () => {
    const parts = partsWith('throttled');
    expect(await postUntil(parts, ID, '2', retryEvents, START + 5_000)).toBe('throttled');
    const times = parts.wire.tries.map(({ at }) => at);
    const pauses = times.slice(1).map((at, i) => at - times[i]!);
    expect(times[0]).toBe(0);
    expect(pauses[0]).toBeLessThan(40);
    expect(Math.max(...pauses)).toBeGreaterThan(400);
    expect(Math.max(...pauses)).toBeLessThanOrEqual(1_200);
    expect(times.at(-1)).toBeLessThanOrEqual(5_000);
    expect(times.at(-1)).toBeGreaterThan(5_000 - 1_200);
  });

  test('not once where the deadline has passed already, but it is tried', async () => {
    const parts = partsWith('failed');
    expect(await postUntil(parts, ID, '2', retryEvents, START - 1)).toBe('failed');
    expect(parts.wire.tries).toHaveLength(1);
  });
});

describe('a packet', () => {
  test('is posted frame by frame, in order', async () => {
    const parts = partsWith('throttled', 'ok', 'failed', 'ok');
    expect(await deliver(parts, ID, ['451-["e"]', 'bAAAA'])).toBe('posted');
    expect(parts.wire.to(ID)).toEqual(['451-["e"]', 'bAAAA']);
  });

  test('whose first frame was not posted stops there', async () => {
    const parts = partsWith('gone', 'ok');
    expect(await deliver(parts, ID, ['451-["e"]', 'bAAAA'])).toBe('gone');
    expect(parts.wire.tries).toHaveLength(1);
    expect(parts.wire.closed).toEqual([]);
  });

  test.each(['throttled', 'failed'] as const)(
    'that stays %s until its deadline closes the connection, so that the client comes back',
    async (outcome) => {
      const parts = partsWith(outcome);
      expect(await deliver(parts, ID, ['42["e"]'])).toBe('failed');
      expect(parts.wire.closed).toEqual([ID]);
      expect(clock.now() - START).toBeLessThanOrEqual(DELIVERY_DEADLINE_MS);
      expect(parts.wire.tries.length).toBeGreaterThan(5);
    },
  );

  test('has one deadline for all its frames', async () => {
    const parts = partsWith(
      'throttled',
      'throttled',
      'throttled',
      'throttled',
      'throttled',
      'throttled',
      'ok',
      'throttled',
    );
    expect(await deliver(parts, ID, ['451-["e"]', 'bAAAA'])).toBe('failed');
    expect(clock.now() - START).toBeLessThanOrEqual(DELIVERY_DEADLINE_MS);
  });

  test('that can never be posted leaves the connection alone', async () => {
    const parts = partsWith('refused');
    expect(await deliver(parts, ID, ['42["e"]'])).toBe('failed');
    expect(parts.wire.tries).toHaveLength(1);
    expect(parts.wire.closed).toEqual([]);
  });

  test.each(['throttled', 'failed'] as const)(
    'that is volatile gets one try, and is lost where that is %s',
    async (outcome) => {
      const parts = partsWith(outcome);
      expect(await deliver(parts, ID, ['42["e"]'], { volatile: true })).toBe('failed');
      expect(parts.wire.tries).toHaveLength(1);
      expect(parts.wire.closed).toEqual([]);
    },
  );

  test('that is volatile and half sent is sent whole: the client waits for its attachments', async () => {
    const parts = partsWith('ok', 'throttled', 'ok');
    expect(await deliver(parts, ID, ['451-["e"]', 'bAAAA'], { volatile: true })).toBe('posted');
    expect(parts.wire.to(ID)).toEqual(['451-["e"]', 'bAAAA']);
  });

  test.each([false, true])(
    'that cannot be sent whole closes the connection (volatile: %s)',
    async (volatile) => {
      const parts = partsWith('ok', 'refused');
      expect(await deliver(parts, ID, ['451-["e"]', 'bAAAA'], { volatile })).toBe('failed');
      expect(parts.wire.closed).toEqual([ID]);
    },
  );
});

describe('a packet to many', () => {
  test('reaches everyone whose post succeeds, whatever becomes of the others', async () => {
    const outcomes = fc.array(fc.constantFrom<PostOutcome>('ok', 'gone', 'throttled', 'failed', 'refused'), {
      maxLength: 150,
    });
    await fc.assert(
      fc.asyncProperty(outcomes, async (fates) => {
        const parts = partsWith();
        parts.wire.outcome = (connectionId) => fates[Number(connectionId)]!;
        const recipients = fates.map((_, i) => ({ connectionId: String(i) }));
        const report = await deliverToAll(parts, recipients, ['42["e"]']);
        const withFate = (...wanted: PostOutcome[]) =>
          recipients.filter((_, i) => wanted.includes(fates[i]!)).map(({ connectionId }) => connectionId);
        expect(parts.wire.posts.map(({ connectionId }) => connectionId).sort()).toEqual(
          withFate('ok').sort(),
        );
        expect(report.posted).toBe(withFate('ok').length);
        expect(report.failed).toBe(withFate('throttled', 'failed', 'refused').length);
        expect(report.gone.map(({ connectionId }) => connectionId).sort()).toEqual(withFate('gone').sort());
        expect([...parts.wire.closed].sort()).toEqual(withFate('throttled', 'failed').sort());
      }),
      { numRuns: 30 },
    );
  });

  test('keeps a bounded number of posts in flight', async () => {
    let inFlight = 0;
    let most = 0;
    const parts = {
      ...partsWith(),
      wire: {
        post: async (): Promise<PostOutcome> => {
          inFlight += 1;
          most = Math.max(most, inFlight);
          await new Promise(setImmediate);
          inFlight -= 1;
          return 'ok';
        },
        postPacket: async () => 'singly' as const,
        close: async () => true,
      },
    };
    const recipients = Array.from({ length: 500 }, (_, i) => ({ connectionId: String(i) }));
    expect((await deliverToAll(parts, recipients, ['2'])).posted).toBe(500);
    expect(most).toBeGreaterThan(8);
    expect(most).toBeLessThanOrEqual(64);
  });
});
