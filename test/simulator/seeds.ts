import { expect, test } from 'vitest';
import { failure } from './failure.ts';
import { simulate } from './simulation.ts';

const STEPS = 200;

/** One test for each seed; files share the seeds, so that workers do. */
export function testSeeds(from: number, count: number): void {
  const seeds = Array.from({ length: count }, (_, index) => from + index);
  test.each(seeds)('seed %i keeps every promise', { timeout: 60_000 }, async (seed) => {
    const { violations } = await simulate({ seed, steps: STEPS });
    expect(violations.length === 0 ? 'kept' : failure(seed, STEPS, violations)).toBe('kept');
  });
}
