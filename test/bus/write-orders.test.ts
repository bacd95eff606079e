import { DeleteCommand, PutCommand, UpdateCommand } from '@aws-sdk/lib-dynamodb';
import { describe, expect, test, vi } from 'vitest';
import {
  connectionBytes,
  connectionText,
  idBytes,
  memberKey,
  slotMemberId,
  socketKey,
} from '../../lambdas/adapters/keys.ts';
import { defineApp } from '../../lambdas/apps/define-app.ts';
import { BusError } from '../../lambdas/bus/errors.ts';
import type { SocketRef } from '../../lambdas/bus/ports.ts';
import { SocketSession } from '../../lambdas/bus/socket-session.ts';
import { BUS_TABLE } from '../support/bus-table.ts';
import { explore, type Gate } from '../support/interleavings.ts';
import { connected, FakeClock, joinedNamespace, type World, world } from '../support/world.ts';

// Hundreds of orders each, on machines that may be busy.
vi.setConfig({ testTimeout: 90_000 });

const ROOM = 'list:1';
let hooks: string[] = [];
const app = defineApp({
  name: 'lists',
  rooms: { 'list:': { canJoin: () => true } },
  onConnect: () => void hooks.push('connect'),
  onDisconnect: () => void hooks.push('disconnect'),
});

interface Race {
  readonly at: World;
  readonly connection: string;
  readonly socket: SocketRef;
}

/** A connection with one socket, before the race; made once, and put back for every order of calls. */
async function startingPoint(joined: boolean) {
  const at = await world({ applications: [app] });
  const connection = await connected(at, 1);
  const id = await joinedNamespace(at, connection);
  const socket = { namespace: '/', id, connectionId: connection, connectedAt: at.clock.now() };
  if (joined) await at.store.join(socket, [ROOM], at.clock.now());
  return { rows: await at.table.rows(), connection, socket };
}

const STARTS = { joined: await startingPoint(true), outside: await startingPoint(false) };

async function raceWith(gate: Gate, joined: boolean, clock = new FakeClock()): Promise<Race> {
  hooks = [];
  const { rows, connection, socket } = joined ? STARTS.joined : STARTS.outside;
  const at = await world({ applications: [app], clock, rows, client: (client) => gate.client(client) });
  return { at, connection, socket };
}

const join = ({ at, socket }: Race) => at.store.join(socket, [ROOM], at.clock.now());
const leave = ({ at, socket }: Race) => at.store.leave(socket, [ROOM]);
const disconnect = ({ at, connection }: Race) => at.lifecycle.disconnected(connection);
const leaveNamespace = ({ at, socket }: Race) => at.lifecycle.leaveNamespace(socket);
const connect = ({ at, connection }: Race) => at.messages.handle(connection, '40');

const state = async ({ at }: Race) =>
  JSON.stringify([await at.table.rows(), at.clock.now(), at.wire.posts, at.wire.closed, hooks]);

/** What the rows say of each other: the promises of the design's write orders. */
async function disagreement({ at, connection }: Race): Promise<string | undefined> {
  const rows = await at.table.rows();
  const bytes = (value: Record<string, unknown> | undefined) => Buffer.from(String(value?.B), 'base64');
  const kind = (row: Record<string, Record<string, unknown>>) => String.fromCharCode(bytes(row.p)[0] ?? 0);
  const open = (await at.store.connection(connection))?.open === true;
  const members = rows.filter((row) => kind(row) === 'm');
  const has = (key: { readonly p: Uint8Array; readonly s: Uint8Array }) =>
    members.some((row) => bytes(row.p).equals(key.p) && bytes(row.s).equals(key.s));
  const expected: Buffer[] = [];
  for (const row of rows.filter((each) => kind(each) === 's')) {
    const id = String(row.id?.S);
    const state = String(row.state?.S);
    const isOpen = state !== 'closed';
    if (isOpen && !open) return 'an open socket on a closed connection';
    const inRoom = Object.hasOwn(row.rooms?.M as object, ROOM);
    const room = memberKey({ kind: 'room', namespace: '/', room: ROOM }, idBytes(id), 1);
    if (isOpen && inRoom && !has(room)) return 'believes it joined, and is deaf';
    if (isOpen && !inRoom && has(room)) return 'hears a room it is not in';
    if (!isOpen && has(room)) return 'a ghost in the room';
    const whole = memberKey({ kind: 'namespace', namespace: '/' }, idBytes(id), 16);
    if (isOpen !== has(whole)) return isOpen ? 'deaf in its namespace' : 'a ghost in the namespace';
    if (isOpen) expected.push(Buffer.from(id));
  }
  const slot = members.some((row) => bytes(row.s).equals(slotMemberId(connection)));
  if (!open && slot) return 'a slot row of a closed connection';
  if (!open && members.some((row) => connectionText(bytes(row.c)) === connection))
    return 'a ghost membership';
  const record = await at.store.connection(connection);
  if (open && Object.keys(record?.namespaces ?? {}).length !== expected.length)
    return 'a socket nobody knows';
  if (expected.length > 1) return 'two sockets in one namespace';
  return undefined;
}

