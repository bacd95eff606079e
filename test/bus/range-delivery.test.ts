import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { defineApp } from '../../lambdas/apps/define-app.ts';
import type { Bus } from '../../lambdas/bus/context.ts';
import { broadcast } from '../../lambdas/bus/fan-out.ts';
import { plainMessage } from '../../lambdas/bus/message.ts';
import { orderOf } from '../../lambdas/bus/plan.ts';
import type { DeliverWork, PostOutcome, ReapWork } from '../../lambdas/bus/ports.ts';
import { MOST_OPEN, RangeDelivery } from '../../lambdas/bus/range-delivery.ts';
import { Registry } from '../../lambdas/bus/registry.ts';
import { MemoryCheckpoints } from '../support/memory-checkpoints.ts';
import { MemoryGroups } from '../support/memory-groups.ts';
import { VirtualClock } from '../support/virtual-clock.ts';
import { FakeLog, FakeMetrics, SeededRandom } from '../support/world.ts';

const FRAMES = ['42["news",1]'];
const registry = new Registry([defineApp({ name: 'lists', rooms: { 'room:': {} } })]);

/** A gateway that takes its time, and everything a fan-out works with. */
class Ground {
  readonly clock = new VirtualClock();
  readonly groups = new MemoryGroups();
  readonly checkpoints = new MemoryCheckpoints(this.clock);
  readonly random: SeededRandom;
  readonly posts: { readonly id: string; readonly at: number }[] = [];
  readonly closed: string[] = [];
  readonly works: DeliverWork[] = [];
  readonly reaped: ReapWork[] = [];
  readonly metrics = new FakeMetrics();
  latency: (id: string) => number = () => 8;
  outcome: (id: string) => PostOutcome = () => 'ok';
  /** How many posts are under way. */
  underWay = 0;

  constructor(seed = 1) {
    this.random = new SeededRandom(seed);
  }

  ids(count: number): string[] {
    return Array.from({ length: count }, () => Buffer.from(this.random.bytes(15)).toString('base64url'));
  }

  /** One instance's bus. @param dies after so many posts nothing happens any more, as in a killed instance */
  bus(dies = Number.POSITIVE_INFINITY): Bus {
    let left = dies;
    const alive = <T>(act: () => Promise<T>): Promise<T> => (left <= 0 ? new Promise(() => {}) : act());
    const parts: Omit<Partial<Bus>, 'store' | 'config'> & { store: object; config: object } = {
      store: this.groups,
      registry,
      clock: this.clock,
      random: this.random,
      log: new FakeLog(),
      metrics: this.metrics,
      checkpoints: {
        claim: (...of) => alive(() => this.checkpoints.claim(...of)),
        save: (...of) => alive(() => this.checkpoints.save(...of)),
      },
      wire: {
        post: (id) =>
          alive(async () => {
            left -= 1;
            const outcome = this.outcome(id);
            if (outcome === 'ok') this.posts.push({ id, at: this.clock.now() });
            await this.clock.sleep(this.latency(id));
            return outcome;
          }),
        postPacket: async () => 'singly',
        close: async (id) => {
          this.closed.push(id);
          return true;
        },
      },
      workers: {
        open: async () => {},
        deliver: async (work) => {
          this.works.push(structuredClone(work));
        },
        reap: async (work) => {
          this.reaped.push(work);
        },
      },
      config: { requestsPerSecond: 10_000, inlinePosts: 500 },
    };
    return parts as Bus;
  }

  async broadcast(rooms: readonly string[], except: readonly string[] = [], inlinePosts = 500) {
    const bus = this.bus();
    const sent = broadcast(
      { ...bus, config: { ...bus.config, inlinePosts } },
      { namespace: '/', rooms, except },
      plainMessage(FRAMES, 'message', this.clock.now()),
    );
    await this.clock.until(sent.catch(() => {}));
    return sent;
  }

  /** Runs everything that was handed over, and what that hands over. */
  async deliverAll(remainingMs: () => number = () => 100_000): Promise<void> {
    while (this.works.length > 0) {
      const works = this.works.splice(0);
      await this.clock.until(
        Promise.all(works.map((work) => new RangeDelivery(this.bus()).run(work, remainingMs))),
      );
    }
  }

