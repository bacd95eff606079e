/** The store on DynamoDB. Each method is one call unless its contract says otherwise. */
import pMap from 'p-map';
import { UnavailableError } from '../bus/errors.ts';
import type {
  Clock,
  Connection,
  CountedGroup,
  Due,
  Group,
  IdRange,
  Json,
  MemberId,
  NotedRoom,
  Page,
  PresenceChange,
  Random,
  SocketKey,
  SocketRecord,
  SocketRef,
  Store,
  SweepCursor,
} from '../bus/ports.ts';
import { isPollingId } from '../contract/ids.ts';
import { DEFAULT_LIMITS, STRIKE_MS } from '../contract/limits.ts';
import { countedAs, countsAsOther } from './counted-as.ts';
import { DynamoPresence } from './dynamo-presence.ts';
import {
  connectionBytes,
  connectionKey,
  DIRECTORY_SHARDS,
  DUE_SHARDS,
  directoryPartition,
  dueKey,
  duePartition,
  groupKey,
  HOT_SHARDS,
  idBytes,
  idText,
  memberKey,
  type RowKey,
  SWEEP_KEY,
  slotMemberId,
  socketKey,
} from './keys.ts';
import type { Reasons } from './patience.ts';
import { endedProbe, linkedTo, openPollRow } from './poll-rows.ts';
import {
  closedEnd,
  connectionRow,
  directoryRow,
  dueRow,
  lifetimeEnd,
  membershipRow,
  ROW_VERSION,
  type Row,
  readConnection,
  readDue,
  readMember,
  readNotedRoom,
  readSocket,
  socketRow,
} from './rows.ts';
import { TableCalls, type TableCallsOptions, type TransactItem } from './table-calls.ts';

/** Membership rows that are written at once. */
const CONCURRENCY = 16;
/** Enough to tell the few apart that open one socket at the same time. */
const OPENER_BYTES = 6;
/** A room noted by this instance is not noted again for this long. */
const NOTE_MS = 10 * 60_000;
const MOST_NOTES = 10_000;

export interface DynamoStoreOptions extends TableCallsOptions {
  /** Whether a room's memberships are spread over shards. */
  readonly isHot: (namespace: string, room: string) => boolean;
  /** Rooms that a socket may be in: its row lists them, and a close removes a row for each (design D5). @default 90 */
  readonly roomsPerSocket?: number;
}

export class DynamoStore implements Store {
  readonly presence: DynamoPresence;
  readonly #calls: TableCalls;
  readonly #table: string;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #isHot: DynamoStoreOptions['isHot'];
  readonly #roomsPerSocket: number;
  /** Namespace and room → when this instance noted it. */
  readonly #noted = new Map<string, number>();

  constructor(options: DynamoStoreOptions) {
    this.#calls = new TableCalls(options);
    this.#table = options.table;
    this.#clock = options.clock;
    this.#random = options.random;
    this.#isHot = options.isHot;
    this.#roomsPerSocket = options.roomsPerSocket ?? DEFAULT_LIMITS.roomsPerSocket;
    this.presence = new DynamoPresence({
      calls: this.#calls,
      table: this.#table,
      clock: this.#clock,
      shards: (namespace, room) => this.shards({ kind: 'room', namespace, room }),
    });
  }

