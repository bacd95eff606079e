import { createHash } from 'node:crypto';
import { access, mkdtemp, readFile, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { inject } from 'vitest';
import { SETTINGS, type Settings, synthesiseInto } from './synthesis.ts';

/** What a template is to a test: JSON with these parts. */
export interface TemplateJson {
  readonly Resources: Readonly<Record<string, ResourceJson>>;
  readonly Outputs: Readonly<Record<string, { readonly Value: unknown }>>;
}

export interface ResourceJson {
  readonly Type: string;
  readonly Properties: Readonly<Record<string, unknown>>;
  readonly DeletionPolicy?: string;
  readonly UpdateReplacePolicy?: string;
}

/** Directory of the assembly that was synthesised once for all tests: all five applications, trusted identities. */
export function assembly(): string {
  return inject('assembly');
}

/** The same with `watch-groups` alone. */
export function watchGroupsOnly(): string {
  return inject('watchGroupsOnly');
}

/**
 * The assembly with other settings, given as environment variables; resolves to its directory. It is made once for all who
 * ask for the same ones, in whichever process: it lies beside the shared one, whose parent the global setup removes.
 */
export async function synthesise(settings: Settings): Promise<string> {
  const text = JSON.stringify(Object.entries(settings).sort());
  if (text === JSON.stringify(Object.entries(SETTINGS).sort())) return assembly();
  const parent = dirname(assembly());
  const directory = join(parent, `other-${createHash('sha256').update(text).digest('hex').slice(0, 16)}`);
  const isThere = () =>
    access(directory).then(
      () => true,
      () => false,
    );
  if (await isThere()) return directory;
  const made = await mkdtemp(join(parent, 'making-'));
  await synthesiseInto(made, settings);
  // Whoever else has made it meanwhile has made the same.
  await rename(made, directory).catch(async (error: unknown) => {
    if (!(await isThere())) throw error;
  });
  return directory;
}

/** The template of an assembly. */
export async function template(directory: string): Promise<TemplateJson> {
  return JSON.parse(await readFile(join(directory, 'Socketbus.template.json'), 'utf8')) as TemplateJson;
}
