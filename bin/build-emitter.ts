/**
 * Builds `socketbus/emitter`, and the types of `socketbus/events`, into `dist/emitter`: once for `import`, once for `require`, each with its types. npm runs
 * it after `npm ci` in a clone and before it packs (the script `prepare`), so both have it.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import ts from 'typescript';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const ENTRY = join(ROOT, 'emitter', 'index.ts');
/** Types only, for frontends: `socketbus/events`. */
const EVENTS = join(ROOT, 'lambdas', 'apps', 'events.ts');
const OUTPUT = join(ROOT, 'dist', 'emitter');

/** The type in each directory's `package.json` decides what Node and TypeScript take its files for. */
const FORMS = [
  { directory: 'esm', format: 'esm', type: 'module' },
  { directory: 'cjs', format: 'cjs', type: 'commonjs' },
] as const;

/** Whatever the packages of `dependencies` provide stays outside: installed with this package, and only once. */
async function buildCode({ directory, format }: (typeof FORMS)[number]): Promise<void> {
  await build({
    absWorkingDir: ROOT,
    entryPoints: [ENTRY],
    outfile: join(OUTPUT, directory, 'emitter', 'index.js'),
    bundle: true,
    packages: 'external',
    format,
    platform: 'node',
    target: 'node20',
    charset: 'utf8',
    legalComments: 'none',
    // In an error report it is `Emitter`, not the `_Emitter` that esbuild makes of it.
    keepNames: true,
    logLevel: 'error',
  });
}

/** The declarations of the emitter, the event maps and what they need, by path from the root. */
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
  const program = ts.createProgram([ENTRY, EVENTS], all, hostWithout(/^@(aws-sdk|smithy)\//, all));
  const found = new Map<string, string>();
  const { diagnostics } = program.emit(undefined, (path, text) => {
    // A declaration file is compiled already: what it imports ends in .js.
    found.set(relative(ROOT, path), text.replaceAll(/(from '|import\(")(\.[^'"]+)\.ts(?=['"])/g, '$1$2.js'));
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

await rm(OUTPUT, { recursive: true, force: true });
const types = declarations();
for (const form of FORMS) {
  const directory = join(OUTPUT, form.directory);
  await buildCode(form);
  await writeFile(join(directory, 'package.json'), `${JSON.stringify({ type: form.type })}\n`);
  for (const [path, text] of types) {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await writeFile(join(directory, path), text);
  }
}
