/** An account on AWS as a discrete-event model: time is virtual, and what fan-out runs on answers as AWS is known to. */
import { defineApp } from '../lambdas/apps/define-app.ts';
import type { Bus } from '../lambdas/bus/context.ts';
import { broadcast, FAN_OUT_SHARE } from '../lambdas/bus/fan-out.ts';
import { plainMessage } from '../lambdas/bus/message.ts';
import { PacedWire } from '../lambdas/bus/paced-wire.ts';
import { Pacer } from '../lambdas/bus/pacing.ts';
import type { DeliverWork, FrameWire, PostOutcome } from '../lambdas/bus/ports.ts';
import { RangeDelivery } from '../lambdas/bus/range-delivery.ts';
import { Registry } from '../lambdas/bus/registry.ts';
import { MemoryCheckpoints } from '../test/support/memory-checkpoints.ts';
import { MemoryGroups } from '../test/support/memory-groups.ts';
import { VirtualClock } from '../test/support/virtual-clock.ts';
import { FakeLog, FakeMetrics, SeededRandom } from '../test/support/world.ts';
import { logNormal } from './log-normal.ts';

/** A new account's, per second and at once (API Gateway's quotas page). */
export const QUOTA = 10_000;
const BURST = 5_000;

const POST_P50_MS = 8;
const POST_P99_MS = 80;
const QUERY_MS = 6;
const WRITE_MS = 5;
/** Until Lambda has accepted an asynchronous invocation, and until it has begun. */
const ACCEPTED_MS = 10;
const BEGUN_MS = [20, 50] as const;
/** The timeout of `deliver`. */
const INVOCATION_MS = 120_000;
const INLINE_POSTS = 500;
const FRAMES = ['42["news",{"id":1}]'];

export interface Weather {
  /** Share of posts that are throttled whatever the rate. */
  readonly throttled?: number;
  /** Share of connections that have gone. */
  readonly gone?: number;
}

export interface Outcome {
  /** From the first broadcast to the last answer to a post; ms. */
  readonly wallMs: number;
  readonly posts: number;
  /** Of them. */
  readonly throttled: number;
  readonly ranges: number;
  readonly readUnits: number;
  readonly checkpoints: number;
  /** Recipients that got it more than once, or never though they were there. */
  readonly repeated: number;
  readonly missed: number;
}

const registry = new Registry([defineApp({ name: 'lists', rooms: { 'room:': {} } })]);

export class Account {
  readonly #clock = new VirtualClock();
  readonly #groups = new MemoryGroups();
  readonly #checkpoints = new MemoryCheckpoints(this.#clock);
  readonly #random: SeededRandom;
  readonly #weather: Weather;
  /** By room and connection. */
  readonly #received = new Map<string, number>();
  readonly #recipients: string[] = [];
  readonly #gone = new Set<string>();
  readonly #invocations: Promise<unknown>[] = [];
  #tokens = BURST;
  #filledAt = this.#clock.now();
  #lastAnswer = 0;
  #posts = 0;
  #throttled = 0;

  constructor(seed: number, weather: Weather = {}) {
    this.#random = new SeededRandom(seed);
    this.#weather = weather;
  }

  /** @param shards 16 as in the room of a whole namespace, or 1 as in most others */
  room(name: string, members: number, shards: number): void {
    const ids = Array.from({ length: members }, () =>
      Buffer.from(this.#random.bytes(15)).toString('base64url'),
    );
    this.#groups.set(name, ids, shards);
    this.#recipients.push(...ids);
    for (const id of ids) if (this.#random.float() < (this.#weather.gone ?? 0)) this.#gone.add(id);
  }

  /** One packet to each of the rooms at the same time, by an instance of its own. */
  async broadcast(rooms: readonly string[]): Promise<Outcome> {
    const begun = this.#clock.now();
    const sent = rooms.map((room) =>
      broadcast(
        this.#instance(),
        { namespace: '/', rooms: [room], except: [] },
        plainMessage(FRAMES, room, begun),
      ),
    );
    await this.#clock.until(Promise.all(sent));
    // Parts may hand over parts.
    for (let seen = -1; seen < this.#invocations.length; ) {
      seen = this.#invocations.length;
      await this.#clock.until(Promise.all(this.#invocations));
    }
    const times = this.#recipients.map((id) => this.#received.get(id) ?? 0);
    return {
      wallMs: this.#lastAnswer - begun,
      posts: this.#posts,
      throttled: this.#throttled,
      ranges: this.#invocations.length,
      readUnits: this.#groups.reads.units,
      checkpoints: this.#checkpoints.saves,
      repeated: times.filter((count) => count > 1).length,
      missed: this.#recipients.filter((id, n) => times[n] === 0 && !this.#gone.has(id)).length,
    };
  }

  /** What one instance of a function works with. */
  #instance(): Bus {
    const clock = this.#clock;
    const wire = new PacedWire(
      this.#wire(),
      new Pacer({ perSecond: QUOTA * FAN_OUT_SHARE, clock }),
      new FakeMetrics(),
    );
    const parts: Omit<Partial<Bus>, 'store' | 'config'> & { store: object; config: object } = {
      store: {
        shards: (group: Parameters<MemoryGroups['shards']>[0]) => this.#groups.shards(group),
        members: async (...of: Parameters<MemoryGroups['members']>) => {
          await clock.sleep(QUERY_MS);
          return this.#groups.members(...of);
        },
      },
      wire: {
        post: (id, frame) => wire.post(id, frame),
        close: (id) => wire.close(id),
        // As to a WebSocket.
        postPacket: async () => 'singly',
      },
      workers: {
        open: async () => {},
        reap: () => clock.sleep(ACCEPTED_MS),
        deliver: async (work) => {
          this.#invocations.push(this.#deliver(work));
          await clock.sleep(ACCEPTED_MS);
        },
      },
      checkpoints: {
        claim: async (...of) => {
          await clock.sleep(WRITE_MS);
          return this.#checkpoints.claim(...of);
        },
        // Takes its 5 ms by itself.
        save: (...of) => this.#checkpoints.save(...of),
      },
      registry,
      clock,
      random: this.#random,
      log: new FakeLog(),
      metrics: new FakeMetrics(),
      config: { requestsPerSecond: QUOTA, inlinePosts: INLINE_POSTS },
    };
    return parts as Bus;
  }

  async #deliver(work: DeliverWork): Promise<void> {
    const [least, most] = BEGUN_MS;
    await this.#clock.sleep(least + this.#random.float() * (most - least));
    const end = this.#clock.now() + INVOCATION_MS;
    await new RangeDelivery(this.#instance()).run(work, () => end - this.#clock.now());
  }

  #wire(): FrameWire {
    return {
      post: async (id) => {
        this.#posts += 1;
        const outcome = this.#arrive(id);
        if (outcome === 'throttled') this.#throttled += 1;
        if (outcome === 'ok') this.#received.set(id, (this.#received.get(id) ?? 0) + 1);
        await this.#clock.sleep(logNormal(this.#random, POST_P50_MS, POST_P99_MS));
        this.#lastAnswer = this.#clock.now();
        return outcome;
      },
      close: async () => true,
    };
  }

  #arrive(id: string): PostOutcome {
    const now = this.#clock.now();
    this.#tokens = Math.min(BURST, this.#tokens + ((now - this.#filledAt) * QUOTA) / 1_000);
    this.#filledAt = now;
    if (this.#tokens < 1) return 'throttled';
    this.#tokens -= 1;
    if (this.#random.float() < (this.#weather.throttled ?? 0)) return 'throttled';
    return this.#gone.has(id) ? 'gone' : 'ok';
  }
}
