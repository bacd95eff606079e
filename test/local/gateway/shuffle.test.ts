import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { seededShuffle } from '../../../local/gateway/shuffle.ts';
import { ManualClock, TestGateway } from './support.ts';

/** Longer than any window and all its gaps. */
const EVERYTHING_MS = 60_000;

/** What was started, in order, when these texts came at once on one connection. */
function orderOf(seed: number | string, texts: readonly string[], connectionId = 'one'): string[] {
  const clock = new ManualClock();
  const shuffle = seededShuffle(seed, { clock });
  const started: string[] = [];
  for (const text of texts) shuffle(connectionId, () => started.push(text));
  clock.advance(EVERYTHING_MS);
  return started;
}

const SEEDS = Array.from({ length: 20 }, (_, seed) => seed);

describe('a seeded shuffle', () => {
  it('starts two messages sent back to back in both orders over seeds', () => {
    const orders = new Set(SEEDS.map((seed) => orderOf(seed, ['join', 'send']).join()));
    expect([...orders].sort()).toEqual(['join,send', 'send,join']);
  });

  it('starts them in the same order again for the same seed, whatever the connection is called', () => {
    const texts = ['a', 'b', 'c', 'd', 'e'];
    for (const seed of [...SEEDS, 'a word']) {
      expect(orderOf(seed, texts, 'one')).toEqual(orderOf(seed, texts, 'another'));
    }
  });

  it('takes another order in a later window, so that no seed always keeps the order', () => {
    const clock = new ManualClock();
    const shuffle = seededShuffle(1, { clock });
    const orders = Array.from({ length: 20 }, () => {
      const started: string[] = [];
      for (const text of ['join', 'send']) shuffle('one', () => started.push(text));
      clock.advance(EVERYTHING_MS);
      return started.join();
    });
    expect(new Set(orders).size).toBe(2);
  });

  it('loses nothing and starts nothing twice, whatever comes when on however many connections', () => {
    const messages = fc.array(fc.tuple(fc.constantFrom('one', 'two', 'three'), fc.nat(30)), {
      maxLength: 60,
    });
    const property = fc.property(fc.integer(), messages, (seed, sent) => {
      const clock = new ManualClock();
      const shuffle = seededShuffle(seed, { clock });
      const started: number[] = [];
      for (const [index, [connection, pauseMs]] of sent.entries()) {
        shuffle(connection, () => started.push(index));
        clock.advance(pauseMs);
      }
      clock.advance(EVERYTHING_MS);
      expect(started.sort((a, b) => a - b)).toEqual(sent.map((_, index) => index));
    });
    fc.assert(property);
  });

  it('keeps the order of messages that are further apart than a window', () => {
    for (const seed of SEEDS) {
      const clock = new ManualClock();
      const shuffle = seededShuffle(seed, { clock, windowMs: 10, gapMs: 40 });
      const started: string[] = [];
      for (const text of ['a', 'b', 'c']) {
        shuffle('one', () => started.push(text));
        clock.advance(11);
      }
      expect(started).toEqual(['a', 'b', 'c']);
    }
  });

  it('holds no connection back for another, and keeps the order in which they spoke', () => {
    for (const seed of SEEDS) {
      const clock = new ManualClock();
      const shuffle = seededShuffle(seed, { clock, windowMs: 10, gapMs: 40 });
      const started: string[] = [];
      for (let n = 0; n < 5; n++) shuffle('busy', () => started.push('busy'));
      clock.advance(1);
      for (const connection of ['x', 'y', 'z']) shuffle(connection, () => started.push(connection));
      clock.advance(10);
      expect(started.filter((who) => who !== 'busy')).toEqual(['x', 'y', 'z']);
    }
  });

  it('loses nothing of more connections than it remembers', () => {
    const clock = new ManualClock();
    const shuffle = seededShuffle(1, { clock, windowMs: 0 });
    let started = 0;
    for (let n = 0; n < 10_100; n++) {
      shuffle(`connection ${n}`, () => {
        started += 1;
      });
      clock.advance(0);
    }
    expect(started).toBe(10_100);
  });
});

describe('a gateway that shuffles', () => {
  let gateway: TestGateway | undefined;
  afterEach(() => gateway?.stop());

  async function handled(seed: number, texts: readonly string[]): Promise<unknown[]> {
    gateway = await TestGateway.start({ shuffle: seededShuffle(seed) });
    const client = await gateway.open();
    for (const text of texts) client.ws.send(text);
    const bodies: unknown[] = [];
    for (const _ of texts) bodies.push((await gateway.messages.next()).body);
    expect(gateway.messages.size).toBe(0);
    await gateway.stop();
    return bodies;
  }

  it('invokes the function in both orders over seeds, and every time in the same one for a seed', async () => {
    const orders = new Map<number, string>();
    for (let seed = 0; new Set(orders.values()).size < 2; seed++) {
      expect(seed).toBeLessThan(20);
      orders.set(seed, (await handled(seed, ['join', 'send'])).join());
    }
    for (const [seed, order] of orders) {
      expect((await handled(seed, ['join', 'send'])).join()).toBe(order);
    }
  });
});
