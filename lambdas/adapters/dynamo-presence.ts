/**
 * Who is in a room, on DynamoDB: one row for each of them, with the set of their sockets. A row changes in the
 * transaction of the membership it follows, so that the two cannot disagree whoever crashes when.
 */
import type {
  Clock,
  Presence,
  PresenceChange,
  PresenceClaim,
  PresenceKey,
  PresenceStore,
  SocketKey,
  SocketRef,
  Who,
} from '../bus/ports.ts';
import { countedAs } from './counted-as.ts';
import { connectionBytes, presenceKey, presencePartition, socketKey } from './keys.ts';
import { dueRow, lifetimeEnd, ROW_VERSION, type Row } from './rows.ts';
import type { TableCalls, TransactItem } from './table-calls.ts';

export interface DynamoPresenceOptions {
  readonly calls: TableCalls;
  readonly table: string;
  readonly clock: Clock;
  /** Of a room: those of its memberships. */
  readonly shards: (namespace: string, room: string) => number;
}

/** Nobody tells, or who began to has had the time. */
const FREE = '(attribute_not_exists(tellingUntil) OR tellingUntil <= :now)';

export class DynamoPresence implements PresenceStore {
  readonly #calls: TableCalls;
  readonly #table: string;
  readonly #clock: Clock;
  readonly #shards: DynamoPresenceOptions['shards'];

  constructor({ calls, table, clock, shards }: DynamoPresenceOptions) {
    this.#calls = calls;
    this.#table = table;
    this.#clock = clock;
    this.#shards = shards;
  }

