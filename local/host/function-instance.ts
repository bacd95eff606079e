/** One instance of a function, seen from the host: a worker thread that handles one event at a time. */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { SharedClock } from '../clock.ts';
import { traceId } from '../gateway/identifiers.ts';
import type { FunctionDefinition } from '../template/deployment.ts';
import { crashReason, exitError, exitReason, InstanceStartError, timeoutError } from './instance-errors.ts';
import type { EventMessage, InstanceData, InstanceMessage } from './instance-messages.ts';
import type { FunctionError, LogSink, Outcome } from './invocation.ts';

export interface InstanceOptions {
  /** Unlike any other instance's. */
  readonly id: string;
  readonly definition: FunctionDefinition;
  readonly environment: Readonly<Record<string, string>>;
  /** Source of the instance's program, see `instanceProgram`. */
  readonly program: string;
  readonly log: LogSink;
  /** How long the module may take to load, in ms of real time: it depends on this machine, not on the template. */
  readonly initTimeoutMs: number;
  /** How long a loaded instance waits before it is of use, in ms. */
  readonly coldStartMs: number;
  readonly clock: SharedClock;
}

/** What the instance is doing, and who waits for it. */
interface Work {
  readonly requestId: string | undefined;
  readonly ready: () => void;
  readonly result: (payload: string) => void;
  readonly failed: (error: FunctionError) => void;
  readonly timedOut: () => void;
  readonly cancelTimer: () => void;
}

/** How Lambda says that a process was ended from outside. */
const KILLED = 'with error: signal: killed';

export class FunctionInstance {
  readonly #options: InstanceOptions;
  readonly #signal = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  readonly #worker: Worker;
  readonly #exited: Promise<void>;
  #work: Work | undefined;
  #alive = true;
  #stopped = false;

