/** Programs in processes of their own: what is measured shares no thread with what measures it. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

export interface Child<T> {
  /** What it said first. */
  readonly said: T;
  /** Lets go of it and waits for its end. */
  end(): Promise<void>;
}

/**
 * Starts a program of this directory and waits for its first message.
 * @throws where it ends before it has said anything
 */
export async function child<T>(program: string, args: readonly string[]): Promise<Child<T>> {
  const started = fork(fileURLToPath(new URL(program, import.meta.url)), args, {
    env: { ...process.env, AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true' },
  });
  const [said] = (await Promise.race([once(started, 'message'), failure(started, program)])) as [T];
  return {
    said,
    end: async () => {
      if (started.exitCode !== null || started.signalCode !== null) return;
      const ended = once(started, 'exit');
      if (started.connected) started.disconnect();
      await ended;
    },
  };
}

async function failure(started: ChildProcess, program: string): Promise<never> {
  const [code] = await once(started, 'exit');
  throw new Error(`${program} ended with ${code}`);
}
