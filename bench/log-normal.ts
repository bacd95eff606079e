import type { Random } from '../lambdas/bus/ports.ts';

/** Of a standard normal distribution. */
const Z99 = 2.326;

/** A latency that meets both percentiles; ms. */
export function logNormal(random: Pick<Random, 'float'>, p50: number, p99: number): number {
  const sigma = Math.log(p99 / p50) / Z99;
  const normal = Math.sqrt(-2 * Math.log(1 - random.float())) * Math.cos(2 * Math.PI * random.float());
  return p50 * Math.exp(sigma * normal);
}
