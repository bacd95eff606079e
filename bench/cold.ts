/**
 * What a cold start loads and how long that takes, for every function with all built-in applications.
 *
 *     npm run bench -- cold [repetitions]
 *
 * Each measurement is a fresh Node process with nothing in it but the bundle; functions take turns, and the medians count.
 * "Import" is the evaluation of the module and of all it loads. The first event goes to a stub that answers at once, as
 * an empty DynamoDB and a willing API Gateway and Lambda would, in this process and without TLS: what is measured is the
 * function's own work, with the SDK's first call and what it loads for that. Bounds: at most 550 KB before the first
 * event, and at most 60 ms to import them.
 */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { devNull, tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import type { DeliverWork, OpenWork } from '../lambdas/bus/ports.ts';
import {
  type EnvironmentVariables,
  FUNCTION_NAMES,
  type FunctionName,
} from '../lambdas/contract/environment.ts';
import { DEFAULT_LIMITS, limitVariables } from '../lambdas/contract/limits.ts';
import { type Bundles, buildBundles } from '../lib/bundles.ts';
import { type Bench, type BenchResult, median, type Row } from './result.ts';

const MOST_KB = 550;
const MOST_IMPORT_MS = 60;

/** The whole of a cold process: `[module, event]`. */
const PROGRAM = `
const [module, event] = process.argv.slice(1);
const begin = performance.now();
const { handler } = await import(module);
const imported = performance.now();
const context = { getRemainingTimeInMillis: () => 20_000, functionName: 'bench', awsRequestId: 'bench' };
await handler(JSON.parse(event), context);
const handled = performance.now();
process.stdout.write('\\n' + JSON.stringify({ importMs: imported - begin, eventMs: handled - imported }));
process.exit();
`;

interface Start {
  readonly importMs: number;
  readonly eventMs: number;
}

export const bench: Bench = async ([repetitions = '15']) => {
  const directory = await mkdtemp(join(tmpdir(), 'socketbus-bench-'));
  const stub = createServer((request, response) => {
    request.resume();
    // Lambda answers an asynchronous invocation with 202; DynamoDB an update with what it has written.
    response.writeHead(request.url?.includes('/functions/') === true ? 202 : 200, {
      'content-type': 'application/x-amz-json-1.0',
    });
    response.end(request.url?.includes('@connections') === true ? '' : '{"Attributes":{}}');
  });
  try {
    const bundles = await buildBundles({ directory });
    await once(stub.listen(0, '127.0.0.1'), 'listening');
    const starts = new Map<FunctionName, Start[]>(FUNCTION_NAMES.map((name) => [name, []]));
    for (let n = 0; n < Number(repetitions); n += 1) {
      for (const name of FUNCTION_NAMES) starts.get(name)?.push(await start(bundles, name, stub));
    }
    return summary(bundles, starts, await allKilobytes(directory));
  } finally {
    stub.close();
    await rm(directory, { recursive: true, force: true });
  }
};

/** @throws where the function fails, or says nothing of how long it took */
async function start({ directory }: Bundles, name: FunctionName, stub: Server): Promise<Start> {
  const url = `http://127.0.0.1:${(stub.address() as AddressInfo).port}`;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [
      '--input-type=module',
      '--eval',
      PROGRAM,
      pathToFileURL(join(directory, `${name}.mjs`)).href,
      JSON.stringify(EVENTS[name]()),
    ],
    { env: { ...functionVariables(url), ...runtimeVariables(url) } },
  );
  return JSON.parse(stdout.split('\n').at(-1) ?? '') as Start;
}

function summary(
  { eagerKilobytes }: Bundles,
  starts: ReadonlyMap<FunctionName, readonly Start[]>,
  all: number,
): BenchResult {
  const rows = FUNCTION_NAMES.map((name): Row & { eager: number; importMs: number } => {
    const of = (what: keyof Start) => (starts.get(name) ?? []).map((one) => one[what]);
    return {
      function: name,
      eager: eagerKilobytes[name],
      importMs: median(of('importMs')),
      'import, least (ms)': Math.min(...of('importMs')),
      'first event (ms)': median(of('eventMs')),
      'first event, least (ms)': Math.min(...of('eventMs')),
    };
  });
  const most = (of: 'eager' | 'importMs') => Math.max(...rows.map((row) => row[of]));
  return {
    rows: [
      ...rows.map(
        ({ function: name, eager, importMs, ...others }): Row => ({
          function: name ?? '',
          'eager (KB)': Math.round(eager),
          'import (ms)': importMs,
          ...others,
        }),
      ),
      { function: 'all files', 'eager (KB)': Math.round(all) },
    ],
    ratios: {
      'eager / bound, at most': most('eager') / MOST_KB,
      'import / bound, at most': most('importMs') / MOST_IMPORT_MS,
    },
  };
}

