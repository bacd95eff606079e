/** Does what is due, for as long as a tick of the sweep has time; the rest stays for the next one (design D4). */
import pMap from 'p-map';
import type { Bus } from './context.ts';
import { MINUTE_MS, slotOf } from './heartbeat.ts';
import type { Lifecycle } from './lifecycle.ts';
import type { Connection, Due, PresenceDue, SocketKey } from './ports.ts';

const CONCURRENCY = 32;
/** Rows that need only be deleted are kept in memory until the rest is done; what is more is read again by the next tick. */
const MOST_STALE = 100_000;

export class Drain {
  readonly #bus: Bus;
  readonly #lifecycle: Lifecycle;
  readonly #deadline: number;
  readonly #stale: { readonly minute: number; readonly due: Due }[] = [];
  /** The first minute of which something is left. */
  #left = Number.POSITIVE_INFINITY;
  #last = 0;
  #count = 0;
  #trouble: unknown;

  /** @param deadline nothing is begun after it; ms since the epoch */
  constructor(bus: Bus, lifecycle: Lifecycle, deadline: number) {
    this.#bus = bus;
    this.#lifecycle = lifecycle;
    this.#deadline = deadline;
  }

  /** Rows that were done. */
  get count(): number {
    return this.#count;
  }

  /** What kept a row from being deleted, if anything did. */
  get trouble(): unknown {
    return this.#trouble;
  }

  /** The last minute of which, and of all before it, nothing is left. */
  get through(): number {
    return Math.min(this.#last, this.#left - 1);
  }

  /**
   * What is due in the minutes after `last` up to `minute`. Whoever connects and leaves again and again leaves rows that
   * need only be deleted: that comes after all that somebody depends on, such as the end of a token.
   * @throws where rows cannot be read
   */
  async run(last: number, minute: number): Promise<void> {
    this.#last = minute;
    for (let each = last + 1; each <= minute; each += 1) await this.#drainMinute(each);
    await pMap(this.#stale, ({ minute: of, due }) => this.#inTime(of, () => this.#remove(of, due)), {
      concurrency: CONCURRENCY,
    });
  }

  async #drainMinute(minute: number): Promise<void> {
    const { store } = this.#bus;
    for (let shard = 0; shard < store.dueShards(); shard += 1) {
      await this.#inTime(minute, async () => {
        const rows = await store.due(minute, shard);
        const stale = await this.#staleOf(rows);
        for (const due of stale) {
          if (this.#stale.length < MOST_STALE) this.#stale.push({ minute, due });
          else this.#leave(minute);
        }
        const others = rows.filter((row) => !stale.has(row));
        await pMap(others, (row) => this.#inTime(minute, () => this.#settle(row)), {
          concurrency: CONCURRENCY,
        });
      });
    }
  }

  async #inTime(minute: number, act: () => Promise<void>): Promise<void> {
    if (this.#bus.clock.now() < this.#deadline) await act();
    else this.#leave(minute);
  }

  #leave(minute: number): void {
    this.#left = Math.min(this.#left, minute);
  }

  /** Those of sockets that nothing is to be done about; a hundred are looked at in one call. */
  async #staleOf(rows: readonly Due[]): Promise<Set<Due>> {
    const ofSockets = rows.filter((row) => row.kind === 'pending' || row.kind === 'expiry');
    const sockets = new Map(
      (await this.#bus.store.sockets(uniqueKeys(ofSockets.map(({ socket }) => socket)))).map((socket) => [
        keyText(socket),
        socket,
      ]),
    );
    return new Set(
      ofSockets.filter(({ kind, connectionId, socket }) => {
        const found = sockets.get(keyText(socket));
        if (found === undefined || found.connectionId !== connectionId || found.state === 'closed')
          return true;
        return kind === 'pending' && found.state === 'open' && found.recovered !== true;
      }),
    );
  }

  async #remove(minute: number, due: Due): Promise<void> {
    try {
      await this.#bus.store.removeDue(due);
      this.#count += 1;
    } catch (error) {
      // Where the table is short of capacity thousands of them may fail: no line for each, nor a second write.
      this.#trouble ??= error;
      this.#leave(minute);
    }
  }

  /** One row that cannot be settled must not keep the others waiting: it is tried again a minute later. */
  async #settle(due: Due): Promise<void> {
    const { clock, log, store } = this.#bus;
    this.#count += 1;
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
}

const keyText = ({ namespace, id }: SocketKey): string => `${id} ${namespace}`;

function uniqueKeys(keys: readonly SocketKey[]): SocketKey[] {
  return [...new Map(keys.map((key) => [keyText(key), key])).values()];
}
