/** The outbox, and a word to the ledger where it fails: then a frame may be lost, or may come again. */
import { DynamoOutbox } from '../../lambdas/adapters/dynamo-outbox.ts';
import type { TableCallsOptions } from '../../lambdas/adapters/table-calls.ts';
import type { Ground } from './ground.ts';

/** Told of every post that did not simply arrive. */
export interface FaultedPosts {
  post(connectionId: string, frame: string, kind: 'lost' | 'repeated'): void;
  close(connectionId: string): void;
}

/** Told of what becomes of the parts of broadcasts. */
export interface Parts {
  handedOver(frame: string): void;
  /** @param whole whether it was posted to its end; otherwise it is begun again, and may repeat what it did */
  tried(frame: string, whole: boolean): void;
}

export class WatchedOutbox extends DynamoOutbox {
  readonly #ground: Ground;
  readonly #faulted: FaultedPosts;

  constructor(options: TableCallsOptions, ground: Ground, faulted: FaultedPosts) {
    super(options);
    this.#ground = ground;
    this.#faulted = faulted;
  }

  override async append(
    id: string,
    frames: readonly string[],
  ): Promise<Awaited<ReturnType<DynamoOutbox['append']>>> {
    try {
      return await super.append(id, frames);
    } catch (error) {
      if (this.#ground.isFaultless) this.#ground.violation(`an outbox failed without a fault: ${error}`);
      for (const frame of frames) {
        this.#faulted.post(id, frame, 'lost');
        this.#faulted.post(id, frame, 'repeated');
      }
      throw error;
    }
  }

  override async close(id: string, told?: boolean): ReturnType<DynamoOutbox['close']> {
    try {
      return await super.close(id, told);
    } catch (error) {
      this.#faulted.close(id);
      throw error;
    }
  }
}
