/** A program in a process of its own, as it is run from a terminal. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly process: ChildProcess;
  readonly ended: Promise<Ended>;
  /** What it has printed so far. */
  stdout(): string;
  type(line: string): void;
  /** Ends its input. */
  end(): void;
}

export type Environment = Readonly<Record<string, string>>;

/** Starts it with this environment and nothing else of ours but the path. */
export function start(args: readonly string[], environment: Environment = {}): Running {
  const child = spawn(process.execPath, args, {
    cwd: REPOSITORY,
    env: { PATH: process.env.PATH ?? '', ...environment },
    stdio: 'pipe',
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  // One that has ended already reads nothing, which is no failure of the test.
  child.stdin.on('error', () => undefined);
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, stdout, stderr }));
  return {
    process: child,
    ended,
    stdout: () => stdout,
    type: (line) => void child.stdin.write(`${line}\n`),
    end: () => void child.stdin.end(),
  };
}

/** Runs it to its end with this text as its input. */
export function run(args: readonly string[], environment: Environment = {}, input = ''): Promise<Ended> {
  const running = start(args, environment);
  running.process.stdin?.end(input);
  return running.ended;
}
