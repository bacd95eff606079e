import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import fc from 'fast-check';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { defineApp } from '../../lambdas/apps/define-app.ts';
import { dueMinute, dueSlots, minuteOf, slotOf } from '../../lambdas/bus/heartbeat.ts';
import { Lifecycle } from '../../lambdas/bus/lifecycle.ts';
import type { Due } from '../../lambdas/bus/ports.ts';
import type { AuthOutcome } from '../../lambdas/bus/public.ts';
import { Sweeper } from '../../lambdas/bus/sweeper.ts';
import {
  connected,
  connectionId,
  FakeClock,
  HANDSHAKE,
  joinedNamespace,
  START,
  type World,
  world,
} from '../support/world.ts';

const MINUTE = 60_000;
const INTERVAL = 4;
let verdict: AuthOutcome = { kind: 'accepted' };
const app = defineApp({ name: 'lists', auth: { authenticate: async () => verdict } });

describe('the slots that are due', () => {
  test('are one a minute, and each once in a cycle', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), fc.nat(40_000_000), (interval, first) => {
        const minutes = Array.from({ length: interval }, (_, i) => first + i);
        const slots = minutes.map((minute) => dueSlots(minute - 1, minute, interval));
        expect(slots.every((each) => each.length === 1)).toBe(true);
        expect(new Set(slots.flat()).size).toBe(interval);
      }),
    );
  });

  test('after a gap are those of all missed minutes, each once, and never one that is not due', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), fc.nat(40_000_000), fc.nat(30), (interval, last, gap) => {
        const slots = dueSlots(last, last + gap, interval);
        const missed = Array.from({ length: gap }, (_, i) => (last + 1 + i) % interval);
        expect([...slots].sort()).toEqual([...new Set(missed)].sort());
        expect(new Set(slots).size).toBe(slots.length);
      }),
    );
  });
});

test('a time is due in the first minute that begins at it or later', () => {
  fc.assert(
    fc.property(fc.nat(4_102_444_800_000), (at) => {
      expect(dueMinute(at) * MINUTE).toBeGreaterThanOrEqual(at);
      expect((dueMinute(at) - 1) * MINUTE).toBeLessThan(at);
      expect(minuteOf(dueMinute(at) * MINUTE)).toBe(dueMinute(at));
    }),
  );
});

test('every connection has one of the slots of the cycle, spread evenly', () => {
  const counts = Array.from({ length: INTERVAL }, () => 0);
  for (let n = 0; n < 1_000; n += 1) {
    const slot = slotOf(connectionId(n), INTERVAL);
    counts[slot] = (counts[slot] ?? 0) + 1;
  }
  expect(counts).toHaveLength(INTERVAL);
  expect(Math.min(...counts)).toBeGreaterThan(200);
});

let at: World;
beforeEach(async () => {
  verdict = { kind: 'accepted' };
  at = await world({ applications: [app] });
});

const pings = (id: string) => at.wire.to(id).filter((frame) => frame === '2').length;
/** Sweeps at the start of each of so many minutes. */
const sweepFor = async (minutes: number, between: () => Promise<void> = async () => undefined) => {
  for (let i = 0; i < minutes; i += 1) {
    await at.sweeper.sweep();
    await between();
    at.clock.advance(MINUTE - (at.clock.now() % MINUTE));
  }
};
const client = async (n: number) => {
  const id = await connected(at, n);
  await joinedNamespace(at, id);
  return id;
};
const clients = async (count: number) => {
  const ids: string[] = [];
  for (let n = 0; n < count; n += 1) ids.push(await client(n));
  return ids;
};

