/** Cleaning up after recipients that have gone, off the path of what was to be posted (design D7). */
import type { Bus } from './context.ts';
import type { Found } from './union-reader.ts';

/** Members of one piece of work: far below what an invocation's payload may have, and done in a second or two. */
const BATCH = 200;

/** Asks for it and throws nothing: what is not asked for is found again by the next post, or by the sweep. */
export async function reapLater(
  { workers, log }: Pick<Bus, 'workers' | 'log'>,
  gone: readonly Found[],
): Promise<void> {
  for (let begin = 0; begin < gone.length; begin += BATCH) {
    const batch = gone.slice(begin, begin + BATCH);
    try {
      await workers.reap({
        v: 1,
        kind: 'reap',
        gone: batch.map(({ id, connectionId, group }) => ({ id, connectionId, group })),
      });
    } catch (error) {
      log.warn('gone connections could not be handed over to be cleaned up', { count: batch.length, error });
    }
  }
}
