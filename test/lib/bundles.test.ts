import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { builtIns } from '../../lambdas/apps/registry.ts';
import { BUILT_IN_APPLICATIONS } from '../../lambdas/contract/applications.ts';
import { FUNCTION_NAMES } from '../../lambdas/contract/environment.ts';
import { type Bundles, buildBundles } from '../../lib/bundles.ts';
import { BundleError } from '../../lib/errors.ts';
import { type FixtureRoot, fixtureRoot } from '../support/fixture-root.ts';

const EAGER_LIMIT_KB = 550;

const FUNCTION = `
  import { applications } from 'socketbus:applications';
  export const handler = async () => applications.map((app) => app.name);
  export const cold = () => import('@aws-sdk/client-lambda');`;

let root: FixtureRoot;

beforeAll(async () => {
  root = await fixtureRoot(FUNCTION);
  await root.write(
    'mine/one.ts',
    "import * as z from 'zod/mini'; export default { name: 'one', schema: z.string() };",
  );
  await root.write('mine/two.ts', "export default [{ name: 'two' }, { name: 'three' }];");
  await root.write('mine/none.ts', 'export const app = {};');
});

afterAll(() => root.remove());

async function build(apps?: string[]): Promise<Bundles> {
  const directory = await mkdtemp(join(root.directory, 'out-'));
  return buildBundles({
    directory,
    root: root.directory,
    workingDirectory: root.directory,
    ...(apps && { apps }),
  });
}

async function run({ directory }: Bundles, name: string): Promise<unknown> {
  const url = pathToFileURL(join(directory, `${name}.mjs`)).href;
  const { handler } = (await import(/* @vite-ignore */ url)) as { handler(): Promise<unknown> };
  return handler();
}

describe('the bundles', () => {
  it('have one module with a handler for every function', async () => {
    const bundles = await build();
    for (const name of FUNCTION_NAMES) {
      expect(await run(bundles, name)).toEqual([...BUILT_IN_APPLICATIONS]);
    }
  });

  it('hold the applications in the order in which they are named, by name and by path, and no others', async () => {
    expect(await run(await build(['./mine/two.ts']), 'message')).toEqual(['two', 'three']);
    const bundles = await build(['./mine/two.ts', 'watch-groups', join(root.directory, 'mine/one.ts')]);
    expect(await run(bundles, 'message')).toEqual(['two', 'three', 'watch-groups', 'one']);
  });

  it('have the definitions themselves in a module that runs nothing', async () => {
    const { directory } = await build(['./mine/two.ts']);
    const url = pathToFileURL(join(directory, 'applications.mjs')).href;
    const { applications } = (await import(/* @vite-ignore */ url)) as { applications: unknown };
    expect(applications).toEqual([{ name: 'two' }, { name: 'three' }]);
  });

  it('leave what is imported dynamically out of what is loaded eagerly', async () => {
    const { directory, eagerKilobytes } = await build();
    const files = await readdir(join(directory, 'chunks'));
    expect(files.length).toBeGreaterThan(0);
    for (const name of FUNCTION_NAMES) expect(eagerKilobytes[name]).toBeLessThan(20);
  });

  it('have source maps with paths that do not depend on where they were built', async () => {
    const [first, second] = await Promise.all([build(), build()]);
    const map = await readFile(join(first.directory, 'connect.mjs.map'), 'utf8');
    expect(map).toContain('lambdas/connect.ts');
    expect(map).not.toContain(root.directory);
    expect(await readFile(join(second.directory, 'connect.mjs.map'), 'utf8')).toBe(map);
    expect(await readdir(join(second.directory, 'chunks'))).toEqual(
      await readdir(join(first.directory, 'chunks')),
    );
  });

  it('refuse an application without a default export, naming its file', async () => {
    await expect(build(['./mine/none.ts'])).rejects.toThrow(BundleError);
    await expect(build(['./mine/none.ts'])).rejects.toThrow(/mine\/none\.ts/);
  });

  it('run packages that require modules of Node', async () => {
    const other = await fixtureRoot(
      "import pkg from './legacy.cjs'; export const handler = async () => pkg.sep;",
    );
    try {
      await other.write('lambdas/legacy.cjs', "module.exports = { sep: require('node:path').sep };");
      const bundles = await buildBundles({ directory: join(other.directory, 'out'), root: other.directory });
      expect(await run(bundles, 'http')).toBe('/');
    } finally {
      await other.remove();
    }
  });
});

describe('the built-in applications', () => {
  it('that a deployment can name are those that exist', () => {
    expect([...BUILT_IN_APPLICATIONS]).toEqual(Object.keys(builtIns));
  });
});

describe('the real functions', () => {
  let directory: string;
  let bundles: Bundles;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'socketbus-bundles-'));
    bundles = await buildBundles({ directory });
  });

  afterAll(() => rm(directory, { recursive: true, force: true }));

  it.each(FUNCTION_NAMES)(`load at most ${EAGER_LIMIT_KB} KB before their first event: %s`, (name) => {
    expect(bundles.eagerKilobytes[name]).toBeGreaterThan(0);
    expect(bundles.eagerKilobytes[name]).toBeLessThanOrEqual(EAGER_LIMIT_KB);
  });

  it('carry no debug build of the parser', async () => {
    const names = (await readdir(directory, { recursive: true })).filter((name) => name.endsWith('.map'));
    const maps = await Promise.all(names.map((name) => readFile(join(directory, name), 'utf8')));
    expect(maps.some((map) => map.includes('socket.io-parser/build/esm/'))).toBe(true);
    expect(maps.some((map) => /esm-debug|node_modules\/debug\//.test(map))).toBe(false);
  });
});
