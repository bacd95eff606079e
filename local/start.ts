/** `npm start`: synthesises the stack, runs the template, says how to try it, and stops cleanly. */
import { parseCommandLine, USAGE } from './command-line.ts';
import { explain } from './explain.ts';
import { type CommandedFaults, commandedFaults } from './faults/command.ts';
import type { LogEntry } from './host/invocation.ts';
import { logLine } from './log-lines.ts';
import { readEnvFile, readSettings, type Settings } from './settings.ts';
import { type LocalStack, startStack } from './stack.ts';
import { startupLines } from './startup-lines.ts';
import { StopSignals } from './stop-signals.ts';
import { ownApp, Synthesis } from './synthesis.ts';
import { developmentToken, welcome } from './welcome.ts';

async function main(): Promise<void> {
  const options = parseCommandLine(process.argv.slice(2));
  if (options.help) {
    process.stdout.write(USAGE);
    return;
  }
  const settings = readSettings(process.env, await readEnvFile('.env'), options);
  const faults = await commandedFaults(options);
  const synthesis = new Synthesis();
  process.once('exit', () => synthesis.dispose());
  const signals = new StopSignals();
  const stack = await start(settings, synthesis, options.jsonLogs, faults);
  const stopped = signals.next();
  for (const line of await startupLines(stack.deployment)) process.stdout.write(`${line}\n`);
  if (faults.line !== undefined) process.stdout.write(`${faults.line}\n`);
  process.stdout.write(welcome(stack, settings, await developmentToken(settings.jwtSecret)));
  await stopped;
  process.stdout.write('stopping\n');
  await stack.close();
  process.exit(0);
}

/** The port is taken and everything that needs no template is made while the app is synthesised. */
function start(
  settings: Settings,
  synthesis: Synthesis,
  json: boolean,
  { faults, seed }: CommandedFaults,
): Promise<LocalStack> {
  const log = (entry: LogEntry) => {
    const line = logLine(entry, { debug: settings.debug, json });
    if (line !== undefined) process.stdout.write(`${line}\n`);
  };
  const assembly = synthesis.run(ownApp(), settings.synthesis);
  // Where the port is taken nobody waits for the assembly any more.
  assembly.catch(() => {});
  return startStack({ assembly, port: settings.port, settings: settings.stack, log, faults, seed });
}

main().catch((error: unknown) => {
  process.stderr.write(explain(error, USAGE));
  process.exit(1);
});
