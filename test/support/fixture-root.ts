import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { BUILT_IN_APPLICATIONS } from '../../lambdas/contract/applications.ts';
import { FUNCTION_NAMES } from '../../lambdas/contract/environment.ts';

/** A stand-in for this package: a directory with `lambdas/`, whose functions are as small as functions get. */
export interface FixtureRoot {
  readonly directory: string;
  write(path: string, contents: string): Promise<void>;
  remove(): Promise<void>;
}

/** @param body what every function's file is; it may import `socketbus:applications` */
export async function fixtureRoot(
  body = 'export const handler = async () => undefined;',
): Promise<FixtureRoot> {
  const directory = await mkdtemp(join(tmpdir(), 'socketbus-root-'));
  const write = async (path: string, contents: string) => {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await writeFile(join(directory, path), contents);
  };
  await write(
    'lambdas/apps/registry.ts',
    `export const builtIns = ${JSON.stringify(Object.fromEntries(BUILT_IN_APPLICATIONS.map((name) => [name, { name }])))};`,
  );
  await Promise.all(FUNCTION_NAMES.map((name) => write(`lambdas/${name}.ts`, body)));
  return { directory, write, remove: () => rm(directory, { recursive: true, force: true }) };
}
