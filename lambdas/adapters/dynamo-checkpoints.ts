/** Checkpoints on DynamoDB: one small row per piece of work, one conditional write per step. */
import type { Checkpoints, Progress } from '../bus/ports.ts';
import { checkpointKey } from './keys.ts';
import { checkpointEnd, ROW_VERSION, type Row } from './rows.ts';
import { TableCalls, type TableCallsOptions } from './table-calls.ts';

const NOTHING: Progress = { late: [], posted: 0, gone: 0, failed: 0, done: false };

export class DynamoCheckpoints implements Checkpoints {
  readonly #calls: TableCalls;
  readonly #now: () => number;

  constructor(options: TableCallsOptions) {
    this.#calls = new TableCalls(options);
    this.#now = () => options.clock.now();
  }

  async claim(work: string, owner: string, until: number): Promise<Progress | 'busy'> {
    const now = this.#now();
    const row = await this.#calls.update({
      Key: checkpointKey(work),
      UpdateExpression: 'SET #owner = :owner, lease = :until, v = :v, t = :t',
      ConditionExpression: 'attribute_not_exists(p) OR lease < :now OR #owner = :owner',
      ExpressionAttributeNames: { '#owner': 'owner' },
      ExpressionAttributeValues: {
        ':owner': owner,
        ':until': until,
        ':now': now,
        ':v': ROW_VERSION,
        ':t': checkpointEnd(now),
      },
      ReturnValues: 'ALL_NEW',
    });
    return row === undefined ? 'busy' : readProgress(row);
  }

  async save(work: string, owner: string, progress: Progress, until: number): Promise<boolean> {
    const row = await this.#calls.update({
      Key: checkpointKey(work),
      UpdateExpression: 'SET progress = :progress, lease = :until',
      ConditionExpression: '#owner = :owner',
      ExpressionAttributeNames: { '#owner': 'owner' },
      ExpressionAttributeValues: {
        ':owner': owner,
        ':progress': JSON.stringify(progress),
        // Nobody need wait for what is done.
        ':until': progress.done ? 0 : until,
      },
    });
    return row !== undefined;
  }
}

function readProgress(row: Row): Progress {
  return typeof row.progress === 'string' ? (JSON.parse(row.progress) as Progress) : NOTHING;
}
