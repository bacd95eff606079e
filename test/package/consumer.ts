/** Somebody's project with the packed package in it, as `npm install` would leave it; nothing comes from a network. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { REPOSITORY } from '../support/synthesis.ts';

export const run = promisify(execFile);

const MODULES = join(REPOSITORY, 'node_modules');

/** What the package depends on, and what a CDK app has; `esbuild`, which it may have, is not among them. */
const INSTALLED = [
  '.bin',
  '@aws-lambda-powertools',
  '@aws-sdk',
  '@smithy',
  '@types',
  'aws-cdk-lib',
  'constructs',
  'dynalite',
  'engine.io-parser',
  'jose',
  'p-map',
  'socket.io-client',
  'socket.io-parser',
  'tsx',
  'undici-types',
  'ws',
  'zod',
];

export interface Consumer {
  readonly directory: string;
  /** Where the package is. */
  readonly installed: string;
  /** Adds a package of this checkout. */
  install(name: string): Promise<void>;
  remove(): Promise<void>;
}

/** Builds and packs the package, and unpacks it as npm does; what it depends on is that of this checkout. */
export async function consumer(): Promise<Consumer> {
  const directory = await mkdtemp(join(tmpdir(), 'socketbus-consumer-'));
  const modules = join(directory, 'node_modules');
  const installed = join(modules, 'socketbus');
  const install = (name: string) => symlink(join(MODULES, name), join(modules, name));
  // What the script `prepare` does; without scripts npm asks nothing of the network and nothing of this checkout.
  await run(process.execPath, ['--import', 'tsx', 'bin/build-package.ts'], { cwd: REPOSITORY });
  await run('npm', ['pack', '--ignore-scripts', '--pack-destination', directory], { cwd: REPOSITORY });
  const [tarball = ''] = (await readdir(directory)).filter((name) => name.endsWith('.tgz'));
  await mkdir(installed, { recursive: true });
  await run('tar', ['-xzf', join(directory, tarball), '-C', installed, '--strip-components=1']);
  for (const name of INSTALLED) await install(name);
  const project = { name: 'shop', private: true };
  await writeFile(join(directory, 'package.json'), JSON.stringify(project));
  await writeFile(join(directory, 'package-lock.json'), JSON.stringify({ ...project, lockfileVersion: 3 }));
  return { directory, installed, install, remove: () => rm(directory, { recursive: true, force: true }) };
}
