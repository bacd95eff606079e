/** `npm run verify`: looks at a deployment from outside. Exit codes: 0 nothing failed, 1 something did, 2 not understood. */
import * as z from 'zod/mini';
import { explain, parsedOptions, UsageError, webUrl } from './local-defaults.ts';
import { type CheckResult, resultOf, type Target } from './verify/check.ts';
import { CHECKS } from './verify/checks.ts';
import { type Outputs, outputsOf } from './verify/outputs.ts';

const NAMES = CHECKS.map(({ name }) => name);

const USAGE = `npm run verify -- --url <url> [options]     looks at a deployment as its clients do, a line for each check

  --url <url>          what clients dial, the stack's output Url
  --stack <name>       or: the stack on AWS, whose outputs the AWS CLI tells
  --http <url>         the HTTP API by its own name, the output HttpUrl
  --websocket <url>    the WebSocket API by its own name, the output WebSocketUrl
  --api-key            the front door has a key (frontDoor: { apiKey: true }), so the WebSocket API refuses who has none
  --path <path>        path of the front door                   (default /socket.io)
  --namespace <name>   (default /)
  --token <token>      what a client proves itself with, or the variable TOKEN
  --event <name>       an event that is acknowledged            (default ping, of marketplace)
  --data <json>        its payload                              (default none)
  --stay <minutes>     stay connected for so long without a word (default 0: not at all)
  --skip <check>       leave a check out; may be given several times
  --help               show this

Checks: ${NAMES.join(', ')}.
They connect a handful of clients and publish nothing. docs/verify-on-aws.md says what each shows.
Exit codes: 0 nothing failed, 1 something did, 2 the command line cannot be understood.
`;

const OPTIONS = {
  url: { type: 'string' },
  stack: { type: 'string' },
  http: { type: 'string' },
  websocket: { type: 'string' },
  'api-key': { type: 'boolean' },
  path: { type: 'string' },
  namespace: { type: 'string' },
  token: { type: 'string' },
  event: { type: 'string' },
  data: { type: 'string' },
  stay: { type: 'string' },
  skip: { type: 'string', multiple: true },
  help: { type: 'boolean', short: 'h' },
} as const;

type Options = ReturnType<typeof parsed>;

const parsed = (args: readonly string[]) => parsedOptions(args, OPTIONS);

const pathSchema = z.string().check(z.regex(/^\/[\w./~-]*$/));
const minutesSchema = z.coerce.number().check(z.gte(0), z.lte(24 * 60));

function targetOf(options: Options, outputs: Outputs, environment: NodeJS.ProcessEnv): Target {
  const url = options.url ?? outputs.get('Url');
  if (url === undefined) throw new UsageError(missingUrl(options));
  const path = pathSchema.safeParse(options.path ?? outputs.get('WebSocketPath') ?? '/socket.io');
  if (!path.success) throw new UsageError(`--path must begin with a slash, not be "${options.path}"`);
  const stay = minutesSchema.safeParse(options.stay ?? '0');
  if (!stay.success) throw new UsageError(`--stay must be minutes, at most a day, not "${options.stay}"`);
  const namespace = options.namespace ?? '/';
  if (!namespace.startsWith('/'))
    throw new UsageError(`--namespace must begin with a slash, not be "${namespace}"`);
  return {
    url: withoutSlash(webUrl('--url', url)),
    path: `${withoutSlash(path.data)}/`,
    namespace,
    token: options.token ?? (environment.TOKEN || undefined),
    event: options.event ?? 'ping',
    data: dataOf(options.data),
    httpUrl: optionalUrl('--http', options.http ?? outputs.get('HttpUrl')),
    webSocketUrl: optionalUrl(
      '--websocket',
      (options.websocket ?? outputs.get('WebSocketUrl'))?.replace(/^ws/, 'http'),
    ),
    apiKey: options['api-key'] === true,
    stayMinutes: stay.data,
  };
}

function missingUrl({ stack }: Options): string {
  return stack === undefined
    ? '--url or --stack is missing'
    : `the stack ${stack} has no output Url: give --url (there is no front door, or the stack is your own)`;
}

function withoutSlash(text: string): string {
  return text.replace(/\/+$/, '');
}

function optionalUrl(label: string, url: string | undefined): string | undefined {
  return url === undefined ? undefined : withoutSlash(webUrl(label, url));
}

function dataOf(text: string | undefined): unknown {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw new UsageError(`--data is not JSON: ${text}`);
  }
}

function checksBut(skip: readonly string[]) {
  const unknown = skip.filter((name) => !NAMES.includes(name));
  if (unknown.length > 0) throw new UsageError(`--skip knows no check "${unknown[0]}" (${NAMES.join(', ')})`);
  return CHECKS.filter(({ name }) => !skip.includes(name));
}

function print({ name, status, detail }: CheckResult): void {
  process.stdout.write(`${status.padEnd(8)}${name.padEnd(20)}${detail}\n`);
}

async function main(): Promise<number> {
  const options = parsed(process.argv.slice(2));
  if (options.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const checks = checksBut(options.skip ?? []);
  const outputs = options.stack === undefined ? new Map<string, string>() : await outputsOf(options.stack);
  const target = targetOf(options, outputs, process.env);
  let failed = 0;
  for (const check of checks) {
    // One after the other: a deployment that is new begins cold, and one check must not wait for another's clients.
    const result = await resultOf(check, target);
    if (result.status === 'FAILED') failed += 1;
    print(result);
  }
  process.stdout.write(failed === 0 ? 'nothing failed\n' : `${failed} failed\n`);
  return failed === 0 ? 0 : 1;
}

main().then(
  (code) => {
    // Connections that are kept alive would hold the process.
    process.exit(code);
  },
  (error: unknown) => {
    process.stderr.write(explain(error, 'verify'));
    process.exitCode = 2;
  },
);
