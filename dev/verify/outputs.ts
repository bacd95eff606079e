/** The outputs of a stack on AWS, asked for with the AWS CLI: whoever deploys has it, and its credentials. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import * as z from 'zod/mini';
import { UsageError } from '../local-defaults.ts';

/** A stack without outputs has no list of them. */
const outputsSchema = z.nullable(z.array(z.object({ OutputKey: z.string(), OutputValue: z.string() })));

export type Outputs = ReadonlyMap<string, string>;

/** @throws UsageError where there is no CLI, no such stack, or no permission to see it */
export async function outputsOf(stack: string): Promise<Outputs> {
  const args = ['cloudformation', 'describe-stacks', '--stack-name', stack];
  const query = ['--query', 'Stacks[0].Outputs', '--output', 'json'];
  const { stdout } = await promisify(execFile)('aws', [...args, ...query]).catch((error: unknown) => {
    throw new UsageError(`--stack: the AWS CLI does not tell of "${stack}": ${reasonOf(error)}`);
  });
  const outputs = outputsSchema.parse(JSON.parse(stdout)) ?? [];
  return new Map(outputs.map(({ OutputKey, OutputValue }) => [OutputKey, OutputValue]));
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { stderr } = error as { stderr?: unknown };
  return typeof stderr === 'string' && stderr.trim() !== '' ? stderr.trim() : error.message;
}