describe('a sweep every minute', () => {
  test('pings every connection once in a cycle', async () => {
    const ids = await clients(12);
    await sweepFor(INTERVAL);
    expect(ids.map(pings)).toEqual(ids.map(() => 1));
    await sweepFor(INTERVAL);
    expect(ids.map(pings)).toEqual(ids.map(() => 2));
  });

  test('pings nobody twice in one minute', async () => {
    const ids = await clients(12);
    await sweepFor(INTERVAL);
    const before = ids.map(pings);
    at.clock.advance(-MINUTE);
    await at.sweeper.sweep();
    expect(ids.map(pings)).toEqual(before);
  });

  test('makes up for ticks that were missed', async () => {
    const ids = await clients(12);
    await sweepFor(1);
    at.clock.advance(2 * MINUTE);
    const report = await at.sweeper.sweep();
    expect(report.minutes).toBe(3);
    expect(ids.map(pings)).toEqual(ids.map(() => 1));
  });

  test('after hours without one pings everybody once, and closes nobody', async () => {
    const ids = [await client(1), await client(2), await client(3)];
    await sweepFor(1);
    const before = ids.map(pings);
    at.clock.advance(60 * MINUTE);
    await at.sweeper.sweep();
    expect(ids.map(pings)).toEqual(before.map((count) => count + 1));
    expect(at.wire.closed).toEqual([]);
  });

  test('that fails is repeated whole by the next', async () => {
    const id = await client(1);
    await sweepFor(INTERVAL);
    const before = pings(id);
    const { members } = at.store;
    at.store.members = () => Promise.reject(new Error('unavailable'));
    await expect(at.sweeper.sweep()).rejects.toThrow('unavailable');
    const cursor = await at.store.sweepCursor();
    expect(cursor?.minute).toBe(minuteOf(at.clock.now()) - 1);
    at.store.members = members;
    at.clock.advance(MINUTE * (INTERVAL - 1));
    await at.sweeper.sweep();
    expect(pings(id)).toBe(before + 1);
  });

  test('goes on where one recipient fails', async () => {
    const [one, other] = [await client(1), await client(2)];
    at.wire.outcome = (id) => (id === one ? 'failed' : 'ok');
    await sweepFor(INTERVAL);
    expect(pings(other)).toBe(1);
    expect(at.wire.closed).toContain(one);
  });

  test('cleans up after those that have gone', async () => {
    const [one, other] = [await client(1), await client(2)];
    at.clock.advance(MINUTE);
    at.wire.outcome = (id) => (id === one ? 'gone' : 'ok');
    await sweepFor(INTERVAL);
    expect((await at.store.connection(one))?.open).toBe(false);
    expect((await at.store.connection(other))?.open).toBe(true);
    const before = at.wire.posts.length;
    at.wire.outcome = () => 'ok';
    await sweepFor(INTERVAL);
    expect(at.wire.posts.slice(before).map((post) => post.connectionId)).toEqual([other]);
  });

  test('paces its pings at a quarter of the quota', async () => {
    const bytes = (n: number) => {
      const id = Buffer.alloc(15);
      id.writeUInt32BE(n, 11);
      return id.toString('base64url');
    };
    const crowd = Array.from({ length: 1_000 }, (_, n) => ({
      id: bytes(n),
      connectionId: connectionId(n),
      seen: START,
    }));
    const times: number[] = [];
    at.wire.post = async () => {
      times.push(at.clock.now() - START);
      return 'ok';
    };
    at.store.members = async (_, shard) => ({ members: shard === 0 ? crowd : [] });
    expect((await at.sweeper.sweep()).pinged).toBe(1_000);
    expect(times).toHaveLength(1_000);
    for (const [i, time] of times.entries()) {
      const inSecondBefore = times.slice(0, i + 1).filter((each) => each > time - 100).length;
      expect(inSecondBefore).toBeLessThanOrEqual(500);
    }
    expect(times.at(-1)).toBeGreaterThanOrEqual(300);
  });
});

describe('a connection that falls silent', () => {
  const LIMIT = 2 * INTERVAL + 2;

  test('is closed after two cycles and a client’s patience, and one that answers is not', async () => {
    const [silent, alive] = [await client(1), await client(2)];
    await sweepFor(LIMIT, () => at.messages.handle(alive, '3'));
    expect(at.wire.closed).toEqual([]);
    await sweepFor(INTERVAL + 1, () => at.messages.handle(alive, '3'));
    expect(at.wire.closed).toEqual([silent]);
    expect((await at.store.connection(silent))?.open).toBe(false);
  });

  test('is not judged by a sweep that does not know of two cycles of pings', async () => {
    const id = await client(1);
    await sweepFor(1);
    // The sweep was down: no ping went out, so no pong could come.
    at.clock.advance(30 * MINUTE);
    await sweepFor(LIMIT - 1);
    expect(at.wire.closed).toEqual([]);
    await sweepFor(INTERVAL + 1);
    expect(at.wire.closed).toEqual([id]);
  });

  test('is judged in spite of one late tick', async () => {
    const id = await client(1);
    await sweepFor(3);
    at.clock.advance(MINUTE);
    await sweepFor(LIMIT + INTERVAL - 3);
    expect(at.wire.closed).toEqual([id]);
  });

  test('is not judged where pongs are not written down', async () => {
    Object.assign(at.bus.config, { trackPongs: false });
    await client(1);
    await sweepFor(30);
    expect(at.wire.closed).toEqual([]);
  });

  test('and cannot be closed now does not keep the sweep from its other work', async () => {
    const [silent, alive] = [await client(1), await client(2)];
    const { close } = at.lifecycle;
    at.lifecycle.close = async (id) => {
      if (id === silent) throw new Error('unavailable');
      return close.call(at.lifecycle, id);
    };
    await sweepFor(LIMIT + INTERVAL + 1, () => at.messages.handle(alive, '3'));
    expect(pings(alive)).toBeGreaterThanOrEqual(3);
    expect((await at.store.connection(silent))?.open).toBe(true);
  });
});