  /** Who was posted to, and how often. */
  times(): Map<string, number> {
    const times = new Map<string, number>();
    for (const { id } of this.posts) times.set(id, (times.get(id) ?? 0) + 1);
    return times;
  }

  repeats(): number {
    return [...this.times().values()].reduce((sum, count) => sum + count - 1, 0);
  }
}

const whole = (expected: number, perSecond = 600): DeliverWork => ({
  v: 1,
  kind: 'range',
  id: 'message',
  broadcast: 'broadcast',
  target: { namespace: '/', rooms: ['room:a'], except: [] },
  range: {},
  frames: FRAMES,
  volatile: false,
  publishedAt: 0,
  logged: false,
  perSecond,
  expected,
});

describe('a broadcast of any size', () => {
  test('reaches every member of its rooms exactly once, and nobody in an excepted one', async () => {
    const membership = fc.record({
      sizes: fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 1, maxLength: 4 }),
      hot: fc.boolean(),
      overlap: fc.double({ min: 0, max: 1, noNaN: true }),
      except: fc.integer({ min: 0, max: 600 }),
      exceptIds: fc.integer({ min: 0, max: 5 }),
      inlinePosts: fc.integer({ min: 1, max: 300 }),
      seed: fc.integer(),
    });
    await fc.assert(
      fc.asyncProperty(membership, async ({ sizes, hot, overlap, except, exceptIds, inlinePosts, seed }) => {
        const ground = new Ground(seed);
        const everybody = ground.ids(1_200);
        const some = (count: number) =>
          Array.from(
            { length: count },
            () => everybody[Math.floor(ground.random.float() * 1_200 * (1 - overlap))]!,
          );
        const rooms = sizes.map((_, n) => `room:${n}`);
        const members = sizes.map((size) => new Set(some(size)));
        members.forEach((ids, n) => {
          ground.groups.set(`room:${n}`, ids, hot && n === 0 ? 16 : 1);
        });
        const excepted = new Set(some(except));
        ground.groups.set('room:x', excepted);
        const left = some(exceptIds);
        await ground.broadcast(rooms, ['room:x', ...left], inlinePosts);
        await ground.deliverAll();
        const expected = [...new Set(members.flatMap((ids) => [...ids]))].filter(
          (id) => !excepted.has(id) && !left.includes(id),
        );
        expect([...ground.times()].sort()).toEqual(expected.map((id) => [id, 1]).sort());
      }),
      { numRuns: 60 },
    );
  });

  test('is posted where it was asked for while it is small', async () => {
    const ground = new Ground();
    ground.groups.set('room:a', ground.ids(3));
    expect(await ground.broadcast(['room:a'])).toMatchObject({ audience: 3, posted: 3, ranges: 0 });
    expect(ground.groups.reads).toMatchObject({ queries: 1, rows: 3, keys: 0 });
  });

  test('is handed over in parts beyond that, and its size is told about right', async () => {
    const ground = new Ground();
    ground.groups.set('room:a', ground.ids(10_000));
    const report = await ground.broadcast(['room:a']);
    expect(report.posted).toBe(500);
    expect(report.ranges).toBeGreaterThan(8);
    expect(report.audience / 10_000).toBeGreaterThan(0.8);
    expect(report.audience / 10_000).toBeLessThan(1.25);
    await ground.deliverAll();
    expect(ground.times().size).toBe(10_000);
    expect(ground.repeats()).toBe(0);
    expect(ground.groups.reads.units / 10).toBeLessThanOrEqual(15);
  });

  test('looks a small audience up in a far larger excepted room by key', async () => {
    const ground = new Ground();
    const [ana, bea, ...others] = ground.ids(20_000);
    ground.groups.set('room:a', [ana!, bea!]);
    ground.groups.set('room:x', [bea!, ...others]);
    await ground.broadcast(['room:a'], ['room:x']);
    expect([...ground.times().keys()]).toEqual([ana]);
    expect(ground.groups.reads.rows).toBeLessThan(2_000);
  });

  test('is told without those who are excepted', async () => {
    const ground = new Ground();
    const ids = ground.ids(10_000);
    ground.groups.set('room:a', ids);
    ground.groups.set('room:x', ids.slice(0, 8_000));
    const { audience } = await ground.broadcast(['room:a'], ['room:x']);
    expect(audience / 2_000).toBeGreaterThan(0.5);
    expect(audience / 2_000).toBeLessThan(2);
  });

  test('is handed over sooner where the quota is small, or the packet many frames', async () => {
    const ground = new Ground();
    ground.groups.set('room:a', ground.ids(1_000));
    const bus = ground.bus();
    const config = { ...bus.config, requestsPerSecond: 100 };
    const sent = broadcast(
      { ...bus, config },
      { namespace: '/', rooms: ['room:a'], except: [] },
      plainMessage(FRAMES, 'message', ground.clock.now()),
    );
    await ground.clock.until(sent);
    expect((await sent).posted).toBe(270);
  });

  test('is posted anew where the same message is published again', async () => {
    const ground = new Ground();
    ground.groups.set('room:a', ground.ids(1_000));
    for (const times of [1, 2]) {
      await ground.broadcast(['room:a']);
      await ground.deliverAll();
      expect(new Set(ground.times().values())).toEqual(new Set([times]));
    }
  });

  test('fails where a part is not taken on', async () => {
    const ground = new Ground();
    ground.groups.set('room:a', ground.ids(2_000));
    const bus = ground.bus();
    const workers = {
      ...bus.workers,
      deliver: async () => {
        throw new Error('throttled');
      },
    };
    const sent = broadcast(
      { ...bus, workers },
      { namespace: '/', rooms: ['room:a'], except: [] },
      plainMessage(FRAMES, 'message', ground.clock.now()),
    );
    await ground.clock.until(sent.catch(() => {}));
    await expect(sent).rejects.toThrow('throttled');
    expect(ground.posts).toHaveLength(500);
  });
});

