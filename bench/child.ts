/** Programs in processes of their own: what is measured shares no thread with what measures it. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

export interface Child<T> {
  /** What it said first. */
  readonly said: T;
  /** What the program answers, see `whenAsked`. @throws where it ends instead, or is silent for ten minutes */
  ask<A>(question: unknown): Promise<A>;
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
    ask: (question) => ask(started, program, question),
    end: async () => {
      if (started.exitCode !== null || started.signalCode !== null) return;
      const ended = once(started, 'exit');
      if (started.connected) started.disconnect();
      await ended;
    },
  };
}

interface Numbered<T> {
  readonly n: number;
  readonly body: T;
}

/** A program that waits for what never comes must not keep its parent waiting. */
const PATIENCE_MS = 10 * 60_000;

let asked = 0;

async function ask<A>(started: ChildProcess, program: string, body: unknown): Promise<A> {
  asked += 1;
  const n = asked;
  const done = new AbortController();
  let hear = (_: Numbered<A>) => {};
  const answer = new Promise<A>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${program} did not answer`)), PATIENCE_MS);
    done.signal.addEventListener('abort', () => clearTimeout(timer));
    hear = (message) => {
      if (message.n === n) resolve(message.body);
    };
  });
  started.on('message', hear);
  try {
    started.send({ n, body });
    return await Promise.race([answer, failure(started, program, done.signal)]);
  } finally {
    started.off('message', hear);
    done.abort();
  }
}

/** For such a program: answers each question of its parent. An answer that fails ends the program. */
export function whenAsked<Q>(answer: (question: Q) => unknown): void {
  process.on('message', async ({ n, body }: Numbered<Q>) => {
    process.send?.({ n, body: await answer(body) });
  });
}

/** Milliseconds on a clock that the processes of a machine share. */
export function sharedNow(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

async function failure(started: ChildProcess, program: string, signal?: AbortSignal): Promise<never> {
  const [code] = await once(started, 'exit', signal === undefined ? {} : { signal });
  throw new Error(`${program} ended with ${code}`);
}
