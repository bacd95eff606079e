/**
 * The CDK app. `cdk synth` and `cdk deploy` run it, and so does the local stack, directly: it honours `CDK_OUTDIR`
 * and `CDK_CONTEXT_JSON` as the CDK CLI sets them.
 */
import { join } from 'node:path';
import { App } from 'aws-cdk-lib';
import { buildBundles } from '../lib/bundles.ts';
import { readConfiguration } from '../lib/config.ts';
import { BundleError, ConfigurationError } from '../lib/errors.ts';
import { SocketBusStack } from '../lib/stack.ts';

async function main(): Promise<void> {
  const outdir = process.env.CDK_OUTDIR ?? 'cdk.out';
  // Validating the template takes longer than all the rest. The CDK CLI always has it done; the local stack, which
  // runs this at every start, runs a template that the tests have validated.
  const validates = process.env.CDK_CLI_VERSION !== undefined;
  const app = new App({ outdir, analyticsReporting: false, builtinCloudFormationValidation: validates });
  const { apps, ...settings } = readConfiguration({
    environment: process.env,
    context: app.node.getAllContext(),
  });
  const bundles = await buildBundles({ directory: join(outdir, 'bundles'), apps });
  new SocketBusStack(app, 'Socketbus', { ...settings, bundles });
  app.synth();
}

try {
  await main();
} catch (error) {
  // What the reader can mend needs its lines, not our stack trace.
  if (!(error instanceof ConfigurationError || error instanceof BundleError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
