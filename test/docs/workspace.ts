/** The files that a page of `docs/` shows, in a directory of their own, as whoever follows the page has them. */
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ts from 'typescript';
import { typeErrors } from '../support/compiler.ts';
import { REPOSITORY } from '../support/synthesis.ts';

/** What the pages import from this package, by the source that it is exported from. */
const EXPORTS = {
  'socketbus/app': 'lambdas/apps/public.ts',
  'socketbus/emitter': 'emitter/index.ts',
  'socketbus/events': 'lambdas/apps/events.ts',
};
/** What they import from elsewhere. */
const PACKAGES = ['@types', 'jose', 'socket.io-client', 'undici-types', 'zod'];

/** For tests that compile, on a shared core: the checker reads the types of zod and of the AWS SDK. */
export const COMPILING = { timeout: 120_000 };

export interface Workspace {
  readonly directory: string;
  path(file: string): string;
  /** What the compiler finds wrong, as it says it. */
  typeErrors(...files: readonly string[]): Promise<string[]>;
  remove(): Promise<void>;
}

const BLOCK = /^```(?:ts|tsx|js) (\S+)\n([\s\S]*?)^```$/gm;

/** The blocks of a page that name a file, by that name. */
export async function filesOf(page: string): Promise<ReadonlyMap<string, string>> {
  const text = await readFile(join(REPOSITORY, 'docs', page), 'utf8');
  const found = [...text.matchAll(BLOCK)].map(([, file = '', code = '']) => [file, code] as const);
  const files = new Map(found);
  if (files.size < found.length) throw new Error(`${page} shows a file twice`);
  return files;
}

export async function workspace(files: ReadonlyMap<string, string>): Promise<Workspace> {
  const directory = await mkdtemp(join(tmpdir(), 'socketbus-page-'));
  const path = (file: string) => join(directory, file);
  const exported = Object.entries(EXPORTS).map(([name, source]) => [name, [join(REPOSITORY, source)]]);
  const compilerOptions = {
    ...(await repositoryOptions()),
    types: ['node'],
    paths: Object.fromEntries(exported),
  };
  await mkdir(path('node_modules'));
  await Promise.all([
    writeFile(path('package.json'), JSON.stringify({ type: 'module' })),
    ...PACKAGES.map((name) => symlink(join(REPOSITORY, 'node_modules', name), path(`node_modules/${name}`))),
    ...[...files].map(([file, code]) => writeFile(path(file), code)),
  ]);
  return {
    directory,
    path,
    typeErrors: (...names) => typeErrors(directory, names, compilerOptions),
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}

/** The strictness of this repository; what a page declares for its reader need not be used. */
async function repositoryOptions(): Promise<Record<string, unknown>> {
  const { config } = ts.readConfigFile(join(REPOSITORY, 'tsconfig.json'), ts.sys.readFile);
  return { ...config.compilerOptions, noUnusedLocals: false };
}
