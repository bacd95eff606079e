import { EventEmitter, on } from 'node:events';
import { fileURLToPath } from 'node:url';
import { CredentialStore } from '../../../local/host/credentials.ts';
import { FunctionHost, type HostOptions } from '../../../local/host/function-host.ts';
import type { DroppedEvent, LogEntry } from '../../../local/host/invocation.ts';
import type { Deployment, FunctionDefinition } from '../../../local/template/deployment.ts';

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
    asynchronous: { retries: 2, maxAgeSeconds: 60 },
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
    schedules: [],
    eventBuses: [],
    eventRules: [],
    policies: new Map(),
    permissions: [],
    outputs: new Map(),
  };
}

export interface Hosting {
  readonly host: FunctionHost;
  readonly logs: LogEntry[];
  readonly dropped: DroppedEvent[];
  readonly credentials: CredentialStore;
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
    retryDelaysMs: [1, 1],
    ...options,
  });
  return { host, logs, dropped, credentials, logged, [Symbol.asyncDispose]: () => host.close() };
}
