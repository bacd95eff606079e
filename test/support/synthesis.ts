import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));

export type Settings = Readonly<Record<string, string>>;

/** Those of the shared assemblies; which applications there are is left to the default, all five. */
export const SETTINGS: Settings = {
  IDENTITY: 'trusted',
  FRONTEND_URL: 'https://app.example',
  STORE_CORS: 'https://shop.example,http://localhost:8000',
  CLIENT_ORIGIN: 'https://market.example',
};

/**
 * Runs the CDK app as the local stack does, with these settings and nothing else of this process's environment.
 *
 * @throws {Error} with the app's own words on stderr, if it refuses
 */
export async function synthesiseInto(directory: string, settings: Settings): Promise<void> {
  const { PATH = '' } = process.env;
  const env = { PATH, HOME: directory, ...settings, CDK_OUTDIR: directory };
  await promisify(execFile)(process.execPath, ['--import', 'tsx', 'bin/socketbus.ts'], {
    cwd: REPOSITORY,
    env,
  });
}
