/** A message that its publisher has named is published once, however often it is asked for (design D8). */
import { createHash } from 'node:crypto';
import type { EmitResult } from '../contract/publish.ts';
import type { Bus } from './context.ts';
import { BusError, invalidPayload } from './errors.ts';
import { newId } from './names.ts';
import type { NamedPublication } from './ports.ts';

/** As long as the publish function may run (28 s, `lib/functions.ts`), and 4 s for clocks. A crashed one is repeated after that. */
export const LEASE_MS = 32_000;
/** How long one that is under way somewhere else is waited for. */
const WAIT_MS = 5_000;
const WAIT_STEP_MS = 200;

/** Equal for publishes that do the same. */
export function publicationHash(parts: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url');
}

/**
 * Runs it unless it has been done; then the answer is the one that was given.
 * @throws BusError `invalid_payload` where the name belongs to something else; `in_progress`, retryable, where it is
 *   under way or was cut off less than 32 s ago: nobody is told that it is done before it is
 */
export async function once(
  bus: Pick<Bus, 'publications' | 'clock' | 'random' | 'log'>,
  named: NamedPublication,
  run: () => Promise<EmitResult>,
): Promise<EmitResult> {
  const { clock, publications } = bus;
  const owner = newId(bus.random);
  for (const deadline = clock.now() + WAIT_MS; ; ) {
    const claim = await publications.claim(named, owner, clock.now() + LEASE_MS);
    if (claim === 'claimed') break;
    if (claim === 'other') throw invalidPayload(`id: another message was published as ${named.name}`, 'id');
    if (claim !== 'busy') return claim.result as unknown as EmitResult;
    if (clock.now() >= deadline)
      throw new BusError('in_progress', `the message ${named.name} is being published`, { retryable: true });
    await clock.sleep(WAIT_STEP_MS);
  }
  try {
    const result = await run();
    await publications.finish(named, owner, result);
    return result;
  } catch (error) {
    // Who tries it again need not wait for the lease to run out.
    await publications
      .release(named, owner)
      .catch((failure: unknown) => bus.log.warn('a publish could not be given up', { error: failure }));
    throw error;
  }
}
