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
      /** Its path in the construct tree. */
      displayName: z.optional(z.string()),
      properties: z.optional(
        z.looseObject({
          templateFile: z.optional(z.string()),
          stackName: z.optional(z.string()),
          file: z.optional(z.string()),
          directoryName: z.optional(z.string()),
        }),
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
  Resources: z._default(z.record(z.string(), resourceSchema), {}),
  Outputs: z.optional(
    z.record(z.string(), z.looseObject({ Value: z.unknown(), Condition: z.optional(z.string()) })),
  ),
});

type Template = z.output<typeof templateSchema>;
export type TemplateResource = z.output<typeof resourceSchema>;

export interface Assembly {
  /** What `AWS::StackName` is. */
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
 * Reads a stack of an assembly directory, or of one of its stages.
 *
 * @param name its id in the assembly, its path in the construct tree (`Prod/Shop`) or its name; may be left out where there
 *   is but one
 * @throws TemplateError `assembly_unreadable` when a file is missing, is not JSON or has another shape, or when there
 *   is no such stack, or several and none is named.
 */
export async function readAssembly(directory: string, name?: string): Promise<Assembly> {
  const root = resolve(directory);
  const stacks = await readStacks(root);
  const [stack, second] = name === undefined ? stacks : stacks.filter(({ names }) => names.includes(name));
  if (stack === undefined || second !== undefined) {
    const found = stacks.map(({ names }) => names[0]).join(', ') || 'none';
    const expected = name === undefined ? 'exactly one stack' : `the stack ${name}`;
    const advice = stacks.length > 1 ? '; --stack <name> chooses one' : '';
    throw new TemplateError('assembly_unreadable', root, `expected ${expected}, found: ${found}${advice}`);
  }
  const [template, ...assets] = await Promise.all([
    readJson(join(stack.root, stack.templateFile), templateSchema),
    ...stack.assetFiles.map((file) => readAssets(stack.root, file)),
  ]);
  return {
    stackName: stack.stackName,
    ...environmentOf(stack.environment),
    template,
    assets: new Map(assets.flat()),
  };
}

interface StackFiles {
  /** What it may be asked for by; first how it is told to others. */
  readonly names: readonly string[];
  readonly stackName: string;
  readonly environment: string | undefined;
  /** Directory that its files are relative to. */
  readonly root: string;
  readonly templateFile: string;
  readonly assetFiles: readonly string[];
}

/** The stacks of an assembly, and of the assemblies within it: each `Stage` of an app is one. */
async function readStacks(root: string): Promise<StackFiles[]> {
  const { artifacts } = await readJson(join(root, 'manifest.json'), manifestSchema);
  const all = Object.values(artifacts);
  const assetFiles = all.flatMap(({ type, properties }) =>
    type === 'cdk:asset-manifest' && properties?.file !== undefined ? [properties.file] : [],
  );
  const own = Object.entries(artifacts).flatMap(
    ([id, { type, environment, displayName, properties = {} }]) => {
      const { templateFile, stackName = id } = properties;
      if (type !== 'aws:cloudformation:stack' || templateFile === undefined) return [];
      return [
        { names: [displayName ?? id, id, stackName], stackName, environment, root, templateFile, assetFiles },
      ];
    },
  );
  const stages = all.flatMap(({ type, properties }) =>
    type === 'cdk:cloud-assembly' && properties?.directoryName !== undefined
      ? [readStacks(join(root, properties.directoryName))]
      : [],
  );
  return [...own, ...(await Promise.all(stages)).flat()];
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
