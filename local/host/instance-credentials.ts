/** The keys of instances: issued with each, forgotten some time after its end. */
import type { GatewayClock } from '../gateway/clock.ts';
import type { FunctionDefinition } from '../template/deployment.ts';
import type { CredentialStore, TemporaryCredentials } from './credentials.ts';

/**
 * How long keys outlive their instance. What it sent before its end may still be on the way, and AWS would do it: a
 * crash takes nothing back.
 */
const GRACE_MS = 60_000;

export class InstanceCredentials {
  readonly #store: CredentialStore;
  readonly #clock: GatewayClock;
  readonly #ending = new Map<string, unknown>();

  constructor(store: CredentialStore, clock: GatewayClock) {
    this.#store = store;
    this.#clock = clock;
  }

  issue(instance: string, { role, name }: FunctionDefinition): TemporaryCredentials {
    return this.#store.issue({ arn: role, functionName: name, instance });
  }

  forgetLater(accessKeyId: string): void {
    const timer = this.#clock.setTimeout(() => this.#forget(accessKeyId), GRACE_MS);
    this.#ending.set(accessKeyId, timer);
  }

  /** Forgets the keys of all ended instances now. */
  close(): void {
    for (const [accessKeyId, timer] of this.#ending) {
      this.#clock.clearTimeout(timer);
      this.#forget(accessKeyId);
    }
  }

  #forget(accessKeyId: string): void {
    this.#ending.delete(accessKeyId);
    this.#store.forget(accessKeyId);
  }
}
