import { fileURLToPath } from 'node:url';

let program: Promise<string> | undefined;

/** Set where this is built into the package: there is neither a compiler nor a source file then. */
declare const BUILT_INSTANCE_PROGRAM: string | undefined;

/**
 * The source of `instance.ts` as one plain script, compiled once per process. A worker that loaded the TypeScript
 * file would need a loader of its own, which costs every instance more than loading the function does.
 */
export function instanceProgram(): Promise<string> {
  program ??=
    typeof BUILT_INSTANCE_PROGRAM === 'string' ? Promise.resolve(BUILT_INSTANCE_PROGRAM) : compile();
  return program;
}

async function compile(): Promise<string> {
  const { build } = await import('esbuild');
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL('./instance.ts', import.meta.url))],
    bundle: true,
    write: false,
    format: 'cjs',
    platform: 'node',
    target: 'node20',
    logLevel: 'silent',
  });
  return outputFiles.map(({ text }) => text).join('\n');
}