describe('a sweep when a lot is due', () => {
  /** Each call of the table takes so long, once it is set; ms. */
  let takes = 0;
  let calls = 0;
  beforeEach(async () => {
    takes = 0;
    calls = 0;
    at = await world({
      applications: [app],
      client: (client) =>
        ({
          send: (command: never) => {
            calls += 1;
            at?.clock.advance(takes);
            return client.send(command);
          },
        }) as unknown as DynamoDBDocumentClient,
    });
  });
  const socket = (n: number) => ({
    namespace: '/',
    id: Buffer.from(`${n}`.padStart(15, '0')).toString('base64url'),
  });
  /** What they leave who connect and leave again and again. */
  const flood = async (count: number) => {
    const due = { kind: 'pending', at: at.clock.now() + 45_000, connectionId: connectionId(99) } as const;
    for (let n = 0; n < count; n += 1) await at.store.addDue({ ...due, socket: socket(n) });
  };
  const rest = async (minutes: readonly number[]) => {
    takes = 0;
    const rows: Due[] = [];
    for (const minute of minutes)
      for (let shard = 0; shard < at.store.dueShards(); shard += 1)
        rows.push(...(await at.store.due(minute, shard)));
    return rows;
  };

  test('pings first, and leaves to the next tick what it has no time for', async () => {
    await at.sweeper.sweep();
    const ids = await clients(12);
    await flood(1_000);
    at.clock.advance(MINUTE);
    const minute = minuteOf(at.clock.now());
    const pingedAt: number[] = [];
    at.wire.outcome = () => {
      pingedAt.push(at.clock.now());
      return 'ok';
    };
    takes = 100;
    const began = at.clock.now();
    const { due } = await at.sweeper.sweep();
    expect(pingedAt.length).toBeGreaterThan(0);
    expect(Math.max(...pingedAt) - began).toBeLessThan(5_000);
    expect(at.clock.now() - began).toBeLessThan(50_000);
    expect(due).toBeGreaterThan(100);
    expect(await rest([minute])).toHaveLength(1_000 + 2 * ids.length - due);
    expect(at.log.lines).toContainEqual(
      expect.objectContaining({ level: 'warn', message: 'not all that is due is done yet' }),
    );
    expect(await at.store.sweepCursor()).toMatchObject({ minute, drained: minute - 1 });

    at.clock.advance(MINUTE);
    await at.sweeper.sweep();
    expect(await rest([minute])).toEqual([]);
    expect(await at.store.sweepCursor()).toMatchObject({ drained: minuteOf(at.clock.now()) });
  });

  test('ends those whose token has expired before it deletes what nobody depends on', async () => {
    await at.sweeper.sweep();
    verdict = { kind: 'accepted', expiresAt: START + MINUTE - 1 };
    const expired = await clients(8);
    await flood(1_000);
    at.clock.advance(MINUTE);
    takes = 100;
    await at.sweeper.sweep();
    expect(new Set(at.wire.closed)).toEqual(new Set(expired));
    expect((await rest([minuteOf(START) + 1])).length).toBeGreaterThan(500);
  });

  test('spends little more than one call on a row that need only be deleted', async () => {
    await at.sweeper.sweep();
    await flood(1_000);
    at.clock.advance(MINUTE);
    calls = 0;
    expect(await at.sweeper.sweep()).toMatchObject({ due: 1_000 });
    expect(calls).toBeLessThan(1_000 + 100);
  });

  test('leaves in its place what the table would not delete, and does the rest', async () => {
    await at.sweeper.sweep();
    await flood(20);
    at.clock.advance(MINUTE);
    const minute = minuteOf(at.clock.now());
    const remove = vi.spyOn(at.store, 'removeDue').mockRejectedValueOnce(new Error('throttled'));
    await at.sweeper.sweep();
    expect(remove).toHaveBeenCalledTimes(20);
    expect(await rest([minute])).toHaveLength(1);
    at.clock.advance(MINUTE);
    await at.sweeper.sweep();
    expect(await rest([minute])).toEqual([]);
  });

  test('finds nothing left of a socket that has left its namespace', async () => {
    verdict = { kind: 'accepted', expiresAt: START + 30 * MINUTE };
    const id = await client(1);
    for (let n = 0; n < 5; n += 1) {
      await at.messages.handle(id, '41');
      at.clock.advance(1_000);
      await joinedNamespace(at, id);
    }
    const minutes = Array.from({ length: 40 }, (_, n) => minuteOf(START) + n);
    const kinds = (await rest(minutes)).map(({ kind }) => kind);
    expect(kinds.sort()).toEqual(['expiry', 'namespace', 'pending']);
  });
});

