/**
 * The code of all functions, built by one esbuild run into one directory that every function shares. Code splitting
 * keeps what is loaded by `import()` (cold SDK clients) out of the files that a cold start reads.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative, resolve } from 'node:path';
import {
  type BuildFailure,
  type BuildOptions,
  type BuildResult,
  build,
  type Metafile,
  type Plugin,
} from 'esbuild';
import { BUILT_IN_APPLICATIONS } from '../lambdas/contract/applications.ts';
import { FUNCTION_NAMES, type FunctionName } from '../lambdas/contract/environment.ts';
import { isModulePath } from './config.ts';
import { BundleError } from './errors.ts';
import { PACKAGE_ROOT } from './package-root.ts';

/** Gives CommonJS packages the `require` that they expect for Node's own modules and ESM does not have. */
const REQUIRE_BANNER =
  "import{createRequire as socketbusRequire}from'node:module';const require=socketbusRequire(import.meta.url);";

export interface BundleOptions {
  /** Directory to write to; emptied first. */
  readonly directory: string;
  /** Applications to bundle: built-in names or module paths, as in the setting `apps`. @default all built-in ones */
  readonly apps?: readonly string[];
  /** Where relative module paths start. @default the working directory */
  readonly workingDirectory?: string;
  /** Where `lambdas/` is. @default this package */
  readonly root?: string;
}

/** The built code of a deployment. */
export interface Bundles {
  /**
   * Directory with `{function}.mjs` for every function, `applications.mjs`, which exports the definitions of the
   * applications in it as `applications`, their shared chunks and source maps.
   */
  readonly directory: string;
  /** The applications in it, as they were named. */
  readonly apps: readonly string[];
  /** Kilobytes (1,000 bytes, minified) that each function loads before it can take an event. */
  readonly eagerKilobytes: Readonly<Record<FunctionName, number>>;
}

/**
 * Bundles every function with the given applications.
 *
 * @throws {BundleError} if a module cannot be resolved or parsed, or an application has no default export
 */
export async function buildBundles(options: BundleOptions): Promise<Bundles> {
  const apps = options.apps ?? BUILT_IN_APPLICATIONS;
  const root = resolve(options.root ?? PACKAGE_ROOT);
  const source = applicationsModule(root, apps, options.workingDirectory ?? process.cwd());
  const result = await run(buildOptions(root, source));
  await write(result, join(root, OUTPUT), options.directory);
  return { directory: options.directory, apps, eagerKilobytes: eagerKilobytes(result.metafile) };
}

/** The module that names the applications of a deployment (`lambdas/applications.d.ts`). */
const APPLICATIONS = 'socketbus:applications';

/** Nothing is written there: paths in the source maps start at it, so that equal code has equal bytes (and one asset). */
const OUTPUT = 'dist';

function buildOptions(root: string, applications: string) {
  return {
    absWorkingDir: root,
    entryPoints: [
      ...FUNCTION_NAMES.map((name) => ({ in: join('lambdas', `${name}.ts`), out: name })),
      { in: APPLICATIONS, out: 'applications' },
    ],
    outdir: OUTPUT,
    outExtension: { '.js': '.mjs' },
    chunkNames: 'chunks/[name]-[hash]',
    bundle: true,
    splitting: true,
    minify: true,
    sourcemap: 'linked',
    sourcesContent: false,
    legalComments: 'none',
    charset: 'utf8',
    format: 'esm',
    platform: 'node',
    target: 'node20',
    mainFields: ['module', 'main'],
    // An application outside this package finds the packages that every bundle has anyway.
    nodePaths: [join(PACKAGE_ROOT, 'node_modules')],
    alias: {
      'socket.io-parser': parserWithoutDebug(),
      // An application outside this package imports it by name, wherever this package is.
      'socketbus/app': join(PACKAGE_ROOT, 'lambdas', 'apps', 'public.ts'),
    },
    plugins: [applicationsPlugin(applications, root)],
    metafile: true,
    write: false,
    logLevel: 'silent',
  } as const satisfies BuildOptions;
}

/** Under the condition `node` the parser is its `esm-debug` build, which loads `debug` at every cold start. */
function parserWithoutDebug(): string {
  const commonjs = createRequire(import.meta.url).resolve('socket.io-parser');
  return join(dirname(commonjs), '..', 'esm', 'index.js');
}

type Built = BuildResult<{ metafile: true; write: false }>;

async function run(options: ReturnType<typeof buildOptions>): Promise<Built> {
  try {
    const result = await build(options);
    // The banner costs every file a call, so only code that requires at run time gets it.
    const requires = result.outputFiles.some(
      ({ path, text }) => path.endsWith('.mjs') && /Dynamic require of/.test(text),
    );
    return requires ? await build({ ...options, banner: { js: REQUIRE_BANNER } }) : result;
  } catch (error) {
    throw isBuildFailure(error) ? new BundleError(describe(error), { cause: error }) : error;
  }
}

function isBuildFailure(error: unknown): error is BuildFailure {
  return error instanceof Error && 'errors' in error && Array.isArray(error.errors);
}

function describe({ errors }: BuildFailure): string[] {
  return errors.map(({ text, location }) => (location ? `${location.file}:${location.line}: ${text}` : text));
}

async function write({ outputFiles }: Built, from: string, to: string): Promise<void> {
  await rm(to, { recursive: true, force: true });
  await mkdir(join(to, 'chunks'), { recursive: true });
  await Promise.all(
    outputFiles.map(({ path, contents }) => writeFile(join(to, relative(from, path)), contents)),
  );
}

/** The source of `socketbus:applications`: imports what `apps` names, in its order. */
function applicationsModule(root: string, apps: readonly string[], directory: string): string {
  const modules = apps.filter(isModulePath);
  const value = (app: string) =>
    isModulePath(app) ? `module${modules.indexOf(app)}` : `builtIns[${JSON.stringify(app)}]`;
  return [
    `import { builtIns } from ${JSON.stringify(join(root, 'lambdas', 'apps', 'registry.ts'))};`,
    ...modules.map((app) => `import ${value(app)} from ${JSON.stringify(resolve(directory, app))};`),
    `export const applications = [${apps.map(value).join(', ')}].flat();`,
  ].join('\n');
}

function applicationsPlugin(contents: string, resolveDir: string): Plugin {
  return {
    name: 'socketbus-applications',
    setup(pluginBuild) {
      pluginBuild.onResolve({ filter: /^socketbus:applications$/ }, () => ({
        path: 'applications',
        namespace: 'socketbus',
      }));
      pluginBuild.onLoad({ filter: /.*/, namespace: 'socketbus' }, () => ({
        contents,
        resolveDir,
        loader: 'js',
      }));
    },
  };
}

/** What each function loads eagerly: its file and every chunk reached by static imports. */
function eagerKilobytes({ outputs }: Metafile): Record<FunctionName, number> {
  const sizes = Object.keys(outputs)
    .filter((path) => outputs[path]?.entryPoint?.startsWith('lambdas/') && dirname(path) === OUTPUT)
    .map((path) => [basename(path, '.mjs'), eagerBytes(outputs, path, new Set()) / 1000] as const);
  return Object.fromEntries(sizes) as Record<FunctionName, number>;
}

function eagerBytes(outputs: Metafile['outputs'], path: string, seen: Set<string>): number {
  const output = outputs[path];
  if (!output || seen.has(path)) return 0;
  seen.add(path);
  const imports = output.imports.filter(({ kind, external }) => kind === 'import-statement' && !external);
  return output.bytes + imports.reduce((sum, { path: next }) => sum + eagerBytes(outputs, next, seen), 0);
}
