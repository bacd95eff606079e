/** Every function of a deployment, invoked by name as the Lambda service would. */
import { randomUUID } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import { type SharedClock, StackClock } from '../clock.ts';
import type { Deployment, FunctionDefinition } from '../template/deployment.ts';
import type { AcceptedEvent } from './async-queue.ts';
import { concurrencyLimits } from './concurrency.ts';
import { PayloadTooLargeError, UnknownFunctionError } from './errors.ts';
import { type Hosted, type HostOptions, type HostParts, hostFunction } from './hosted-function.ts';
import { InstanceCredentials } from './instance-credentials.ts';
import { instanceProgram } from './instance-program.ts';
import { type Invocation, type Outcome, toInvocation } from './invocation.ts';
import { assertEventFits } from './payload-limits.ts';
import { within } from './within.ts';

export type { HostOptions } from './hosted-function.ts';

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
    const parts: HostParts = {
      options,
      deployment,
      clock,
      credentials,
      limitOf: concurrencyLimits(definitions, accountConcurrency),
      program: await instanceProgram(),
    };
    const hosted = definitions.map(
      (definition) => [definition.name, hostFunction(definition, parts)] as const,
    );
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
