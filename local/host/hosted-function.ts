/** How one function is hosted: its pool of instances, and the queue of its asynchronous events. */
import type { SharedClock } from '../clock.ts';
import type { Deployment, FunctionDefinition } from '../template/deployment.ts';
import { AsyncQueue } from './async-queue.ts';
import type { ConcurrencyLimit } from './concurrency.ts';
import type { CredentialStore } from './credentials.ts';
import { messagesFor, type QueueMessage } from './destinations.ts';
import { functionEnvironment } from './function-environment.ts';
import { FunctionInstance } from './function-instance.ts';
import { FunctionPool } from './function-pool.ts';
import type { InstanceCredentials } from './instance-credentials.ts';
import type { DroppedEvent, LogSink } from './invocation.ts';

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

export interface Hosted {
  readonly definition: FunctionDefinition;
  readonly pool: FunctionPool;
  readonly queue: AsyncQueue;
}

/** What every function of a host needs. */
export interface HostParts {
  readonly options: HostOptions;
  readonly deployment: Deployment;
  readonly clock: SharedClock;
  readonly credentials: InstanceCredentials;
  readonly limitOf: (definition: FunctionDefinition) => ConcurrencyLimit;
  readonly program: string;
}

/** Hosts a function; it is not started. */
export function hostFunction(definition: FunctionDefinition, parts: HostParts): Hosted {
  const pool = createPool(definition, parts);
  return { definition, pool, queue: createQueue(definition, pool, parts) };
}

function createPool(definition: FunctionDefinition, parts: HostParts): FunctionPool {
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

function createInstance(id: string, definition: FunctionDefinition, parts: HostParts): FunctionInstance {
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

function createQueue(definition: FunctionDefinition, pool: FunctionPool, parts: HostParts): AsyncQueue {
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
