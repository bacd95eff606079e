/** Every function of a deployment, invoked by name as the Lambda service would. */
import { randomUUID } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import { type SharedClock, StackClock } from '../clock.ts';
import type { Deployment, FunctionDefinition } from '../template/deployment.ts';
import { type AcceptedEvent, AsyncQueue } from './async-queue.ts';
import { type ConcurrencyLimit, concurrencyLimits } from './concurrency.ts';
import type { CredentialStore } from './credentials.ts';
import { messagesFor, type QueueMessage } from './destinations.ts';
import { PayloadTooLargeError, UnknownFunctionError } from './errors.ts';
import { functionEnvironment } from './function-environment.ts';
import { FunctionInstance } from './function-instance.ts';
import { FunctionPool } from './function-pool.ts';
import { InstanceCredentials } from './instance-credentials.ts';
import { instanceProgram } from './instance-program.ts';
import {
  type DroppedEvent,
  type Invocation,
  type LogSink,
  type Outcome,
  toInvocation,
} from './invocation.ts';
import { assertEventFits } from './payload-limits.ts';
import { within } from './within.ts';

export interface HostOptions {
  readonly log: LogSink;
  readonly credentials: CredentialStore;
  /** Where the AWS services answer. */
  readonly endpoint: string;
  /** @default the machine's time */
  readonly clock?: SharedClock;
  /**
   * Events of all functions without reserved concurrency that may run at a time, and the reserved ones of the others;
   * beyond it they are throttled. AWS's default (Lambda quotas page); a new account has less.
   * @default 1000
   */
  readonly accountConcurrency?: number;
  /**
   * Most instances of one function. Here is the one kindness: each is a thread with memory of its own, so an event that
   * AWS would give an instance to waits for one of these instead.
   * @default 8
   */
  readonly maxInstances?: number;
  /** What an event meets whose function has all its instances busy: the queue, or 429 as if that were AWS's limit. @default 'queue' */
  readonly whenFull?: 'queue' | 'throttle';
  /** What a new instance takes before its first event, in ms and beyond the time to load it. @default 0 */
  readonly coldStartMs?: number | ((functionName: string) => number);
  /**
   * Pauses before the retries of an asynchronous event, in ms.
   * @default [60000, 120000]
   */
  readonly retryDelaysMs?: readonly number[];
  /**
   * After how many ms each copy of an accepted asynchronous event starts: `[0, 120]` doubles it, `[300]` makes it late.
   * @default [0]
   */
  readonly asyncDelivery?: (functionName: string) => readonly number[];
  /** Gets each asynchronous event that is given up. */
  readonly onDropped?: (event: DroppedEvent) => void;
  /**
   * Sends what is due for such an event, as the function's role.
   * @throws an error with the reason, which is logged
   * @default it goes nowhere
   */
  readonly send?: (message: QueueMessage, role: string) => void;
  /**
   * Longest load of a function's module, in ms of real time; Lambda allows ten seconds on faster disks.
   * @default 30000
   */
  readonly initTimeoutMs?: number;
}

interface Hosted {
  readonly definition: FunctionDefinition;
  readonly pool: FunctionPool;
  readonly queue: AsyncQueue;
}

export class FunctionHost {
  readonly #functions: ReadonlyMap<string, Hosted>;
  readonly #clock: SharedClock;
  readonly #credentials: InstanceCredentials;
  #closing: Promise<void> | undefined;

  private constructor(
    functions: ReadonlyMap<string, Hosted>,
    clock: SharedClock,
    credentials: InstanceCredentials,
  ) {
    this.#functions = functions;
    this.#clock = clock;
    this.#credentials = credentials;
  }

  /** Hosts the functions of a deployment; none is started before its first event or `prewarm`. */
  static async create(deployment: Deployment, options: HostOptions): Promise<FunctionHost> {
    const { clock = new StackClock(), accountConcurrency = 1_000 } = options;
    const definitions = [...deployment.functions.values()];
    const credentials = new InstanceCredentials(options.credentials, clock);
    const parts: Parts = {
      options,
      deployment,
      clock,
      credentials,
      limitOf: concurrencyLimits(definitions, accountConcurrency),
      program: await instanceProgram(),
    };
    const hosted = definitions.map((definition) => {
      const pool = createPool(definition, parts);
      return [definition.name, { definition, pool, queue: createQueue(definition, pool, parts) }] as const;
    });
    return new FunctionHost(new Map(hosted), clock, credentials);
  }

