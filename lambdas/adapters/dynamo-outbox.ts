/** The outbox on DynamoDB: one row per client that polls, which holds what it has not acknowledged. */
import { UnavailableError } from '../bus/errors.ts';
import type { Clock, Outbox, PollSession, Probe, Random } from '../bus/ports.ts';
import { connectionKey, pollKey } from './keys.ts';
import { endedProbe, linkedTo, linkRow, readPollSession } from './poll-rows.ts';
import { closedEnd, type Row } from './rows.ts';
import { TableCalls, type TableCallsOptions } from './table-calls.ts';

/**
 * An item may have 400 KB (DynamoDB quotas page). What the client has sent of a packet that is not whole has up to 32;
 * the rest of the row and list overhead need little.
 */
const MOST_BYTES = 340_000;
/** What a list element costs beside its bytes, more or less. */
const ELEMENT_BYTES = 8;
/** Writes that are remembered, so that one that is sent twice is seen to be the same. */
const MOST_TOKENS = 16;
const TOKEN_BYTES = 6;
/** Marks of earlier polls that are remembered, and how much of each: clients choose them. */
const MOST_MARKS = 8;
const MARK_CHARS = 64;
/** A client asks again within moments of an answer; one that has not for so long has vanished. */
const VANISHED_MS = 60_000;

export class DynamoOutbox implements Outbox {
  readonly #calls: TableCalls;
  readonly #table: string;
  readonly #clock: Clock;
  readonly #random: Random;

  constructor(options: TableCallsOptions) {
    this.#calls = new TableCalls(options);
    this.#table = options.table;
    this.#clock = options.clock;
    this.#random = options.random;
  }

  async session(id: string): Promise<PollSession | undefined> {
    const row = await this.#calls.get(pollKey(id));
    return row === undefined ? undefined : readPollSession(row);
  }

  async append(id: string, frames: readonly string[]): ReturnType<Outbox['append']> {
    const bytes = frames.reduce((sum, frame) => sum + sizeOf(frame), 0);
    const token = Buffer.from(this.#random.bytes(TOKEN_BYTES)).toString('base64url');
    const pause = this.#calls.pauses();
    for (;;) {
      const row = await this.#calls.get(pollKey(id));
      if (row === undefined || row.open !== true) return 'gone';
      // An update whose answer was lost is sent again by the SDK, and then meets its own effect.
      if ((row.tokens as string[]).includes(token)) return 'appended';
      if (typeof row.address === 'string') return { address: row.address };
      if ((row.asked as number) <= this.#clock.now() - VANISHED_MS) return 'gone';
      if (bytes > MOST_BYTES) return 'tooLarge';
      if ((row.bytes as number) + bytes > MOST_BYTES) return 'full';
      if (await this.#appendTo(row, frames, bytes, token)) return 'appended';
      if (!(await pause())) throw new UnavailableError('an outbox was written to by too many at once');
    }
  }

  /** False where somebody else was quicker. */
  async #appendTo(row: Row, frames: readonly string[], bytes: number, token: string): Promise<boolean> {
    const outcome = await this.#calls.update({
      Key: pollKey(row.id as string),
      UpdateExpression:
        'SET frames = list_append(frames, :frames), bytes = bytes + :bytes, appended = :after, tokens = :tokens',
      ConditionExpression: '#open = :true AND attribute_not_exists(address) AND appended = :before',
      ExpressionAttributeNames: { '#open': 'open' },
      ExpressionAttributeValues: {
        ':frames': frames,
        ':bytes': bytes,
        ':before': row.appended,
        ':after': (row.appended as number) + frames.length,
        ':tokens': [...(row.tokens as string[]), token].slice(-MOST_TOKENS),
        ':true': true,
      },
    });
    return outcome !== undefined;
  }

