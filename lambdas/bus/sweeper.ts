/** Once a minute: pings, reaps the silent, and then does what is due (design D4). Reads no table whole. */
import pMap from 'p-map';
import { PING_FRAME } from '../protocol/engine-packet.ts';
import type { Bus } from './context.ts';
import { deliver } from './delivery.ts';
import { Drain } from './drain.ts';
import { dueSlots, MINUTE_MS, minuteOf, silenceLimitMs } from './heartbeat.ts';
import type { Lifecycle } from './lifecycle.ts';
import { Pacer } from './pacing.ts';
import type { SweepCursor } from './ports.ts';
import { type Found, readAll } from './union-reader.ts';

const CONCURRENCY = 32;
/** Of the account's request quota: every ping brings a pong that counts too (design D4). */
const PING_SHARE = 0.25;
/** How far the first tick of a deployment looks back: connections may be older than its schedule. */
const FIRST_MINUTES = 5;
/** A tick begins nothing that is due after so long, but has a while for it however long its pings took; it may run for 55 s. */
const DRAIN_WITHIN_MS = 45_000;
const DRAIN_AT_LEAST_MS = 5_000;

export interface SweepReport {
  readonly minutes: number;
  readonly pinged: number;
  readonly reaped: number;
  readonly due: number;
}

export class Sweeper {
  readonly #bus: Bus;
  readonly #lifecycle: Lifecycle;

  constructor(bus: Bus, lifecycle: Lifecycle) {
    this.#bus = bus;
    this.#lifecycle = lifecycle;
  }

  /** One tick. What an earlier tick missed or left undone is made up for; what fails leaves its cursor where it was. */
  async sweep(): Promise<SweepReport> {
    const { clock, config, log, metrics, store } = this.#bus;
    const began = clock.now();
    const minute = minuteOf(began);
    const cursor = await store.sweepCursor();
    const drained = cursor?.drained ?? minute - FIRST_MINUTES;
    // Were the first tick to fail, what is due now would lie before what the next one looks at.
    if (cursor === undefined) await store.saveSweepCursor({ minute: drained, since: minute, drained });
    const pingedUntil = cursor?.minute ?? minute - 1;
    let pinged = 0;
    let reaped = 0;
    // First, whatever is due: everybody's patience depends on it, and anybody may leave a lot that is due.
    for (const slot of dueSlots(pingedUntil, minute, config.pingIntervalMinutes)) {
      const report = await this.#pingSlot(slot, this.#silenceKnown(cursor, minute));
      pinged += report.pinged;
      reaped += report.reaped;
    }
    const since = this.#unbroken(cursor, minute) ? (cursor?.since ?? minute) : minute;
    await store.saveSweepCursor({ minute, since, drained });
    metrics.count('Pinged', pinged);
    metrics.count('Reaped', reaped);
    // A second tick in one minute has nothing to be late with.
    metrics.milliseconds('SweepLag', Math.max(0, clock.now() - (pingedUntil + 1) * MINUTE_MS));
    const deadline = Math.max(began + DRAIN_WITHIN_MS, clock.now() + DRAIN_AT_LEAST_MS);
    const drain = new Drain(this.#bus, this.#lifecycle, deadline);
    await drain.run(drained, minute);
    const { count, through, trouble } = drain;
    if (through < minute) {
      const minutes = minute - through;
      log.warn('not all that is due is done yet', { done: count, minutes, error: trouble });
    }
    if (through > drained) await store.saveSweepCursor({ minute, since, drained: through });
    return { minutes: minute - pingedUntil, pinged, reaped, due: count };
  }

  /** Silence proves something only where the pings of two cycles really went out. */
  #silenceKnown(cursor: SweepCursor | undefined, minute: number): boolean {
    if (!this.#bus.config.trackPongs || cursor === undefined || !this.#unbroken(cursor, minute)) return false;
    return (minute - cursor.since) * MINUTE_MS >= silenceLimitMs(this.#bus.config);
  }

  /** A gap shorter than a cycle delays pings by less than a client's patience. */
  #unbroken(cursor: SweepCursor | undefined, minute: number): boolean {
    return cursor !== undefined && minute - cursor.minute <= this.#bus.config.pingTimeoutMinutes;
  }

  async #pingSlot(slot: number, silenceKnown: boolean): Promise<{ pinged: number; reaped: number }> {
    const { clock, config } = this.#bus;
    const members = [...(await readAll(this.#bus.store, [{ kind: 'slot', slot }])).values()];
    const oldest = clock.now() - silenceLimitMs(config);
    const silent = silenceKnown ? members.filter((member) => (member.seen ?? 0) < oldest) : [];
    const silentIds = new Set(silent.map((member) => member.connectionId));
    await pMap(silent, (member) => this.#close(member.connectionId), { concurrency: CONCURRENCY });
    const gone = await this.#ping(members.filter((member) => !silentIds.has(member.connectionId)));
    await this.#lifecycle.reap(gone);
    return { pinged: members.length - silent.length, reaped: silent.length + gone.length };
  }

  async #ping(members: readonly Found[]): Promise<Found[]> {
    const { clock, config } = this.#bus;
    const pacer = new Pacer({ perSecond: config.requestsPerSecond * PING_SHARE, clock });
    const gone: Found[] = [];
    await pMap(
      members,
      async (member) => {
        await pacer.take();
        if ((await deliver(this.#bus, member.connectionId, [PING_FRAME])) === 'gone') gone.push(member);
      },
      { concurrency: CONCURRENCY },
    );
    return gone;
  }

  async #close(connectionId: string): Promise<void> {
    this.#bus.log.info('closing a silent connection', { connectionId });
    try {
      await this.#lifecycle.close(connectionId);
    } catch (error) {
      this.#bus.log.warn('a silent connection could not be closed yet', { connectionId, error });
    }
  }
}
