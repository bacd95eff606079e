/** Key sets of those who issue tokens, read over HTTPS and cached in the instance. */
import * as z from 'zod/mini';
import { KeySetError } from '../bus/errors.ts';
import type { Clock, KeySet, KeySets } from '../bus/ports.ts';

/** A key that was withdrawn is noticed after this long at the latest, where the issuer answers; ms. */
const FRESH_MS = 10 * 60_000;
/** Where the issuer does not answer its keys are good for so long; ms. */
const STALE_MS = 60 * 60_000;
/** Between two readings, whatever keys tokens name: made-up ones must not become requests to the issuer; ms. */
const PAUSE_MS = 30_000;
/** The same where there is nothing to go on with yet; ms. */
const FIRST_PAUSE_MS = 2_000;
/** CONNECT has a client waiting; ms. */
const TIMEOUT_MS = 3_000;
/** Sets have a few keys of some 2 KB. */
const MAX_BYTES = 256 * 1_024;

const keySetSchema = z.object({ keys: z.array(z.record(z.string(), z.json())) });

interface Entry {
  readonly set?: KeySet;
  readonly readAt?: number;
  readonly triedAt?: number;
  readonly reading?: Promise<KeySet>;
}

export class FetchedKeySets implements KeySets {
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async get(url: string, lacking?: KeySet): Promise<KeySet> {
    const entry = this.#entries.get(url) ?? {};
    const { set, readAt = 0, triedAt, reading } = entry;
    const age = this.#clock.now() - readAt;
    if (set !== undefined && lacking !== set && age < FRESH_MS) return set;
    const usable = set !== undefined && age < STALE_MS ? set : undefined;
    const pause = usable === undefined ? FIRST_PAUSE_MS : PAUSE_MS;
    if (reading === undefined && triedAt !== undefined && this.#clock.now() - triedAt < pause) {
      if (usable !== undefined) return usable;
      throw new KeySetError(url);
    }
    try {
      return await (reading ?? this.#begin(url, entry));
    } catch (error) {
      if (usable !== undefined) return usable;
      throw error;
    }
  }

  /** One reading at a time, for all who ask. */
  #begin(url: string, before: Entry): Promise<KeySet> {
    const triedAt = this.#clock.now();
    const reading = readKeySet(url).then(
      (set) => {
        this.#entries.set(url, { set, readAt: this.#clock.now(), triedAt });
        return set;
      },
      (cause: unknown) => {
        const { set, readAt } = before;
        this.#entries.set(
          url,
          set === undefined || readAt === undefined ? { triedAt } : { set, readAt, triedAt },
        );
        throw new KeySetError(url, { cause });
      },
    );
    this.#entries.set(url, { ...before, triedAt, reading });
    return reading;
  }
}

/** A redirect is an error: where the keys are is what the operator said. */
async function readKeySet(url: string): Promise<KeySet> {
  const response = await fetch(url, {
    headers: { accept: 'application/jwk-set+json, application/json' },
    redirect: 'error',
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const body = await textOf(response);
  if (response.status !== 200) throw new Error(`the answer has the status ${response.status}`);
  return keySetSchema.parse(JSON.parse(body));
}

async function textOf({ body }: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of body ?? []) {
    bytes += part.byteLength;
    if (bytes > MAX_BYTES) throw new Error(`the answer has more than ${MAX_BYTES} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}
