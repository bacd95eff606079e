/** Builds the functions' code into `dist/functions` and says what each one loads at a cold start. */
import { buildBundles } from '../lib/bundles.ts';
import { readApplications } from '../lib/config.ts';
import { BundleError, ConfigurationError } from '../lib/errors.ts';

try {
  const apps = readApplications({ environment: process.env, context: {} });
  const { directory, eagerKilobytes } = await buildBundles({ directory: 'dist/functions', apps });
  const lines = Object.entries(eagerKilobytes).map(
    ([name, size]) => `${name.padEnd(12)}${size.toFixed(0).padStart(6)} KB`,
  );
  process.stdout.write(`${directory}\n${lines.join('\n')}\n`);
} catch (error) {
  if (!(error instanceof ConfigurationError || error instanceof BundleError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