  async createConnection(connection: Connection, due: readonly Due[]): Promise<void> {
    await this.#transact([
      this.#put(connectionRow(connection)),
      ...(isPollingId(connection.id) ? [this.#put(openPollRow(connection))] : []),
      ...addressKeys(connection).map((key) =>
        this.#put(membershipRow(key, connection.id, connection.connectedAt)),
      ),
      ...due.map((row) => this.#put(dueRow(row))),
    ]);
  }

  async countsTo(group: CountedGroup, most: number, without?: string): Promise<boolean> {
    const { rows } = await this.#calls.query({
      KeyConditionExpression: 'p = :p',
      ExpressionAttributeValues: { ':p': groupKey(group, 0) },
      Limit: most + 1,
    });
    return rows.filter((row) => readMember(row).id !== without).length >= most;
  }

  async uncount(connection: Pick<Connection, 'id' | 'countedAt'>): Promise<void> {
    for (const key of addressKeys(connection)) await this.#deleteIfNames(key, connection.id);
  }

  async tally(
    connectionId: string,
    { window, packets }: { readonly window: number; readonly packets: number },
  ): Promise<number> {
    const Key = connectionKey(connectionId);
    const ExpressionAttributeValues = { ':window': window, ':packets': packets };
    const add = () =>
      this.#calls.update({
        Key,
        UpdateExpression: 'SET packets = packets + :packets',
        ConditionExpression: 'tallied = :window',
        ExpressionAttributeValues,
        ReturnValues: 'ALL_NEW',
      });
    const begin = () =>
      this.#calls.update({
        Key,
        UpdateExpression: 'SET packets = :packets, tallied = :window',
        ConditionExpression: 'attribute_exists(p) AND (attribute_not_exists(tallied) OR tallied < :window)',
        ExpressionAttributeValues,
        ReturnValues: 'ALL_NEW',
      });
    // Another instance may have begun the window meanwhile.
    const row = (await add()) ?? (await begin()) ?? (await add());
    return row === undefined ? 0 : (row.packets as number);
  }

  async strike(connectionId: string, at: number, withinMs: number): Promise<number> {
    const Key = connectionKey(connectionId);
    const counted = await this.#calls.update({
      Key,
      UpdateExpression: 'SET strikes = strikes + :one, lastStruckAt = :at',
      ConditionExpression: 'struckAt > :since AND lastStruckAt <= :before',
      ExpressionAttributeValues: {
        ':one': 1,
        ':at': at,
        ':since': at - withinMs,
        ':before': at - STRIKE_MS,
      },
      ReturnValues: 'ALL_NEW',
    });
    if (counted !== undefined) return counted.strikes as number;
    const first = await this.#calls.update({
      Key,
      UpdateExpression: 'SET strikes = :one, struckAt = :at, lastStruckAt = :at',
      ConditionExpression: 'attribute_exists(p) AND (attribute_not_exists(struckAt) OR struckAt <= :since)',
      ExpressionAttributeValues: { ':one': 1, ':at': at, ':since': at - withinMs },
      ReturnValues: 'ALL_NEW',
    });
    if (first !== undefined) return 1;
    const row = await this.#calls.get(Key);
    return typeof row?.strikes === 'number' ? row.strikes : 0;
  }

  async connection(id: string): Promise<Connection | undefined> {
    const row = await this.#calls.get(connectionKey(id));
    if (row === undefined) return undefined;
    const owner = linkedTo(row);
    if (owner === undefined) return readConnection(row);
    const connection = await this.connection(owner);
    return connection?.address === id ? connection : undefined;
  }

  async joinSlot(connectionId: string, slot: number, connectedAt: number, seen: number): Promise<boolean> {
    const group: Group = { kind: 'slot', slot };
    const key = memberKey(group, slotMemberId(connectionId), this.shards(group));
    const refused = await this.#calls.transactOr([
      {
        ConditionCheck: {
          TableName: this.#table,
          Key: connectionKey(connectionId),
          ConditionExpression: '#open = :true',
          ExpressionAttributeNames: { '#open': 'open' },
          ExpressionAttributeValues: { ':true': true },
        },
      },
      this.#put({ ...membershipRow(key, connectionId, connectedAt), seen }),
    ]);
    return refused === undefined;
  }

  async touchSlot(connectionId: string, slot: number, seen: number): Promise<boolean> {
    const group: Group = { kind: 'slot', slot };
    const row = await this.#calls.update({
      Key: memberKey(group, slotMemberId(connectionId), this.shards(group)),
      UpdateExpression: 'SET seen = :seen',
      ConditionExpression: 'attribute_exists(p)',
      ExpressionAttributeValues: { ':seen': seen },
    });
    return row !== undefined;
  }

  async inSlot(connectionId: string, slot: number): Promise<boolean> {
    const group: Group = { kind: 'slot', slot };
    const row = await this.#calls.get(memberKey(group, slotMemberId(connectionId), this.shards(group)));
    return row !== undefined;
  }

  async leaveSlot(connectionId: string, slot: number): Promise<void> {
    const group: Group = { kind: 'slot', slot };
    await this.#deleteIfNames(memberKey(group, slotMemberId(connectionId), this.shards(group)), connectionId);
  }

  async closeConnection(id: string, at: number): Promise<Connection | undefined> {
    const row = await this.#closeRow(id, at);
    if (row === undefined) return undefined;
    const owner = linkedTo(row);
    if (owner !== undefined) return this.#closeOwner(owner, id, at);
    const connection = readConnection(row);
    if (connection.address !== undefined) await this.#closeRow(connection.address, at);
    return connection;
  }

  /** A WebSocket has ended: with it the connection that it had taken over, or else only the attempt. */
  async #closeOwner(owner: string, address: string, at: number): Promise<Connection | undefined> {
    const connection = await this.connection(owner);
    if (connection?.address === address) return this.closeConnection(owner, at);
    await this.#calls.update(endedProbe(owner, address));
    // It may have taken over just before the attempt was ended.
    return (await this.connection(owner))?.address === address ? this.closeConnection(owner, at) : undefined;
  }

  async #closeRow(id: string, at: number): Promise<Row | undefined> {
    return this.#calls.update({
      Key: connectionKey(id),
      UpdateExpression: 'SET #open = :false, t = :t',
      ConditionExpression: 'attribute_exists(p)',
      ExpressionAttributeNames: { '#open': 'open' },
      ExpressionAttributeValues: { ':false': false, ':t': closedEnd(at) },
      ReturnValues: 'ALL_NEW',
    });
  }

  async readdress(socket: SocketRef, address: string): Promise<void> {
    const row = await this.#calls.update({
      Key: socketKey(socket),
      UpdateExpression: 'SET address = :address',
      ConditionExpression: '#connection = :connection AND #state <> :closed',
      ExpressionAttributeNames: { '#state': 'state', '#connection': 'connection' },
      ExpressionAttributeValues: {
        ':address': connectionBytes(address),
        ':connection': connectionBytes(socket.connectionId),
        ':closed': 'closed',
      },
      ReturnValues: 'ALL_NEW',
    });
    if (row === undefined) return;
    const record = readSocket(row);
    const keys = this.#membershipKeys(record, Object.keys(record.rooms));
    await pMap(keys, (key) => this.#rename(key, socket.connectionId, address), { concurrency: CONCURRENCY });
  }

  async #rename(key: RowKey, from: string, to: string): Promise<void> {
    await this.#calls.update({
      Key: key,
      UpdateExpression: 'SET c = :to',
      ConditionExpression: 'c = :from',
      ExpressionAttributeValues: { ':from': connectionBytes(from), ':to': connectionBytes(to) },
    });
  }

  async connectSocket(
    socket: SocketRecord,
    due: readonly Due[],
  ): Promise<'connected' | 'closed' | 'occupied'> {
    const refused = await this.#calls.transactOr([
      this.#takeNamespace(
        socket.connectionId,
        socket.namespace,
        'SET namespaces.#n = :value REMOVE #left.#n',
        socket.id,
      ),
      this.#put(socketRow(socket)),
      ...this.#putMemberships(socket, []),
      ...due.map((row) => this.#put(dueRow(row))),
    ]);
    return refused === undefined ? 'connected' : namespaceRefusal(refused);
  }

  async refuseSocket(socket: SocketRecord): Promise<'refused' | 'closed' | 'occupied'> {
    const at = this.#clock.now();
    const refused = await this.#calls.transactOr([
      this.#takeNamespace(socket.connectionId, socket.namespace, 'SET #left.#n = :value', at),
      this.#put({ ...socketRow(socket), t: closedEnd(at) }),
    ]);
    return refused === undefined ? 'refused' : namespaceRefusal(refused);
  }

  /** The SDK repeats a call whose answer was lost; by its opener the row tells that it was this call that opened it. */
  async openSocket(socket: SocketRef): Promise<boolean> {
    const row = await this.#calls.update({
      Key: socketKey(socket),
      UpdateExpression: 'SET #state = :open, hooksDue = :true, opener = :opener',
      ConditionExpression:
        '#connection = :connection AND (#state = :pending OR (#state = :open AND opener = :opener))',
      ExpressionAttributeNames: { '#state': 'state', '#connection': 'connection' },
      ExpressionAttributeValues: {
        ':open': 'open',
        ':pending': 'pending',
        ':true': true,
        ':opener': this.#random.bytes(OPENER_BYTES),
        ':connection': connectionBytes(socket.connectionId),
      },
    });
    return row !== undefined;
  }

  async socket(key: SocketKey): Promise<SocketRecord | undefined> {
    const row = await this.#calls.get(socketKey(key));
    return row === undefined ? undefined : readSocket(row);
  }

  async sockets(keys: readonly SocketKey[]): Promise<SocketRecord[]> {
    return (await this.#calls.batchGet(keys.map(socketKey))).map(readSocket);
  }

  async closeSocket(socket: SocketRef, at: number, ended = false): Promise<SocketRecord | undefined> {
    const row = await this.#calls.update({
      Key: socketKey(socket),
      UpdateExpression:
        'SET #state = :closed, t = :t, closedAt = if_not_exists(closedAt, :at), version = version + :one' +
        (ended ? ', ended = :ended' : ''),
      ConditionExpression: '#connection = :connection',
      ExpressionAttributeNames: { '#state': 'state', '#connection': 'connection' },
      ExpressionAttributeValues: {
        ':closed': 'closed',
        ':t': closedEnd(at),
        ':at': at,
        ':one': 1,
        ...(ended ? { ':ended': true } : {}),
        ':connection': connectionBytes(socket.connectionId),
      },
      ReturnValues: 'ALL_OLD',
    });
    return row === undefined ? undefined : readSocket(row);
  }

  async recoverSocket(
    known: SocketRecord,
    taken: SocketRecord,
    due: readonly Due[],
  ): Promise<'recovered' | 'changed' | 'closed' | 'occupied'> {
    const { connectionId, namespace, id } = taken;
    const refused = await this.#calls.transactOr([
      this.#takeNamespace(connectionId, namespace, 'SET namespaces.#n = :value REMOVE #left.#n', id),
      this.#takeOver(known, taken),
      ...this.#putMemberships(taken, Object.keys(taken.rooms)),
      ...due.map((row) => this.#put(dueRow(row))),
    ]);
    if (refused === undefined) return 'recovered';
    return refused[0]?.Code === 'ConditionalCheckFailed' ? namespaceRefusal(refused) : 'changed';
  }

  #takeOver(
    known: SocketRecord,
    { connectionId, address, connectedAt, ...taken }: SocketRecord,
  ): TransactItem {
    return {
      Update: {
        TableName: this.#table,
        Key: socketKey(known),
        UpdateExpression: takeOverUpdate(address !== undefined),
        ConditionExpression: '#connection = :before AND version = :version AND ended = :false',
        ExpressionAttributeNames: { '#connection': 'connection', '#state': 'state', '#at': 'at' },
        ExpressionAttributeValues: {
          ':connection': connectionBytes(connectionId),
          ':before': connectionBytes(known.connectionId),
          ':version': known.session?.version ?? 0,
          ':pending': 'pending',
          ':at': connectedAt,
          ':t': lifetimeEnd(connectedAt),
          ':identities': JSON.stringify(taken.identities),
          ':handshake': JSON.stringify(taken.handshake),
          ':true': true,
          ':false': false,
          ':one': 1,
          ...(address === undefined ? {} : { ':address': connectionBytes(address) }),
        },
      },
    };
  }

  async recount(
    socket: SocketRef & Pick<SocketRecord, 'countedAs'>,
    user: string,
  ): Promise<'counted' | 'closed' | 'changed'> {
    const { countedAs: before } = socket;
    const refused = await this.#calls.transactOr([
      ...this.#putRows(socket, userKeys({ ...socket, countedAs: user })),
      ...userKeys(socket).map((Key) => ({ Delete: { TableName: this.#table, Key } })),
      {
        Update: {
          TableName: this.#table,
          Key: socketKey(socket),
          UpdateExpression: 'SET countedAs = :user, provenOn = :connection, version = version + :one',
          ConditionExpression: [
            '#state = :open AND #connection = :connection',
            before === undefined ? 'attribute_not_exists(countedAs)' : 'countedAs = :before',
          ].join(' AND '),
          ExpressionAttributeNames: { '#state': 'state', '#connection': 'connection' },
          ExpressionAttributeValues: {
            ':user': user,
            ':one': 1,
            ':open': 'open',
            ':connection': connectionBytes(socket.connectionId),
            ...(before === undefined ? {} : { ':before': before }),
          },
          ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
        },
      },
    ]);
    if (refused === undefined) return 'counted';
    return isOpenOn(refused.at(-1)?.Item, socket) ? 'changed' : 'closed';
  }

  async noteProof(socket: SocketRef): Promise<boolean> {
    const row = await this.#calls.update({
      Key: socketKey(socket),
      UpdateExpression: 'SET provenOn = :connection',
      ConditionExpression: '#state = :open AND #connection = :connection',
      ExpressionAttributeNames: { '#state': 'state', '#connection': 'connection' },
      ExpressionAttributeValues: {
        ':open': 'open',
        ':connection': connectionBytes(socket.connectionId),
      },
    });
    return row !== undefined;
  }

  async saveExpiry(socket: SocketRef, at: number): Promise<void> {
    await this.#calls.update({
      Key: socketKey(socket),
      UpdateExpression: 'SET expiresAt = :at, provenOn = :connection, version = version + :one',
      ConditionExpression: '#connection = :connection',
      ExpressionAttributeNames: { '#connection': 'connection' },
      ExpressionAttributeValues: {
        ':at': at,
        ':one': 1,
        ':connection': connectionBytes(socket.connectionId),
      },
    });
  }

  async noteGap(socket: SocketRef, position: number): Promise<void> {
    await this.#calls.update({
      Key: socketKey(socket),
      // The earliest stays; whoever recovers from it while there is a later one must not close that.
      UpdateExpression: 'SET gapAt = if_not_exists(gapAt, :at), gapOn = :connection',
      ConditionExpression:
        'attribute_exists(secret) AND (#connection = :connection OR address = :connection)',
      ExpressionAttributeNames: { '#connection': 'connection' },
      ExpressionAttributeValues: {
        ':at': position,
        ':connection': connectionBytes(socket.connectionId),
      },
    });
  }

  async closeGap(socket: SocketRef): Promise<void> {
    await this.#calls.update({
      Key: socketKey(socket),
      UpdateExpression: 'REMOVE gapAt, gapOn',
      ConditionExpression: '#connection = :connection AND NOT gapOn IN (:connection, :address)',
      ExpressionAttributeNames: { '#connection': 'connection' },
      ExpressionAttributeValues: {
        ':connection': connectionBytes(socket.connectionId),
        ':address': connectionBytes(addressOf(socket)),
      },
    });
  }

  async markHooksDone(socket: SocketRef): Promise<void> {
    await this.#calls.update({
      Key: socketKey(socket),
      UpdateExpression: 'SET hooksDue = :false',
      ConditionExpression: '#connection = :connection',
      ExpressionAttributeNames: { '#connection': 'connection' },
      ExpressionAttributeValues: { ':false': false, ':connection': connectionBytes(socket.connectionId) },
    });
  }

  async freeNamespace(socket: SocketRef, at: number): Promise<void> {
    await this.#calls.update({
      Key: connectionKey(socket.connectionId),
      UpdateExpression: 'SET #left.#n = :at REMOVE namespaces.#n',
      ConditionExpression: 'namespaces.#n = :id',
      ExpressionAttributeNames: { '#left': 'left', '#n': socket.namespace },
      ExpressionAttributeValues: { ':at': at, ':id': socket.id },
    });
  }

  async join(
    socket: SocketRef,
    rooms: readonly string[],
    at: number,
    presences: readonly PresenceChange[] = [],
  ): Promise<'joined' | 'closed' | 'full' | 'changed'> {
    const whos = countedAs(presences);
    if (rooms.length > this.#roomsPerSocket) return 'full';
    const keys = rooms.map((room) => this.#roomMemberKey(socket, room));
    const refused = await this.#calls.transactOr([
      ...this.#putRows(socket, keys),
      ...this.presence.entering(socket, presences),
      {
        Update: {
          TableName: this.#table,
          Key: socketKey(socket),
          UpdateExpression: `SET ${['version = version + :one', ...rooms.map((_, i) => `rooms.#r${i} = if_not_exists(rooms.#r${i}, :at)`), ...whos.sets].join(', ')}`,
          ConditionExpression: [
            '#state = :open AND #connection = :connection',
            // A recovered socket joins the rooms that it has, to be counted as present again.
            `(size(rooms) <= :most OR (${rooms.map((_, i) => `attribute_exists(rooms.#r${i})`).join(' AND ')}))`,
            ...whos.freeOrSame,
          ].join(' AND '),
          ExpressionAttributeNames: {
            '#state': 'state',
            '#connection': 'connection',
            ...Object.fromEntries(rooms.map((room, i) => [`#r${i}`, room])),
            ...whos.names,
          },
          ExpressionAttributeValues: {
            ':open': 'open',
            ':connection': connectionBytes(socket.connectionId),
            ':most': this.#roomsPerSocket - rooms.length,
            ':at': at,
            ':one': 1,
            ...whos.values,
          },
          ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
        },
      },
    ]);
    if (refused === undefined) return 'joined';
    const row = refused.at(-1)?.Item;
    if (!isOpenOn(row, socket)) return 'closed';
    return countsAsOther(row, presences) ? 'changed' : 'full';
  }

  async leave(
    socket: SocketRef,
    rooms: readonly string[],
    presences: readonly PresenceChange[] = [],
  ): Promise<'left' | 'closed' | 'changed'> {
    const whos = countedAs(presences);
    const refused = await this.#calls.transactOr([
      ...rooms.map((room) => ({
        Delete: { TableName: this.#table, Key: this.#roomMemberKey(socket, room) },
      })),
      ...this.presence.leaving(socket, presences),
      {
        Update: {
          TableName: this.#table,
          Key: socketKey(socket),
          UpdateExpression: `SET version = version + :one REMOVE ${[...rooms.map((_, i) => `rooms.#r${i}`), ...whos.removes].join(', ')}`,
          ConditionExpression: ['#state = :open AND #connection = :connection', ...whos.same].join(' AND '),
          ExpressionAttributeNames: {
            '#state': 'state',
            '#connection': 'connection',
            ...Object.fromEntries(rooms.map((room, i) => [`#r${i}`, room])),
            ...whos.names,
          },
          ExpressionAttributeValues: {
            ':open': 'open',
            ':connection': connectionBytes(socket.connectionId),
            ':one': 1,
            ...whos.values,
          },
          ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
        },
      },
    ]);
    if (refused === undefined) return 'left';
    return isOpenOn(refused.at(-1)?.Item, socket) ? 'changed' : 'closed';
  }

  async saveData(
    socket: SocketRef,
    changed: Readonly<Record<string, Json>>,
    removed: readonly string[],
  ): Promise<void> {
    const entries = Object.entries(changed);
    const sets = entries.map((_, i) => `#data.#s${i} = :s${i}`);
    const removes = removed.map((_, i) => `#data.#d${i}`);
    await this.#calls.update({
      Key: socketKey(socket),
      UpdateExpression: [
        ...(sets.length === 0 ? [] : [`SET ${sets.join(', ')}`]),
        ...(removes.length === 0 ? [] : [`REMOVE ${removes.join(', ')}`]),
      ].join(' '),
      ConditionExpression: '#connection = :connection',
      ExpressionAttributeNames: {
        '#data': 'data',
        '#connection': 'connection',
        ...Object.fromEntries(entries.map(([key], i) => [`#s${i}`, key])),
        ...Object.fromEntries(removed.map((key, i) => [`#d${i}`, key])),
      },
      ExpressionAttributeValues: {
        ':connection': connectionBytes(socket.connectionId),
        ...Object.fromEntries(entries.map(([, value], i) => [`:s${i}`, JSON.stringify(value)])),
      },
    });
  }

  async removeMemberships(
    socket: SocketRef & Pick<SocketRecord, 'countedAs'>,
    rooms: readonly string[],
  ): Promise<void> {
    const keys = this.#membershipKeys(socket, rooms);
    await pMap(keys, (key) => this.#deleteIfNames(key, socket.connectionId, socket.address), {
      concurrency: CONCURRENCY,
    });
  }

  /** Of the rooms, of the whole namespace and of its user's. */
  #membershipKeys(socket: SocketKey & Pick<SocketRecord, 'countedAs'>, rooms: readonly string[]): RowKey[] {
    const whole: Group = { kind: 'namespace', namespace: socket.namespace };
    return [
      ...rooms.map((room) => this.#roomMemberKey(socket, room)),
      memberKey(whole, idBytes(socket.id), this.shards(whole)),
      ...userKeys(socket),
    ];
  }

  #putMemberships(socket: SocketRecord, rooms: readonly string[]): TransactItem[] {
    return this.#putRows(socket, this.#membershipKeys(socket, rooms));
  }

  #putRows(socket: SocketRef, memberships: readonly RowKey[]): TransactItem[] {
    return memberships.map((key) => this.#put(membershipRow(key, addressOf(socket), socket.connectedAt)));
  }

  shards(group: Group): number {
    return group.kind === 'room' && !this.#isHot(group.namespace, group.room) ? 1 : HOT_SHARDS;
  }

  async members(
    group: Group,
    shard: number,
    { after, through, limit }: IdRange & { readonly limit?: number },
  ): Promise<Page> {
    const p = groupKey(group, shard);
    const { rows, next } = await this.#calls.query({
      KeyConditionExpression: through === undefined ? 'p = :p' : 'p = :p AND s <= :through',
      ExpressionAttributeValues: {
        ':p': p,
        ...(through === undefined ? {} : { ':through': idBytes(through) }),
      },
      ...(after === undefined ? {} : { ExclusiveStartKey: { p, s: idBytes(after) } }),
      ...(limit === undefined ? {} : { Limit: limit }),
    });
    const members = rows.map(readMember);
    return next === undefined ? { members } : { members, next: idText(next) };
  }

  async countMembers(group: Group): Promise<number> {
    const now = Math.floor(this.#clock.now() / 1_000);
    const shards = Array.from({ length: this.shards(group) }, (_, shard) => groupKey(group, shard));
    const counts = await Promise.all(shards.map((p) => this.#calls.count(p, 't > :now', { ':now': now })));
    return counts.reduce((sum, count) => sum + count, 0);
  }

  async membersAmong(group: Group, ids: readonly MemberId[]): Promise<Set<MemberId>> {
    const shards = this.shards(group);
    const rows = await this.#calls.batchGet(ids.map((id) => memberKey(group, idBytes(id), shards)));
    return new Set(rows.map((row) => readMember(row).id));
  }

  async noteRoom(namespace: string, room: string, socketId: string, at: number): Promise<void> {
    const key = `${namespace}\n${room}`;
    if ((this.#noted.get(key) ?? 0) > at - NOTE_MS) return;
    await this.#calls.put(directoryRow(namespace, room, socketId, at));
    if (this.#noted.size >= MOST_NOTES) this.#noted.clear();
    this.#noted.set(key, at);
  }

  async notedRooms(namespace: string): Promise<NotedRoom[]> {
    const shards = Array.from({ length: DIRECTORY_SHARDS }, (_, shard) =>
      directoryPartition(namespace, shard),
    );
    const rows = await Promise.all(shards.map((p) => this.#calls.queryAll(p)));
    return rows.flat().map(readNotedRoom);
  }

  async stillMembers(namespace: string, noted: readonly NotedRoom[]): Promise<Set<string>> {
    const rooms = new Map<string, string>();
    const keys = noted.map(({ room, socketId }) => {
      const key = this.#roomMemberKey({ namespace, id: socketId }, room);
      rooms.set(keyText(key), room);
      return key;
    });
    const rows = await this.#calls.batchGet(keys);
    return new Set(rows.flatMap((row) => rooms.get(keyText(row as unknown as RowKey)) ?? []));
  }

  async due(minute: number, shard: number): Promise<Due[]> {
    return (await this.#calls.queryAll(duePartition(minute, shard))).map(readDue);
  }

  dueShards(): number {
    return DUE_SHARDS;
  }

  async removeDue(due: Due): Promise<void> {
    await this.#calls.delete(dueKey(due));
  }

  async addDue(due: Due): Promise<void> {
    await this.#calls.put(dueRow(due));
  }

  async postponeDue(due: Due, at: number): Promise<void> {
    await this.addDue({ ...due, at });
    await this.removeDue(due);
  }

  async sweepCursor(): Promise<SweepCursor | undefined> {
    const row = await this.#calls.get(SWEEP_KEY);
    if (row === undefined) return undefined;
    const { minute, since, drained = minute } = row as unknown as SweepCursor & { readonly drained?: number };
    return { minute, since, drained };
  }

  async saveSweepCursor(cursor: SweepCursor): Promise<void> {
    await this.#calls.put({ ...SWEEP_KEY, v: ROW_VERSION, ...cursor });
  }

  #roomMemberKey(socket: SocketKey, room: string): RowKey {
    const group: Group = { kind: 'room', namespace: socket.namespace, room };
    return memberKey(group, idBytes(socket.id), this.shards(group));
  }

  #put(row: Row): TransactItem {
    return { Put: { TableName: this.#table, Item: row } };
  }

  #takeNamespace(
    connectionId: string,
    namespace: string,
    update: string,
    value: string | number,
  ): TransactItem {
    return {
      Update: {
        TableName: this.#table,
        Key: connectionKey(connectionId),
        UpdateExpression: update,
        ConditionExpression: '#open = :true AND attribute_not_exists(namespaces.#n)',
        ExpressionAttributeNames: { '#open': 'open', '#n': namespace, '#left': 'left' },
        ExpressionAttributeValues: { ':true': true, ':value': value },
        ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
      },
    };
  }

  async #deleteIfNames(key: RowKey, connectionId: string, address = connectionId): Promise<void> {
    await this.#calls.deleteIf({
      Key: key,
      ConditionExpression: 'c IN (:connection, :address)',
      ExpressionAttributeValues: {
        ':connection': connectionBytes(connectionId),
        ':address': connectionBytes(address),
      },
    });
  }

  async #transact(items: TransactItem[]): Promise<void> {
    const refused = await this.#calls.transactOr(items);
    if (refused !== undefined) throw new UnavailableError('a transaction without conditions was refused');
  }
}

function takeOverUpdate(hasAddress: boolean): string {
  const sets = [
    '#connection = :connection, #state = :pending, #at = :at, t = :t, identities = :identities',
    'handshake = :handshake, recovered = :true, version = version + :one',
    ...(hasAddress ? ['address = :address'] : []),
  ];
  return `SET ${sets.join(', ')} REMOVE closedAt${hasAddress ? '' : ', address'}`;
}

/** They are few, so one partition holds those that are counted together. */
const COUNTED_SHARDS = 1;

function userKeys({ namespace, id, countedAs }: SocketKey & Pick<SocketRecord, 'countedAs'>): RowKey[] {
  if (countedAs === undefined) return [];
  return [memberKey({ kind: 'user', namespace, user: countedAs }, idBytes(id), COUNTED_SHARDS)];
}

function addressKeys({ id, countedAt }: Pick<Connection, 'id' | 'countedAt'>): RowKey[] {
  if (countedAt === undefined) return [];
  return [memberKey({ kind: 'address', address: countedAt }, slotMemberId(id), COUNTED_SHARDS)];
}

/** What a membership names. */
function addressOf({ connectionId, address = connectionId }: SocketRef | SocketRecord): string {
  return address;
}

function keyText({ p, s }: RowKey): string {
  return `${idText(p)} ${idText(s)}`;
}

function namespaceRefusal(reasons: Reasons): 'closed' | 'occupied' {
  return reasons[0]?.Item?.open?.BOOL === true ? 'occupied' : 'closed';
}

function isOpenOn(row: Reasons[number]['Item'], { connectionId }: SocketRef): boolean {
  return row?.state?.S === 'open' && sameBytes(row.connection?.B, connectionBytes(connectionId));
}

function sameBytes(one: Uint8Array | undefined, other: Uint8Array): boolean {
  return one !== undefined && Buffer.compare(one, other) === 0;
}
