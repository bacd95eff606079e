/**
 * The log on DynamoDB. What is published to one room is one item in the room's partition. What is published to several
 * is one item for itself, and a small one in each room's partition that points to it and says whom it is for there:
 * what is written again for some of them must not change that for the others.
 */

import { UnavailableError } from '../bus/errors.ts';
import type { EventLog, IdRange, LogEntry, LoggedGroup, Millis } from '../bus/ports.ts';
import { idText, logKey, logPartition, logPosition, messageKey, type RowKey, readLogKey } from './keys.ts';
import { logEnd, ROW_VERSION, type Row } from './rows.ts';
import { TableCalls, type TableCallsOptions } from './table-calls.ts';

/** One BatchGetItem (DynamoDB quotas page: 100 keys, 16 MB). */
const POINTERS = 100;

export class DynamoEventLog implements EventLog {
  readonly #calls: TableCalls;
  readonly #table: string;

  constructor(options: TableCallsOptions) {
    this.#calls = new TableCalls(options);
    this.#table = options.table;
  }

  async append(groups: readonly LoggedGroup[], entry: LogEntry): Promise<void> {
    const { position, id } = entry;
    const t = logEnd(position);
    const [only, ...others] = groups;
    if (only === undefined) return;
    if (others.length === 0) {
      await this.#calls.put({
        ...logKey(only, position, id),
        ...messageColumns(entry),
        ...placeColumns(entry),
        t,
      });
      return;
    }
    const rows: Row[] = [
      { ...messageKey(id), ...messageColumns(entry), t },
      ...groups.map((group) => ({
        ...logKey(group, position, id),
        v: ROW_VERSION,
        ...placeColumns(entry),
        t,
      })),
    ];
    const refused = await this.#calls.transactOr(
      rows.map((row) => ({ Put: { TableName: this.#table, Item: row } })),
    );
    if (refused !== undefined) throw new UnavailableError('a transaction without conditions was refused');
  }

  async markDone(
    groups: readonly LoggedGroup[],
    { position, id }: Pick<LogEntry, 'position' | 'id'>,
    at: Millis,
  ): Promise<void> {
    const [only, ...others] = groups;
    if (only === undefined) return;
    await this.#calls.update({
      Key: others.length === 0 ? logKey(only, position, id) : messageKey(id),
      UpdateExpression: 'SET doneAt = :at',
      ConditionExpression: 'attribute_exists(p)',
      ExpressionAttributeValues: { ':at': at },
    });
  }

  async withdraw(
    groups: readonly LoggedGroup[],
    { position, id }: Pick<LogEntry, 'position' | 'id'>,
  ): Promise<void> {
    // The places first: one without a message is skipped by who reads it, a message without a place by nobody.
    for (const group of groups) await this.#calls.delete(logKey(group, position, id));
    if (groups.length > 1) await this.#calls.delete(messageKey(id));
  }

  async read(
    group: LoggedGroup,
    {
      from,
      limit,
      descending,
      after: place,
      characters = Number.POSITIVE_INFINITY,
    }: Parameters<EventLog['read']>[1],
  ): Promise<LogEntry[]> {
    const p = logPartition(group);
    const entries: LogEntry[] = [];
    let left = characters;
    for (let after = place === undefined ? undefined : logKey(group, place.position, place.id).s; ; ) {
      const page = await this.#calls.query({
        KeyConditionExpression: 'p = :p AND s >= :from',
        ExpressionAttributeValues: { ':p': p, ':from': logPosition(from) },
        Limit: limit - entries.length,
        ScanIndexForward: descending !== true,
        ...(after === undefined ? {} : { ExclusiveStartKey: { p, s: after } }),
      });
      for (const part of partsOf(page.rows)) {
        if (left < 0) break;
        const whole = await this.#whole(part);
        entries.push(...whole);
        left -= whole.reduce((sum, { frames }) => frames.reduce((all, { length }) => all + length, sum), 0);
      }
      after = page.next;
      if (after === undefined || entries.length >= limit || left < 0) return entries;
    }
  }

  async #whole(rows: readonly Row[]): Promise<LogEntry[]> {
    const pointers = rows.filter((row) => row.frames === undefined);
    const ids = new Set(pointers.map((row) => readLogKey(row.s as Uint8Array).id));
    const messages = new Map(
      (await this.#calls.batchGet([...ids].map(messageKey))).map((row) => [
        messageIdOf(row as unknown as RowKey),
        row,
      ]),
    );
    return rows.flatMap((row) => {
      const { id } = readLogKey(row.s as Uint8Array);
      const message = row.frames === undefined ? messages.get(id) : row;
      // The message expires with the last of its pointers, or after them.
      return message === undefined ? [] : [readEntry(row, message)];
    });
  }
}

/** What rows point to may be far larger than they are: a few at a time are followed. */
function partsOf(rows: readonly Row[]): Row[][] {
  const size = rows.some((row) => row.frames === undefined) ? POINTERS : Math.max(rows.length, 1);
  return Array.from({ length: Math.ceil(rows.length / size) }, (_, part) =>
    rows.slice(part * size, (part + 1) * size),
  );
}

function messageColumns({ frames, identity }: LogEntry): Row {
  return { v: ROW_VERSION, frames, ...(identity === undefined ? {} : { identity }) };
}

function placeColumns({ except, range }: LogEntry): Row {
  return { ...(except.length === 0 ? {} : { except }), ...(range === undefined ? {} : { range }) };
}

function readEntry(row: Row, message: Row): LogEntry {
  return {
    ...readLogKey(row.s as Uint8Array),
    frames: message.frames as string[],
    except: (row.except ?? []) as string[],
    ...(row.range === undefined ? {} : { range: row.range as IdRange }),
    ...(typeof message.identity === 'string' ? { identity: message.identity } : {}),
    ...(typeof message.doneAt === 'number' ? { doneAt: message.doneAt } : {}),
  };
}

function messageIdOf({ p }: RowKey): string {
  return idText(p.subarray(1));
}
