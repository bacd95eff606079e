/** Every function of a deployment, invoked by name as the Lambda service would. */
import { randomUUID } from 'node:crypto';
import type { Deployment, FunctionDefinition } from '../template/deployment.ts';
import { AsyncQueue } from './async-queue.ts';
import type { CredentialStore } from './credentials.ts';
import { UnknownFunctionError } from './errors.ts';
import { functionEnvironment } from './function-environment.ts';
import { FunctionPool } from './function-pool.ts';
import { instanceProgram } from './instance-program.ts';
import {
  type DroppedEvent,
  type Invocation,
  type LogSink,
  type Outcome,
  toInvocation,
} from './invocation.ts';
import { within } from './within.ts';

export interface HostOptions {
  readonly log: LogSink;
  readonly credentials: CredentialStore;
  /** Where the AWS services answer. */
  readonly endpoint: string;
  /**
   * Most instances of one function where the template reserves no concurrency.
   * @default 8
   */
  readonly maxInstances?: number;
  /** @default 'queue' */
  readonly whenFull?: 'queue' | 'throttle';
  /**
   * Pauses before the retries of an asynchronous event, in ms. On AWS one and two minutes.
   * @default [1000, 2000]
   */
  readonly retryDelaysMs?: readonly number[];
  /** Gets each asynchronous event that is given up. */
  readonly onDropped?: (event: DroppedEvent) => void;
  /**
   * Longest load of a function's module, in ms; Lambda allows ten seconds on faster disks.
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
  #closing: Promise<void> | undefined;

  private constructor(functions: ReadonlyMap<string, Hosted>) {
    this.#functions = functions;
  }

  /** Hosts the functions of a deployment; none is started before its first event or `prewarm`. */
  static async create(deployment: Deployment, options: HostOptions): Promise<FunctionHost> {
    const program = await instanceProgram();
    const hosted = [...deployment.functions.values()].map((definition) => {
      const pool = createPool(definition, deployment, options, program);
      return [definition.name, { definition, pool, queue: createQueue(definition, pool, options) }] as const;
    });
    return new FunctionHost(new Map(hosted));
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

  /** As `invoke`, with the event and the answer as JSON text. */
  invokeText(name: string, payload: string): Promise<Outcome> {
    return this.#hosted(name).pool.invoke(randomUUID(), payload);
  }

  /**
   * Accepts an event as JSON text; the function runs later, and again if it fails. `handled` resolves when it was
   * handled or dropped.
   *
   * @throws UnknownFunctionError
   */
  invokeLater(
    name: string,
    payload: string,
  ): { readonly requestId: string; readonly handled: Promise<void> } {
    const requestId = randomUUID();
    return { requestId, handled: this.#hosted(name).queue.add(requestId, payload) };
  }

  /** Starts one instance of each function, two at a time, in the order given or the template's. */
  async prewarm(names: readonly string[] = this.names): Promise<void> {
    const waiting = names.map((name) => this.#hosted(name).pool);
    const next = async (): Promise<void> => {
      for (let pool = waiting.shift(); pool !== undefined; pool = waiting.shift()) await pool.warm();
    };
    await Promise.all([next(), next()]);
  }

  /** Waits until no event runs, waits or is to be retried, at most `timeoutMs`. */
  async drain(timeoutMs: number): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    const hosted = [...this.#functions.values()];
    const busy = () => hosted.some(({ pool, queue }) => pool.pending > 0 || queue.pending > 0);
    while (busy() && Date.now() < deadline) {
      const settled = hosted.flatMap(({ pool, queue }) => [pool.settled(), queue.settled()]);
      await within(Promise.all(settled), deadline - Date.now());
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
  }

  #hosted(name: string): Hosted {
    const hosted = this.#functions.get(name);
    if (hosted === undefined) throw new UnknownFunctionError(name);
    return hosted;
  }
}

function createPool(
  definition: FunctionDefinition,
  { region }: Deployment,
  { log, credentials, endpoint, maxInstances = 8, whenFull = 'queue', initTimeoutMs = 30_000 }: HostOptions,
  program: string,
): FunctionPool {
  const issued = credentials.issue({ arn: definition.role, functionName: definition.name });
  const environment = functionEnvironment(definition, issued, { region, endpoint });
  return new FunctionPool({
    instance: { definition, environment, program, log, initTimeoutMs },
    limit: definition.reservedConcurrency ?? maxInstances,
    whenFull,
  });
}

function createQueue(
  { name, asynchronous }: FunctionDefinition,
  pool: FunctionPool,
  { retryDelaysMs = [1000, 2000], onDropped, log }: HostOptions,
): AsyncQueue {
  return new AsyncQueue({
    functionName: name,
    ...asynchronous,
    retryDelaysMs,
    invoke: (requestId, payload) => pool.invoke(requestId, payload),
    dropped: (event) => {
      const { requestId, reason, attempts, error } = event;
      const line = `asynchronous event dropped after ${attempts} attempts (${reason}): ${error.errorMessage}`;
      log({ function: name, requestId, stream: 'platform', line });
      onDropped?.(event);
    },
  });
}
