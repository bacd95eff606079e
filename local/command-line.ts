/** The options of `npm start`. */
import { type ParseArgsConfig, parseArgs } from 'node:util';

export interface CommandLine {
  readonly help: boolean;
  readonly jsonLogs: boolean;
  readonly port: number | undefined;
  /** As the setting `APPS`. */
  readonly apps: string | undefined;
  /** As the setting `STAGE`. */
  readonly stage: string | undefined;
  /** Path of a file of faults. */
  readonly faults: string | undefined;
  readonly seed: number | undefined;
  readonly shuffle: boolean;
}

/** The command line cannot be understood. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly code = 'usage';
  readonly retryable = false;
}

export const USAGE = `npm start -- [options]     runs the deployed stack on this machine

  --port <n>      port to listen on; 0 for any free one           (default PORT or 3000)
  --apps <list>   applications: built-in names or module paths    (default APPS or all built-in ones)
  --stage <name>  stage of the WebSocket API                      (default STAGE or prod)
  --faults <file> what shall go wrong, as docs/faults.md describes (default nothing)
  --seed <n>      decides when; the same one decides the same     (default random, printed)
  --shuffle       messages of a client overtake each other
  --json-logs     print the functions' logs as they are
  --help          show this

Settings come from the environment and from .env: JWT_SECRET, CLOUD_API_KEY, STORE_CORS, CLIENT_ORIGIN, FRONTEND_URL,
IDENTITY (trusted or token), WS_PATH, DEBUG, DYNAMODB_ENDPOINT, … REDIS_HOST and REDIS_PORT are accepted and unused.
`;

const OPTIONS = {
  help: { type: 'boolean', short: 'h' },
  'json-logs': { type: 'boolean' },
  port: { type: 'string' },
  apps: { type: 'string' },
  stage: { type: 'string' },
  faults: { type: 'string' },
  seed: { type: 'string' },
  shuffle: { type: 'boolean' },
} as const;

/** @throws UsageError naming what is unknown or wrong */
export function parseCommandLine(args: readonly string[]): CommandLine {
  const values = parsedOptions(args, OPTIONS);
  return {
    help: values.help ?? false,
    jsonLogs: values['json-logs'] ?? false,
    port: values.port === undefined ? undefined : parsePort('--port', values.port),
    apps: values.apps,
    stage: values.stage,
    faults: values.faults,
    seed: values.seed === undefined ? undefined : parseSeed(values.seed),
    shuffle: values.shuffle ?? false,
  };
}

/** @throws UsageError naming the option or variable the text came from */
export function parsePort(label: string, text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (port <= 65_535) return port;
  throw new UsageError(`${label} must be a port from 0 to 65535, not "${text}"`);
}

function parseSeed(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new UsageError(`--seed must be a whole number, not "${text}"`);
}

/** @throws UsageError for what no option is */
export function parsedOptions<T extends NonNullable<ParseArgsConfig['options']>>(
  args: readonly string[],
  options: T,
) {
  try {
    return parseArgs({ args: [...args], options, strict: true, allowPositionals: false }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}
