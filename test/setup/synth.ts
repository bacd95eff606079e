import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { synthesiseInto } from '../support/synthesis.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Directory of the synthesised assembly. */
    assembly: string;
  }
}

/** Synthesises once before all tests; removes it, and what tests synthesised beside it, after them. */
export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  const parent = await mkdtemp(join(tmpdir(), 'socketbus-assemblies-'));
  const remove = () => rm(parent, { recursive: true, force: true });
  const directory = join(parent, 'shared');
  const settings = { APPS: 'watch-groups', IDENTITY: 'trusted', FRONTEND_URL: 'https://app.example' };
  try {
    await synthesiseInto(directory, settings);
  } catch (error) {
    await remove();
    throw error;
  }
  provide('assembly', directory);
  return remove;
}