describe('what is due', () => {
  const isOpen = async (id: string) => (await at.store.connection(id))?.open;
  const left = async (): Promise<Due[]> => {
    const first = minuteOf(START);
    const all: Due[] = [];
    for (let minute = first; minute <= minuteOf(at.clock.now()); minute += 1)
      for (let shard = 0; shard < at.store.dueShards(); shard += 1)
        all.push(...(await at.store.due(minute, shard)));
    return all;
  };

  test('and cannot be done keeps no ping from anybody, and is tried again a minute later', async () => {
    const idle = await connected(at, 1);
    const alive = await client(2);
    const { close } = at.lifecycle;
    at.lifecycle.close = () => Promise.reject(new Error('unavailable'));
    await sweepFor(INTERVAL);
    expect([await isOpen(idle), pings(alive)]).toEqual([true, 1]);
    at.lifecycle.close = close;
    await sweepFor(2);
    expect(await isOpen(idle)).toBe(false);
  });

  test('closes a connection that is in no namespace after 45 seconds, and no other', async () => {
    const idle = await connected(at, 1);
    const busy = await client(2);
    await sweepFor(1);
    expect(await isOpen(idle)).toBe(true);
    await sweepFor(1);
    expect([await isOpen(idle), await isOpen(busy)]).toEqual([false, true]);
    expect(at.wire.closed).toEqual([idle]);
    expect(await left()).toEqual([]);
  });

  test('closes a connection whose greeting was cut off before its slot, since nobody would ever ping it', async () => {
    const unpinged = await client(1);
    await at.store.leaveSlot(unpinged, slotOf(unpinged, INTERVAL));
    const other = await client(2);
    await sweepFor(2);
    expect([await isOpen(unpinged), await isOpen(other)]).toEqual([false, true]);
    expect(await left()).not.toContainEqual(expect.objectContaining({ connectionId: unpinged }));
  });

  test('before the first tick of all is done by it', async () => {
    const idle = await connected(at, 1);
    at.clock.advance(3 * MINUTE);
    await at.sweeper.sweep();
    expect(await isOpen(idle)).toBe(false);
  });

  test('before a first tick that fails is done by the next, however late that is', async () => {
    const idle = await connected(at, 1);
    at.clock.advance(MINUTE);
    const { due } = at.store;
    at.store.due = () => Promise.reject(new Error('unavailable'));
    await expect(at.sweeper.sweep()).rejects.toThrow('unavailable');
    at.store.due = due.bind(at.store);
    at.clock.advance(30 * MINUTE);
    await at.sweeper.sweep();
    expect(await isOpen(idle)).toBe(false);
  });

  test('closes the connection of a socket that is still pending after 45 seconds', async () => {
    const id = await client(1);
    const record = (await at.store.socket({
      namespace: '/',
      id: (await at.store.connection(id))!.namespaces['/']!,
    }))!;
    const stuck = await connected(at, 2);
    const pending = { ...record, id: 'B'.repeat(20), connectionId: stuck, state: 'pending' as const };
    await at.store.connectSocket({ ...pending, hooksDue: false }, [
      { kind: 'pending', at: START + 45_000, connectionId: stuck, socket: pending },
    ]);
    await sweepFor(2);
    expect([await isOpen(stuck), await isOpen(id)]).toEqual([false, true]);
  });

  test('closes the connection whose token has expired, unless its socket has left', async () => {
    verdict = { kind: 'accepted', expiresAt: START + 3 * MINUTE + 1 };
    const [stays, leaves] = [await client(1), await client(2)];
    await at.messages.handle(leaves, '41');
    verdict = { kind: 'accepted' };
    await joinedNamespace(at, leaves);
    await sweepFor(4);
    expect([await isOpen(stays), await isOpen(leaves)]).toEqual([true, true]);
    await sweepFor(1);
    expect([await isOpen(stays), await isOpen(leaves)]).toEqual([false, true]);
  });

  test('recycles a connection before the platform cuts it', async () => {
    const id = await client(1);
    await sweepFor(100, () => at.messages.handle(id, '3'));
    expect(await isOpen(id)).toBe(true);
    await sweepFor(19, () => at.messages.handle(id, '3'));
    expect(await isOpen(id)).toBe(false);
    expect(at.wire.closed).toEqual([id]);
  });

  test('is done by the next sweep where one was missed', async () => {
    const idle = await connected(at, 1);
    await sweepFor(1);
    at.clock.advance(10 * MINUTE);
    await at.sweeper.sweep();
    expect(await isOpen(idle)).toBe(false);
  });

  test('to a connection that is over already is only forgotten', async () => {
    const idle = await connected(at, 1);
    await at.lifecycle.disconnected(idle);
    await sweepFor(2);
    expect(at.wire.closed).toEqual([]);
    expect(await left()).toEqual([]);
  });

  test('repeats the cleanup of a connection that had no slot, since nothing else would', async () => {
    const id = await client(1);
    await at.store.leaveSlot(id, slotOf(id, INTERVAL));
    await at.store.closeConnection(id, at.clock.now());
    await sweepFor(2);
    const { members } = await at.store.members({ kind: 'namespace', namespace: '/' }, 0, {});
    const socket = (await at.store.connection(id))?.namespaces['/'] ?? '';
    expect((await at.store.socket({ namespace: '/', id: socket }))?.state).toBe('closed');
    expect(members).toEqual([]);
  });

  test('in the very minute of a first sweep is not missed', async () => {
    const clock = new FakeClock();
    at = await world({ applications: [app], clock });
    const id = connectionId(1);
    await at.lifecycle.accept({ id, connectedAt: START - 45_000, handshake: HANDSHAKE, credentials: {} });
    await at.sweeper.sweep();
    expect(await isOpen(id)).toBe(false);
  });
});

