/** The compiler as others run it, in a process of its own; the native one, which takes a quarter of the time. */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { REPOSITORY } from './synthesis.ts';

const TSC = join(REPOSITORY, 'node_modules', 'typescript-native', 'bin', 'tsc');

/** Checks files of a directory with these options; resolves to what is wrong, a line for each error. */
export async function typeErrors(
  directory: string,
  files: readonly string[],
  compilerOptions: Readonly<Record<string, unknown>>,
): Promise<string[]> {
  await writeFile(join(directory, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }));
  const args = [TSC, '-p', directory, '--noEmit', '--pretty', 'false'];
  const ended = promisify(execFile)(process.execPath, args, { cwd: directory });
  // It ends with an error code where it finds any.
  const { stdout } = await ended.catch((error: { stdout?: string }) => {
    if (error.stdout) return { stdout: error.stdout };
    throw error;
  });
  return stdout.split('\n').filter((line) => line !== '');
}
