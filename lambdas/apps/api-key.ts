/** Authentication by an API key that machines share with the deployment. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { type AppContext, BusError } from '../bus/public.ts';
import type { Auth } from './define-app.ts';

/**
 * Name of the secret. Two keys with a comma between them are both valid, so that a key can be exchanged. Each is written
 * as it is, or as `sha256:` and the hash of it in hex: nobody but its holder needs the key itself. Keys are random, so
 * that their hashes need no salt.
 */
const SECRET = 'CLOUD_API_KEY';
const HASHED = /^sha256:([0-9a-f]{64})$/i;
/** What is meant as a hash is never taken for a key: whoever reads the secret could show it as one. */
const MEANT_AS_HASH = /^sha-?\d+:/i;
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
  const accepted = await acceptedHashes(context);
  if (accepted.length === 0) return 'unavailable';
  if (typeof presented !== 'string') return 'invalid';
  // Hashes have one length, which timingSafeEqual wants; every key is compared, so time tells nothing of which.
  const hash = sha256(presented);
  return accepted.filter((each) => timingSafeEqual(each, hash)).length > 0 ? 'valid' : 'invalid';
}

/** An entry of the secret is meant as a hash and is none. The message names the entry, and nothing of what it says. */
class ApiKeyError extends Error {
  readonly code = 'invalid_api_key_entry';
  readonly retryable = false;
  /** Which entry, from 0 on: `CLOUD_API_KEY[1]` is the second one. */
  readonly field: string;

  constructor(index: number) {
    const field = `${SECRET}[${index}]`;
    super(`${field} must be a key as it is, or sha256: and 64 hex digits`);
    this.name = 'ApiKeyError';
    this.field = field;
  }
}

/** Of every entry that is one; a malformed one takes nothing from those beside it. */
async function acceptedHashes({ log, secrets }: AppContext): Promise<readonly Buffer[]> {
  let text: string;
  try {
    text = await secrets.get(SECRET);
  } catch (error) {
    log.error('API keys cannot be verified', { error });
    return [];
  }
  const entries = text.split(',').map((entry) => entry.trim());
  if (entries.every((entry) => entry === '')) log.error('API keys cannot be verified: the secret holds none');
  return entries.flatMap((entry, index) => {
    if (entry === '') return [];
    const hex = HASHED.exec(entry)?.[1];
    if (hex !== undefined) return [Buffer.from(hex, 'hex')];
    if (!MEANT_AS_HASH.test(entry)) return [sha256(entry)];
    log.error('an API key is malformed', { error: new ApiKeyError(index) });
    return [];
  });
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