  /** What a join writes of them; at most two items for each. */
  entering(socket: SocketKey, changes: readonly PresenceChange[]): TransactItem[] {
    return changes.flatMap((change) => {
      const told = change.told === true ? ', told = :true' : '';
      return this.#items(
        socket,
        change,
        `SET who = :who, v = :v, t = :t, since = if_not_exists(since, :at)${told} ADD sockets :sockets`,
        change.told === true ? { ':true': true } : {},
      );
    });
  }

  /** What a leave writes of them; at most two items for each. */
  leaving(socket: SocketKey, changes: readonly PresenceChange[]): TransactItem[] {
    return changes.flatMap((change) =>
      this.#items(socket, change, 'SET who = :who, v = :v, t = :t, leftAt = :at DELETE sockets :sockets', {}),
    );
  }

  #items(
    { namespace, id }: SocketKey,
    { room, who, at, due }: PresenceChange,
    UpdateExpression: string,
    values: Row,
  ): TransactItem[] {
    const ExpressionAttributeValues = {
      ':who': who,
      ':v': ROW_VERSION,
      // Any socket that is in the room now is gone before that.
      ':t': lifetimeEnd(at),
      ':at': at,
      ':sockets': new Set([id]),
      ...values,
    };
    const Key = this.#key({ namespace, room, who });
    const update = { TableName: this.#table, Key, UpdateExpression, ExpressionAttributeValues };
    if (due === undefined) return [{ Update: update }];
    return [{ Update: update }, { Put: { TableName: this.#table, Item: dueRow(due) } }];
  }

  async end(socket: SocketRef, changes: readonly PresenceChange[]): Promise<void> {
    const { names, values, removes, same } = countedAs(changes);
    // Refused where it was done before, or where the socket has come back on another connection.
    await this.#calls.transactOr([
      ...this.leaving(socket, changes),
      {
        Update: {
          TableName: this.#table,
          Key: socketKey(socket),
          UpdateExpression: `REMOVE ${removes.join(', ')}`,
          ConditionExpression: ['#state = :closed AND #connection = :connection', ...same].join(' AND '),
          ExpressionAttributeNames: { '#state': 'state', '#connection': 'connection', ...names },
          ExpressionAttributeValues: {
            ':closed': 'closed',
            ':connection': connectionBytes(socket.connectionId),
            ...values,
          },
        },
      },
    ]);
  }

  async get(key: PresenceKey): Promise<Presence | undefined> {
    const row = await this.#calls.get(this.#key(key));
    return row === undefined ? undefined : readPresence(row);
  }

  claimCame(key: PresenceKey, claim: PresenceClaim): Promise<boolean> {
    return this.#claim(key, claim, '', 'attribute_exists(sockets) AND attribute_not_exists(told)', {});
  }

  claimLeft(key: PresenceKey, claim: PresenceClaim & { readonly leftBy: number }): Promise<boolean> {
    const condition = 'attribute_not_exists(sockets) AND leftAt <= :leftBy';
    return this.#claim(key, claim, ' REMOVE told', condition, { ':leftBy': claim.leftBy });
  }

  /** The SDK repeats a call whose answer was lost; by its teller the row tells that it was this call that took it. */
  async #claim(
    key: PresenceKey,
    { teller, now, until }: PresenceClaim,
    change: string,
    condition: string,
    values: Row,
  ): Promise<boolean> {
    const row = await this.#calls.update({
      Key: this.#key(key),
      UpdateExpression: `SET teller = :teller, tellingUntil = :until${change}`,
      ConditionExpression: `${condition} AND (${FREE} OR teller = :teller)`,
      ExpressionAttributeValues: { ':teller': teller, ':until': until, ':now': now, ...values },
    });
    return row !== undefined;
  }

  async release(key: PresenceKey, teller: Uint8Array, came: boolean): Promise<void> {
    await this.#calls.update({
      Key: this.#key(key),
      UpdateExpression: `${came ? 'SET told = :true ' : ''}REMOVE teller, tellingUntil`,
      ConditionExpression: 'teller = :teller',
      ExpressionAttributeValues: { ':teller': teller, ...(came ? { ':true': true } : {}) },
    });
  }

  async remove(key: PresenceKey, teller: Uint8Array | undefined): Promise<boolean> {
    return this.#calls.deleteIf({
      Key: this.#key(key),
      ConditionExpression: `attribute_not_exists(sockets) AND ${teller === undefined ? 'attribute_not_exists(told) AND attribute_not_exists(teller)' : 'teller = :teller'}`,
      ...(teller === undefined ? {} : { ExpressionAttributeValues: { ':teller': teller } }),
    });
  }

  async list(
    namespace: string,
    room: string,
    { leftAfter, limit }: { readonly leftAfter: number; readonly limit: number },
  ): Promise<{ readonly count: number; readonly members: readonly Presence[] }> {
    const shards = Array.from({ length: this.#shards(namespace, room) }, (_, shard) =>
      presencePartition(namespace, room, shard),
    );
    const filter = {
      FilterExpression:
        't > :now AND attribute_exists(since) AND (attribute_exists(sockets) OR leftAt > :after)',
      values: { ':now': Math.floor(this.#clock.now() / 1_000), ':after': leftAfter },
    };
    const pages = await Promise.all(
      shards.map((p) =>
        this.#calls.query({
          KeyConditionExpression: 'p = :p',
          FilterExpression: filter.FilterExpression,
          ExpressionAttributeValues: { ':p': p, ...filter.values },
          // Read before they are filtered: one more, so that a room of just as many is known to end.
          Limit: limit + 1,
        }),
      ),
    );
    const found = pages.flatMap(({ rows }) => rows.map(readPresence));
    const members = found.slice(0, limit);
    if (pages.every(({ next }) => next === undefined)) return { count: found.length, members };
    const counts = await Promise.all(
      shards.map((p) => this.#calls.count(p, filter.FilterExpression, filter.values)),
    );
    return { count: counts.reduce((sum, count) => sum + count, 0), members };
  }

  #key(key: PresenceKey) {
    return presenceKey(key, this.#shards(key.namespace, key.room));
  }
}

function readPresence(row: Row): Presence {
  return {
    who: row.who as Who,
    sockets: [...((row.sockets ?? []) as Iterable<string>)],
    ...(typeof row.leftAt === 'number' ? { leftAt: row.leftAt } : {}),
    told: row.told === true,
    ...(typeof row.tellingUntil === 'number' ? { tellingUntil: row.tellingUntil } : {}),
  };
}
