import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { expect, test, vi } from 'vitest';
import { connectionText, groupKey, idText, logPartition } from '../../lambdas/adapters/keys.ts';
import { defineApp } from '../../lambdas/apps/define-app.ts';
import type { Group } from '../../lambdas/bus/ports.ts';
import { explore, type Gate } from '../support/interleavings.ts';
import { connected, connectionId, FakeClock, joinedNamespace, type World, world } from '../support/world.ts';

// Hundreds of orders each, on machines that may be busy.
vi.setConfig({ testTimeout: 120_000 });

/** The longest three have too many orders for every run; `ORDERS=all` takes them all, in about a minute. */
const MOST_SWITCHES = process.env.ORDERS === 'all' ? undefined : 2;
const ROOM = 'room:a';
const OLD = connectionId(1);
const NEW = connectionId(2);
const NEWER = connectionId(3);
const app = defineApp({ name: 'rooms', rooms: { 'room:': { canJoin: () => true } } });

/** Connections that have been opened, and a socket on the first of them. */
async function startingPoint(joined: boolean) {
  const at = await world({ applications: [app] });
  for (const n of [1, 2, 3]) await connected(at, n);
  const id = await joinedNamespace(at, OLD);
  if (joined) await at.store.join(refOf(at, id), [ROOM], at.clock.now());
  const reply = at.wire.framesTo(OLD).find((frame) => frame.startsWith('40{')) ?? '';
  const { pid } = JSON.parse(reply.slice(2)) as { pid: string };
  return { rows: await at.table.rows(), id, pid };
}

const refOf = (at: World, id: string) => ({
  namespace: '/',
  id,
  connectionId: OLD,
  connectedAt: at.clock.now(),
});
const STARTS = { joined: await startingPoint(true), outside: await startingPoint(false) };

interface Race {
  readonly at: World;
  readonly id: string;
  readonly pid: string;
  /** What was answered. */
  readonly answers: Record<string, unknown>;
}

/** The client has gone from its old connection: what is posted there arrives nowhere, and is answered all the same. */
async function raceWith(gate: Gate, start: 'joined' | 'outside'): Promise<Race> {
  const { rows, id, pid } = STARTS[start];
  const at = await world({
    applications: [app],
    clock: new FakeClock(),
    rows,
    client: (client) => withoutOtherLogs(gate.client(client)),
  });
  return { at, id, pid, answers: {} };
}

/** Nothing is written to the logs of the namespace and of the socket alone: that they are read changes no order. */
function withoutOtherLogs(client: DynamoDBDocumentClient): DynamoDBDocumentClient {
  const log = Buffer.from(logPartition({ kind: 'room', namespace: '/', room: ROOM }));
  const send = async (command: {
    input: { ExpressionAttributeValues?: Record<string, unknown>; KeyConditionExpression?: string };
  }) => {
    const { KeyConditionExpression, ExpressionAttributeValues: values } = command.input;
    const p = values?.[':p'];
    const isOther =
      KeyConditionExpression !== undefined && p instanceof Uint8Array && p[0] === log[0] && !log.equals(p);
    return isOther ? { Items: [] } : client.send(command as never);
  };
  return { send } as unknown as DynamoDBDocumentClient;
}

const publish = async ({ at, answers }: Race) => {
  answers.publish = await at.publisher.handle({ op: 'emit', rooms: [ROOM], event: 'said', args: [1] });
};
const named = async ({ at, answers }: Race) => {
  answers.named = await at.publisher.handle({ op: 'emit', rooms: [ROOM], event: 'said', args: [1], id: 'n' });
};
const comeBack =
  (connection: string) =>
  ({ at, pid }: Race) =>
    at.messages.handle(connection, `40${JSON.stringify({ pid })}`);
const disconnect = ({ at }: Race) => at.lifecycle.disconnected(OLD);
const join = async ({ at, id, answers }: Race) => {
  answers.join = await at.store.join(refOf(at, id), [ROOM], at.clock.now());
};
const leave = async ({ at, id, answers }: Race) => {
  answers.leave = await at.store.leave(refOf(at, id), [ROOM]);
};
const endAll = async ({ at, answers }: Race) => {
  answers.end = await at.publisher.handle({ op: 'disconnectSockets', rooms: [ROOM] });
};

const state = async ({ at, answers }: Race) =>
  JSON.stringify([await at.table.rows(), at.clock.now(), at.wire.posts, at.wire.closed, answers]);

const heardOn = ({ at }: Race, connection: string) =>
  at.wire.framesTo(connection).filter((frame) => frame.startsWith('42["said"'));
const messageOf = (frame: string) => /([\w-]{20})"\]$/.exec(frame)?.[1];