  async beginPoll(
    id: string,
    { lease, mark, until }: Parameters<Outbox['beginPoll']>[1],
  ): ReturnType<Outbox['beginPoll']> {
    const now = this.#clock.now();
    const row = await this.#calls.get(pollKey(id));
    if (row === undefined) return 'unknown';
    if (isOver(row)) return readPollSession(row);
    const { earlier, isLast: repeated, isEarlier } = markedAs(row, mark);
    if (isEarlier) return 'late';
    if (leased(row.pollUntil, now)) return 'overlap';
    const done = repeated ? 0 : (row.answered as number);
    const doneBytes = (row.frames as string[]).slice(0, done).reduce((sum, frame) => sum + sizeOf(frame), 0);
    const removed = Array.from({ length: done }, (_, index) => `frames[${index}]`);
    const updated = await this.#calls.update({
      Key: pollKey(id),
      UpdateExpression: `SET poll = :lease, pollUntil = :until, asked = :now, bytes = bytes - :bytes, answered = :zero, earlier = :earlier${
        removed.length === 0 ? '' : ` REMOVE ${removed.join(', ')}`
      }`,
      // Whoever else begins or ends a request in between changes one of these.
      ConditionExpression:
        'answered = :answered AND (attribute_not_exists(pollUntil) OR pollUntil <= :now) AND asked = :asked',
      ExpressionAttributeValues: {
        ':lease': lease,
        ':until': until,
        ':now': Math.max(now, (row.asked as number) + 1),
        ':bytes': doneBytes,
        ':zero': 0,
        ':earlier': earlier,
        ':answered': row.answered,
        ':asked': row.asked,
      },
      ReturnValues: 'ALL_NEW',
    });
    if (updated !== undefined) return readPollSession(updated);
    const met = await this.#calls.get(pollKey(id));
    return met !== undefined && (met.poll === lease || isOver(met)) ? readPollSession(met) : 'overlap';
  }

  async endPoll(
    id: string,
    { lease, mark, count, told }: Parameters<Outbox['endPoll']>[1],
  ): Promise<boolean> {
    const outcome = await this.#calls.update({
      Key: pollKey(id),
      UpdateExpression: `SET answered = :count, mark = :mark, ended = :lease${told ? ', told = :true' : ''} REMOVE poll, pollUntil`,
      ConditionExpression: 'poll = :lease',
      ExpressionAttributeValues: {
        ':count': count,
        ':mark': cut(mark ?? ''),
        ':lease': lease,
        ...(told ? { ':true': true } : {}),
      },
    });
    if (outcome !== undefined) return true;
    const met = await this.#calls.get(pollKey(id));
    return met?.poll === undefined && met?.ended === lease;
  }

  async beginSend(
    id: string,
    { lease, until }: Parameters<Outbox['beginSend']>[1],
  ): ReturnType<Outbox['beginSend']> {
    const updated = await this.#calls.update({
      Key: pollKey(id),
      UpdateExpression: 'SET send = :lease, sendUntil = :until',
      ConditionExpression: 'attribute_exists(p) AND (attribute_not_exists(sendUntil) OR sendUntil <= :now)',
      ExpressionAttributeValues: { ':lease': lease, ':until': until, ':now': this.#clock.now() },
      ReturnValues: 'ALL_NEW',
    });
    if (updated !== undefined) return readPollSession(updated);
    const met = await this.#calls.get(pollKey(id));
    if (met === undefined) return 'unknown';
    const isRefused = met.open !== true || typeof met.address === 'string';
    return met.send === lease || isRefused ? readPollSession(met) : 'overlap';
  }

  async endSend(id: string, lease: string, partial: readonly string[]): Promise<void> {
    const keeps = partial.length > 0;
    await this.#calls.update({
      Key: pollKey(id),
      UpdateExpression: keeps ? 'SET part = :part REMOVE send, sendUntil' : 'REMOVE send, sendUntil, part',
      ConditionExpression: 'send = :lease',
      ExpressionAttributeValues: { ':lease': lease, ...(keeps ? { ':part': partial } : {}) },
    });
  }

  async close(id: string, told = false): Promise<PollSession | undefined> {
    const updated = await this.#calls.update({
      Key: pollKey(id),
      UpdateExpression: `SET #open = :false, t = :t${told ? ', told = :true' : ''}`,
      ConditionExpression: 'attribute_exists(p)',
      ExpressionAttributeNames: { '#open': 'open' },
      ExpressionAttributeValues: {
        ':false': false,
        ':t': closedEnd(this.#clock.now()),
        ...(told ? { ':true': true } : {}),
      },
      ReturnValues: 'ALL_NEW',
    });
    return updated === undefined ? undefined : readPollSession(updated);
  }

  async beginProbe(id: string, probe: Probe): Promise<'probing' | 'unknown' | 'taken'> {
    const refused = await this.#calls.transactOr([
      { Put: { TableName: this.#table, Item: linkRow(id, probe) } },
      {
        Update: {
          TableName: this.#table,
          Key: pollKey(id),
          UpdateExpression: 'SET probe = :probe',
          // One that was abandoned is not written over: nobody would know of it any more, and close it.
          ConditionExpression:
            '#open = :true AND attribute_not_exists(address) AND attribute_not_exists(probe)',
          ExpressionAttributeNames: { '#open': 'open' },
          ExpressionAttributeValues: { ':probe': probe, ':true': true },
          ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
        },
      },
    ]);
    if (refused === undefined) return 'probing';
    return refused.at(-1)?.Item?.open?.BOOL === true ? 'taken' : 'unknown';
  }

  async endProbe(id: string, address: string): Promise<void> {
    await this.#calls.update(endedProbe(id, address));
  }

  async probedBy(address: string): Promise<string | undefined> {
    const row = await this.#calls.get(connectionKey(address));
    return row === undefined ? undefined : linkedTo(row);
  }

  async countEarly(address: string, most: number): Promise<boolean> {
    const counted = await this.#calls.update({
      Key: connectionKey(address),
      UpdateExpression: 'SET early = if_not_exists(early, :zero) + :one',
      ConditionExpression: 'attribute_exists(p) AND (attribute_not_exists(early) OR early < :most)',
      ExpressionAttributeValues: { ':zero': 0, ':one': 1, ':most': most },
    });
    return counted !== undefined;
  }

  async upgrade(id: string, address: string, appended: number): Promise<'upgraded' | 'more' | 'closed'> {
    const refused = await this.#calls.transactOr([
      {
        Update: {
          TableName: this.#table,
          Key: pollKey(id),
          UpdateExpression:
            'SET address = :address, frames = :none, bytes = :zero, answered = :zero REMOVE probe',
          ConditionExpression:
            '#open = :true AND attribute_not_exists(address) AND probe.address = :address AND appended = :appended',
          ExpressionAttributeNames: { '#open': 'open' },
          ExpressionAttributeValues: {
            ':address': address,
            ':none': [],
            ':zero': 0,
            ':true': true,
            ':appended': appended,
          },
          ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
        },
      },
      {
        Update: {
          TableName: this.#table,
          Key: connectionKey(id),
          UpdateExpression: 'SET address = :address',
          ConditionExpression: '#open = :true',
          ExpressionAttributeNames: { '#open': 'open' },
          ExpressionAttributeValues: { ':address': address, ':true': true },
        },
      },
    ]);
    if (refused === undefined) return 'upgraded';
    const [poll, connection] = refused;
    if (connection?.Code === 'ConditionalCheckFailed') return 'closed';
    const { open, address: taken, appended: now } = poll?.Item ?? {};
    return open?.BOOL === true && taken === undefined && Number(now?.N) > appended ? 'more' : 'closed';
  }
}

