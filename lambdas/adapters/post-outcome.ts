import type { PostOutcome } from '../bus/ports.ts';

/**
 * What the answer to an @connections call means. The status decides, not an error's name: emulators and proxies answer
 * 410 and 429 under other names. 429 is both the account's quota and a client that reads too slowly.
 *
 * @param status undefined where there was no answer: a timeout, a connection that broke
 */
export function postOutcome(status: number | undefined): PostOutcome {
  if (status === undefined) return 'failed';
  if (status >= 200 && status < 300) return 'ok';
  if (status === 410) return 'gone';
  if (status === 429) return 'throttled';
  if (status >= 400 && status < 500) return 'refused';
  return 'failed';
}

/** The status in an error of the SDK; undefined where there was no answer. */
export function statusOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('$metadata' in error)) return undefined;
  const metadata = error.$metadata;
  if (typeof metadata !== 'object' || metadata === null || !('httpStatusCode' in metadata)) return undefined;
  return typeof metadata.httpStatusCode === 'number' ? metadata.httpStatusCode : undefined;
}
