/** Settings of a local start: the environment, then `.env`, then defaults that are safe on a laptop. */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { parseEnv } from 'node:util';
import { type CommandLine, parsePort } from './command-line.ts';

const DEFAULT_PORT = 3000;
/** Where the pages of the applications are taken to be while they are developed. */
const DEFAULT_ORIGIN = 'http://localhost:3000';

export interface Settings {
  readonly port: number;
  readonly debug: boolean;
  /** Path of the front door, without a slash at the end. */
  readonly wsPath: string;
  readonly jwtSecret: string;
  /** Whether ids that clients claim are believed. */
  readonly trusting: boolean;
  /** What the synthesis gets as environment: everything but secrets of our own making. */
  readonly synthesis: Readonly<Record<string, string>>;
  /** What the stack answers secrets from. */
  readonly stack: Readonly<Record<string, string>>;
  /** Name, value and where it came from, of each setting worth showing. */
  readonly shown: readonly { readonly name: string; readonly value: string; readonly note: string }[];
}

/** The variables of a `.env` file; none where there is no such file. */
export async function readEnvFile(path: string): Promise<Record<string, string>> {
  try {
    return { ...parseEnv(await readFile(path, 'utf8')) } as Record<string, string>;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return {};
    throw error;
  }
}

/**
 * Puts the settings together; the command line wins over the environment, and that over `.env`. An empty variable is
 * not set.
 *
 * @throws UsageError for a port that is none
 */
export function readSettings(
  environment: Readonly<Record<string, string | undefined>>,
  envFile: Readonly<Record<string, string>>,
  { port, apps, stage }: Pick<CommandLine, 'port' | 'apps' | 'stage'>,
): Settings {
  const given = { ...nonEmpty(envFile), ...nonEmpty(environment) };
  const settings = { ...DEFAULTS, ...given, ...nonEmpty({ APPS: apps, STAGE: stage }) };
  const secrets = {
    JWT_SECRET: given.JWT_SECRET ?? randomBytes(32).toString('base64url'),
    CLOUD_API_KEY: given.CLOUD_API_KEY ?? randomBytes(24).toString('base64url'),
  };
  const wsPath = (given.WS_PATH ?? '/socket.io').replace(/\/$/, '');
  return {
    port: port ?? (given.PORT === undefined ? DEFAULT_PORT : parsePort('PORT', given.PORT)),
    debug: given.DEBUG !== undefined && !['false', '0'].includes(given.DEBUG),
    wsPath,
    jwtSecret: secrets.JWT_SECRET,
    trusting: settings.IDENTITY === 'trusted',
    synthesis: settings,
    stack: { ...given, ...secrets, WS_PATH: wsPath },
    shown: [
      shown('JWT_SECRET', given.JWT_SECRET && '(set)', secrets.JWT_SECRET, RANDOM),
      ...(given.JWKS_URL === undefined ? [] : [{ name: 'JWKS_URL', value: given.JWKS_URL, note: ISSUED }]),
      shown('CLOUD_API_KEY', given.CLOUD_API_KEY && '(set)', secrets.CLOUD_API_KEY, RANDOM),
      shown('STORE_CORS', given.STORE_CORS, DEFAULTS.STORE_CORS, 'default'),
      shown(
        'CLIENT_ORIGIN',
        given.CLIENT_ORIGIN,
        DEFAULTS.CLIENT_ORIGIN,
        'local default; required when deployed',
      ),
      shown('FRONTEND_URL', given.FRONTEND_URL, '-', 'no origin but those of the applications and this one'),
      shown('WS_PATH', given.WS_PATH, '/socket.io', 'default'),
      shown('IDENTITY', given.IDENTITY, DEFAULTS.IDENTITY, 'local default; token when deployed'),
      shown('DEBUG', given.DEBUG, '-', 'off'),
    ],
  };
}

const ISSUED = 'its tokens are believed, and those of this page and the one below are not';
const RANDOM = 'random, for this start only';
const DEFAULTS = { IDENTITY: 'trusted', STORE_CORS: DEFAULT_ORIGIN, CLIENT_ORIGIN: DEFAULT_ORIGIN };

function shown(name: string, given: string | undefined, fallback: string, note: string) {
  return given === undefined ? { name, value: fallback, note } : { name, value: given, note: 'set' };
}

function nonEmpty(variables: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const entries = Object.entries(variables).filter((entry): entry is [string, string] =>
    Boolean(entry[1]?.trim()),
  );
  return Object.fromEntries(entries);
}
