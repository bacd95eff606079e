/** Synthesises a CDK app in a child process, as the CDK CLI would, into a directory of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** The app could not be synthesised; the message is what it printed. */
export class SynthesisError extends Error {
  override readonly name = 'SynthesisError';
  readonly code = 'synthesis';
  readonly retryable = false;
}

/** What synthesises. */
export interface AppCommand {
  readonly file: string;
  readonly args: readonly string[];
  /** Whether `file` is a whole line for the shell, as `app` of `cdk.json` is. @default false */
  readonly shell?: boolean;
}

/** The CDK app of this repository. */
export function ownApp(): AppCommand {
  // By path: `tsx` by name would be looked for from the working directory, which may be anybody's.
  const loader = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
  const app = fileURLToPath(new URL('../bin/socketbus.ts', import.meta.url));
  return { file: process.execPath, args: ['--import', loader, app] };
}

export class Synthesis {
  /** Where the assembly goes; exists until `dispose`. */
  readonly directory = mkdtempSync(join(tmpdir(), 'socketbus-'));
  #child: ChildProcess | undefined;

  /**
   * Runs an app and returns the directory.
   *
   * @param environment all variables of the app
   * @throws SynthesisError with the app's own message, such as the list of wrong settings
   */
  async run(command: AppCommand, environment: Readonly<Record<string, string | undefined>>): Promise<string> {
    const { file, args, shell = false } = command;
    const child = spawn(file, args, {
      env: { ...environment, CDK_OUTDIR: this.directory },
      stdio: ['ignore', 'pipe', 'pipe'],
      shell,
    });
    this.#child = child;
    const output = Promise.all([text(child.stdout), text(child.stderr)]);
    const [code] = await once(child, 'close');
    this.#child = undefined;
    if (code === 0) return this.directory;
    const message = (await output).join('').trim();
    throw new SynthesisError(message || `the CDK app ended with ${code ?? 'a signal'}`);
  }

  /** Ends a run and removes the directory. */
  dispose(): void {
    this.#child?.kill();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
