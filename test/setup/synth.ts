import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { SETTINGS, synthesiseInto } from '../support/synthesis.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Directory of the synthesised assembly with all five applications. */
    assembly: string;
    /** Directory of the one with `watch-groups` alone. */
    watchGroupsOnly: string;
  }
}

/** Synthesises before all tests; removes that, and what tests synthesised beside it, after them. */
export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  const parent = await mkdtemp(join(tmpdir(), 'socketbus-assemblies-'));
  const remove = () => rm(parent, { recursive: true, force: true });
  const [all, alone] = [join(parent, 'shared'), join(parent, 'watch-groups')];
  try {
    await Promise.all([
      synthesiseInto(all, SETTINGS),
      synthesiseInto(alone, { ...SETTINGS, APPS: 'watch-groups' }),
    ]);
  } catch (error) {
    await remove();
    throw error;
  }
  provide('assembly', all);
  provide('watchGroupsOnly', alone);
  return remove;
}
