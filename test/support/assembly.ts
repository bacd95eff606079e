import { mkdtemp, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { inject } from 'vitest';
import { type Settings, synthesiseInto } from './synthesis.ts';

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

/** Synthesises with other settings, given as environment variables; resolves to the assembly's directory. */
export async function synthesise(settings: Settings): Promise<string> {
  // Beside the shared one, whose parent the global setup removes in the end.
  const directory = await mkdtemp(join(dirname(assembly()), 'other-'));
  await synthesiseInto(directory, settings);
  return directory;
}

/** The template of an assembly. */
export async function template(directory: string): Promise<TemplateJson> {
  return JSON.parse(await readFile(join(directory, 'Socketbus.template.json'), 'utf8')) as TemplateJson;
}
