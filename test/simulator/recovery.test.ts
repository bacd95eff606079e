import { describe, expect, test, vi } from 'vitest';
import type { Bus } from '../../lambdas/bus/context.ts';
import { UnavailableError } from '../../lambdas/bus/errors.ts';
import type { LogEntry, PostOutcome } from '../../lambdas/bus/ports.ts';
import { OVERLAP_MS } from '../../lambdas/bus/replay.ts';
import { messageId } from '../../lambdas/contract/offsets.ts';
import { firstViolation, withLog, withStore } from './broken-servers.ts';
import { NO_FAULTS } from './chance.ts';
import type { Sabotage } from './functions.ts';

// Each looks through several seeds, on machines that may be busy.
vi.setConfig({ testTimeout: 120_000 });

const EVERY_MS = 24 * 60 * 60_000;

type Taken = Parameters<Bus['store']['recoverSocket']>;
type Method = (...args: Taken) => Promise<unknown>;

/** What was missed is posted when the client has been told that it has everything. */
function replyingFirst(bus: Bus): Bus {
  const held = new Map<string, string[]>();
  return {
    ...bus,
    store: new Proxy(bus.store, {
      get: (store, name) => {
        const method = store[name as keyof typeof store] as unknown as Method;
        if (name !== 'recoverSocket') return method.bind(store);
        return async (...args: Taken) => {
          const outcome = await method.apply(store, args);
          if (outcome === 'recovered') held.set(args[1].connectionId, []);
          return outcome;
        };
      },
    }),
    wire: {
      close: (id) => bus.wire.close(id),
      postPacket: (id, frames) => bus.wire.postPacket(id, frames),
      post: async (id, frame): Promise<PostOutcome> => {
        const missed = held.get(id);
        if (missed === undefined) return bus.wire.post(id, frame);
        if (!frame.startsWith('40')) {
          missed.push(frame);
          return 'ok';
        }
        held.delete(id);
        const outcome = await bus.wire.post(id, frame);
        for (const each of missed) await bus.wire.post(id, each);
        return outcome;
      },
    },
  };
}

/** The log is read while the memberships are where they were. */
function readingFirst(bus: Bus): Bus {
  const known = new Map<string, LogEntry[]>();
  const read: Bus['eventLog']['read'] = (group) => bus.eventLog.read(group, { from: 0, limit: 10_000 });
  return {
    ...bus,
    store: new Proxy(bus.store, {
      get: (store, name) => {
        const method = store[name as keyof typeof store] as unknown as Method;
        if (name !== 'recoverSocket') return method.bind(store);
        return async (...args: Taken) => {
          const { namespace, id, rooms } = args[1];
          const groups = [
            { kind: 'namespace', namespace } as const,
            ...[id, ...Object.keys(rooms)].map((room) => ({ kind: 'room', namespace, room }) as const),
          ];
          for (const group of groups)
            known.set(JSON.stringify(group), await read(group, { from: 0, limit: 1 }));
          await bus.clock.sleep(100);
          return method.apply(store, args);
        };
      },
    }),
    eventLog: {
      ...bus.eventLog,
      read: async (group, { from }) =>
        (known.get(JSON.stringify(group)) ?? []).filter(({ position }) => position >= from),
    },
  };
}

