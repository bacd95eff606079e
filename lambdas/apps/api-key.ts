/** Authentication by an API key that machines share with the deployment. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { type AppContext, BusError } from '../bus/public.ts';
import type { Auth } from './define-app.ts';

/** Name of the secret. Two keys with a comma between them are both valid, so that a key can be exchanged. */
const SECRET = 'CLOUD_API_KEY';
const BEARER = /^Bearer +(.+)$/i;

type Verdict = 'valid' | 'missing' | 'invalid' | 'unavailable';

/** The texts that the machines compare with; by what is wrong. */
const TEXTS: Readonly<Record<Exclude<Verdict, 'valid'>, string>> = {
  missing: 'API key required',
  invalid: 'Invalid API key',
  unavailable: 'Service unavailable',
};

/**
 * `auth: { apiKey }` of a socket; anything else ends in `connect_error`. While keys cannot be read the machine is to try again:
 * after a `connect_error` it would not, by itself. Headers are left to `requireApiKey`: what
 * `$connect` sees of them would be kept with the connection.
 */
export function apiKey(): Auth<undefined> {
  return {
    async authenticate({ auth }, context) {
      const verdict = await verify(keyOf(auth), context);
      if (verdict === 'valid') return { kind: 'accepted' };
      return { kind: verdict === 'unavailable' ? verdict : 'refused', message: TEXTS[verdict] };
    },
  };
}

/**
 * Lets a request with `Authorization: Bearer {apiKey}` through.
 * @throws BusError `unauthenticated`, or `internal` where the keys cannot be read
 */
export async function requireApiKey(
  headers: Readonly<Record<string, string>>,
  context: AppContext,
): Promise<void> {
  const verdict = await verify(BEARER.exec(headers.authorization ?? '')?.[1]?.trim(), context);
  if (verdict === 'valid') return;
  throw new BusError(verdict === 'unavailable' ? 'internal' : 'unauthenticated', TEXTS[verdict]);
}

function keyOf(auth: unknown): unknown {
  return typeof auth === 'object' && auth !== null && Object.hasOwn(auth, 'apiKey')
    ? (auth as { readonly apiKey: unknown }).apiKey
    : undefined;
}

async function verify(presented: unknown, context: AppContext): Promise<Verdict> {
  if (presented === undefined || presented === null || presented === '') return 'missing';
  const keys = await acceptedKeys(context);
  if (keys.length === 0) return 'unavailable';
  if (typeof presented !== 'string') return 'invalid';
  // Hashes have one length, which timingSafeEqual wants; every key is compared, so time tells nothing of which.
  const hash = sha256(presented);
  return keys.filter((key) => timingSafeEqual(sha256(key), hash)).length > 0 ? 'valid' : 'invalid';
}

async function acceptedKeys(context: AppContext): Promise<readonly string[]> {
  try {
    const text = await context.secrets.get(SECRET);
    const keys = text.split(',').flatMap((key) => (key.trim() === '' ? [] : [key.trim()]));
    if (keys.length === 0) context.log.error('API keys cannot be verified: the secret holds none');
    return keys;
  } catch (error) {
    context.log.error('API keys cannot be verified', { error });
    return [];
  }
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