/** What the rows say of each other once a socket has moved. */
async function disagreement({ at, id }: Race): Promise<string | undefined> {
  const socket = await at.store.socket({ namespace: '/', id });
  const rows = await at.table.rows();
  const bytes = (value: Record<string, unknown> | undefined) => Buffer.from(String(value?.B), 'base64');
  const memberOf = (group: Group): string | undefined => {
    for (let shard = 0; shard < at.store.shards(group); shard += 1) {
      const p = Buffer.from(groupKey(group, shard));
      const row = rows.find((each) => bytes(each.p).equals(p) && idText(bytes(each.s)) === id);
      if (row !== undefined) return connectionText(bytes(row.c));
    }
    return undefined;
  };
  const inRoom = memberOf({ kind: 'room', namespace: '/', room: ROOM });
  const inNamespace = memberOf({ kind: 'namespace', namespace: '/' });
  if (socket === undefined) return 'the socket is lost';
  if (socket.state === 'closed') {
    return inRoom === undefined && inNamespace === undefined ? undefined : 'a ghost of a closed socket';
  }
  if (inNamespace !== socket.connectionId) return 'deaf in its namespace';
  const believes = Object.hasOwn(socket.rooms, ROOM);
  if (believes && inRoom !== socket.connectionId) return 'believes it joined, and is deaf';
  if (!believes && inRoom !== undefined) return 'hears a room that it is not in';
  const connection = await at.store.connection(socket.connectionId);
  return connection?.open === true && connection.namespaces['/'] === id
    ? undefined
    : 'a socket of a connection that does not know it';
}

type Check = (race: Race) => Promise<string | undefined> | string | undefined;
type Work = (race: Race) => Promise<unknown>;

const holds = (start: 'joined' | 'outside', check: Check, ...work: Work[]) =>
  holdsWithin(undefined, start, check, ...work);

const holdsWithin = async (
  mostSwitches: number | undefined,
  start: 'joined' | 'outside',
  check: Check,
  ...work: Work[]
) => {
  const result = await explore({
    prepare: (gate) => raceWith(gate, start),
    work,
    state,
    check: async (race) => (await disagreement(race)) ?? check(race),
    ...(mostSwitches === undefined ? {} : { mostSwitches }),
  });
  expect([...result.violations]).toEqual([]);
  expect(result.runs).toBeGreaterThan(3);
};

/** Heard where the client is now, and as one message however often. */
const heardBy = (connection: string) => (race: Race) => {
  const frames = heardOn(race, connection);
  if (frames.length === 0) return 'neither replayed nor posted';
  return new Set(frames.map(messageOf)).size === 1 ? undefined : 'two messages of one publish';
};

test('what is published while a client comes back is replayed or posted, and never neither', async () => {
  await holds('joined', heardBy(NEW), publish, comeBack(NEW));
});

test('the same while its old connection is cleaned up', async () => {
  await holdsWithin(MOST_SWITCHES, 'joined', heardBy(NEW), publish, comeBack(NEW), disconnect);
});

test('a message with a name while a client comes back is one message', async () => {
  await holds('joined', heardBy(NEW), named, comeBack(NEW));
});

test('a client that comes back twice at once has its socket on one connection, and the other is cut', async () => {
  const check = ({ at }: Race) =>
    [NEW, NEWER].filter((id) => at.wire.closed.includes(id)).length === 1 ? undefined : 'not one is cut';
  await holds('joined', check, comeBack(NEW), comeBack(NEWER));
});

test('a join that is acknowledged while the client comes back is one it has afterwards', async () => {
  const check = async ({ at, id, answers }: Race) => {
    const rooms = (await at.store.socket({ namespace: '/', id }))?.rooms ?? {};
    return (answers.join === 'joined') === Object.hasOwn(rooms, ROOM)
      ? undefined
      : 'an acknowledged join is lost';
  };
  await holds('outside', check, join, comeBack(NEW), disconnect);
});

test('a leave that is acknowledged while the client comes back is not undone', async () => {
  const check = async ({ at, id, answers }: Race) => {
    const rooms = (await at.store.socket({ namespace: '/', id }))?.rooms ?? {};
    return (answers.leave === 'left') === !Object.hasOwn(rooms, ROOM) ? undefined : 'a leave is undone';
  };
  await holds('joined', check, leave, comeBack(NEW), disconnect);
});

test('who is disconnected by a backend while coming back is disconnected, and has no session', async () => {
  const check = async ({ at, id, answers }: Race) => {
    expect(answers.end).toMatchObject({ ok: true });
    const socket = await at.store.socket({ namespace: '/', id });
    return socket?.state === 'closed' && socket.session?.ended === true ? undefined : 'is still there';
  };
  await holds('joined', check, endAll, comeBack(NEW));
});