describe('a deployment with another interval, while clients are connected', () => {
  const CLIENTS = 40;

  /** How many of those that connected with one interval are pinged in time by a sweeper with another one. */
  async function pingedInTime(before: number, after: number): Promise<number> {
    const config = (pingIntervalMinutes: number) => ({ ...at.bus.config, pingIntervalMinutes });
    const lifecycle = new Lifecycle({ ...at.bus, config: config(before) });
    const sweeper = new Sweeper({ ...at.bus, config: config(after) }, lifecycle);
    at = { ...at, lifecycle, sweeper };
    const ids = await clients(CLIENTS);
    await sweepFor(before + at.bus.config.pingTimeoutMinutes);
    return ids.filter((id) => pings(id) > 0).length;
  }

  test('that is the same pings all of them in time', async () => {
    expect(await pingedInTime(4, 4)).toBe(CLIENTS);
  });

  test('that is longer pings some of them only after they have left', async () => {
    // The two slots there were have just been pinged.
    at.clock.advance(((10 - (minuteOf(at.clock.now()) % 8)) % 8) * MINUTE);
    expect(await pingedInTime(2, 8)).toBeLessThan(CLIENTS);
  });

  test('that is half as long never pings those in slots that are no more', async () => {
    const ids = Array.from({ length: CLIENTS }, (_, n) => connectionId(n));
    const kept = ids.filter((id) => slotOf(id, 8) < 4);
    expect(await pingedInTime(8, 4)).toBe(kept.length);
    expect(kept.length).toBeLessThan(CLIENTS);
  });
});
