/**
 * What every implementation of the `Store` port does, whichever table is under it: run it with a factory that gives a
 * store over an empty table.
 */
import { randomBytes } from 'node:crypto';
import { beforeEach, describe, expect, test } from 'vitest';
import { idText, slotMemberId } from '../../lambdas/adapters/keys.ts';
import type {
  Connection,
  Due,
  Group,
  Handshake,
  Member,
  SocketRecord,
  Store,
} from '../../lambdas/bus/ports.ts';

export interface StoreUnderTest {
  readonly store: Store;
  readonly clock: { now(): number; advance(ms: number): void };
}

export interface StoreFactoryOptions {
  readonly isHot: (namespace: string, room: string) => boolean;
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const NAMESPACE = '/';
const ROOM = 'list:1';
const HOT_ROOM = 'hot:1';
const MOST_ROOMS = 90;

const HANDSHAKE: Handshake = {
  headers: { 'user-agent': 'test' },
  query: { EIO: '4' },
  address: '127.0.0.1',
  secure: true,
  xdomain: false,
  issued: 0,
};

const roomGroup = (room: string, namespace = NAMESPACE): Group => ({ kind: 'room', namespace, room });
const whole: Group = { kind: 'namespace', namespace: NAMESPACE };
const socketId = () => randomBytes(15).toString('base64url');
const connectionId = () => `${randomBytes(11).toString('base64url')}=`;

export function storeCases(make: (options: StoreFactoryOptions) => Promise<StoreUnderTest>): void {
  let store: Store;
  let clock: StoreUnderTest['clock'];

  beforeEach(async () => {
    ({ store, clock } = await make({ isHot: (_, room) => room.startsWith('hot:') }));
  });

  const newConnection = async (changes: Partial<Connection> = {}, due: readonly Due[] = []) => {
    const connection: Connection = {
      id: connectionId(),
      open: true,
      connectedAt: clock.now(),
      handshake: HANDSHAKE,
      credentials: { app: { sub: 1 } },
      namespaces: {},
      left: {},
      ...changes,
    };
    await store.createConnection(connection, due);
    return connection;
  };

  const pendingSocket = (connection: Connection, changes: Partial<SocketRecord> = {}): SocketRecord => ({
    namespace: NAMESPACE,
    id: socketId(),
    connectionId: connection.id,
    state: 'pending',
    connectedAt: connection.connectedAt,
    rooms: {},
    identities: { app: { id: 7 } },
    data: {},
    handshake: HANDSHAKE,
    hooksDue: false,
    ...changes,
  });

  /** A socket as it is after CONNECT and its reply. */
  const newSocket = async (changes: Partial<SocketRecord> = {}, on?: Connection) => {
    const connection = on ?? (await newConnection());
    const socket = pendingSocket(connection, changes);
    expect(await store.connectSocket(socket, [])).toBe('connected');
    expect(await store.openSocket(socket)).toBe(true);
    return { connection, socket };
  };

  const allMembers = async (group: Group): Promise<Member[]> => {
    const members: Member[] = [];
    for (let shard = 0; shard < store.shards(group); shard += 1) {
      for (let after: string | undefined; ; ) {
        const page = await store.members(group, shard, after === undefined ? {} : { after });
        members.push(...page.members);
        after = page.next;
        if (after === undefined) break;
      }
    }
    return members;
  };
  const memberIds = async (group: Group) => (await allMembers(group)).map(({ id }) => id).sort();

  const allDue = async (minute: number): Promise<Due[]> => {
    const shards = Array.from({ length: store.dueShards() }, (_, shard) => store.due(minute, shard));
    return (await Promise.all(shards)).flat();
  };

  describe('a connection', () => {
    test('is read as it was created', async () => {
      const connection = await newConnection();
      expect(await store.connection(connection.id)).toStrictEqual(connection);
    });

    test('nobody created is not there', async () => {
      expect(await store.connection(connectionId())).toBeUndefined();
      expect(await store.closeConnection(connectionId(), clock.now())).toBeUndefined();
    });

    test('with an id of another form is read as it was created', async () => {
      const connection = await newConnection({ id: 'local-connection-é' });
      const { socket } = await newSocket({}, connection);
      expect((await store.connection('local-connection-é'))?.id).toBe('local-connection-é');
      expect((await store.socket(socket))?.connectionId).toBe('local-connection-é');
      expect(await allMembers(whole)).toEqual([{ id: socket.id, connectionId: 'local-connection-é' }]);
    });

    test('is closed once and for all, and returned with its namespaces each time', async () => {
      const { connection, socket } = await newSocket();
      const closed = { open: false, namespaces: { [NAMESPACE]: socket.id } };
      expect(await store.closeConnection(connection.id, clock.now())).toMatchObject(closed);
      expect(await store.closeConnection(connection.id, clock.now())).toMatchObject(closed);
      expect(await store.connection(connection.id)).toMatchObject(closed);
    });

    test('is absent once it has outlived any connection, deleted or not', async () => {
      const { id } = await newConnection();
      clock.advance(2 * HOUR);
      expect(await store.connection(id)).toBeDefined();
      clock.advance(16 * MINUTE);
      expect(await store.connection(id)).toBeUndefined();
    });

    test('that is closed stays a while for late frames, then is absent', async () => {
      const { id } = await newConnection();
      await store.closeConnection(id, clock.now());
      clock.advance(134 * MINUTE);
      expect(await store.connection(id)).toMatchObject({ open: false });
      clock.advance(2 * MINUTE);
      expect(await store.connection(id)).toBeUndefined();
    });
  });

  describe('a heartbeat slot', () => {
    const slot: Group = { kind: 'slot', slot: 3 };
    const memberOf = (id: string, seen: number) => ({
      id: idText(slotMemberId(id)),
      connectionId: id,
      seen,
    });

    test('takes an open connection, and remembers its last pong', async () => {
      const { id, connectedAt } = await newConnection();
      expect(await store.joinSlot(id, 3, connectedAt, 5)).toBe(true);
      expect(await allMembers(slot)).toEqual([memberOf(id, 5)]);
      expect(await store.touchSlot(id, 3, 6)).toBe(true);
      expect(await allMembers(slot)).toEqual([memberOf(id, 6)]);
      expect(await allMembers({ kind: 'slot', slot: 2 })).toEqual([]);
    });

    test('refuses a connection that is closed or not there', async () => {
      const { id, connectedAt } = await newConnection();
      await store.closeConnection(id, clock.now());
      expect(await store.joinSlot(id, 3, connectedAt, 5)).toBe(false);
      expect(await store.joinSlot(connectionId(), 3, connectedAt, 5)).toBe(false);
      expect(await allMembers(slot)).toEqual([]);
    });

    test('is not entered by a pong', async () => {
      const { id } = await newConnection();
      expect(await store.touchSlot(id, 3, 6)).toBe(false);
      expect(await allMembers(slot)).toEqual([]);
    });

    test('is left for good, and by nobody else', async () => {
      const [one, other] = [await newConnection(), await newConnection()];
      await store.joinSlot(one.id, 3, one.connectedAt, 1);
      await store.joinSlot(other.id, 3, other.connectedAt, 2);
      await store.leaveSlot(one.id, 3);
      await store.leaveSlot(one.id, 3);
      expect(await allMembers(slot)).toEqual([memberOf(other.id, 2)]);
    });

    test('is spread over 16 shards', () => {
      expect(store.shards(slot)).toBe(16);
    });
  });

  describe('CONNECT', () => {
    test('writes the namespace, the pending socket, its membership and what is due, together', async () => {
      const connection = await newConnection();
      const socket = pendingSocket(connection);
      const at = clock.now() + 45_000;
      const due: Due[] = [{ kind: 'pending', at, connectionId: connection.id, socket }];
      expect(await store.connectSocket(socket, due)).toBe('connected');
      expect((await store.connection(connection.id))?.namespaces).toEqual({ [NAMESPACE]: socket.id });
      expect(await store.socket(socket)).toStrictEqual(socket);
      expect(await allMembers(whole)).toEqual([{ id: socket.id, connectionId: connection.id }]);
      expect(await allDue(Math.ceil(at / MINUTE))).toEqual([
        { kind: 'pending', at, connectionId: connection.id, socket: { namespace: '/', id: socket.id } },
      ]);
    });

    test('to a namespace that is taken changes nothing', async () => {
      const { connection, socket } = await newSocket();
      const second = pendingSocket(connection);
      expect(await store.connectSocket(second, [])).toBe('occupied');
      expect((await store.connection(connection.id))?.namespaces).toEqual({ [NAMESPACE]: socket.id });
      expect(await store.socket(second)).toBeUndefined();
      expect(await memberIds(whole)).toEqual([socket.id]);
    });

    test('on a closed connection, or on none, changes nothing', async () => {
      const connection = await newConnection();
      await store.closeConnection(connection.id, clock.now());
      const socket = pendingSocket(connection);
      expect(await store.connectSocket(socket, [])).toBe('closed');
      expect(await store.connectSocket({ ...socket, connectionId: connectionId() }, [])).toBe('closed');
      expect(await store.socket(socket)).toBeUndefined();
      expect(await memberIds(whole)).toEqual([]);
    });

    test('on a closed connection whose namespace was taken says that it is closed', async () => {
      const { connection } = await newSocket();
      await store.closeConnection(connection.id, clock.now());
      expect(await store.connectSocket(pendingSocket(connection), [])).toBe('closed');
    });

    test('gives one connection a socket in each of two namespaces', async () => {
      const { connection, socket } = await newSocket();
      const { socket: other } = await newSocket({ namespace: '/other' }, connection);
      expect((await store.connection(connection.id))?.namespaces).toEqual({
        [NAMESPACE]: socket.id,
        '/other': other.id,
      });
      expect(await memberIds(whole)).toEqual([socket.id]);
      expect(await memberIds({ kind: 'namespace', namespace: '/other' })).toEqual([other.id]);
    });

    test('to a namespace left before forgets that it was left', async () => {
      const { connection, socket } = await newSocket();
      await store.freeNamespace(socket, clock.now());
      expect((await store.connection(connection.id))?.left).toEqual({ [NAMESPACE]: clock.now() });
      const { socket: next } = await newSocket({}, connection);
      expect(await store.connection(connection.id)).toMatchObject({
        left: {},
        namespaces: { [NAMESPACE]: next.id },
      });
    });
  });

  describe('a refused socket', () => {
    test('leaves a closed row and a namespace that counts as left, and is a member of nothing', async () => {
      const connection = await newConnection();
      const socket = pendingSocket(connection, { state: 'closed' });
      expect(await store.refuseSocket(socket)).toBe('refused');
      expect(await store.socket(socket)).toStrictEqual(socket);
      expect(await store.connection(connection.id)).toMatchObject({
        namespaces: {},
        left: { [NAMESPACE]: clock.now() },
      });
      expect(await memberIds(whole)).toEqual([]);
      clock.advance(136 * MINUTE);
      expect(await store.socket(socket)).toBeUndefined();
    });

    test('leaves the namespace free for another try', async () => {
      const connection = await newConnection();
      await store.refuseSocket(pendingSocket(connection, { state: 'closed' }));
      expect(await store.connectSocket(pendingSocket(connection), [])).toBe('connected');
    });

    test('does not touch a namespace that is taken, or a connection that is closed', async () => {
      const { connection, socket } = await newSocket();
      const refused = pendingSocket(connection, { state: 'closed' });
      expect(await store.refuseSocket(refused)).toBe('occupied');
      expect((await store.connection(connection.id))?.namespaces).toEqual({ [NAMESPACE]: socket.id });
      await store.closeConnection(connection.id, clock.now());
      expect(await store.refuseSocket(refused)).toBe('closed');
      expect(await store.socket(refused)).toBeUndefined();
    });
  });

  describe('opening a socket', () => {
    test('has the connection on which it was last proven, however that was written; from another none is', async () => {
      const { connection, socket } = await newSocket();
      const elsewhere = { ...socket, connectionId: connectionId() };
      const provenOn = async () => (await store.socket(socket))?.provenOn;
      expect([await store.noteProof(elsewhere), await store.recount(elsewhere, '7')]).toEqual([
        false,
        'closed',
      ]);
      await store.saveExpiry(elsewhere, clock.now());
      expect(await provenOn()).toBeUndefined();
      expect([await store.noteProof(socket), await provenOn()]).toEqual([true, connection.id]);
      const others = await Promise.all([newSocket(), newSocket()]);
      const [counted, ending] = others.map((other) => other.socket) as [SocketRecord, SocketRecord];
      await store.recount(counted, '7');
      await store.saveExpiry(ending, clock.now());
      for (const each of [counted, ending])
        expect((await store.socket(each))?.provenOn).toBe(each.connectionId);
      await store.closeSocket(socket, clock.now());
      expect(await store.noteProof(socket)).toBe(false);
    });

    test('succeeds once, and makes its disconnect hooks due', async () => {
      const connection = await newConnection();
      const socket = pendingSocket(connection);
      await store.connectSocket(socket, []);
      const told = await Promise.all([store.openSocket(socket), store.openSocket(socket)]);
      expect(told.filter(Boolean)).toHaveLength(1);
      expect(await store.socket(socket)).toStrictEqual({ ...socket, state: 'open', hooksDue: true });
    });

    test('is refused where it is closed, on another connection, or not there', async () => {
      const connection = await newConnection();
      const socket = pendingSocket(connection);
      await store.connectSocket(socket, []);
      expect(await store.openSocket({ ...socket, connectionId: connectionId() })).toBe(false);
      await store.closeSocket(socket, clock.now());
      expect(await store.openSocket(socket)).toBe(false);
      expect(await store.openSocket({ ...socket, id: socketId() })).toBe(false);
      expect(await store.socket(socket)).toMatchObject({ state: 'closed', hooksDue: false });
    });
  });

  describe('closing a socket', () => {
    test('returns it as it was: open with its rooms first, then closed', async () => {
      const { socket } = await newSocket();
      await store.join(socket, [ROOM], 5);
      expect(await store.closeSocket(socket, clock.now())).toMatchObject({
        state: 'open',
        rooms: { [ROOM]: 5 },
        hooksDue: true,
      });
      expect(await store.closeSocket(socket, clock.now())).toMatchObject({
        state: 'closed',
        rooms: { [ROOM]: 5 },
      });
    });

    test('that has moved to another connection, or is not there, does nothing', async () => {
      const { socket } = await newSocket();
      expect(
        await store.closeSocket({ ...socket, connectionId: connectionId() }, clock.now()),
      ).toBeUndefined();
      expect(await store.closeSocket({ ...socket, id: socketId() }, clock.now())).toBeUndefined();
      expect((await store.socket(socket))?.state).toBe('open');
    });

    test('leaves its row for a while', async () => {
      const { socket } = await newSocket();
      await store.closeSocket(socket, clock.now());
      clock.advance(134 * MINUTE);
      expect(await store.socket(socket)).toMatchObject({ state: 'closed' });
      clock.advance(2 * MINUTE);
      expect(await store.socket(socket)).toBeUndefined();
    });
  });

  test('disconnect hooks are done only by the connection that the socket is on', async () => {
    const { socket } = await newSocket();
    await store.markHooksDone({ ...socket, connectionId: connectionId() });
    expect((await store.socket(socket))?.hooksDue).toBe(true);
    await store.markHooksDone(socket);
    expect((await store.socket(socket))?.hooksDue).toBe(false);
    await expect(store.markHooksDone({ ...socket, id: socketId() })).resolves.toBeUndefined();
  });

  describe('freeing a namespace', () => {
    test('notes when it was left', async () => {
      const { connection, socket } = await newSocket();
      await store.freeNamespace(socket, 12);
      expect(await store.connection(connection.id)).toMatchObject({
        namespaces: {},
        left: { [NAMESPACE]: 12 },
      });
    });

    test('that belongs to a later socket does nothing', async () => {
      const { connection, socket } = await newSocket();
      await store.freeNamespace(socket, clock.now());
      const { socket: next } = await newSocket({}, connection);
      await store.freeNamespace(socket, clock.now());
      expect((await store.connection(connection.id))?.namespaces).toEqual({ [NAMESPACE]: next.id });
    });

    test('of a connection that is not there does nothing', async () => {
      const { socket } = await newSocket();
      await expect(
        store.freeNamespace({ ...socket, connectionId: connectionId() }, 1),
      ).resolves.toBeUndefined();
    });
  });

  describe('joining rooms', () => {
    test('writes the memberships and the list of rooms, and keeps when a room was first joined', async () => {
      const { connection, socket } = await newSocket();
      expect(await store.join(socket, [ROOM, HOT_ROOM], 5)).toBe('joined');
      expect(await store.join(socket, [ROOM], 6)).toBe('joined');
      expect((await store.socket(socket))?.rooms).toEqual({ [ROOM]: 5, [HOT_ROOM]: 5 });
      const member = { id: socket.id, connectionId: connection.id };
      expect(await allMembers(roomGroup(ROOM))).toEqual([member]);
      expect(await allMembers(roomGroup(HOT_ROOM))).toEqual([member]);
    });

    test('under names that mean something to the table works like any other', async () => {
      const { socket } = await newSocket();
      const names = ['#r0', ':at', 'rooms.a', 'a.b[0]', '\0', '😀', ' ', 'size(rooms)', 'x'.repeat(2_048)];
      expect(await store.join(socket, names, 5)).toBe('joined');
      expect(Object.keys((await store.socket(socket))?.rooms ?? {}).sort()).toEqual([...names].sort());
      for (const name of names) expect(await memberIds(roomGroup(name))).toEqual([socket.id]);
    });

    test.each([
      ['pending', async (socket: SocketRecord) => store.connectSocket(socket, [])],
      [
        'closed',
        async (socket: SocketRecord) => {
          await store.connectSocket(socket, []);
          await store.openSocket(socket);
          await store.closeSocket(socket, clock.now());
        },
      ],
      ['not there', async () => undefined],
    ])('is refused to a socket that is %s', async (_, prepare) => {
      const socket = pendingSocket(await newConnection());
      await prepare(socket);
      expect(await store.join(socket, [ROOM], 5)).toBe('closed');
      expect(await memberIds(roomGroup(ROOM))).toEqual([]);
    });

    test('is refused to a socket that has moved to another connection', async () => {
      const { socket } = await newSocket();
      expect(await store.join({ ...socket, connectionId: connectionId() }, [ROOM], 5)).toBe('closed');
      expect((await store.socket(socket))?.rooms).toEqual({});
      expect(await memberIds(roomGroup(ROOM))).toEqual([]);
    });

    test(`is refused beyond ${MOST_ROOMS} rooms, and then none of them is joined`, async () => {
      const { socket } = await newSocket();
      const rooms = Array.from({ length: MOST_ROOMS }, (_, i) => `list:${i}`);
      expect(await store.join(socket, [...rooms, 'list:more'], 5)).toBe('full');
      expect(await store.join(socket, rooms.slice(1), 5)).toBe('joined');
      expect(await store.join(socket, ['list:one', 'list:two'], 5)).toBe('full');
      expect(await memberIds(roomGroup('list:one'))).toEqual([]);
      expect(await store.join(socket, rooms.slice(0, 1), 5)).toBe('joined');
      expect(await store.join(socket, ['list:one'], 5)).toBe('full');
      expect(Object.keys((await store.socket(socket))?.rooms ?? {})).toHaveLength(MOST_ROOMS);
    });
  });

  describe('leaving rooms', () => {
    test('removes the membership and the room from the list, once and again', async () => {
      const { socket } = await newSocket();
      await store.join(socket, [ROOM, 'list:2'], 5);
      expect(await store.leave(socket, [ROOM])).toBe('left');
      expect(await store.leave(socket, [ROOM])).toBe('left');
      expect((await store.socket(socket))?.rooms).toEqual({ 'list:2': 5 });
      expect(await memberIds(roomGroup(ROOM))).toEqual([]);
      expect(await memberIds(roomGroup('list:2'))).toEqual([socket.id]);
    });

    test('leaves other members in it', async () => {
      const { socket } = await newSocket();
      const { socket: other } = await newSocket();
      await store.join(socket, [ROOM], 5);
      await store.join(other, [ROOM], 5);
      await store.leave(socket, [ROOM]);
      expect(await memberIds(roomGroup(ROOM))).toEqual([other.id]);
    });

    test('is refused to a socket that is closed, or has moved', async () => {
      const { socket } = await newSocket();
      await store.join(socket, [ROOM], 5);
      expect(await store.leave({ ...socket, connectionId: connectionId() }, [ROOM])).toBe('closed');
      await store.closeSocket(socket, clock.now());
      expect(await store.leave(socket, [ROOM])).toBe('closed');
      expect(await memberIds(roomGroup(ROOM))).toEqual([socket.id]);
    });
  });

  describe('data', () => {
    test('is saved by changed and removed keys; other keys keep what others saved', async () => {
      const { socket } = await newSocket();
      await store.saveData(socket, { 'app:a': 1, 'app:b': { deep: [null, 'é'] }, 'app:c': '' }, []);
      await store.saveData(socket, { 'app:a': false }, ['app:b', 'app:never']);
      expect((await store.socket(socket))?.data).toEqual({ 'app:a': false, 'app:c': '' });
      await store.saveData(socket, {}, ['app:c']);
      expect((await store.socket(socket))?.data).toEqual({ 'app:a': false });
    });

    test('of two at once with different keys is all kept', async () => {
      const { socket } = await newSocket();
      await Promise.all([store.saveData(socket, { 'a:x': 1 }, []), store.saveData(socket, { 'b:x': 2 }, [])]);
      expect((await store.socket(socket))?.data).toEqual({ 'a:x': 1, 'b:x': 2 });
    });

    test('is not written to a socket that has moved or is not there', async () => {
      const { socket } = await newSocket();
      await store.saveData({ ...socket, connectionId: connectionId() }, { 'app:a': 1 }, []);
      expect((await store.socket(socket))?.data).toEqual({});
      await store.saveData({ ...socket, id: socketId() }, { 'app:a': 1 }, []);
    });
  });

  describe('reading sockets', () => {
    test('finds those that are there, beyond a hundred too', async () => {
      const made = await Promise.all(Array.from({ length: 120 }, () => newSocket()));
      const keys = made.map(({ socket }) => socket);
      const missing = { namespace: NAMESPACE, id: socketId() };
      const found = await store.sockets([...keys.slice(0, 50), missing, ...keys.slice(50)]);
      expect(found.map(({ id }) => id).sort()).toEqual(keys.map(({ id }) => id).sort());
      expect(await store.sockets([])).toEqual([]);
    });

    test('counts expired ones as absent', async () => {
      const { socket } = await newSocket();
      clock.advance(3 * HOUR);
      expect(await store.socket(socket)).toBeUndefined();
      expect(await store.sockets([socket])).toEqual([]);
    });
  });

  describe('removing memberships', () => {
    test('removes those of the rooms named and of the namespace, and again nothing', async () => {
      const { socket } = await newSocket();
      const { socket: other } = await newSocket();
      for (const each of [socket, other]) await store.join(each, [ROOM, HOT_ROOM], 5);
      await store.removeMemberships(socket, [ROOM, HOT_ROOM, 'list:never']);
      await store.removeMemberships(socket, [ROOM]);
      for (const group of [roomGroup(ROOM), roomGroup(HOT_ROOM), whole])
        expect(await memberIds(group)).toEqual([other.id]);
    });

    test('leaves those that name another connection', async () => {
      const { socket } = await newSocket();
      await store.join(socket, [ROOM], 5);
      await store.removeMemberships({ ...socket, connectionId: connectionId() }, [ROOM]);
      expect(await memberIds(roomGroup(ROOM))).toEqual([socket.id]);
      expect(await memberIds(whole)).toEqual([socket.id]);
    });
  });

  describe('who is in a room', () => {
    const anaAt = (at: number) => ({ room: ROOM, who: 'ana', at: clock.now() + at });
    const key = { namespace: NAMESPACE, room: ROOM, who: 'ana' };

    test('changes with the memberships, or not at all', async () => {
      const { socket } = await newSocket();
      const { socket: other } = await newSocket();
      expect(await store.join(socket, [ROOM], 5, [anaAt(0)])).toBe('joined');
      expect(await store.join(other, [ROOM], 5, [anaAt(0)])).toBe('joined');
      expect((await store.socket(socket))?.presences).toEqual({ [ROOM]: 'ana' });
      expect(new Set((await store.presence.get(key))?.sockets)).toEqual(new Set([socket.id, other.id]));
      expect(await store.join(socket, [ROOM], 6, [{ ...anaAt(0), who: 7 }])).toBe('changed');
      expect(await store.leave(socket, [ROOM], [{ ...anaAt(0), who: 7 }])).toBe('changed');
      expect(await store.presence.get({ ...key, who: 7 })).toBeUndefined();
      expect(await memberIds(roomGroup(ROOM))).toHaveLength(2);
      expect(await store.leave(socket, [ROOM], [anaAt(9)])).toBe('left');
      expect((await store.socket(socket))?.presences).toBeUndefined();
      expect(await store.presence.get(key)).toEqual({
        who: 'ana',
        sockets: [other.id],
        leftAt: clock.now() + 9,
        told: false,
      });
      await store.closeSocket(other, clock.now(), false);
      for (let times = 0; times < 2; times += 1) await store.presence.end(other, [anaAt(11 + times)]);
      expect(await store.presence.get(key)).toEqual({
        who: 'ana',
        sockets: [],
        leftAt: clock.now() + 11,
        told: false,
      });
    });

    test('is told by one at a time', async () => {
      const { socket } = await newSocket();
      await store.join(socket, [ROOM], 5, [anaAt(0)]);
      const [one, two] = [Uint8Array.of(1), Uint8Array.of(2)];
      const claim = { now: 10, until: 20 };
      expect(await store.presence.claimLeft(key, { ...claim, teller: one, leftBy: 99 })).toBe(false);
      expect(await store.presence.claimCame(key, { ...claim, teller: one })).toBe(true);
      expect(await store.presence.claimCame(key, { ...claim, teller: one })).toBe(true);
      expect(await store.presence.claimCame(key, { ...claim, teller: two })).toBe(false);
      expect(await store.presence.claimCame(key, { teller: two, now: 20, until: 30 })).toBe(true);
      await store.presence.release(key, one, true);
      expect((await store.presence.get(key))?.told).toBe(false);
      await store.presence.release(key, two, true);
      expect((await store.presence.get(key))?.told).toBe(true);
      expect(await store.presence.remove(key, undefined)).toBe(false);
      await store.leave(socket, [ROOM], [anaAt(40)]);
      expect(
        await store.presence.claimLeft(key, { teller: one, now: 41, until: 50, leftBy: clock.now() + 39 }),
      ).toBe(false);
      expect(
        await store.presence.claimLeft(key, { teller: one, now: 43, until: 50, leftBy: clock.now() + 40 }),
      ).toBe(true);
      expect(await store.presence.remove(key, two)).toBe(false);
      expect(await store.presence.remove(key, one)).toBe(true);
      expect(await store.presence.get(key)).toBeUndefined();
    });

    test.each([ROOM, HOT_ROOM])('is listed up to a limit and counted beyond it: %s', async (room) => {
      const { socket } = await newSocket();
      const whos = Array.from({ length: 25 }, (_, who) => ({ room, who, at: clock.now() }));
      for (const each of whos) {
        const { socket: other } = await newSocket();
        await store.join(other, [room], clock.now(), [each]);
      }
      await store.join(socket, [room], clock.now(), [{ ...whos[0]!, who: 'gone' }]);
      await store.leave(socket, [room], [{ ...whos[0]!, who: 'gone', at: clock.now() }]);
      const list = (limit: number, leftAfter: number) =>
        store.presence.list(NAMESPACE, room, { limit, leftAfter });
      const some = await list(10, clock.now());
      expect([some.count, some.members.length]).toEqual([25, 10]);
      expect((await list(100, clock.now())).members).toHaveLength(25);
      expect((await list(100, clock.now() - 1)).count).toBe(26);
      expect(await store.countMembers(roomGroup(room))).toBe(25);
      clock.advance(3 * HOUR);
      expect(await list(10, 0)).toEqual({ count: 0, members: [] });
      expect(await store.countMembers(roomGroup(room))).toBe(0);
    });
  });

  describe('members of a group', () => {
    const fill = async (room: string, count: number) => {
      const made = await Promise.all(Array.from({ length: count }, () => newSocket()));
      await Promise.all(made.map(({ socket }) => store.join(socket, [room], 5)));
      return made.map(({ socket }) => socket.id);
    };
    const byBytes = (ids: readonly string[]) =>
      [...ids].sort((one, other) =>
        Buffer.compare(Buffer.from(one, 'base64url'), Buffer.from(other, 'base64url')),
      );

    test('come in the unsigned order of their bytes, page by page, each once', async () => {
      const ids = await fill(ROOM, 25);
      const pages: string[][] = [];
      for (let after: string | undefined; ; ) {
        const page = await store.members(roomGroup(ROOM), 0, {
          limit: 10,
          ...(after === undefined ? {} : { after }),
        });
        pages.push(page.members.map(({ id }) => id));
        after = page.next;
        if (after === undefined) break;
      }
      expect(pages.map((page) => page.length).filter((length) => length > 0)).toEqual([10, 10, 5]);
      expect(pages.flat()).toEqual(byBytes(ids));
      // Signed bytes, or the text of the ids, would give other orders.
      expect(pages.flat()).not.toEqual([...ids].sort());
    });

    test('can be read from any place, also where no member is', async () => {
      const ids = byBytes(await fill(ROOM, 5));
      const after = Buffer.alloc(15, 0x80);
      const page = await store.members(roomGroup(ROOM), 0, { after: after.toString('base64url') });
      expect(page.members.map(({ id }) => id)).toEqual(
        ids.filter((id) => Buffer.compare(Buffer.from(id, 'base64url'), after) > 0),
      );
    });

    test('can be read up to any place, and from one to another', async () => {
      const ids = byBytes(await fill(ROOM, 6));
      const read = async (range: { after?: string; through?: string }) =>
        (await store.members(roomGroup(ROOM), 0, range)).members.map(({ id }) => id);
      expect(await read({ through: ids[3]! })).toEqual(ids.slice(0, 4));
      expect(await read({ after: ids[1]!, through: ids[3]! })).toEqual(ids.slice(2, 4));
      expect(await read({ after: ids[3]!, through: ids[3]! })).toEqual([]);
    });

    test('are told from others by their keys', async () => {
      const ids = await fill(ROOM, 3);
      const { socket: stranger } = await newSocket();
      const asked = [ids[0]!, stranger.id, ids[2]!];
      expect(await store.membersAmong(roomGroup(ROOM), asked)).toEqual(new Set([ids[0], ids[2]]));
      expect(await store.membersAmong(whole, asked)).toEqual(new Set(asked));
    });

    test('of a hot room and of a namespace lie in 16 shards, of any other room in one', async () => {
      expect(store.shards(roomGroup(ROOM))).toBe(1);
      expect(store.shards(roomGroup(HOT_ROOM))).toBe(16);
      expect(store.shards(whole)).toBe(16);
      const ids = await fill(HOT_ROOM, 40);
      const first = await store.members(roomGroup(HOT_ROOM), 0, {});
      expect(first.members.length).toBeLessThan(40);
      expect(await memberIds(roomGroup(HOT_ROOM))).toEqual([...ids].sort());
    });

    test('of the same room in another namespace are others', async () => {
      const { socket } = await newSocket({ namespace: '/other' });
      await store.join(socket, [ROOM], 5);
      expect(await memberIds(roomGroup(ROOM))).toEqual([]);
      expect(await memberIds(roomGroup(ROOM, '/other'))).toEqual([socket.id]);
    });

    test('that have outlived any connection count as absent', async () => {
      await fill(ROOM, 2);
      clock.advance(3 * HOUR);
      expect(await memberIds(roomGroup(ROOM))).toEqual([]);
      expect(await memberIds(whole)).toEqual([]);
    });
  });

  describe('what is due', () => {
    test('is found in its minute, over all shards, until it is removed', async () => {
      const minute = Math.ceil(clock.now() / MINUTE) + 5;
      const connection = await newConnection();
      const due: Due[] = Array.from({ length: 40 }, (_, i) => ({
        kind: 'recycle',
        at: minute * MINUTE - i,
        connectionId: `c${i}`,
      }));
      const later: Due = { kind: 'recycle', at: minute * MINUTE + 1, connectionId: 'later' };
      await newConnection({ id: connection.id }, [...due, later]);
      const names = (rows: readonly Due[]) => rows.map((row) => row.connectionId).sort();
      expect(names(await allDue(minute))).toEqual(names(due));
      expect(names(await allDue(minute + 1))).toEqual(['later']);
      await store.removeDue(due[0]!);
      await store.removeDue(due[0]!);
      expect(names(await allDue(minute))).toEqual(names(due.slice(1)));
      const shards = await Promise.all(
        Array.from({ length: store.dueShards() }, (_, shard) => store.due(minute, shard)),
      );
      expect(shards.filter((rows) => rows.length > 0).length).toBeGreaterThan(8);
    });

    test('waits for a sweep that was down for hours', async () => {
      const at = clock.now() + MINUTE;
      await newConnection({}, [{ kind: 'recycle', at, connectionId: 'c' }]);
      clock.advance(23 * HOUR);
      expect(await allDue(Math.ceil(at / MINUTE))).toHaveLength(1);
      clock.advance(2 * HOUR);
      expect(await allDue(Math.ceil(at / MINUTE))).toEqual([]);
    });
  });

  test('the sweep cursor is absent at first, then what was saved last', async () => {
    expect(await store.sweepCursor()).toBeUndefined();
    await store.saveSweepCursor({ minute: 7, since: 3, drained: 6 });
    await store.saveSweepCursor({ minute: 8, since: 3, drained: 6 });
    clock.advance(72 * HOUR);
    expect(await store.sweepCursor()).toEqual({ minute: 8, since: 3, drained: 6 });
  });
}
