/** What the programs for a terminal share: their options, where the local stack is, and who asks there. */
import { type ParseArgsConfig, parseArgs } from 'node:util';

export const LOCAL_ENDPOINT = 'http://localhost:3000';
/** The person at the laptop, as the local stack knows them; worth nothing anywhere else. */
export const LOCAL_CREDENTIALS = { accessKeyId: 'local', secretAccessKey: 'local-secret-key' };
/** Where a local stack is unless its `env` says otherwise; the environment's Region wins. */
export const LOCAL_REGION = 'us-east-1';

/** The command line cannot be understood. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly code = 'usage';
  readonly retryable = false;
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

/** What a program says to its caller when it ends early. */
export function explain(error: unknown, program: string): string {
  if (error instanceof UsageError)
    return `${error.message}\nnpm run ${program} -- --help shows the options\n`;
  return `${error instanceof Error ? error.stack : String(error)}\n`;
}

export interface Identity {
  readonly region?: string;
  readonly credentials?: typeof LOCAL_CREDENTIALS;
}

/** On this machine nobody has to configure credentials; those in the environment win all the same. */
export function localIdentity(address: string, environment: NodeJS.ProcessEnv): Identity {
  if (!isLocal(address)) return {};
  return {
    ...(environment.AWS_REGION || environment.AWS_DEFAULT_REGION ? {} : { region: LOCAL_REGION }),
    ...(environment.AWS_ACCESS_KEY_ID ? {} : { credentials: LOCAL_CREDENTIALS }),
  };
}

export function isLocal(address: string): boolean {
  return /^https?:\/\/(localhost|127\.0\.0\.1|\[::1\])([:/]|$)/.test(address);
}

/** @throws UsageError that names the option */
export function webUrl(label: string, text: string): string {
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return text;
  throw new UsageError(`${label} must be an http or https URL, not "${text}"`);
}
