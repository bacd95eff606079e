import { EventEmitter, on } from 'node:events';
import { fileURLToPath } from 'node:url';
import { StackClock } from '../../../local/clock.ts';
import { CredentialStore } from '../../../local/host/credentials.ts';
import { FunctionHost, type HostOptions } from '../../../local/host/function-host.ts';
import type { DroppedEvent, LogEntry } from '../../../local/host/invocation.ts';
import type {
  AsynchronousDefinition,
  Deployment,
  FunctionDefinition,
} from '../../../local/template/deployment.ts';

const directory = fileURLToPath(new URL('./fixtures/', import.meta.url));

/** A function of the fixtures, named as its export. */
export function fixture(name: string, changes: Partial<FunctionDefinition> = {}): FunctionDefinition {
  return {
    name,
    arn: `arn:aws:lambda:us-east-1:123456789012:function:${name}`,
    logicalId: name,
    directory,
    handler: `functions.${name}`,
    environment: {},
    timeoutSeconds: 10,
    memoryMb: 128,
    reservedConcurrency: undefined,
    role: `arn:aws:iam::123456789012:role/${name}`,
    asynchronous: asynchronous(),
    ...changes,
  };
}

export function asynchronous(changes: Partial<AsynchronousDefinition> = {}): AsynchronousDefinition {
  return {
    retries: 2,
    maxAgeSeconds: 21_600,
    onFailure: undefined,
    deadLetterQueue: undefined,
    ...changes,
  };
}

function deploymentOf(functions: readonly FunctionDefinition[]): Deployment {
  return {
    stackName: 'Fixture',
    region: 'us-east-1',
    accountId: '123456789012',
    functions: new Map(functions.map((definition) => [definition.name, definition])),
    tables: [],
    webSocketApi: undefined,
    httpApi: undefined,
    frontDoor: undefined,
    schedules: [],
    eventBuses: [],
    eventRules: [],
    policies: new Map(),
    permissions: [],
    queues: [],
    leftOut: [],
    outputs: new Map(),
  };
}

export interface Hosting {
  readonly host: FunctionHost;
  readonly logs: LogEntry[];
  readonly dropped: DroppedEvent[];
  readonly credentials: CredentialStore;
  readonly clock: StackClock;
  /** Resolves when a line that starts like this was written. */
  readonly logged: (start: string) => Promise<void>;
  readonly [Symbol.asyncDispose]: () => Promise<void>;
}

export async function hosting(
  functions: readonly FunctionDefinition[],
  options: Partial<HostOptions> = {},
): Promise<Hosting> {
  const logs: LogEntry[] = [];
  const dropped: DroppedEvent[] = [];
  const credentials = new CredentialStore();
  const clock = new StackClock();
  const lines = new EventEmitter();
  const log = (entry: LogEntry) => {
    logs.push(entry);
    lines.emit('line', entry.line);
  };
  const logged = async (start: string) => {
    for await (const [line] of on(lines, 'line')) if (line.startsWith(start)) return;
  };
  const host = await FunctionHost.create(deploymentOf(functions), {
    log,
    onDropped: (event) => dropped.push(event),
    credentials,
    endpoint: 'http://127.0.0.1:9',
    clock,
    ...options,
  });
  return { host, logs, dropped, credentials, clock, logged, [Symbol.asyncDispose]: () => host.close() };
}
