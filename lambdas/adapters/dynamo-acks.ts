/** Answers to events, in rows of the bus table that do not outlive them for long. */
import type { AckAnswer, AckKey, Acks, Clock, Millis } from '../bus/ports.ts';
import { ackAnswerKey, ackKey, idText, type RowKey } from './keys.ts';
import { ackEnd, ROW_VERSION, type Row } from './rows.ts';
import { TableCalls, type TableCallsOptions } from './table-calls.ts';

/**
 * Up to as many answers are looked for by their keys, so that those that are there are not read again: one read unit each,
 * in one call. A thousand small ones in a page are 25.
 */
const FEW = 100;

export class DynamoAcks implements Acks {
  readonly #calls: TableCalls;
  readonly #clock: Clock;

  constructor(options: TableCallsOptions) {
    this.#calls = new TableCalls(options);
    this.#clock = options.clock;
  }

  async await(key: AckKey, until: Millis): Promise<void> {
    await this.#calls.update({
      Key: ackKey(key),
      UpdateExpression: 'SET #until = :until, v = :v, t = :t',
      ExpressionAttributeNames: { '#until': 'until' },
      ExpressionAttributeValues: { ':until': until, ':v': ROW_VERSION, ':t': ackEnd(until) },
    });
  }

  /**
   * Reads whether anybody waits before it writes, instead of both in a transaction: a thousand answers that check one row
   * at the same time would put each other off, and each would cost four times as much. What comes between the two leaves a row that nobody
   * reads.
   */
  async answer(key: AckKey, { socketId, frames }: AckAnswer): Promise<boolean> {
    const marker = await this.#calls.get(ackKey(key));
    if (marker === undefined || (marker.until as number) < this.#clock.now()) return false;
    const kept = await this.#calls.update({
      Key: ackAnswerKey(key, socketId),
      UpdateExpression: 'SET frames = :frames, v = :v, t = :t',
      ConditionExpression: 'attribute_not_exists(p)',
      ExpressionAttributeValues: {
        ':frames': frames,
        ':v': ROW_VERSION,
        ':t': ackEnd(marker.until as number),
      },
    });
    return kept !== undefined;
  }

  async answers(key: AckKey, socketIds: readonly string[]): Promise<AckAnswer[]> {
    const rows =
      socketIds.length <= FEW
        ? await this.#calls.batchGet(socketIds.map((id): RowKey => ackAnswerKey(key, id)))
        : await this.#calls.queryAll(ackKey(key).p);
    const asked = new Set(socketIds);
    return rows
      .filter((row) => row.frames !== undefined)
      .map(readAnswer)
      .filter(({ socketId }) => asked.has(socketId));
  }
}

function readAnswer(row: Row): AckAnswer {
  return { socketId: idText(row.s as Uint8Array), frames: row.frames as string[] };
}