describe('the simulator sees', () => {
  test('members that are read before the message is in the log', async () => {
    const sabotage = withLog((log, clock) => ({
      append: async (groups, entry) => {
        void clock.sleep(200).then(() => log.append(groups, entry));
      },
    }));
    // What ends a session is in the log too late as well, and so is that everybody has been tried.
    expect(await firstViolation({ sabotage, faults: NO_FAULTS })).toMatch(
      /never heard|for no reason|once more/,
    );
  });

  test('a log that is read before the memberships are moved', async () => {
    const sabotage: Sabotage = { bus: readingFirst };
    expect(await firstViolation({ sabotage, faults: NO_FAULTS }, 60)).toMatch(/never heard/);
  });

  test('a replay that begins where the last event was published', async () => {
    const sabotage = withLog((log) => ({
      read: (group, query) => log.read(group, { ...query, from: query.from + OVERLAP_MS }),
    }));
    expect(await firstViolation({ sabotage }, 60)).toMatch(/never heard/);
  });

  test('a replay of what was said in a room before it was joined', async () => {
    const sabotage = withLog((log) => ({
      read: (group, query) => log.read(group, { ...query, from: query.from - EVERY_MS }),
    }));
    // What ended the sessions of others ends its own.
    expect(await firstViolation({ sabotage, faults: NO_FAULTS })).toMatch(
      /not for it|without a reason|for no reason/,
    );
  });

  test('a replay for those, too, who were excepted', async () => {
    const sabotage = withLog((log) => ({
      read: async (group, query) => (await log.read(group, query)).map((each) => ({ ...each, except: [] })),
    }));
    const faults = { ...NO_FAULTS, postLost: 0.2, requestLost: 0.05, messageThrottled: 0.02 };
    expect(await firstViolation({ sabotage, faults })).toMatch(/not for it/);
  });

  test('a session that is recovered though it was left', async () => {
    const sabotage = withStore((store) => ({ closeSocket: (socket, at) => store.closeSocket(socket, at) }));
    expect(await firstViolation({ sabotage, faults: NO_FAULTS })).toMatch(/what it or the server had left/);
  });

  test('a session that is recovered without its rooms', async () => {
    const sabotage = withStore((store) => ({
      recoverSocket: (known, taken, due) => store.recoverSocket(known, { ...taken, rooms: {} }, due),
    }));
    expect(await firstViolation({ sabotage, faults: NO_FAULTS })).toMatch(
      /never heard|has no membership|who is not there/,
    );
  });

  test('nobody recovered', async () => {
    const sabotage = withStore(() => ({ recoverSocket: async () => 'changed' }));
    expect(await firstViolation({ sabotage, faults: NO_FAULTS })).toMatch(/for no reason|failed without/);
  });

  test('a replay after the CONNECT reply', async () => {
    const sabotage: Sabotage = { bus: replyingFirst };
    expect(await firstViolation({ sabotage, faults: NO_FAULTS })).toMatch(
      /after it was said to be recovered/,
    );
  });

  test('a late part that has no new place in the log', async () => {
    const sabotage = withLog((log) => ({
      append: async (groups, entry) => (entry.range === undefined ? log.append(groups, entry) : undefined),
    }));
    // Whoever is away while the part comes late misses it, so that some must come and go.
    const faults = { ...NO_FAULTS, workLost: 0.9, messageThrottled: 0.02, requestLost: 0.05 };
    expect(await firstViolation({ sabotage, faults }, 60)).toMatch(/never heard/);
  });

  test('a named message that counts as published before it is', async () => {
    const claimed = new Set<string>();
    const sabotage: Sabotage = {
      bus: (bus) => ({
        ...bus,
        publications: {
          claim: async (named, owner, until) => {
            const outcome = await bus.publications.claim(named, owner, until);
            if (outcome !== 'claimed') return outcome;
            claimed.add(messageId(named.namespace, named.name));
            await bus.publications.finish(named, owner, {
              ok: true,
              id: named.name,
              offset: null,
              audience: 0,
              posted: 0,
              gone: 0,
              failed: 0,
              ranges: 0,
            });
            return outcome;
          },
          finish: async () => {},
          release: async () => {},
        },
        // What fails before it is in the log nobody gets, and who asks again is told that it is out.
        eventLog: {
          ...bus.eventLog,
          append: async (groups, entry) => {
            if (!claimed.delete(entry.id)) return bus.eventLog.append(groups, entry);
            throw new UnavailableError('the log cannot be written');
          },
        },
      }),
    };
    // Without any fault a publish is not allowed to fail, and a failure itself would be what is seen.
    const faults = { ...NO_FAULTS, callLost: 0.001 };
    expect(await firstViolation({ sabotage, faults })).toMatch(/never heard/);
  });

  test('a name that anything may be published under', async () => {
    const sabotage: Sabotage = {
      bus: (bus) => ({
        ...bus,
        publications: {
          claim: async () => 'claimed',
          finish: async () => {},
          release: async () => {},
        },
      }),
    };
    expect(await firstViolation({ sabotage, faults: NO_FAULTS })).toMatch(
      /more than one message|without a reason/,
    );
  });
});
