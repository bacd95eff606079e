import {
  BatchGetCommand,
  DeleteCommand,
  GetCommand,
  PutCommand,
  QueryCommand,
  TransactWriteCommand,
  UpdateCommand,
} from '@aws-sdk/lib-dynamodb';
import { describe, expect, test, vi } from 'vitest';
import { busTable } from '../support/bus-table.ts';
import { firstViolation, withOutbox, withStore } from './broken-servers.ts';
import { NO_FAULTS } from './chance.ts';
import type { Sabotage } from './functions.ts';
import { type Report, simulate } from './simulation.ts';
import { ModelTable } from './table.ts';

// Each looks through several seeds, on machines that may be busy.
vi.setConfig({ testTimeout: 120_000 });

describe('the simulator sees', () => {
  test('a store whose transactions fall apart', async () => {
    expect(await firstViolation({ sabotage: { atomicTransactions: false } }, 100)).toBeDefined();
  });

  test('a server that cuts who has done nothing', async () => {
    const sabotage: Sabotage = {
      bus: (bus) => ({
        ...bus,
        wire: {
          close: (id) => bus.wire.close(id),
          postPacket: (id, frames) => bus.wire.postPacket(id, frames),
          post: async (id, frame) => {
            const outcome = await bus.wire.post(id, frame);
            if (frame.startsWith('43')) await bus.wire.close(id);
            return outcome;
          },
        },
      }),
    };
    expect(await firstViolation({ sabotage, faults: NO_FAULTS })).toMatch(/without a fault of anybody/);
  });

  test('a sweep that never reaps', async () => {
    const sabotage: Sabotage = {
      server: (server) => {
        server.sweeper.sweep = async () => ({ minutes: 1, pinged: 0, reaped: 0, due: 0 });
        return server;
      },
    };
    expect(await firstViolation({ sabotage, faults: { disconnectLost: 0.5 } })).toMatch(
      /who is not there|ping timeout/,
    );
  });

  test('a delivery that takes a 410 for a success', async () => {
    const sabotage: Sabotage = {
      bus: (bus) => ({
        ...bus,
        wire: {
          post: async (id, frame) => {
            const outcome = await bus.wire.post(id, frame);
            return outcome === 'gone' && frame.startsWith('2') ? 'ok' : outcome;
          },
          postPacket: (id, frames) => bus.wire.postPacket(id, frames),
          close: (id) => bus.wire.close(id),
        },
      }),
    };
    const found = await firstViolation({ sabotage, trackPongs: false, faults: { disconnectLost: 0.5 } });
    expect(found).toMatch(/who is not there/);
  });

  test('a leave that is acknowledged and not done', async () => {
    const sabotage = withStore(() => ({ leave: async () => 'left' }));
    expect(await firstViolation({ sabotage, faults: NO_FAULTS })).toMatch(/which is not for it/);
  });

  test('a broadcast that misses members', async () => {
    const sabotage = withStore((store) => ({
      members: async (group, shard, options) => {
        const page = await store.members(group, shard, options);
        return group.kind === 'room' ? { members: page.members.slice(1) } : page;
      },
    }));
    // A room that is excepted misses members as well.
    expect(await firstViolation({ sabotage, faults: NO_FAULTS })).toMatch(/never heard|not for it/);
  });

  test('a part of a broadcast that everybody posts who is asked to', async () => {
    const sabotage: Sabotage = {
      bus: (bus) => ({
        ...bus,
        checkpoints: {
          claim: async () => ({ late: [], posted: 0, gone: 0, failed: 0, done: false }),
          save: async () => true,
        },
      }),
    };
    const faults = { ...NO_FAULTS, workTwice: 0.5 };
    expect(await firstViolation({ sabotage, faults })).toMatch(/once more without a reason/);
  });

  test('a part of a broadcast that nobody posts', async () => {
    const sabotage: Sabotage = {
      server: (server) => {
        server.ranges.run = async () => ({ posted: 0, gone: 0, failed: 0, parts: 0, superseded: false });
        return server;
      },
    };
    // Or by a replay only, after what was said later.
    expect(await firstViolation({ sabotage, faults: NO_FAULTS })).toMatch(/never heard|heard \d+, after/);
  });

  test('a frame that is put into an outbox twice', async () => {
    const sabotage = withOutbox((outbox) => ({
      append: async (id, frames) => {
        await outbox.append(id, frames);
        return outbox.append(id, frames);
      },
    }));
    expect(await firstViolation({ sabotage, faults: NO_FAULTS })).toMatch(/once more|connected twice/);
  });

  test('a poll that takes its answer for read before it is asked again', async () => {
    const sabotage = withOutbox((outbox) => ({
      beginPoll: (id, { lease, until }) => outbox.beginPoll(id, { lease, mark: undefined, until }),
    }));
    // Who comes back may have it after all, and then too late.
    const faults = { ...NO_FAULTS, requestRepeated: 0.9 };
    expect(await firstViolation({ sabotage, faults })).toMatch(/never heard|after/);
  });

  test('a WebSocket that takes over before it has what the client had not fetched', async () => {
    const sabotage: Sabotage = {
      server: (server) => {
        const { upgrades } = server;
        const { outbox } = server.bus;
        upgrades.complete = async (address) => {
          const id = (await outbox.probedBy(address)) ?? '';
          await outbox.upgrade(id, address, (await outbox.session(id))?.appended ?? 0);
          await upgrades.settle(address);
        };
        return server;
      },
    };
    // Or its frames wait for an upgrade that never comes to its end, and it is cut for that.
    const violation = await firstViolation({ sabotage, faults: NO_FAULTS });
    expect(violation).toMatch(/never heard|without a fault of anybody/);
  });

  test('a WebSocket that takes over and leaves the heartbeat behind', async () => {
    const sabotage: Sabotage = {
      server: (server) => {
        server.upgrades.settle = async () => {};
        return server;
      },
    };
    expect(await firstViolation({ sabotage, trackPongs: true, faults: NO_FAULTS })).toMatch(
      /given up: closing a silent connection/,
    );
  });

  test('a polling client that nobody misses', async () => {
    const sabotage = withOutbox((outbox) => ({
      append: async (id, frames) => {
        const outcome = await outbox.append(id, frames);
        return outcome === 'gone' ? 'appended' : outcome;
      },
    }));
    expect(await firstViolation({ sabotage, trackPongs: false, faults: NO_FAULTS })).toMatch(
      /who is not there/,
    );
  });

  test('a handler that throws', async () => {
    const sabotage: Sabotage = {
      server: (server) => {
        server.messages.handle = () => Promise.reject(new Error('broken'));
        return server;
      },
    };
    expect(await firstViolation({ sabotage })).toMatch(/threw Error: broken/);
  });
});

