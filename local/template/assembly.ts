/**
 * A synthesised cloud assembly (`cdk.out`): one stack's template, and where on disk the code of its functions is.
 * Format: the cloud assembly schema of aws-cdk-lib (`manifest.json`, `*.template.json`, `*.assets.json`).
 */
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import * as z from 'zod/mini';
import { TemplateError } from './errors.ts';

const manifestSchema = z.looseObject({
  artifacts: z.record(
    z.string(),
    z.looseObject({
      type: z.string(),
      environment: z.optional(z.string()),
      properties: z.optional(
        z.looseObject({ templateFile: z.optional(z.string()), file: z.optional(z.string()) }),
      ),
    }),
  ),
});

const assetsSchema = z.looseObject({
  files: z.record(
    z.string(),
    z.looseObject({
      source: z.looseObject({ path: z.optional(z.string()), packaging: z.optional(z.string()) }),
      destinations: z.record(z.string(), z.looseObject({ objectKey: z.string() })),
    }),
  ),
});

const resourceSchema = z.looseObject({
  Type: z.string(),
  Condition: z.optional(z.string()),
  Properties: z.optional(z.record(z.string(), z.unknown())),
});

const templateSchema = z.looseObject({
  Parameters: z.optional(z.record(z.string(), z.looseObject({ Default: z.optional(z.unknown()) }))),
  Mappings: z.optional(z.record(z.string(), z.record(z.string(), z.record(z.string(), z.unknown())))),
  Conditions: z.optional(z.record(z.string(), z.unknown())),
  Resources: z.record(z.string(), resourceSchema),
  Outputs: z.optional(
    z.record(z.string(), z.looseObject({ Value: z.unknown(), Condition: z.optional(z.string()) })),
  ),
});

type Template = z.output<typeof templateSchema>;
export type TemplateResource = z.output<typeof resourceSchema>;

export interface Assembly {
  readonly stackName: string;
  /** Twelve digits; undefined where the stack's `env` leaves it open. */
  readonly accountId: string | undefined;
  /** Undefined where the stack's `env` leaves it open. */
  readonly region: string | undefined;
  readonly template: Template;
  /** Directory of an asset by the object key that a function's `Code.S3Key` names. */
  readonly assets: ReadonlyMap<string, string>;
}

/**
 * Reads a stack of an assembly directory.
 *
 * @param name its id in the assembly; may be left out where there is but one
 * @throws TemplateError `assembly_unreadable` when a file is missing, is not JSON or has another shape, or when there
 *   is no such stack, or several and none is named.
 */
export async function readAssembly(directory: string, name?: string): Promise<Assembly> {
  const root = resolve(directory);
  const { artifacts } = await readJson(join(root, 'manifest.json'), manifestSchema);
  const stacks = Object.entries(artifacts).filter(
    ([, artifact]) => artifact.type === 'aws:cloudformation:stack',
  );
  const [stack, second] = name === undefined ? stacks : stacks.filter(([id]) => id === name);
  const templateFile = stack?.[1].properties?.templateFile;
  if (stack === undefined || second !== undefined || templateFile === undefined) {
    const found = stacks.map(([id]) => id).join(', ') || 'none';
    const expected = name === undefined ? 'exactly one stack' : `the stack ${name}`;
    throw new TemplateError('assembly_unreadable', root, `expected ${expected}, found: ${found}`);
  }
  const manifests = Object.values(artifacts).flatMap(({ type, properties }) =>
    type === 'cdk:asset-manifest' && properties?.file !== undefined ? [properties.file] : [],
  );
  const [template, ...assets] = await Promise.all([
    readJson(join(root, templateFile), templateSchema),
    ...manifests.map((file) => readAssets(root, file)),
  ]);
  return {
    stackName: stack[0],
    ...environmentOf(stack[1].environment),
    template,
    assets: new Map(assets.flat()),
  };
}

/**
 * Where a stack is to be deployed. CDK writes what its `env` gives into the template's ARNs, so that the rest has to say
 * the same (aws-cdk-lib/cx-api, `EnvironmentUtils` and its `UNKNOWN_ACCOUNT`, `UNKNOWN_REGION`).
 */
function environmentOf(environment = ''): Pick<Assembly, 'accountId' | 'region'> {
  const [, account, region] = /^aws:\/\/([^/]+)\/([^/]+)$/.exec(environment) ?? [];
  return {
    accountId: account === 'unknown-account' ? undefined : account,
    region: region === 'unknown-region' ? undefined : region,
  };
}

async function readAssets(root: string, file: string): Promise<[string, string][]> {
  const { files } = await readJson(join(root, file), assetsSchema);
  return Object.values(files).flatMap(({ source, destinations }) => {
    const { path } = source;
    if (path === undefined) return [];
    return Object.values(destinations).map(({ objectKey }): [string, string] => [
      objectKey,
      resolve(root, path),
    ]);
  });
}

async function readJson<Schema extends z.ZodMiniType>(
  path: string,
  schema: Schema,
): Promise<z.output<Schema>> {
  try {
    return z.parse(schema, JSON.parse(await readFile(path, 'utf8')));
  } catch (error) {
    throw new TemplateError(
      'assembly_unreadable',
      path,
      error instanceof Error ? error.message : String(error),
    );
  }
}
