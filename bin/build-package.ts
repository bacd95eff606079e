/**
 * Builds what others get, into `dist`: the modules of `exports`, each once for `import` and once for `require`, with its types; the
 * code of the built-in applications, so that deploying them takes no bundler; and the program `socketbus-local`. npm runs it
 * after `npm ci` in a clone and before it packs (the script `prepare`), so both have it.
 */
import { cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BuildOptions, build } from 'esbuild';
import ts from 'typescript';
import { buildBundles } from '../lib/bundles.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** Types only, for frontends: `socketbus/events`. */
const EVENTS = join(ROOT, 'lambdas', 'apps', 'events.ts');

interface Part {
  readonly entry: string;
  readonly output: string;
  /** Where in a form's directory paths begin, from the root. */
  readonly base: string;
  readonly typed: readonly string[];
  readonly platform: 'node' | 'browser';
  readonly target: string;
}

const EMITTER = join(ROOT, 'emitter', 'index.ts');
const CLIENT = join(ROOT, 'client', 'index.ts');
const CONSTRUCTS = join(ROOT, 'lib', 'index.ts');
const APPLICATIONS = join(ROOT, 'lambdas', 'apps', 'public.ts');
const PARTS: readonly Part[] = [
  {
    entry: CONSTRUCTS,
    output: join(ROOT, 'dist', 'cdk'),
    base: ROOT,
    typed: [CONSTRUCTS],
    platform: 'node',
    target: 'node20',
  },
  {
    entry: APPLICATIONS,
    output: join(ROOT, 'dist', 'app'),
    base: ROOT,
    typed: [APPLICATIONS],
    platform: 'node',
    target: 'node20',
  },
  {
    entry: EMITTER,
    output: join(ROOT, 'dist', 'emitter'),
    base: ROOT,
    typed: [EMITTER, EVENTS],
    platform: 'node',
    target: 'node20',
  },
  {
    entry: CLIENT,
    output: join(ROOT, 'dist', 'client'),
    base: dirname(CLIENT),
    typed: [CLIENT],
    platform: 'browser',
    // That of the stock client's own modules.
    target: 'es2018',
  },
];

/** The type in each directory's `package.json` decides what Node and TypeScript take its files for. */
const FORMS = [
  { directory: 'esm', format: 'esm', type: 'module' },
  { directory: 'cjs', format: 'cjs', type: 'commonjs' },
] as const;

const COMMON = {
  absWorkingDir: ROOT,
  bundle: true,
  packages: 'external',
  charset: 'utf8',
  legalComments: 'none',
  logLevel: 'error',
} as const satisfies BuildOptions;

/** A CommonJS module has a file name instead of a URL. */
const OWN_URL: BuildOptions = {
  banner: { js: "const socketbusUrl = require('node:url').pathToFileURL(__filename).href;" },
  define: { 'import.meta.url': 'socketbusUrl' },
};

/** Whatever the packages of `dependencies` provide stays outside: installed with this package, and only once. */
async function buildCode(part: Part, { directory, format }: (typeof FORMS)[number]): Promise<void> {
  const { entry, output, base, platform, target } = part;
  await build({
    ...COMMON,
    entryPoints: [entry],
    outfile: join(output, directory, relative(base, entry).replace(/\.ts$/, '.js')),
    format,
    platform,
    target,
    // In an error report it is `Emitter`, not the `_Emitter` that esbuild makes of it.
    keepNames: platform === 'node',
    ...(format === 'cjs' && platform === 'node' ? OWN_URL : {}),
  });
}

/** The process that bundles applications given by their paths. In one file it could not do without the bundler. */
async function buildBundleProgram(): Promise<void> {
  await build({
    ...COMMON,
    entryPoints: [join(ROOT, 'lib', 'bundle-program.ts')],
    outdir: join(ROOT, 'dist', 'cdk', 'esm', 'lib'),
    splitting: true,
    chunkNames: '[name]-[hash]',
    format: 'esm',
    platform: 'node',
    target: 'node20',
  });
}

