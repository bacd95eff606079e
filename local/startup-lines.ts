/** The lines with which the applications' own servers used to say that they are up. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import * as z from 'zod/mini';
import { chosenApplications } from '../lambdas/contract/applications.ts';
import type { Deployment } from './template/deployment.ts';

type StartupLines = (settings: Readonly<Record<string, string | undefined>>) => readonly string[];

const moduleSchema = z.object({
  applications: z.array(
    z.looseObject({
      name: z.string(),
      startupLines: z.optional(z.custom<StartupLines>((value) => typeof value === 'function')),
    }),
  ),
});

/**
 * What the applications of a deployment print at a local start, in their order: their definitions are in the code of
 * the functions, and they get the functions' settings.
 */
export async function startupLines({ functions }: Deployment): Promise<readonly string[]> {
  const definition = functions.get('publish');
  if (definition === undefined) return [];
  const path = join(definition.directory, 'applications.mjs');
  const { applications } = moduleSchema.parse(await import(pathToFileURL(path).href));
  const chosen = chosenApplications(applications, (definition.environment.APPS ?? '').split(','));
  return chosen.flatMap((application) => application.startupLines?.(definition.environment) ?? []);
}