describe('a seed', () => {
  test('always tells the same story', async () => {
    const tell = async () => (await simulate({ seed: 5, steps: 200, traced: true })).trace;
    const story = await tell();
    expect(story.length).toBeGreaterThan(1_000);
    expect(await tell()).toEqual(story);
  });

  test('has faults or none, and something is heard over every transport in either case', async () => {
    const reports: Report[] = [];
    for (const seed of [1, 2, 3, 4, 5, 7]) reports.push(await simulate({ seed, steps: 200 }));
    expect(new Set(reports.map(({ isFaultless }) => isFaultless))).toEqual(new Set([true, false]));
    for (const isFaultless of [true, false])
      for (const via of ['websocket', 'polling', 'upgraded'] as const)
        expect(reports.some((each) => each.isFaultless === isFaultless && each.heard[via] > 0)).toBe(true);
    for (const isFaultless of [true, false])
      expect(reports.some((each) => each.isFaultless === isFaultless && each.recovered > 0)).toBe(true);
  });
});

interface Call {
  readonly name: string;
  readonly input: Record<string, unknown>;
  readonly outcome: unknown;
}

class RecordingTable extends ModelTable {
  readonly calls: Call[] = [];

  override perform(name: string, input: Record<string, unknown>): Record<string, unknown> {
    try {
      const outcome = super.perform(name, input);
      this.calls.push({ name, input, outcome });
      return outcome;
    } catch (error) {
      this.calls.push({ name, input, outcome: error });
      throw error;
    }
  }
}

/** What the table has to understand: each must have come up. */
const EXPRESSIONS = [
  'list_append(',
  'REMOVE frames[0], frames[1]',
  ' IN (',
  ' OR ',
  'probe.address = ',
  'bytes - :bytes',
  'lease < :now',
  'ExclusiveStartKey',
];
const MOST_SEEDS = 20;

test('the model of the table answers as the local DynamoDB does', { timeout: 60_000 }, async () => {
  const seen = new Set<string>();
  let missing: readonly string[] = EXPRESSIONS;
  for (let seed = 1; seed <= MOST_SEEDS && (missing.length > 0 || seed === 1); seed += 1) {
    const table = new RecordingTable();
    await simulate({ seed, steps: 200, table });
    const { client } = await busTable();
    for (const { name, input, outcome } of table.calls) {
      const Command = COMMANDS[name as keyof typeof COMMANDS] as unknown as new (input: unknown) => never;
      const expected = await client.send(new Command(input)).catch((error: unknown) => error);
      expect([name, essence(outcome)]).toEqual([name, essence(expected)]);
      seen.add(name);
    }
    const texts = JSON.stringify(table.calls.map(({ input }) => input));
    missing = missing.filter((expression) => !texts.includes(expression));
  }
  expect(seen).toEqual(new Set(Object.keys(COMMANDS)));
  expect(missing).toEqual([]);
});

const COMMANDS = {
  BatchGet: BatchGetCommand,
  Delete: DeleteCommand,
  Get: GetCommand,
  Put: PutCommand,
  Query: QueryCommand,
  TransactWrite: TransactWriteCommand,
  Update: UpdateCommand,
};

/** What the store reads of an answer or a failure. */
function essence(outcome: unknown): unknown {
  if (!(outcome instanceof Error)) {
    const { Item, Items, Attributes, Responses } = outcome as Record<string, unknown>;
    // BatchGetItem promises no order.
    const responses = Object.values(Responses ?? {})
      .flat()
      .map((row) => JSON.stringify(plain(row)));
    return plain([Item, Items, Attributes, responses.sort()]);
  }
  if (!('CancellationReasons' in outcome)) return outcome.name;
  const reasons = outcome.CancellationReasons as {
    Code: string;
    Item?: Record<string, Record<string, unknown>>;
  }[];
  return plain(
    reasons.map(({ Code, Item }) => [
      Code,
      Item?.open?.BOOL,
      Item?.state?.S,
      Item?.connection?.B,
      Item?.address?.S,
      Item?.appended?.N,
    ]),
  );
}

function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_, inner: unknown) => {
      const bytes = inner as { readonly type?: string; readonly data?: number[] } | null;
      if (inner instanceof Uint8Array) return Buffer.from(inner).toString('hex');
      if (typeof bytes === 'object' && bytes?.type === 'Buffer')
        return Buffer.from(bytes.data!).toString('hex');
      return typeof inner === 'object' && inner !== null && !Array.isArray(inner)
        ? Object.fromEntries(Object.entries(inner).sort(([one], [other]) => (one < other ? -1 : 1)))
        : inner;
    }),
  );
}
