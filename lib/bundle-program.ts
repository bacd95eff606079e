/** Bundles what `code.ts` orders; says on stderr what is wrong, one line each. */
import type { BundleOrder } from './code.ts';
import { BundleError } from './errors.ts';

/** The package does not bring it: most deployments run built-in applications, or have it for their own functions anyway. */
const NO_ESBUILD = 'apps names a module by its path, which takes esbuild: npm install --save-dev esbuild';

async function main(): Promise<void> {
  const { directory, apps } = JSON.parse(process.argv[2] ?? '') as BundleOrder;
  const { buildBundles } = await import('./bundles.ts');
  await buildBundles({ directory, apps });
}

function linesOf(error: unknown): readonly string[] {
  if (error instanceof BundleError) return error.lines;
  const missing = error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND';
  if (missing && error.message.includes("'esbuild'")) return [NO_ESBUILD];
  return [error instanceof Error ? (error.stack ?? error.message) : String(error)];
}

main().catch((error: unknown) => {
  process.stderr.write(`${linesOf(error).join('\n')}\n`);
  process.exitCode = 1;
});