/** Code alone: source maps are in the asset, too, and nothing reads them. */
async function allKilobytes(directory: string): Promise<number> {
  const names = (await readdir(directory, { recursive: true })).filter((name) => name.endsWith('.mjs'));
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(directory, name))).size));
  return sizes.reduce((sum, size) => sum + size, 0) / 1_000;
}

function functionVariables(url: string): EnvironmentVariables {
  return {
    BUS_TABLE: 'bus',
    APPS_TABLE: 'apps',
    CALLBACK_URL: `${url}/prod`,
    EVENT_BUS: 'bus',
    OPEN_FUNCTION: 'open',
    DELIVER_FUNCTION: 'deliver',
    REQUESTS_PER_SECOND: '10000',
    INLINE_POSTS: '500',
    ...limitVariables(DEFAULT_LIMITS),
    APPS: 'bench',
    PING_INTERVAL_MINUTES: '4',
    PING_TIMEOUT_MINUTES: '2',
    TRACK_PONGS: 'true',
    TRANSPORTS: 'polling,websocket',
    POLL_HOLD_SECONDS: '5',
    SECRET_PREFIX: 'bench',
    IDENTITY: 'trusted',
    JWT_ID_CLAIM: 'sub',
    POWERTOOLS_LOG_LEVEL: 'ERROR',
    POWERTOOLS_SERVICE_NAME: 'bench',
    POWERTOOLS_METRICS_NAMESPACE: 'bench',
  };
}

/** Those that Lambda sets; nothing of whoever runs the bench gets in. */
function runtimeVariables(url: string) {
  return {
    AWS_REGION: 'eu-west-1',
    AWS_ACCESS_KEY_ID: 'ASIAEXAMPLEKEY000000',
    AWS_SECRET_ACCESS_KEY: 'a'.repeat(40),
    AWS_SESSION_TOKEN: 't'.repeat(800),
    AWS_ENDPOINT_URL: url,
    AWS_CONFIG_FILE: devNull,
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
  };
}

const CONNECTION = 'TXzPWdnOjoECGjA=';

/** What each function gets first, as API Gateway, Lambda and EventBridge send it. */
const EVENTS: Readonly<Record<FunctionName, () => object>> = {
  connect: () => ({
    headers: { Host: 'example.com', 'User-Agent': 'bench' },
    queryStringParameters: { EIO: '4', transport: 'websocket' },
    requestContext: socketContext(),
  }),
  open: (): OpenWork => ({ v: 1, connectionId: CONNECTION, sid: 's'.repeat(20), connectedAt: Date.now() }),
  message: () => ({ body: '42["message","hello"]', requestContext: socketContext() }),
  disconnect: () => ({ requestContext: { ...socketContext(), disconnectStatusCode: 1_001 } }),
  publish: () => ({ op: 'emit', rooms: ['user_1'], event: 'notification', args: [{ id: 1 }] }),
  sweep: () => ({ time: new Date().toISOString() }),
  http: () => httpEvent('/socket/status', ''),
  poll: () => httpEvent('/socket.io/', 'EIO=4&transport=polling'),
  deliver: (): DeliverWork => ({
    v: 1,
    kind: 'range',
    id: 'message',
    broadcast: 'broadcast',
    target: { namespace: '/', rooms: ['user_1'], except: [] },
    range: {},
    frames: ['42["notification",{"id":1}]'],
    volatile: false,
    publishedAt: Date.now(),
    logged: true,
    perSecond: 700,
    expected: 1,
  }),
};

function socketContext() {
  return {
    connectionId: CONNECTION,
    connectedAt: Date.now(),
    requestId: 'TXzPWFkkjoEF92g=',
    identity: { sourceIp: '192.0.2.1' },
  };
}

function httpEvent(rawPath: string, rawQueryString: string) {
  return {
    rawPath,
    rawQueryString,
    headers: { host: 'example.com', 'user-agent': 'bench' },
    isBase64Encoded: false,
    requestContext: {
      requestId: 'JKJaXmPLvHcESHA=',
      domainName: 'example.com',
      http: { method: 'GET', sourceIp: '192.0.2.1' },
    },
  };
}