  get names(): readonly string[] {
    return [...this.#functions.keys()];
  }

  /** @throws UnknownFunctionError */
  definition(name: string): FunctionDefinition {
    return this.#hosted(name).definition;
  }

  /** Instances of a function at this moment. */
  instances(name: string): number {
    return this.#hosted(name).pool.size;
  }

  /**
   * Invokes and waits for the answer. How the function failed is in the result.
   *
   * @throws UnknownFunctionError
   */
  async invoke(name: string, event: unknown): Promise<Invocation> {
    return toInvocation(await this.invokeText(name, JSON.stringify(event) ?? 'null'));
  }

  /** As `invoke`, with the event and the answer as JSON text. More than 6 MB, in or out, is an error of the answer. */
  invokeText(name: string, payload: string): Promise<Outcome> {
    const requestId = randomUUID();
    const { pool } = this.#hosted(name);
    try {
      assertEventFits(payload, 'RequestResponse');
    } catch (error) {
      if (!(error instanceof PayloadTooLargeError)) throw error;
      const refused = { errorType: 'RequestTooLargeException', errorMessage: error.message };
      return Promise.resolve({ kind: 'error', requestId, error: refused });
    }
    return pool.invoke(requestId, payload);
  }

  /**
   * Accepts an event as JSON text; the function runs later, and again if it fails.
   *
   * @throws UnknownFunctionError, PayloadTooLargeError (1 MB)
   */
  invokeLater(name: string, payload: string): AcceptedEvent & { readonly requestId: string } {
    const requestId = randomUUID();
    const { queue } = this.#hosted(name);
    assertEventFits(payload, 'Event');
    return { requestId, ...queue.add(requestId, payload) };
  }

  /** Ends an instance at once, as a crash of it would; false where there is no such instance. */
  kill(instance: string): boolean {
    return [...this.#functions.values()].some(({ pool }) => pool.kill(instance));
  }

  /** The functions that have events running or waiting for an instance, and how many. Events that pause do not count. */
  busy(): string[] {
    return [...this.#functions].flatMap(([name, { pool }]) =>
      pool.pending === 0 ? [] : [`${name} (${pool.pending})`],
    );
  }

  /** Resolves when the events that run or wait for an instance now have ended. */
  async settled(): Promise<void> {
    await Promise.all([...this.#functions.values()].map(({ pool }) => pool.settled()));
  }

  /** Starts one instance of each function, two at a time, in the order given or the template's. */
  async prewarm(names: readonly string[] = this.names): Promise<void> {
    const waiting = names.map((name) => this.#hosted(name).pool);
    const next = async (): Promise<void> => {
      for (let pool = waiting.shift(); pool !== undefined; pool = waiting.shift()) await pool.warm();
    };
    await Promise.all([next(), next()]);
  }

  /** Waits until no event runs, waits, or is to be tried again within that time; at most `timeoutMs`. */
  async drain(timeoutMs: number): Promise<void> {
    const endsMs = performance.now() + timeoutMs;
    for (;;) {
      // Whoever awaited an outcome goes on first: a failed event becomes one that pauses.
      await turn();
      const leftMs = endsMs - performance.now();
      const pauseMs = this.#nextDueMs() - this.#clock.now();
      if (leftMs <= 0) return;
      if (this.busy().length > 0) await within(this.settled(), leftMs);
      else if (pauseMs <= leftMs) await within(new Promise(() => {}), Math.max(1, pauseMs));
      else return;
    }
  }

  /** Ends every instance; events that still run end as errors, those that wait are dropped. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const hosted = [...this.#functions.values()];
    for (const { queue } of hosted) queue.close();
    await Promise.all(hosted.map(({ pool }) => pool.close()));
    this.#credentials.close();
  }

  #nextDueMs(): number {
    const due = [...this.#functions.values()].map(({ queue }) => queue.nextDueMs);
    return Math.min(Number.POSITIVE_INFINITY, ...due);
  }

  #hosted(name: string): Hosted {
    const hosted = this.#functions.get(name);
    if (hosted === undefined) throw new UnknownFunctionError(name);
    return hosted;
  }
}

interface Parts {
  readonly options: HostOptions;
  readonly deployment: Deployment;
  readonly clock: SharedClock;
  readonly credentials: InstanceCredentials;
  readonly limitOf: (definition: FunctionDefinition) => ConcurrencyLimit;
  readonly program: string;
}

function createPool(definition: FunctionDefinition, parts: Parts): FunctionPool {
  const { maxInstances = 8, whenFull = 'queue' } = parts.options;
  let made = 0;
  return new FunctionPool({
    create: () => {
      made += 1;
      return createInstance(`${definition.name}#${made}`, definition, parts);
    },
    maxInstances: Math.min(maxInstances, definition.reservedConcurrency ?? maxInstances),
    concurrency: parts.limitOf(definition),
    whenFull,
  });
}

function createInstance(id: string, definition: FunctionDefinition, parts: Parts): FunctionInstance {
  const { options, deployment, clock, credentials, program } = parts;
  const { log, endpoint, coldStartMs = 0, initTimeoutMs = 30_000 } = options;
  const keys = credentials.issue(id, definition);
  const environment = functionEnvironment(definition, keys, { region: deployment.region, endpoint });
  const instance = new FunctionInstance({
    id,
    definition,
    environment,
    program,
    log,
    initTimeoutMs,
    coldStartMs: typeof coldStartMs === 'number' ? coldStartMs : coldStartMs(definition.name),
    clock,
  });
  void instance.exited.then(() => credentials.forgetLater(keys.accessKeyId));
  return instance;
}

function createQueue(definition: FunctionDefinition, pool: FunctionPool, parts: Parts): AsyncQueue {
  const { name, asynchronous, reservedConcurrency, role } = definition;
  const { clock, options } = parts;
  const { retryDelaysMs = [60_000, 120_000], asyncDelivery, onDropped, send, log } = options;
  return new AsyncQueue({
    functionName: name,
    retries: asynchronous.retries,
    maxAgeSeconds: asynchronous.maxAgeSeconds,
    retryDelaysMs,
    disabled: reservedConcurrency === 0,
    clock,
    delivery: () => asyncDelivery?.(name) ?? [0],
    invoke: (requestId, payload) => pool.invoke(requestId, payload),
    dropped: (event) => {
      const { requestId, reason, attempts, error } = event;
      const say = (line: string) => log({ function: name, requestId, stream: 'platform', line });
      say(`asynchronous event dropped after ${attempts} attempts (${reason}): ${error.errorMessage}`);
      onDropped?.(event);
      for (const message of messagesFor(event, definition, clock.now())) {
        try {
          send?.(message, role);
        } catch (problem) {
          // On AWS a number in DestinationDeliveryFailures or DeadLetterErrors, and nothing else.
          say(`not delivered to ${message.queueArn}: ${String(problem)}`);
        }
      }
    },
  });
}