  constructor(options: InstanceOptions) {
    this.#options = options;
    this.#worker = this.#spawn();
    this.#worker.on('message', (message: InstanceMessage) => this.#receive(message));
    this.#worker.on('error', (error) => this.#fail(exitError(this.#work?.requestId, crashReason(error))));
    this.#exited = new Promise((resolve) => {
      this.#worker.once('exit', (code) => {
        this.#alive = false;
        this.#fail(exitError(this.#work?.requestId, exitReason(code)));
        resolve();
      });
    });
  }

  get id(): string {
    return this.#options.id;
  }

  /** Resolves when its thread has ended. */
  get exited(): Promise<void> {
    return this.#exited;
  }

  /** Whether it can take another event. */
  get alive(): boolean {
    return this.#alive;
  }

  /**
   * Waits until the function's module is loaded, and as long as a cold start takes.
   *
   * @throws InstanceStartError when it cannot be loaded in time; the instance is of no more use.
   */
  async start(): Promise<void> {
    await this.#load();
    await this.#coldStart();
    if (!this.#alive) throw new InstanceStartError(exitError(undefined, KILLED));
  }

  /** Handles one event; always resolves. After anything but a result or a thrown error the instance is dead. */
  run(requestId: string, payload: string): Promise<Outcome> {
    const { clock, definition } = this.#options;
    const timeoutMs = definition.timeoutSeconds * 1000;
    return new Promise((resolve) => {
      const timer = clock.setTimeout(() => this.#timeOut(), timeoutMs);
      this.#begin(requestId, () => clock.clearTimeout(timer), {
        ready: () => {},
        result: (answer) => resolve({ kind: 'result', requestId, payload: answer }),
        failed: (error) => resolve({ kind: 'error', requestId, error }),
        timedOut: () => resolve({ kind: 'timeout', requestId, error: timeoutError(requestId, timeoutMs) }),
      });
      const nowMs = clock.now();
      this.#wake({ requestId, payload, deadline: nowMs + timeoutMs, traceId: tracingHeader(nowMs) });
    });
  }

  /** Ends the thread at once; an event in it ends as a crash, even if its answer is on the way. */
  kill(): void {
    this.#alive = false;
    this.#fail(exitError(this.#work?.requestId, KILLED));
    void this.stop();
  }

  /** Ends the thread, whatever it is doing; an event in it ends as an error. */
  async stop(): Promise<void> {
    this.#alive = false;
    this.#stopped = true;
    await this.#worker.terminate();
    await this.#exited;
  }

  #spawn(): Worker {
    const { definition, environment, program } = this.#options;
    const worker = new Worker(program, {
      eval: true,
      name: definition.name,
      execArgv: [],
      env: { ...environment },
      workerData: this.#data(),
      // The instance sends its output over the port; whatever still gets here must not reach the terminal.
      stdout: true,
      stderr: true,
      resourceLimits: { maxOldGenerationSizeMb: definition.memoryMb },
    });
    worker.stdout.resume();
    worker.stderr.resume();
    return worker;
  }

  #data(): InstanceData {
    const { name, arn, handler, directory, memoryMb } = this.#options.definition;
    const dot = handler.lastIndexOf('.');
    const day = new Date(this.#options.clock.now()).toISOString().slice(0, 10).replaceAll('-', '/');
    return {
      signal: this.#signal.buffer as SharedArrayBuffer,
      clockOffset: this.#options.clock.offset,
      module: pathToFileURL(moduleFile(join(directory, handler.slice(0, dot)))).href,
      exportName: handler.slice(dot + 1),
      handler,
      functionName: name,
      functionArn: arn,
      memoryMb,
      logGroupName: `/aws/lambda/${name}`,
      logStreamName: `${day}/[$LATEST]${randomBytes(16).toString('hex')}`,
    };
  }

  #wake(event: EventMessage): void {
    this.#worker.postMessage(event);
    Atomics.add(this.#signal, 0, 1);
    Atomics.notify(this.#signal, 0);
  }

  #load(): Promise<void> {
    const { initTimeoutMs } = this.#options;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#timeOut(), initTimeoutMs);
      this.#begin(undefined, () => clearTimeout(timer), {
        ready: resolve,
        result: () => {},
        failed: (error) => reject(new InstanceStartError(error)),
        timedOut: () => reject(new InstanceStartError(timeoutError(undefined, initTimeoutMs))),
      });
    });
  }

  async #coldStart(): Promise<void> {
    const { clock, coldStartMs } = this.#options;
    if (coldStartMs <= 0) return;
    let timer: unknown;
    const warm = new Promise<void>((resolve) => {
      timer = clock.setTimeout(resolve, coldStartMs);
    });
    await Promise.race([warm, this.#exited]);
    clock.clearTimeout(timer);
  }

  #begin(
    requestId: string | undefined,
    cancelTimer: () => void,
    work: Omit<Work, 'requestId' | 'cancelTimer'>,
  ): void {
    this.#work = { requestId, cancelTimer, ...work };
  }

  #end(): Work | undefined {
    const work = this.#work;
    this.#work = undefined;
    work?.cancelTimer();
    return work;
  }

  #timeOut(): void {
    const work = this.#end();
    this.#platformLog(work?.requestId, 'timed out; the instance is replaced');
    void this.stop();
    work?.timedOut();
  }

  #fail(error: FunctionError): void {
    const work = this.#end();
    if (work === undefined) return;
    // One that is stopped while it loads has failed nobody.
    const unheard = this.#stopped && work.requestId === undefined;
    if (!unheard) this.#platformLog(work.requestId, `Invoke Error ${JSON.stringify(error)}`);
    work.failed(error);
  }

  #receive(message: InstanceMessage): void {
    switch (message.type) {
      case 'log':
        this.#options.log({
          function: this.#options.definition.name,
          requestId: message.requestId,
          stream: message.stream,
          line: message.line,
        });
        break;
      case 'ready':
        this.#end()?.ready();
        break;
      case 'result':
        this.#end()?.result(message.payload);
        break;
      case 'failed':
        if (message.fatal) this.#alive = false;
        this.#fail(message.error);
    }
  }

  #platformLog(requestId: string | undefined, line: string): void {
    this.#options.log({ function: this.#options.definition.name, requestId, stream: 'platform', line });
  }
}

/** An X-Ray header that says "not sampled" (X-Ray guide, "Tracing header"). */
function tracingHeader(nowMs: number): string {
  return `${traceId(nowMs)};Parent=${randomBytes(8).toString('hex')};Sampled=0`;
}

/** As Lambda's runtime looks for it (its `UserFunction.js`): without a suffix the order is this. */
function moduleFile(path: string): string {
  return (
    ['.js', '.mjs', '.cjs'].map((suffix) => path + suffix).find((file) => existsSync(file)) ?? `${path}.mjs`
  );
}