const holds = async (
  prepare: (gate: Gate) => Promise<Race>,
  ...work: ((race: Race) => Promise<unknown>)[]
) => {
  const result = await explore({ prepare, work, state, check: disagreement });
  expect([...result.violations]).toEqual([]);
  return result.runs;
};

describe('in every order in which the calls can interleave', () => {
  test.each([false, true])(
    'join, leave and disconnect leave rows that agree (joined before: %s)',
    async (joined) => {
      const runs = await holds((gate) => raceWith(gate, joined), join, leave, disconnect);
      expect(runs).toBeGreaterThan(5);
    },
  );

  test.each([false, true])('join and leave leave rows that agree (joined before: %s)', async (joined) => {
    expect(await holds((gate) => raceWith(gate, joined), join, leave, join)).toBeGreaterThan(1);
  });

  test('join against a doubled disconnect leaves no ghost', async () => {
    expect(await holds((gate) => raceWith(gate, false), join, disconnect, disconnect)).toBeGreaterThan(5);
  });

  test('CONNECT against disconnect leaves no socket of a gone connection', async () => {
    const prepare = async (gate: Gate) => {
      const at = await world({ applications: [app], client: (client) => gate.client(client) });
      const connection = await connected(at, 1);
      const socket = { namespace: '/', id: 'none', connectionId: connection, connectedAt: at.clock.now() };
      return { at, connection, socket };
    };
    expect(await holds(prepare, connect, disconnect)).toBeGreaterThan(2);
  });

  test('the open packet against disconnect leaves no heartbeat of a gone connection', async () => {
    const prepare = async (gate: Gate) => {
      const at = await world({ applications: [app], client: (client) => gate.client(client) });
      const connection = await connected(at, 1);
      const socket = { namespace: '/', id: 'none', connectionId: connection, connectedAt: at.clock.now() };
      await at.store.leaveSlot(connection, 0);
      return { at, connection, socket };
    };
    const greet = ({ at }: Race) => at.lifecycle.greet(at.opened[0]!);
    await holds(prepare, greet, disconnect);
  });

  test('leaving the namespace against join and disconnect leaves rows that agree', async () => {
    expect(await holds((gate) => raceWith(gate, true), leaveNamespace, join, disconnect)).toBeGreaterThan(5);
  });

  test('DISCONNECT and a CONNECT sent right after it end with one open socket, whichever is handled first', async () => {
    // A long step, so that the wait for the other one is a few calls and not twenty.
    class SlowClock extends FakeClock {
      override sleep(ms: number): Promise<void> {
        return super.sleep(ms * 10);
      }
    }
    const dismiss = ({ at, connection }: Race) => at.messages.handle(connection, '41');
    const result = await explore({
      prepare: (gate) => raceWith(gate, true, new SlowClock()),
      work: [dismiss, connect],
      state,
      check: async (race) => {
        const wrong = await disagreement(race);
        const record = await race.at.store.connection(race.connection);
        if (wrong !== undefined || record?.open !== true) return wrong;
        return record.namespaces['/'] === undefined ? 'the new socket is missing' : undefined;
      },
    });
    expect([...result.violations]).toEqual([]);
  });

  test('whoever is proven by two events at once, and goes, is counted as one of both, and then as none', async () => {
    const users = ['ana', 'berta'];
    const countAs = (user: string) => async (race: Race) => {
      const record = await race.at.store.socket(race.socket);
      if (record === undefined) return;
      const ender = { presences: race.at.lifecycle.presences, disconnectSocket: async () => {} };
      await new SocketSession(race.at.bus, record, ender).countAs(user).catch((error: unknown) => {
        if (!(error instanceof BusError)) throw error;
      });
    };
    const check = async (race: Race) => {
      const isIn = await Promise.all(
        users.map((user) => race.at.store.countsTo({ kind: 'user', namespace: '/', user }, 1)),
      );
      const { state: now, countedAs } = (await race.at.store.socket(race.socket))!;
      const isCounted = users.filter((_, i) => isIn[i]).join();
      const expected = now === 'closed' ? '' : countedAs;
      return isCounted === expected ? disagreement(race) : `is ${now}, counted as ${isCounted}`;
    };
    const prepare = (gate: Gate) => raceWith(gate, true);
    for (const end of [disconnect, async () => {}]) {
      const work = [...users.map(countAs), end];
      const result = await explore({ prepare, work, state, check });
      expect([...result.violations]).toEqual([]);
      expect(result.runs).toBeGreaterThan(1);
    }
  });

  test('a socket that two invocations open runs its connect hooks once', async () => {
    const prepare = async (gate: Gate) => {
      const race = await raceWith(gate, false);
      hooks = [];
      const pending = {
        ...(await race.at.store.socket(race.socket))!,
        id: 'AAAAAAAAAAAAAAAAAAAA',
        namespace: '/',
      };
      await race.at.lifecycle.leaveNamespace(race.socket);
      await race.at.store.connectSocket({ ...pending, state: 'pending', rooms: {} }, []);
      hooks = [];
      return { ...race, socket: { ...race.socket, id: pending.id } };
    };
    const open = async ({ at, socket }: Race) => at.lifecycle.opened((await at.store.socket(socket))!);
    const result = await explore({
      prepare,
      work: [open, open],
      state,
      check: async () => (hooks.length === 1 ? undefined : `hooks ran ${hooks.length} times`),
    });
    expect([...result.violations]).toEqual([]);
  });
});