/** Nothing is fetched any more: a request that comes all the same is refused, and holds up none after it. */
function isOver(row: Row): boolean {
  return typeof row.address === 'string' || (row.open !== true && row.told === true);
}

/** What a poll's mark says of it, and the marks that count as earlier from now on. */
function markedAs(
  row: Row,
  mark: string | undefined,
): { readonly earlier: readonly string[]; readonly isLast: boolean; readonly isEarlier: boolean } {
  const earlier = (row.earlier ?? []) as string[];
  const last = typeof row.mark === 'string' && row.mark !== '' ? row.mark : undefined;
  const isEarlier = mark !== undefined && earlier.includes(cut(mark));
  const isLast = mark !== undefined && !isEarlier && last === cut(mark);
  const isKnown = last === undefined || isLast || earlier.includes(last);
  return { earlier: (isKnown ? earlier : [...earlier, last]).slice(-MOST_MARKS), isLast, isEarlier };
}

/** Its end, for a mark may begin with the time. */
function cut(mark: string): string {
  return mark.slice(-MARK_CHARS);
}

function sizeOf(frame: string): number {
  return Buffer.byteLength(frame) + ELEMENT_BYTES;
}

function leased(until: unknown, now: number): boolean {
  return typeof until === 'number' && until > now;
}
