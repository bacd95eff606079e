/** Once a minute: pings, reaps the silent, and does what is due (design D4). Reads no table whole. */
import pMap from 'p-map';
import { PING_FRAME } from '../protocol/engine-packet.ts';
import type { Bus } from './context.ts';
import { deliver } from './delivery.ts';
import { dueSlots, MINUTE_MS, minuteOf, silenceLimitMs, slotOf } from './heartbeat.ts';
import type { Lifecycle } from './lifecycle.ts';
import { Pacer } from './pacing.ts';
import type { Connection, Due, PresenceDue, SweepCursor } from './ports.ts';
import { type Found, readAll } from './union-reader.ts';

const CONCURRENCY = 32;
/** Of the account's request quota: every ping brings a pong that counts too (design D4). */
const PING_SHARE = 0.25;
/** How far the first tick of a deployment looks back: connections may be older than its schedule. */
const FIRST_MINUTES = 5;

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

  /** One tick. What an earlier tick missed is made up for; a tick that fails leaves the cursor where it was. */
  async sweep(): Promise<SweepReport> {
    const { clock, config, metrics, store } = this.#bus;
    const minute = minuteOf(clock.now());
    const cursor = await store.sweepCursor();
    const last = cursor?.minute ?? minute - FIRST_MINUTES;
    // Were the first tick to fail, what is due now would lie before what the next one looks at.
    if (cursor === undefined) await store.saveSweepCursor({ minute: last, since: minute });
    const due = await this.#drainDue(last, minute);
    const pingedUntil = cursor?.minute ?? minute - 1;
    let pinged = 0;
    let reaped = 0;
    for (const slot of dueSlots(pingedUntil, minute, config.pingIntervalMinutes)) {
      const report = await this.#pingSlot(slot, this.#silenceKnown(cursor, minute));
      pinged += report.pinged;
      reaped += report.reaped;
    }
    await store.saveSweepCursor({
      minute,
      since: this.#unbroken(cursor, minute) ? (cursor?.since ?? minute) : minute,
    });
    metrics.count('Pinged', pinged);
    metrics.count('Reaped', reaped);
    // A second tick in one minute has nothing to be late with.
    metrics.milliseconds('SweepLag', Math.max(0, clock.now() - (pingedUntil + 1) * MINUTE_MS));
    return { minutes: minute - pingedUntil, pinged, reaped, due };
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

  async #drainDue(last: number, minute: number): Promise<number> {
    const { store } = this.#bus;
    let count = 0;
    for (let each = last + 1; each <= minute; each += 1) {
      for (let shard = 0; shard < store.dueShards(); shard += 1) {
        const rows = await store.due(each, shard);
        count += rows.length;
        await pMap(rows, (row) => this.#settle(row), { concurrency: CONCURRENCY });
      }
    }
    return count;
  }

  /** One row that cannot be settled must not keep the pings from everybody: it is tried again a minute later. */
  async #settle(due: Due): Promise<void> {
    const { clock, log, store } = this.#bus;
    try {
      if (due.kind === 'presence') {
        if (await this.#lifecycle.presences.settle(due)) await store.removeDue(due);
        else await store.postponeDue(due, clock.now() + MINUTE_MS);
        return;
      }
      if (await this.#applies(due)) {
        log.info('closing a connection', { connectionId: due.connectionId, because: due.kind });
        await this.#lifecycle.close(due.connectionId);
      }
    } catch (error) {
      log.error('what is due could not be done yet', {
        connectionId: due.connectionId,
        kind: due.kind,
        error,
      });
      await store.postponeDue(due, clock.now() + MINUTE_MS);
      return;
    }
    await store.removeDue(due);
  }

  async #applies(due: Exclude<Due, PresenceDue>): Promise<boolean> {
    const { store } = this.#bus;
    const connection = await store.connection(due.connectionId);
    if (connection === undefined) return false;
    if (!connection.open) {
      // Only its slot brings the sweep back to a cleanup that was cut off; of one that never had a slot this does.
      if (due.kind === 'namespace') await this.#lifecycle.disconnected(due.connectionId);
      return false;
    }
    switch (due.kind) {
      case 'recycle':
        return true;
      case 'namespace':
        // Nor may it stay where its greeting was cut off before the slot: it would never be pinged, nor its end seen.
        return Object.keys(connection.namespaces).length === 0 || !(await this.#isPinged(connection));
      case 'pending': {
        const socket = await store.socket(due.socket);
        if (socket?.connectionId !== due.connectionId) return false;
        // Whoever let a recovered socket in may have been cut off before it counted as present again.
        if (socket.state === 'open' && socket.recovered === true) await this.#lifecycle.returned(socket);
        return socket.state === 'pending';
      }
      case 'expiry': {
        const socket = await store.socket(due.socket);
        return socket !== undefined && socket.state !== 'closed' && socket.connectionId === due.connectionId;
      }
    }
  }

  /** A WebSocket that takes over joins the slot of its address, and only then is the slot of the polling one left. */
  async #isPinged({ address, id }: Connection): Promise<boolean> {
    const { config, store } = this.#bus;
    const isIn = (name: string) => store.inSlot(name, slotOf(name, config.pingIntervalMinutes));
    return (await isIn(id)) || (address !== undefined && isIn(address));
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
