/** `npm start`: synthesises the stack, runs the template, says how to try it, and stops cleanly. */
import { parseCommandLine, USAGE, UsageError } from './command-line.ts';
import { PortInUseError } from './errors.ts';
import { type CommandedFaults, commandedFaults } from './faults/command.ts';
import { FaultRulesError } from './faults/rules.ts';
import type { LogEntry } from './host/invocation.ts';
import { logLine } from './log-lines.ts';
import { readEnvFile, readSettings, type Settings } from './settings.ts';
import { type LocalStack, startStack } from './stack.ts';
import { startupLines } from './startup-lines.ts';
import { Synthesis, SynthesisError } from './synthesis.ts';
import { TemplateError } from './template/errors.ts';
import { developmentToken, welcome } from './welcome.ts';

const INTERRUPTED = 130;

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
  const assembly = synthesis.run(settings.synthesis);
  // Where the port is taken nobody waits for the assembly any more.
  assembly.catch(() => {});
  return startStack({ assembly, port: settings.port, settings: settings.stack, log, faults, seed });
}

/** Ctrl-C and SIGTERM: the first one while the stack is up lets it drain, any other one ends the process at once. */
class StopSignals {
  #stop: () => void = () => process.exit(0);

  constructor() {
    process.on('SIGINT', () => this.#stop());
    process.on('SIGTERM', () => this.#stop());
  }

  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#stop = () => {
        this.#stop = () => process.exit(INTERRUPTED);
        resolve();
      };
    });
  }
}

/** What the reader can mend gets its message; anything else is ours, with its trace. */
function explain(error: unknown): string {
  if (error instanceof UsageError) return `${error.message}\n\n${USAGE}`;
  const known = [PortInUseError, SynthesisError, TemplateError, FaultRulesError].some(
    (kind) => error instanceof kind,
  );
  if (error instanceof Error) return `${known ? error.message : error.stack}\n`;
  return `${String(error)}\n`;
}

main().catch((error: unknown) => {
  process.stderr.write(explain(error));
  process.exit(1);
});
