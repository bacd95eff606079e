import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = fileURLToPath(import.meta.url);

/** Whether this is the built package, as others install it, and not a clone of it. */
export const IS_BUILT = !HERE.endsWith('.ts');

/** The nearest directory above with the sources of the functions; how far up it is depends on the form that was built. */
export const PACKAGE_ROOT = above(dirname(HERE));

function above(directory: string): string {
  if (existsSync(join(directory, 'lambdas', 'connect.ts'))) return directory;
  const parent = dirname(directory);
  if (parent === directory) throw new Error(`${HERE} lies outside its package`);
  return above(parent);
}
