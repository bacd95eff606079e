/**
 * Where the code of a deployment comes from: the package brings that of the built-in applications; what `apps` names by a path
 * is bundled when the app is synthesised. A construct is made synchronously, so esbuild runs in a process of its own.
 */
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isModulePath } from './config.ts';
import { BundleError } from './errors.ts';
import { IS_BUILT, PACKAGE_ROOT } from './package-root.ts';

/** What `bundle-program.ts` is told, as JSON on its command line. */
export interface BundleOrder {
  readonly directory: string;
  readonly apps: readonly string[];
}

/**
 * Directory of the code that runs these applications.
 *
 * @param directory to bundle into, where the package does not bring the code
 * @throws {BundleError} if a module cannot be bundled, or there is no esbuild to do it
 */
export function codeOf(apps: readonly string[], directory: string): string {
  // In a clone the sources are what counts, not what was built of them some time ago.
  if (IS_BUILT && !apps.some(isModulePath)) return join(PACKAGE_ROOT, 'dist', 'functions');
  const order: BundleOrder = { directory, apps };
  const { status, stderr } = spawnSync(process.execPath, [...program(), JSON.stringify(order)], {
    encoding: 'utf8',
    // `--import` and the like of the app's own process are not for this one.
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  if (status !== 0) throw new BundleError(stderr.trim().split('\n'));
  return directory;
}

function program(): string[] {
  if (IS_BUILT) return [join(PACKAGE_ROOT, 'dist', 'cdk', 'esm', 'lib', 'bundle-program.js')];
  const loader = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
  return ['--import', loader, join(PACKAGE_ROOT, 'lib', 'bundle-program.ts')];
}
