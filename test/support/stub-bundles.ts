import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App } from 'aws-cdk-lib';
import type { SocketBusProps } from '../../lib/socket-bus.ts';

/** For tests of templates: code that nobody runs, and apps to synthesise into a directory of their own. */
export interface StubBundles {
  readonly bundles: NonNullable<SocketBusProps['bundles']>;
  /** A new app. The whole template is validated elsewhere, once: it takes seconds. */
  app(): App;
  remove(): Promise<void>;
}

export async function stubBundles(apps: readonly string[] = ['watch-groups']): Promise<StubBundles> {
  const home = await mkdtemp(join(tmpdir(), 'socketbus-stub-'));
  const directory = join(home, 'code');
  await mkdir(directory);
  await writeFile(join(directory, 'connect.mjs'), 'export const handler = async () => undefined;');
  return {
    bundles: { directory, apps },
    app: () =>
      new App({
        outdir: join(home, 'assembly'),
        analyticsReporting: false,
        builtinCloudFormationValidation: false,
      }),
    remove: () => rm(home, { recursive: true, force: true }),
  };
}
