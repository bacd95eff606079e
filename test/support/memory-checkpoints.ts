import type { Checkpoints, Clock, Progress } from '../../lambdas/bus/ports.ts';

/** Checkpoints as they should be: one owner at a time, and nothing forgotten. */
export class MemoryCheckpoints implements Checkpoints {
  readonly #clock: Clock;
  readonly rows = new Map<string, { owner: string; until: number; progress: Progress | undefined }>();
  saves = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async claim(work: string, owner: string, until: number): Promise<Progress | 'busy'> {
    const row = this.rows.get(work);
    if (row !== undefined && row.until >= this.#clock.now() && row.owner !== owner) return 'busy';
    this.rows.set(work, { owner, until, progress: row?.progress });
    return row?.progress ?? { late: [], posted: 0, gone: 0, failed: 0, done: false };
  }

  async save(work: string, owner: string, progress: Progress, until: number): Promise<boolean> {
    await this.#clock.sleep(5);
    const row = this.rows.get(work);
    if (row?.owner !== owner) return false;
    this.saves += 1;
    this.rows.set(work, { owner, until: progress.done ? 0 : until, progress });
    return true;
  }
}
