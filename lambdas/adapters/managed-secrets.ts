/** Secrets from Secrets Manager, cached in the instance. */

import { SecretError } from '../bus/errors.ts';
import type { Clock, Secrets } from '../bus/ports.ts';

/** A rotated secret is noticed after this long at the latest. */
const CACHE_MS = 5 * 60_000;

interface Cached {
  readonly value: Promise<string>;
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

  get(name: string): Promise<string> {
    const now = this.#clock.now();
    const cached = this.#cache.get(name);
    if (cached !== undefined && cached.until > now) return cached.value;
    const value = this.#read(name);
    this.#cache.set(name, { value, until: now + CACHE_MS });
    value.catch(() => this.#cache.delete(name));
    return value;
  }

  async #read(name: string): Promise<string> {
    // Most invocations need no secret: the client is loaded by those that do.
    const { GetSecretValueCommand, SecretsManagerClient } = await import('@aws-sdk/client-secrets-manager');
    const client = new SecretsManagerClient({});
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
