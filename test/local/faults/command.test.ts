import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseCommandLine, USAGE, UsageError } from '../../../local/command-line.ts';
import { commandedFaults } from '../../../local/faults/command.ts';
import { FaultRulesError, parseFaultFile } from '../../../local/faults/rules.ts';

const DOCUMENT = fileURLToPath(new URL('../../../docs/faults.md', import.meta.url));

let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'socketbus-faults-'));
});

afterAll(() => rm(directory, { recursive: true, force: true }));

const none = { faults: undefined, seed: undefined, shuffle: false };

describe('the command line', () => {
  test('takes a file of faults, a seed and --shuffle, and tells of them', () => {
    const line = parseCommandLine(['--faults', 'f.json', '--seed', '42', '--shuffle']);
    expect(line).toMatchObject({ faults: 'f.json', seed: 42, shuffle: true });
    expect(parseCommandLine([])).toMatchObject(none);
    for (const option of ['--faults', '--seed', '--shuffle']) expect(USAGE).toContain(option);
  });

  test.each(['x', '-1', '1.5', ''])('refuses the seed "%s"', (seed) => {
    const parse = () => parseCommandLine([`--seed=${seed}`]);
    expect(parse).toThrow(UsageError);
    expect(parse).toThrow(`--seed must be a whole number, not "${seed}"`);
  });
});

describe('what it asks for', () => {
  test('is nothing by default, and then nothing is said', async () => {
    expect(await commandedFaults(none)).toEqual({ faults: {}, seed: expect.any(Number), line: undefined });
  });

  test('is what the file says, with the seed that is printed, or one of this start', async () => {
    const path = join(directory, 'good.json');
    await writeFile(path, '{"postableDelayMs":5}');
    const { faults, line } = await commandedFaults({ faults: path, seed: 42, shuffle: true });
    expect(faults).toMatchObject({ postableDelayMs: 5, shuffle: {} });
    expect(line).toBe(`faults of ${path}, messages shuffled; seed 42`);
    const drawn = await commandedFaults({ ...none, shuffle: true });
    expect(drawn.line).toBe(`messages shuffled; seed ${drawn.seed}`);
  });

  test('is refused with the name of a file that is wrong or not there', async () => {
    const path = join(directory, 'bad.json');
    await writeFile(path, '{"posts":{}}');
    const refused = commandedFaults({ ...none, faults: path });
    await expect(refused).rejects.toThrow(FaultRulesError);
    await expect(refused).rejects.toThrow(`${path}: posts: there is no such member`);
    await expect(commandedFaults({ ...none, faults: join(directory, 'none.json') })).rejects.toThrow(
      'none.json: ENOENT',
    );
  });
});

test('the file of the documentation can be given as it stands there', async () => {
  const [, text = ''] = /```json\n([\s\S]*?)```/.exec(await readFile(DOCUMENT, 'utf8')) ?? [];
  expect(parseFaultFile(text, 'docs/faults.md')).toMatchObject({ postableDelayMs: 20 });
});
