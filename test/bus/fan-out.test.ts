import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { defineApp } from '../../lambdas/apps/define-app.ts';
import { audience, type Target } from '../../lambdas/bus/audience.ts';
import { broadcast } from '../../lambdas/bus/fan-out.ts';
import { plainMessage } from '../../lambdas/bus/message.ts';
import {
  connected,
  connectionId,
  deliverRanges,
  joinedNamespace,
  plainFrame,
  type World,
  world,
} from '../support/world.ts';

const ROOMS = ['list:1', 'list:2', 'hot:1', 'list:none'] as const;
/** Looks like a socket's own room, and belongs to an application all the same. */
const OWNED = `own:${'x'.repeat(16)}`.replace(':', '_');
const app = defineApp({ name: 'lists', rooms: { 'list:': {}, 'hot:': { hot: true }, own_: {} } });
const elsewhere = defineApp({ name: 'elsewhere', namespace: '/other', rooms: { 'list:': {} } });

interface Client {
  readonly id: string;
  readonly connection: string;
  readonly rooms: readonly string[];
}

/** Eight clients in fixed rooms, and one in the room `list:1` of another namespace. */
async function crowd(): Promise<{ at: World; clients: Client[] }> {
  const at = await world({ applications: [app, elsewhere] });
  const clients: Client[] = [];
  for (let n = 0; n < 8; n += 1) {
    const connection = await connected(at, n);
    const id = await joinedNamespace(at, connection);
    const rooms = ROOMS.slice(0, 3).filter((_, bit) => (n >> bit) % 2 === 1);
    const ref = { namespace: '/', id, connectionId: connection, connectedAt: at.clock.now() };
    if (rooms.length > 0) await at.store.join(ref, rooms, 1);
    clients.push({ id, connection, rooms });
  }
  const stranger = await connected(at, 99);
  const id = await joinedNamespace(at, stranger, '/other');
  await at.store.join({ namespace: '/other', id, connectionId: stranger, connectedAt: START }, ['list:1'], 1);
  return { at, clients };
}
const START = Date.UTC(2026, 0, 1);

const { at, clients } = await crowd();
const ids = async (target: Partial<Target>) =>
  (await audience(at.bus, { namespace: '/', rooms: [], except: [], ...target })).map(({ id }) => id);

