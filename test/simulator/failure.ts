/** What a broken promise looks like to whoever has to find its cause. */
export function failure(seed: number, steps: number, violations: readonly string[]): string {
  return [
    `seed ${seed}:`,
    ...violations.map((violation) => `  ${violation}`),
    `  see it happen: npm run soak -- --seed ${seed} --steps ${steps} --trace`,
  ].join('\n');
}
