/** `socketbus-local`: runs the stack of somebody else's CDK app, as `npm start` runs the one of this repository. */
import { readFile } from 'node:fs/promises';
import * as z from 'zod/mini';
import { parsedOptions, parsePort, UsageError } from './command-line.ts';
import { explain } from './explain.ts';
import { logLine } from './log-lines.ts';
import { otherWelcome } from './other-welcome.ts';
import { readEnvFile, readSettings } from './settings.ts';
import { startStack } from './stack.ts';
import { startupLines } from './startup-lines.ts';
import { StopSignals } from './stop-signals.ts';
import { Synthesis } from './synthesis.ts';
import { developmentToken } from './welcome.ts';

const USAGE = `socketbus-local [options]     runs a CDK app's stack that has a SocketBus in it on this machine

  --app <command>   what synthesises the app                       (default "app" in ./cdk.json)
  --assembly <dir>  an assembly that is there already, like cdk.out; then nothing is synthesised
  --stack <name>    which of the app's stacks, Shop or Prod/Shop   (default the only one)
  --port <n>        port to listen on; 0 for any free one          (default PORT or 3000)
  --json-logs       print the functions' logs as they are
  --help            show this

Secrets are answered from the environment and from .env: JWT_SECRET, CLOUD_API_KEY; random ones where there are none.
Of other settings there: DEBUG and DYNAMODB_ENDPOINT. Everything else is what the app says.
`;

const OPTIONS = {
  app: { type: 'string' },
  assembly: { type: 'string' },
  stack: { type: 'string' },
  port: { type: 'string' },
  'json-logs': { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

/** Validating the template takes CDK longer than all the rest, and `cdk synth` does it. */
const UNVALIDATED = { CDK_VALIDATION: 'false' };

/** The CDK CLI's own file, as far as it is read here. */
const cdkJsonSchema = z.looseObject({
  app: z.optional(z.string()),
  context: z._default(z.record(z.string(), z.unknown()), {}),
});

async function main(): Promise<void> {
  const options = parsedOptions(process.argv.slice(2), OPTIONS);
  if (options.help === true) {
    process.stdout.write(USAGE);
    return;
  }
  const port = options.port === undefined ? undefined : parsePort('--port', options.port);
  const none = { port, apps: undefined, stage: undefined };
  const settings = readSettings(process.env, await readEnvFile('.env'), none);
  const synthesis = new Synthesis();
  process.once('exit', () => synthesis.dispose());
  const signals = new StopSignals();
  const assembly = options.assembly ?? synthesised(synthesis, options.app);
  if (typeof assembly !== 'string') assembly.catch(() => {});
  const stack = await startStack({
    assembly,
    stackName: options.stack,
    leaveOut: true,
    port: settings.port,
    settings: settings.stack,
    log: (entry) => {
      const line = logLine(entry, { debug: settings.debug, json: options['json-logs'] ?? false });
      if (line !== undefined) process.stdout.write(`${line}\n`);
    },
  });
  const stopped = signals.next();
  for (const line of await startupLines(stack.deployment)) process.stdout.write(`${line}\n`);
  process.stdout.write(otherWelcome(stack, await developmentToken(settings.jwtSecret)));
  await stopped;
  process.stdout.write('stopping\n');
  await stack.close();
  process.exit(0);
}

/** As the CDK CLI does it: the command and the context are those of `cdk.json`. */
async function synthesised(synthesis: Synthesis, command: string | undefined): Promise<string> {
  const cdkJson = await readCdkJson();
  const file = command ?? cdkJson?.app;
  if (file === undefined) {
    throw new UsageError('there is no "app" in ./cdk.json: --app or --assembly says what to run');
  }
  const context = JSON.stringify(cdkJson?.context ?? {});
  return synthesis.run(
    { file, args: [], shell: true },
    { ...process.env, ...UNVALIDATED, CDK_CONTEXT_JSON: context },
  );
}

async function readCdkJson() {
  try {
    return cdkJsonSchema.parse(JSON.parse(await readFile('cdk.json', 'utf8')));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw new UsageError(`cdk.json cannot be read: ${error instanceof Error ? error.message : error}`);
  }
}

main().catch((error: unknown) => {
  process.stderr.write(explain(error, USAGE));
  process.exit(1);
});
