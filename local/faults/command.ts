/** What `--faults`, `--seed` and `--shuffle` of the command line ask for. */
import { readFile } from 'node:fs/promises';
import { randomSeed } from './misfortune.ts';
import { type FaultRules, FaultRulesError, parseFaultFile } from './rules.ts';

export interface FaultCommand {
  /** Path of a file of faults. */
  readonly faults: string | undefined;
  readonly seed: number | undefined;
  readonly shuffle: boolean;
}

export interface CommandedFaults {
  readonly faults: FaultRules;
  readonly seed: number;
  /** What a start says of it; undefined where nothing was asked for. */
  readonly line: string | undefined;
}

/** Reads the file, and chooses a seed where none is given. @throws FaultRulesError naming the file */
export async function commandedFaults({
  faults: path,
  seed,
  shuffle,
}: FaultCommand): Promise<CommandedFaults> {
  const read: FaultRules = path === undefined ? {} : parseFaultFile(await textOf(path), path);
  const faults = shuffle ? { ...read, shuffle: read.shuffle ?? {} } : read;
  const chosen = seed ?? randomSeed();
  const what = [
    ...(path === undefined ? [] : [`faults of ${path}`]),
    ...(shuffle ? ['messages shuffled'] : []),
  ];
  const line = what.length === 0 ? undefined : `${what.join(', ')}; seed ${chosen}`;
  return { faults, seed: chosen, line };
}

async function textOf(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new FaultRulesError(`${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
