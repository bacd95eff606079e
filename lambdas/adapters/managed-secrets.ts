/** Secrets from Secrets Manager, cached in the instance. */

import { SecretError } from '../bus/errors.ts';
import type { Clock, Secrets } from '../bus/ports.ts';

/** A rotated secret is noticed after this long at the latest, where Secrets Manager answers; ms. */
const CACHE_MS = 5 * 60_000;
/** Where it does not, the last value is good for so long; ms. */
const STALE_MS = 60 * 60_000;
/** Between two readings while it does not: nobody waits for each of them; ms. */
const PAUSE_MS = 30_000;
/** CONNECT has a client waiting; ms. */
const TIMEOUTS = { connectionTimeout: 1_000, requestTimeout: 3_000, throwOnRequestTimeout: true };

interface Known {
  readonly text: string;
  readonly readAt: number;
}

interface Cached {
  readonly value: Promise<Known>;
  readonly until: number;
}

export class ManagedSecrets implements Secrets {
  readonly #prefix: string;
  readonly #clock: Clock;
  readonly #cache = new Map<string, Cached>();

  /** @param prefix secrets are named `{prefix}/{name}` */
  constructor(prefix: string, clock: Clock) {
    this.#prefix = prefix;
    this.#clock = clock;
  }

  async get(name: string): Promise<string> {
    const now = this.#clock.now();
    const cached = this.#cache.get(name);
    if (cached !== undefined && cached.until > now) return (await cached.value).text;
    const value = this.#read(name).then((text) => ({ text, readAt: now }));
    // One reading at a time, for all who ask.
    const entry = { value: this.#orBefore(name, value, cached?.value), until: now + CACHE_MS };
    this.#cache.set(name, entry);
    return (await entry.value).text;
  }

  /** What was read, or else what was read before, while that is not too old. */
  async #orBefore(name: string, value: Promise<Known>, before: Promise<Known> | undefined): Promise<Known> {
    try {
      return await value;
    } catch (error) {
      const now = this.#clock.now();
      const last = await before;
      if (before === undefined || last === undefined || now - last.readAt >= STALE_MS) {
        this.#cache.delete(name);
        throw error;
      }
      this.#cache.set(name, { value: before, until: now + PAUSE_MS });
      return last;
    }
  }

  async #read(name: string): Promise<string> {
    // Most invocations need no secret: the client is loaded by those that do.
    const { GetSecretValueCommand, SecretsManagerClient } = await import('@aws-sdk/client-secrets-manager');
    const client = new SecretsManagerClient({ requestHandler: TIMEOUTS });
    try {
      const { SecretString } = await client.send(
        new GetSecretValueCommand({ SecretId: `${this.#prefix}/${name}` }),
      );
      if (SecretString === undefined || SecretString === '') throw new SecretError(name);
      return SecretString;
    } catch (error) {
      throw error instanceof SecretError ? error : new SecretError(name, { cause: error });
    }
  }
}
