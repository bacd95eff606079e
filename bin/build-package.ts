/**
 * Builds what others import: `socketbus/emitter` and the types of `socketbus/events` into `dist/emitter`, `socketbus/client` into
 * `dist/client`; each once for `import` and once for `require`, with its types. npm runs it after `npm ci` in a clone and before
 * it packs (the script `prepare`), so both have it.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import ts from 'typescript';

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
const PARTS: readonly Part[] = [
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

/** Whatever the packages of `dependencies` provide stays outside: installed with this package, and only once. */
async function buildCode(part: Part, { directory, format }: (typeof FORMS)[number]): Promise<void> {
  const { entry, output, base, platform, target } = part;
  await build({
    absWorkingDir: ROOT,
    entryPoints: [entry],
    outfile: join(output, directory, relative(base, entry).replace(/\.ts$/, '.js')),
    bundle: true,
    packages: 'external',
    format,
    platform,
    target,
    charset: 'utf8',
    legalComments: 'none',
    // In an error report it is `Emitter`, not the `_Emitter` that esbuild makes of it.
    keepNames: platform === 'node',
    logLevel: 'error',
  });
}

/** The declarations of a part and of what they need, by path from its base. */
function declarations({ base, typed }: Part): Map<string, string> {
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
  const program = ts.createProgram(typed, all, hostWithout(/^@(aws-sdk|smithy)\//, all));
  const found = new Map<string, string>();
  const { diagnostics } = program.emit(undefined, (path, text) => {
    // A declaration file is compiled already: what it imports ends in .js.
    found.set(relative(base, path), text.replaceAll(/(from '|import\(")(\.[^'"]+)\.ts(?=['"])/g, '$1$2.js'));
  });
  const [first] = diagnostics;
  if (first !== undefined) throw new Error(ts.flattenDiagnosticMessageText(first.messageText, '\n'));
  return found;
}

/** Nothing that is exported has a type inferred from the AWS SDK's, whose thousand files take seconds to read. */
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

for (const part of PARTS) {
  await rm(part.output, { recursive: true, force: true });
  const types = declarations(part);
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
