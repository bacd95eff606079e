/** Who gets in: the account's quotas, then the throttle of the stage for the route (API Gateway guide, "Throttling"). */
import type { StageThrottling, Throttle } from '../template/deployment.ts';
import type { Quotas } from './quotas.ts';
import { type Rate, TokenBucket } from './token-bucket.ts';

/** The buckets of the account, shared by everything that API Gateway does for it. */
export class AccountQuotas {
  readonly #now: () => number;
  #requests: TokenBucket;
  #connections: TokenBucket;

  constructor(quotas: Quotas, now: () => number) {
    this.#now = now;
    this.#requests = new TokenBucket(quotas.requests, now);
    this.#connections = new TokenBucket(quotas.connections, now);
  }

  /** Other quotas from now on, with full buckets. */
  replace(quotas: Quotas): void {
    this.#requests = new TokenBucket(quotas.requests, this.#now);
    this.#connections = new TokenBucket(quotas.connections, this.#now);
  }

  admitRequest(): boolean {
    return this.#requests.take();
  }

  admitConnection(): boolean {
    return this.#connections.take();
  }
}

/** The buckets of one stage: each route has its own, the settings of all but the named ones are the default. */
export class RouteThrottles {
  readonly #throttling: StageThrottling;
  readonly #now: () => number;
  readonly #buckets = new Map<string, TokenBucket | undefined>();

  constructor(throttling: StageThrottling, now: () => number) {
    this.#throttling = throttling;
    this.#now = now;
  }

  admit(routeKey: string): boolean {
    if (!this.#buckets.has(routeKey)) this.#buckets.set(routeKey, this.#bucket(routeKey));
    return this.#buckets.get(routeKey)?.take() ?? true;
  }

  #bucket(routeKey: string): TokenBucket | undefined {
    const { route, all } = this.#throttling;
    const rate = rateOf({ ...all, ...route.get(routeKey) });
    return rate === undefined ? undefined : new TokenBucket(rate, this.#now);
  }
}

/** A limit alone stands for both: what is not set is the account's, and that is far away. */
function rateOf({ ratePerSecond, burst }: Throttle): Rate | undefined {
  if (ratePerSecond === undefined && burst === undefined) return undefined;
  return { perSecond: ratePerSecond ?? Number.MAX_SAFE_INTEGER, burst: burst ?? ratePerSecond ?? 0 };
}