describe('a range', () => {
  test('that is cut off anywhere is gone on with, and repeats at most what one checkpoint leaves open', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 3 }),
        fc.integer(),
        async (deaths, seed) => {
          const ground = new Ground(seed);
          const ids = ground.ids(1_000);
          ground.groups.set('room:a', ids);
          // Some are slow, and overtaken.
          ground.latency = (id) => (id.charCodeAt(3) % 50 === 0 ? 400 : 5 + (id.charCodeAt(4) % 40));
          const remainingMs = () => 100_000;
          for (const dies of deaths) {
            void new RangeDelivery(ground.bus(dies)).run(whole(1_000), remainingMs);
            // Lambda tries again after a minute.
            await ground.clock.until(ground.clock.at(ground.clock.now() + 60_000));
          }
          await ground.clock.until(new RangeDelivery(ground.bus()).run(whole(1_000), remainingMs));
          expect(ground.times().size).toBe(1_000);
          expect(ground.repeats()).toBeLessThanOrEqual(deaths.length * MOST_OPEN);
        },
      ),
      { numRuns: 25 },
    );
  });

  test('that is begun twice at once is posted once', async () => {
    const ground = new Ground();
    ground.groups.set('room:a', ground.ids(600));
    const run = () => new RangeDelivery(ground.bus()).run(whole(600), () => 100_000);
    const both = Promise.all([run(), run()]);
    await ground.clock.until(both);
    expect((await both).map(({ superseded }) => superseded).sort()).toEqual([false, true]);
    expect(ground.times().size).toBe(600);
    expect(ground.repeats()).toBe(0);
  });

  test('is left to the next try where somebody else has it all the time', async () => {
    const ground = new Ground();
    ground.groups.set('room:a', ground.ids(10));
    await ground.checkpoints.claim('broadcast::', 'somebody', Number.POSITIVE_INFINITY);
    const run = new RangeDelivery(ground.bus()).run(whole(10), () => 9_000);
    await expect(run).rejects.toMatchObject({ code: 'unavailable', retryable: true });
    expect(ground.posts).toEqual([]);
  });

  test('is held up by nobody who is slow', async () => {
    const ground = new Ground();
    const ids = ground.ids(1_000);
    ground.groups.set('room:a', ids);
    const slow = new Set([...ids].sort(byOrder).filter((_, n) => n % 50 === 10));
    ground.outcome = (id) => (slow.has(id) ? 'throttled' : 'ok');
    const begun = ground.clock.now();
    await ground.clock.until(new RangeDelivery(ground.bus()).run(whole(1_000, 2_000), () => 100_000));
    const last = Math.max(...ground.posts.map(({ at }) => at));
    expect(last - begun).toBeLessThan(4_000);
    // Their last try failed: cut, so that they come back.
    expect(new Set(ground.closed)).toEqual(slow);
  });

  test('keeps to its part of the quota', async () => {
    const ground = new Ground();
    ground.groups.set('room:a', ground.ids(900));
    const begun = ground.clock.now();
    await ground.clock.until(new RangeDelivery(ground.bus()).run(whole(900, 300), () => 100_000));
    const seconds = (Math.max(...ground.posts.map(({ at }) => at)) - begun) / 1_000;
    expect(seconds).toBeGreaterThan(2.8);
    expect(seconds).toBeLessThan(3.6);
  });

  test('hands over what it has no time for, and what is far larger than it was thought', async () => {
    const ground = new Ground();
    ground.groups.set('room:a', ground.ids(5_000));
    const until = ground.clock.now() + 11_000;
    const first = new RangeDelivery(ground.bus()).run(whole(5_000, 600), () => until - ground.clock.now());
    await ground.clock.until(first);
    expect(await first).toMatchObject({ parts: 1 });
    expect(ground.posts.length).toBeLessThan(1_000);
    await ground.deliverAll();
    expect(ground.times().size).toBe(5_000);
    expect(ground.repeats()).toBe(0);

    const misjudged = new Ground();
    misjudged.groups.set('room:a', misjudged.ids(8_000));
    await misjudged.clock.until(new RangeDelivery(misjudged.bus()).run(whole(300, 3_000), () => 100_000));
    expect(misjudged.works.length).toBeGreaterThan(2);
    await misjudged.deliverAll();
    expect(misjudged.times().size).toBe(8_000);
    expect(misjudged.repeats()).toBe(0);
  });

  test('for which there is no time at all is left to the next try', async () => {
    const ground = new Ground();
    ground.groups.set('room:a', ground.ids(1_000));
    const run = new RangeDelivery(ground.bus()).run(whole(1_000), () => 10_000);
    await ground.clock.until(run.catch(() => {}));
    await expect(run).rejects.toMatchObject({ code: 'unavailable' });
    expect(ground.works).toEqual([]);
    await ground.clock.until(ground.clock.at(ground.clock.now() + 60_000));
    await ground.clock.until(new RangeDelivery(ground.bus()).run(whole(1_000), () => 100_000));
    expect(ground.times().size).toBe(1_000);
    expect(ground.repeats()).toBe(0);
  });

  test('counts what those did who were cut off before', async () => {
    const ground = new Ground();
    ground.groups.set('room:a', ground.ids(1_000));
    void new RangeDelivery(ground.bus(500)).run(whole(1_000), () => 100_000);
    await ground.clock.until(ground.clock.at(ground.clock.now() + 60_000));
    await ground.clock.until(new RangeDelivery(ground.bus()).run(whole(1_000), () => 100_000));
    expect(ground.metrics.counts.Posted).toBeGreaterThanOrEqual(1_000 - MOST_OPEN);
    expect(ground.metrics.counts.Posted).toBeLessThanOrEqual(1_000);
  });

  test('has the gone cleaned up in batches, and says what became of everybody', async () => {
    const ground = new Ground();
    const ids = ground.ids(1_000);
    ground.groups.set('room:a', ids);
    const gone = new Set(ids.slice(0, 250));
    ground.outcome = (id) => (gone.has(id) ? 'gone' : 'ok');
    const run = new RangeDelivery(ground.bus()).run(whole(1_000), () => 100_000);
    await ground.clock.until(run);
    expect(await run).toMatchObject({ posted: 750, gone: 250, failed: 0, parts: 0 });
    expect(ground.reaped.map((work) => work.gone.length)).toEqual([200, 50]);
    expect(new Set(ground.reaped.flatMap((work) => work.gone.map(({ id }) => id)))).toEqual(gone);
  });
});

function byOrder(one: string, other: string): number {
  return orderOf(one) < orderOf(other) ? -1 : 1;
}
