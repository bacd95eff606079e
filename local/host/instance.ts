/**
 * The inside of one function instance: the part of Lambda's Node.js runtime that a function can notice.
 *
 * It runs in a worker thread. Between two events the thread is blocked, so timers and promises that the handler left
 * behind stand still, as in a frozen execution environment, and go on while the next event is handled (Lambda guide,
 * "Understanding the Lambda execution environment lifecycle"). Everything it writes goes over the message port in the
 * same step, because piped output would be stuck in a blocked thread.
 */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { moveClock } from './instance-clock.ts';
import type { EventMessage, InstanceData, InstanceMessage } from './instance-messages.ts';
import type { FunctionError } from './invocation.ts';

const MEGABYTE = 1_048_576;

type Handler = (event: unknown, context: object) => unknown;

const data: InstanceData = workerData;
const signal = new Int32Array(data.signal);
let seen = 0;
let current: EventMessage | undefined;

function send(message: InstanceMessage): void {
  parentPort?.postMessage(message);
}

/** Blocks the whole thread until the host has an event: this is the freeze. */
function nextEvent(): EventMessage {
  for (;;) {
    const received = parentPort === null ? undefined : receiveMessageOnPort(parentPort);
    if (received !== undefined) return received.message;
    Atomics.wait(signal, 0, seen);
    seen = Atomics.load(signal, 0);
  }
}

function captureOutput(stream: 'stdout' | 'stderr'): void {
  const write = (chunk: string | Uint8Array, encoding?: unknown, callback?: unknown): boolean => {
    const text = typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString();
    send({ type: 'log', stream, requestId: current?.requestId, line: text.replace(/\r?\n$/, '') });
    const done = typeof encoding === 'function' ? encoding : callback;
    if (typeof done === 'function') process.nextTick(done);
    return true;
  };
  process[stream].write = write;
}

/** As the runtime interface client of Lambda describes what was thrown. */
function describe(thrown: unknown, errorType?: string): FunctionError {
  if (!(thrown instanceof Error)) {
    return { errorType: errorType ?? typeof thrown, errorMessage: String(thrown), trace: [] };
  }
  const trace = (thrown.stack ?? `${thrown.name}: ${thrown.message}`).split('\n');
  return { errorType: errorType ?? thrown.name, errorMessage: thrown.message, trace };
}

/** Reports the error and ends the instance; what the event left behind must not run on. */
function crash(error: FunctionError): never {
  send({ type: 'failed', error, fatal: true });
  process.exit(1);
}

function watchForCrashes(): void {
  process.on('uncaughtException', (error) => crash(describe(error)));
  process.on('unhandledRejection', (reason) => {
    const { errorMessage, trace = [] } = describe(reason);
    crash({ errorType: 'Runtime.UnhandledPromiseRejection', errorMessage, trace });
  });
  // The event loop is empty and the handler's promise can never settle.
  process.on('beforeExit', () => {
    crash({
      errorType: 'Runtime.NodeJsExit',
      errorMessage: 'the event loop is empty, the handler never answered',
    });
  });
}

async function loadHandler(): Promise<Handler> {
  let module: Record<string, unknown>;
  try {
    module = await import(data.module);
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND';
    return crash(describe(error, missing ? 'Runtime.ImportModuleError' : undefined));
  }
  const handler = module[data.exportName];
  if (typeof handler === 'function') return (event, context) => handler(event, context);
  const errorMessage = `${data.handler} is undefined or not exported`;
  return crash({ errorType: 'Runtime.HandlerNotFound', errorMessage, trace: [] });
}

function contextOf({ requestId, deadline }: EventMessage): object {
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionVersion: '$LATEST',
    functionName: data.functionName,
    memoryLimitInMB: String(data.memoryMb),
    logGroupName: data.logGroupName,
    logStreamName: data.logStreamName,
    clientContext: undefined,
    identity: undefined,
    invokedFunctionArn: data.functionArn,
    awsRequestId: requestId,
    getRemainingTimeInMillis: () => Math.max(0, deadline - Date.now()),
  };
}

/**
 * Ends an instance that holds more than its memory. V8 limits its own heap; buffers lie outside of it and are counted
 * here, at the end of each event, where Lambda kills at the moment they are touched.
 */
function checkMemory(): void {
  const { heapUsed, external } = process.memoryUsage();
  if (heapUsed + external <= data.memoryMb * MEGABYTE) return;
  const named = `RequestId: ${current?.requestId} `;
  crash({
    errorType: 'Runtime.ExitError',
    errorMessage: `${named}Error: Runtime exited with error: signal: killed`,
  });
}

async function answer(handler: Handler, event: EventMessage): Promise<InstanceMessage> {
  try {
    const value = await handler(JSON.parse(event.payload), contextOf(event));
    checkMemory();
    return { type: 'result', payload: JSON.stringify(value) ?? 'null' };
  } catch (error) {
    return { type: 'failed', error: describe(error), fatal: false };
  }
}

async function run(): Promise<void> {
  moveClock(data.clockOffset);
  captureOutput('stdout');
  captureOutput('stderr');
  watchForCrashes();
  const handler = await loadHandler();
  send({ type: 'ready' });
  for (;;) {
    current = nextEvent();
    process.env._X_AMZN_TRACE_ID = current.traceId;
    // Nothing may come between the answer and the freeze: both happen in one microtask.
    send(await answer(handler, current));
  }
}

void run();
