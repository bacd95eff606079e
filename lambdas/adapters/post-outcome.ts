import type { PostOutcome } from '../bus/ports.ts';

/**
 * What a failed @connections call means. The status decides, not the error's name: emulators and proxies answer
 * 410 and 429 under other names. 429 is both the account's quota and a client that reads too slowly.
 */
export function postOutcome(error: unknown): Exclude<PostOutcome, 'ok'> {
  const status = httpStatus(error);
  if (status === 410) return 'gone';
  if (status === 429) return 'throttled';
  if (status !== undefined && status >= 400 && status < 500) return 'refused';
  return 'failed';
}

function httpStatus(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('$metadata' in error)) return undefined;
  const metadata = error.$metadata;
  if (typeof metadata !== 'object' || metadata === null || !('httpStatusCode' in metadata)) return undefined;
  return typeof metadata.httpStatusCode === 'number' ? metadata.httpStatusCode : undefined;
}
