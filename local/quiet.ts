/** Waiting until nothing runs: between two steps of the clock nothing may be half done. */
import { setImmediate as turn } from 'node:timers/promises';
import { within } from './host/within.ts';

/** A part of the stack that works by itself. */
export interface Worker {
  /** What it is doing, for a reader; empty when nothing. */
  busy(): readonly string[];
  /** Resolves when what it does now is done. */
  settled(): Promise<unknown>;
}

/** Something still runs; on a slower machine it might not. */
export class NotQuietError extends Error {
  override readonly name = 'NotQuietError';
  readonly code = 'not_quiet';
  readonly retryable = true;
  readonly busy: readonly string[];

  constructor(busy: readonly string[], boundMs: number) {
    super(`the stack is not quiet after ${boundMs} ms; still busy: ${busy.join(', ')}`);
    this.busy = busy;
  }
}

/**
 * Turns of the event loop without any work that count as quiet: in each, one frame in a socket of this process gets one
 * hop further, from the gateway to a client and back.
 */
const CALM_TURNS = 8;

/** Resolves when nobody works any more. @throws NotQuietError after `boundMs` of real time */
export async function quiet(workers: readonly Worker[], boundMs: number): Promise<void> {
  const endsMs = performance.now() + boundMs;
  for (let calm = 0; calm < CALM_TURNS; calm += 1) {
    await turn();
    const working = workers.filter((worker) => worker.busy().length > 0);
    if (working.length === 0) continue;
    const leftMs = endsMs - performance.now();
    if (leftMs <= 0) {
      const busy = working.flatMap((worker) => worker.busy());
      throw new NotQuietError(busy, boundMs);
    }
    calm = -1;
    await within(Promise.all(working.map((worker) => worker.settled())), leftMs);
  }
}
