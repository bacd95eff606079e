/** One instance of a function, seen from the host: a worker thread that handles one event at a time. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { traceId } from '../gateway/identifiers.ts';
import type { FunctionDefinition } from '../template/deployment.ts';
import type { EventMessage, InstanceData, InstanceMessage } from './instance-messages.ts';
import type { FunctionError, LogSink, Outcome } from './invocation.ts';

export interface InstanceOptions {
  readonly definition: FunctionDefinition;
  readonly environment: Readonly<Record<string, string>>;
  /** Source of the instance's program, see `instanceProgram`. */
  readonly program: string;
  readonly log: LogSink;
  /** How long the module may take to load, in ms. */
  readonly initTimeoutMs: number;
}

/** The instance could not load its function; no event ran. */
export class InstanceStartError extends Error {
  override readonly name = 'InstanceStartError';
  readonly code = 'instance_start';
  readonly retryable = true;
  readonly error: FunctionError;

  constructor(error: FunctionError) {
    super(error.errorMessage);
    this.error = error;
  }
}

/** What the instance is doing, and who waits for it. */
interface Work {
  readonly requestId: string | undefined;
  readonly ready: () => void;
  readonly result: (payload: string) => void;
  readonly failed: (error: FunctionError) => void;
  readonly timedOut: () => void;
  readonly timer: NodeJS.Timeout;
}

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

  /** Whether it can take another event. */
  get alive(): boolean {
    return this.#alive;
  }

  /**
   * Waits until the function's module is loaded.
   *
   * @throws InstanceStartError when it cannot be loaded in time; the instance is of no more use.
   */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#begin(undefined, this.#options.initTimeoutMs, {
        ready: resolve,
        result: () => {},
        failed: (error) => reject(new InstanceStartError(error)),
        timedOut: () => reject(new InstanceStartError(timeoutError(undefined, this.#options.initTimeoutMs))),
      });
    });
  }

  /** Handles one event; always resolves. After anything but a result or a thrown error the instance is dead. */
  run(requestId: string, payload: string): Promise<Outcome> {
    const timeoutMs = this.#options.definition.timeoutSeconds * 1000;
    return new Promise((resolve) => {
      this.#begin(requestId, timeoutMs, {
        ready: () => {},
        result: (answer) => resolve({ kind: 'result', requestId, payload: answer }),
        failed: (error) => resolve({ kind: 'error', requestId, error }),
        timedOut: () => resolve({ kind: 'timeout', requestId, error: timeoutError(requestId, timeoutMs) }),
      });
      this.#wake({ requestId, payload, deadline: Date.now() + timeoutMs, traceId: tracingHeader() });
    });
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
    const day = new Date().toISOString().slice(0, 10).replaceAll('-', '/');
    return {
      signal: this.#signal.buffer as SharedArrayBuffer,
      module: pathToFileURL(join(directory, `${handler.slice(0, dot)}.mjs`)).href,
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

  #begin(requestId: string | undefined, timeoutMs: number, work: Omit<Work, 'requestId' | 'timer'>): void {
    const timer = setTimeout(() => this.#timeOut(), timeoutMs);
    this.#work = { requestId, timer, ...work };
  }

  #end(): Work | undefined {
    const work = this.#work;
    this.#work = undefined;
    clearTimeout(work?.timer);
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

function timeoutError(requestId: string | undefined, timeoutMs: number): FunctionError {
  const errorMessage = `${named(requestId)}Error: Task timed out after ${(timeoutMs / 1000).toFixed(2)} seconds`;
  return { errorType: 'Sandbox.Timedout', errorMessage };
}

function exitError(requestId: string | undefined, reason: string): FunctionError {
  return {
    errorType: 'Runtime.ExitError',
    errorMessage: `${named(requestId)}Error: Runtime exited ${reason}`,
  };
}

function exitReason(code: number): string {
  return code === 0 ? 'without providing a reason' : `with error: exit status ${code}`;
}

/** Out of memory is the one crash that the instance cannot report itself; Lambda kills the process. */
function crashReason(error: Error): string {
  const killed = 'code' in error && error.code === 'ERR_WORKER_OUT_OF_MEMORY';
  return `with error: ${killed ? 'signal: killed' : error.message}`;
}

function named(requestId: string | undefined): string {
  return requestId === undefined ? '' : `RequestId: ${requestId} `;
}

/** An X-Ray header that says "not sampled" (X-Ray guide, "Tracing header"). */
function tracingHeader(): string {
  return `${traceId(Date.now())};Parent=${randomBytes(8).toString('hex')};Sampled=0`;
}
