import { beforeEach, describe, expect, test } from 'vitest';
import * as z from 'zod/mini';
import { defineApp } from '../../lambdas/apps/define-app.ts';
import { parseOffset } from '../../lambdas/contract/offsets.ts';
import type { PublishRequestInput } from '../../lambdas/contract/publish.ts';
import { explore, type Gate } from '../support/interleavings.ts';
import { connected, connectionId, FakeClock, joinedNamespace, type World, world } from '../support/world.ts';

const said = z.object({ n: z.number() });
const open = { canJoin: () => true };
const app = defineApp({
  name: 'rooms',
  rooms: {
    'any:': { ...open, lastOnJoin: true },
    'state:': { ...open, lastOnJoin: 'state' },
    'plain:': { ...open, history: true, lastOnJoin: false },
  },
  serverEvents: { said, state: said, joined: z.undefined() },
  clientEvents: {
    join: {
      payload: z.object({ rooms: z.array(z.string()) }),
      async handle(socket, { rooms }) {
        await socket.join(rooms);
        await socket.emit('joined');
      },
    },
    say: {
      payload: z.object({ room: z.string(), n: z.number() }),
      handle: (socket, { room, n }) => socket.to(room).emit('said', { n }),
    },
  },
});
const [ONE, TWO] = [connectionId(1), connectionId(2)];

let at: World;
let socketOne: string;
beforeEach(async () => {
  at = await world({ applications: [app] });
  await connected(at, 1);
  socketOne = await joinedNamespace(at, ONE);
});

async function emit(n: number, request: Partial<PublishRequestInput> = {}): Promise<string> {
  at.clock.advance(10);
  const args = [{ n }];
  const answer = await at.publisher.handle({
    op: 'emit',
    rooms: ['any:1'],
    event: 'said',
    args,
    ...request,
  });
  return (answer as { offset: string }).offset;
}
const join = (...rooms: string[]) =>
  at.messages.handle(ONE, `421["join",{"rooms":${JSON.stringify(rooms)}}]`);
/** Events since the join, without the acknowledgement. */
const heard = (connection = ONE) =>
  at.wire
    .to(connection)
    .filter((frame) => /^4(2|5\d-|31)/.test(frame))
    .map((frame) => frame.replace(/^42/, ''));

describe('who joins a room', () => {
  test('is sent its last event before the join is done', async () => {
    await emit(1);
    await emit(2);
    await join('any:1');
    expect(heard()).toEqual(['["said",{"n":2}]', '["joined"]', '431[{"ok":true}]']);
  });

  test('is sent that of each room, and only when it joins', async () => {
    await emit(1);
    await emit(2, { rooms: ['any:2', 'plain:1'] });
    await join('any:1', 'plain:1', 'any:2', 'any:3');
    await join('any:1');
    expect(heard().filter((frame) => frame.startsWith('["said"'))).toEqual([
      '["said",{"n":1}]',
      '["said",{"n":2}]',
    ]);
  });

  test('is sent the last one of a name, however many others came after it', async () => {
    await emit(1, { rooms: ['state:1'], event: 'state' });
    await emit(2, { rooms: ['state:1'], event: 'state' });
    for (let n = 0; n < 100; n += 1) await emit(n, { rooms: ['state:1'] });
    await emit(3, { rooms: ['state:2'] });
    await join('state:1', 'state:2');
    expect(heard()).toEqual(['["state",{"n":2}]', '["joined"]', '431[{"ok":true}]']);
  });

  test('is sent what another one said to the others, but not what it said itself or was excepted from', async () => {
    await connected(at, 2);
    await joinedNamespace(at, TWO);
    await at.messages.handle(TWO, '42["say",{"room":"any:1","n":1}]');
    await emit(2, { rooms: ['any:2'], except: ['plain:1'] });
    await emit(3, { rooms: ['any:3'] });
    await at.messages.handle(ONE, '42["say",{"room":"any:3","n":4}]');
    await join('plain:1');
    await join('any:1', 'any:2', 'any:3');
    expect(heard().filter((frame) => frame.startsWith('["said"'))).toEqual(['["said",{"n":1}]']);
  });

  test('is sent its bytes', async () => {
    const args = [{ n: 1, bytes: { _placeholder: true, num: 0 } }];
    await emit(1, { args, attachments: ['AQID'] });
    await join('any:1');
    expect(at.wire.to(ONE)).toEqual(
      expect.arrayContaining(['451-["said",{"n":1,"bytes":{"_placeholder":true,"num":0}}]', 'bAQID']),
    );
  });

  test('because its server says so is sent it too', async () => {
    await emit(1);
    const sockets = { rooms: [socketOne], except: [], namespace: '/' };
    await at.publisher.handle({ op: 'socketsJoin', ...sockets, join: ['any:1'] });
    expect(heard()).toEqual(['["said",{"n":1}]']);
  });

  test('hears nothing where nothing is kept: volatile events, what ended sessions', async () => {
    await emit(1, { flags: { volatile: true } });
    await join('any:1');
    await emit(2, { rooms: ['any:2'] });
    await at.publisher.handle({ op: 'disconnectSockets', rooms: ['any:2'] });
    await join('any:2');
    expect(heard().filter((frame) => frame.startsWith('["said"'))).toEqual(['["said",{"n":2}]']);
  });

  test('pays one query', async () => {
    const calls: string[] = [];
    at = await world({
      applications: [app],
      client: (client) =>
        ({
          send(command: { constructor: { name: string } }) {
            calls.push(command.constructor.name);
            return client.send(command as never);
          },
        }) as never,
    });
    await connected(at, 1);
    await joinedNamespace(at, ONE);
    for (const n of [1, 2, 3]) await emit(n, { rooms: ['state:1'], event: 'state' });
    for (const n of [1, 2, 3]) await emit(n);
    const cost = async (room: string) => {
      calls.length = 0;
      await join(room);
      return calls.filter((name) => name === 'QueryCommand').length;
    };
    expect([await cost('plain:1'), await cost('any:1'), await cost('state:1')]).toEqual([0, 1, 1]);
  });
});