describe('a cleanup that is cut off after any of its calls', () => {
  test('is completed by repeating it', async () => {
    for (let survived = 0; survived < 12; survived += 1) {
      let left = Number.POSITIVE_INFINITY;
      const at = await world({
        applications: [app],
        client: (client) =>
          ({
            send: async (command: never) => {
              left -= 1;
              if (left < 0) throw new Error('killed');
              return client.send(command);
            },
          }) as never,
      });
      const connection = await connected(at, 1);
      const id = await joinedNamespace(at, connection);
      const socket = { namespace: '/', id, connectionId: connection, connectedAt: at.clock.now() };
      await at.store.join(socket, [ROOM], at.clock.now());
      left = survived;
      await at.lifecycle.disconnected(connection).catch(() => undefined);
      left = Number.POSITIVE_INFINITY;
      await at.lifecycle.disconnected(connection);
      expect(await disagreement({ at, connection, socket })).toBeUndefined();
    }
  });
});

describe('the explorer can fail', () => {
  const key = (socket: SocketRef) =>
    memberKey({ kind: 'room', namespace: '/', room: ROOM }, idBytes(socket.id), 1);
  const client = (gate: Gate, { at }: Race) => gate.client(at.table.client);

  test('the naive join (membership, then socket, no transaction) is caught', async () => {
    let gated: Gate | undefined;
    const prepare = (gate: Gate) => {
      gated = gate;
      return raceWith(gate, true);
    };
    const naiveJoin = async (race: Race) => {
      const dynamo = client(gated!, race);
      const { socket } = race;
      const row = { ...key(socket), c: connectionBytes(socket.connectionId) };
      await dynamo.send(new PutCommand({ TableName: BUS_TABLE, Item: row }));
      await dynamo
        .send(
          new UpdateCommand({
            TableName: BUS_TABLE,
            Key: socketKey(socket),
            UpdateExpression: 'SET rooms.#r = :at',
            ConditionExpression: '#s = :open',
            ExpressionAttributeNames: { '#r': ROOM, '#s': 'state' },
            ExpressionAttributeValues: { ':at': 1, ':open': 'open' },
          }),
        )
        .catch(() => dynamo.send(new DeleteCommand({ TableName: BUS_TABLE, Key: key(socket) })));
    };
    const result = await explore({
      prepare,
      work: [naiveJoin, leave],
      state,
      check: disagreement,
    });
    expect([...result.violations.keys()]).toContain('believes it joined, and is deaf');
  });

  test('the naive disconnect (memberships first, the socket last) is caught', async () => {
    let gated: Gate | undefined;
    const prepare = (gate: Gate) => {
      gated = gate;
      return raceWith(gate, false);
    };
    const naiveDisconnect = async (race: Race) => {
      const { at, connection, socket } = race;
      const rooms = Object.keys((await at.store.socket(socket))?.rooms ?? {});
      if (rooms.length > 0)
        await client(gated!, race).send(new DeleteCommand({ TableName: BUS_TABLE, Key: key(socket) }));
      await at.store.closeConnection(connection, at.clock.now());
      await at.store.closeSocket(socket, at.clock.now());
      await at.store.removeMemberships(socket, []);
      await at.store.leaveSlot(connection, 0);
    };
    const result = await explore({ prepare, work: [join, naiveDisconnect], state, check: disagreement });
    expect([...result.violations.keys()]).toContain('a ghost in the room');
  });
});