describe('the audience of a broadcast', () => {
  test('is the union of its rooms without those in any excepted one, each once', async () => {
    const place = fc.oneof(
      fc.constantFrom(...ROOMS),
      fc.constantFrom(...clients.map(({ id }) => id)),
      fc.constant('A'.repeat(20)),
    );
    const places = fc.array(place, { maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(places, places, async (rooms, except) => {
        const isIn = (client: Client, list: readonly string[]) =>
          list.some((room) => room === client.id || client.rooms.includes(room));
        const expected = clients
          .filter((client) => rooms.length === 0 || isIn(client, rooms))
          .filter((client) => !isIn(client, except));
        const found = await audience(at.bus, { namespace: '/', rooms, except });
        const pairs = found.map((member) => `${member.id} ${member.connectionId}`).sort();
        expect(pairs).toEqual(expected.map(({ id, connection }) => `${id} ${connection}`).sort());
      }),
      { numRuns: 150 },
    );
  });

  test('is the whole namespace, and no other, where no room is named', async () => {
    expect((await ids({})).sort()).toEqual(clients.map(({ id }) => id).sort());
    expect(await ids({ namespace: '/other' })).toHaveLength(1);
  });

  test('has nobody who comes into its room and an excepted one while it is read, however long that takes', async () => {
    const { at: here, clients: some } = await crowd();
    const [{ id, connection }] = some as [Client];
    const members = here.store.members.bind(here.store);
    vi.spyOn(here.store, 'members').mockImplementation(async (group, ...rest) => {
      const isAudience = group.kind === 'room' && group.room === 'hot:1';
      // Longer than what is read beside it; a recovery joins both at once.
      if (isAudience) {
        await new Promise(setImmediate);
        const ref = { namespace: '/', id, connectionId: connection, connectedAt: START };
        await here.store.join(ref, ['hot:1', 'list:1'], 1);
      }
      return members(group, ...rest);
    });
    const found = await audience(here.bus, { namespace: '/', rooms: ['hot:1'], except: ['list:1'] });
    expect(found.map((member) => member.id)).not.toContain(id);
  });

  test('has nobody from another namespace, by room or by id', async () => {
    const [stranger] = await ids({ namespace: '/other', rooms: ['list:1'] });
    expect(await ids({ rooms: ['list:1'] })).not.toContain(stranger);
    expect(await ids({ rooms: [stranger!] })).toEqual([]);
  });

  test('of an own room is its socket, until that is closed', async () => {
    const { at: here, clients: some } = await crowd();
    const [{ id, connection }] = some as [Client];
    const target = { namespace: '/', rooms: [id], except: [] };
    expect(await audience(here.bus, target)).toMatchObject([{ id, connectionId: connection }]);
    await here.lifecycle.disconnected(connection);
    expect(await audience(here.bus, target)).toEqual([]);
  });

  test('of a room that looks like an id but has an owner is its members', async () => {
    expect(OWNED).toHaveLength(20);
    const { at: here, clients: some } = await crowd();
    const [first, second] = some as [Client, Client];
    const ref = { namespace: '/', id: first.id, connectionId: first.connection, connectedAt: START };
    await here.store.join(ref, [OWNED], 1);
    const found = async (target: Partial<Target>) =>
      (await audience(here.bus, { namespace: '/', rooms: [], except: [], ...target })).map(({ id }) => id);
    expect(await found({ rooms: [OWNED] })).toEqual([first.id]);
    const rest = await found({ except: [OWNED] });
    expect(rest).not.toContain(first.id);
    expect(rest).toContain(second.id);
  });
});

describe('a broadcast', () => {
  test('says whom it reached, and whom it found gone', async () => {
    const { at: here, clients: some } = await crowd();
    const [first, second] = some as [Client, Client];
    here.wire.outcome = (id) =>
      ({ [first.connection]: 'gone' as const, [second.connection]: 'refused' as const })[id] ?? 'ok';
    const report = await broadcast(
      here.bus,
      { namespace: '/', rooms: [], except: [] },
      plainMessage(['42["e"]'], 'message', here.clock.now()),
    );
    expect(report).toMatchObject({ audience: 8, posted: 6, failed: 1 });
    expect(report.gone).toMatchObject([{ id: first.id, connectionId: first.connection }]);
    expect(here.wire.to(connectionId(99))).not.toContain('42["e"]');
  });

  test('that is divided reaches the same sockets through the rows, and its caller knows what is not known yet', async () => {
    const here = await world({ applications: [app, elsewhere], inlinePosts: 2 });
    const connections: string[] = [];
    for (let n = 0; n < 12; n += 1) {
      const connection = await connected(here, n);
      const id = await joinedNamespace(here, connection);
      const ref = { namespace: '/', id, connectionId: connection, connectedAt: here.clock.now() };
      await here.store.join(ref, n < 6 ? ['list:1', 'hot:1'] : ['hot:1'], 1);
      connections.push(connection);
    }
    const told = async (rooms: readonly string[], except: readonly string[] = []) => {
      const event = `e${here.wire.posts.length}`;
      const result = await here.publisher.handle({ op: 'emit', rooms, except, event, args: [] });
      const reports = await deliverRanges(here);
      const heard = connections.filter((connection) => here.wire.to(connection).includes(`42["${event}"]`));
      const times = here.wire.posts.filter(({ frame }) => plainFrame(frame) === `42["${event}"]`).length;
      expect(times).toBe(heard.length);
      return { heard, result, posted: reports.reduce((sum, { posted }) => sum + posted, 0) };
    };
    expect((await told(['hot:1'])).heard).toEqual(connections);
    expect((await told([])).heard).toEqual(connections);
    expect((await told(['list:1', 'hot:1'], ['list:1'])).heard).toEqual(connections.slice(6));
    const { heard, result, posted } = await told(['list:1']);
    expect(heard).toEqual(connections.slice(0, 6));
    expect(result).toMatchObject({ ok: true, posted: null, gone: null, failed: null, ranges: 1 });
    expect(posted).toBe(4);
    expect(here.metrics.counts).toMatchObject({ Published: 4, Posted: 12 + 12 + 6 + 6, Gone: 0, Failed: 0 });
    expect(here.metrics.durations.length).toBeGreaterThan(0);
  });
});