test('a join whose room cannot be read is taken back, so that the next one is told', async () => {
  await emit(1);
  const { read } = at.bus.eventLog;
  at.bus.eventLog.read = () => Promise.reject(new Error('no table'));
  await join('any:1');
  expect(heard()).toEqual([expect.stringMatching(/^431.*"ok":false/), expect.stringMatching(/^\["error"/)]);
  at.bus.eventLog.read = read.bind(at.bus.eventLog);
  await join('any:1');
  expect(heard().slice(2)).toEqual(['["said",{"n":1}]', '["joined"]', '431[{"ok":true}]']);
});

test('a join whose last event cannot be posted is taken back, so that a client that comes back is not in the room', async () => {
  await emit(1);
  at.wire.outcome = (_, frame) => (frame.startsWith('42["said"') ? 'gone' : 'ok');
  await join('any:1');
  at.wire.outcome = () => 'ok';
  expect(heard()).toEqual([expect.stringMatching(/^431.*"ok":false/), expect.stringMatching(/^\["error"/)]);
  await join('any:1');
  expect(heard().slice(2)).toEqual(['["said",{"n":1}]', '["joined"]', '431[{"ok":true}]']);
});

describe('a client that comes back', () => {
  const pidIn = (frames: readonly string[]) =>
    (JSON.parse(frames.find((frame) => frame.startsWith('40{'))?.slice(2) ?? '{}') as { pid: string }).pid;

  test('is sent neither the last event of its rooms nor what it had heard before it joined', async () => {
    await emit(1);
    await join('plain:1');
    at.clock.advance(60_000);
    await emit(2, { rooms: ['plain:1'] });
    at.clock.advance(60_000);
    await join('any:1');
    const frames = at.wire.framesTo(ONE);
    const last = frames.findLast((frame) => frame.startsWith('42["said"')) ?? '';
    const offset = /"([\w-]{29})"\]$/.exec(last)?.[1];
    expect(last).toContain('{"n":1}');
    expect(parseOffset(offset)?.position).toBeGreaterThanOrEqual(at.clock.now());
    await at.lifecycle.disconnected(ONE);
    await connected(at, 2);
    await joinedNamespace(at, TWO, '/', { pid: pidIn(frames), offset });
    expect(at.metrics.counts.RecoveryHits).toBe(1);
    // Sent after the one that it had last.
    expect(heard(TWO)).toEqual(['["joined"]']);
  });
});

test('whatever the order of an event and a join, the event is heard, and what came twice has one id', async () => {
  const start = await at.table.rows();
  const socket = { op: 'socketsJoin', rooms: [socketOne], join: ['any:1'] };
  const prepare = async (gate: Gate) =>
    world({
      applications: [app],
      clock: new FakeClock(),
      rows: start,
      client: (client) => gate.client(client),
    });
  const event = { op: 'emit', rooms: ['any:1'], event: 'said', args: [{ n: 1 }] };
  const counts = new Set<number>();
  const { runs, violations } = await explore<World>({
    prepare,
    work: [(world) => world.publisher.handle(socket), (world) => world.publisher.handle(event)],
    state: async (world) => JSON.stringify([await world.table.rows(), world.wire.posts]),
    check: async (world) => {
      const ids = world.wire
        .framesTo(ONE)
        .flatMap((frame) => /"[\w-]{9}([\w-]{20})"\]$/.exec(frame)?.[1] ?? []);
      counts.add(ids.length);
      if (ids.length === 0) return 'never heard';
      return new Set(ids).size === 1 ? undefined : 'two ids';
    },
  });
  expect([...violations]).toEqual([]);
  expect(runs).toBeGreaterThan(3);
  expect([...counts].sort()).toEqual([1, 2]);
});