/** `socketbus-local`: the page's files beside it, and in it the program of its function instances. */
async function buildLocal(): Promise<void> {
  const output = join(ROOT, 'dist', 'local');
  await rm(output, { recursive: true, force: true });
  const { outputFiles } = await build({
    ...COMMON,
    entryPoints: [join(ROOT, 'local', 'host', 'instance.ts')],
    write: false,
    format: 'cjs',
    platform: 'node',
    target: 'node20',
  });
  await build({
    ...COMMON,
    entryPoints: { 'socketbus-local': join(ROOT, 'local', 'other-app.ts') },
    outdir: output,
    splitting: true,
    chunkNames: '[name]-[hash]',
    banner: { js: '#!/usr/bin/env node' },
    define: { BUILT_INSTANCE_PROGRAM: JSON.stringify(outputFiles.map(({ text }) => text).join('\n')) },
    format: 'esm',
    platform: 'node',
    target: 'node20',
  });
  await writeFile(join(output, 'package.json'), `${JSON.stringify({ type: 'module' })}\n`);
  await cp(join(ROOT, 'local', 'page', 'static'), join(output, 'static'), { recursive: true });
}

/** The declarations of all parts and of what they need, by path from the root. */
function declarations(): Map<string, string> {
  const { config, error } = ts.readConfigFile(join(ROOT, 'tsconfig.json'), ts.sys.readFile);
  if (error !== undefined) throw new Error(ts.flattenDiagnosticMessageText(error.messageText, '\n'));
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, ROOT);
  const all: ts.CompilerOptions = {
    ...options,
    // `npm run typecheck` checks; here declarations are only written, which takes a fraction of the time.
    noCheck: true,
    types: [],
    noEmit: false,
    declaration: true,
    emitDeclarationOnly: true,
    rootDir: ROOT,
    outDir: ROOT,
  };
  const typed = PARTS.flatMap((part) => part.typed);
  const program = ts.createProgram(typed, all, hostWithout(/^(@(aws-sdk|smithy)|aws-cdk-lib)(\/|$)/, all));
  const found = new Map<string, string>();
  const { diagnostics } = program.emit(undefined, (path, text) => {
    // A declaration file is compiled already: what it imports ends in .js.
    found.set(relative(ROOT, path), text.replaceAll(/(from '|import\(")(\.[^'"]+)\.ts(?=['"])/g, '$1$2.js'));
  });
  const [first] = diagnostics;
  if (first !== undefined) throw new Error(ts.flattenDiagnosticMessageText(first.messageText, '\n'));
  return found;
}

const DECLARED = /(?:from '|import\(")(\.[^'"]+)\.js(?=['"])/g;

/** Of all declarations those of a part, found by what they import, by path from its base. */
function declarationsOf({ base, typed }: Part, all: ReadonlyMap<string, string>): Map<string, string> {
  const found = new Map<string, string>();
  const add = (path: string) => {
    const text = all.get(path);
    const at = relative(base, join(ROOT, path));
    if (text === undefined || found.has(at)) return;
    found.set(at, text);
    for (const [, module = ''] of text.matchAll(DECLARED)) add(join(dirname(path), `${module}.d.ts`));
  };
  for (const entry of typed) add(relative(ROOT, entry).replace(/\.ts$/, '.d.ts'));
  return found;
}

/** Nothing that is exported has a type inferred from those of the AWS SDK or the CDK, whose thousand files take seconds to read. */
function hostWithout(unread: RegExp, options: ts.CompilerOptions): ts.CompilerHost {
  const host = ts.createCompilerHost(options);
  host.resolveModuleNameLiterals = (names, containing, redirected, _options, source) =>
    names.map((name) => {
      if (unread.test(name.text)) return { resolvedModule: undefined };
      const mode = ts.getModeForUsageLocation(source, name, options);
      return ts.resolveModuleName(name.text, containing, options, host, undefined, redirected, mode);
    });
  return host;
}

const declared = declarations();
for (const part of PARTS) {
  await rm(part.output, { recursive: true, force: true });
  const types = declarationsOf(part, declared);
  for (const form of FORMS) {
    const directory = join(part.output, form.directory);
    await buildCode(part, form);
    await writeFile(join(directory, 'package.json'), `${JSON.stringify({ type: form.type })}\n`);
    for (const [path, text] of types) {
      await mkdir(dirname(join(directory, path)), { recursive: true });
      await writeFile(join(directory, path), text);
    }
  }
}
await buildBundleProgram();
await buildLocal();
await buildBundles({ directory: join(ROOT, 'dist', 'functions') });
