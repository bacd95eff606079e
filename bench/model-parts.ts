/** What an account on AWS is like in a model: how long things take there, and a quota's token bucket. */
import { Chance } from '../test/simulator/chance.ts';
import { BEGUN_MS, COLD_MS, POST_MS, WARM_MS } from '../test/simulator/functions.ts';
import { NETWORK_MS } from '../test/simulator/gateway.ts';
import { CALL_MS } from '../test/simulator/sdk.ts';
import { logNormal } from './log-normal.ts';

export interface Quota {
  readonly perSecond: number;
  /** At once after a quiet time. */
  readonly burst: number;
}

/** By what the simulator says that each usually takes: how long it takes here; ms. */
const LATENCIES: ReadonlyMap<number, (chance: Chance) => number> = new Map([
  [POST_MS, (chance) => logNormal(chance, 8, 80)],
  [CALL_MS, (chance) => logNormal(chance, 4, 25)],
  [NETWORK_MS, (chance) => logNormal(chance, 15, 60)],
  [BEGUN_MS, (chance) => chance.between(20, 60)],
  [WARM_MS, (chance) => chance.between(2, 10)],
  [COLD_MS, (chance) => chance.between(400, 700)],
]);

export class Weather extends Chance {
  override latency(usual: number): number {
    const draw = LATENCIES.get(usual);
    if (draw === undefined) throw new RangeError(`the model knows nothing that usually takes ${usual} ms`);
    return draw(this);
  }
}

export class Bucket {
  readonly #quota: Quota;
  readonly #now: () => number;
  #tokens: number;
  #filledAt: number;

  constructor(quota: Quota, now: () => number) {
    this.#quota = quota;
    this.#now = now;
    this.#tokens = quota.burst;
    this.#filledAt = now();
  }

  take(): boolean {
    const now = this.#now();
    const { burst, perSecond } = this.#quota;
    this.#tokens = Math.min(burst, this.#tokens + ((now - this.#filledAt) * perSecond) / 1_000);
    this.#filledAt = now;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
