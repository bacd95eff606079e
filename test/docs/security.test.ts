import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { REPOSITORY } from '../support/synthesis.ts';

const text = await readFile(join(REPOSITORY, 'SECURITY.md'), 'utf8');
/** The rows of the tables of claims. */
const claims = text
  .split('\n\n')
  .filter((block) => block.startsWith('| claim | held by |'))
  .flatMap((table) => table.trim().split('\n').slice(2))
  .map((row) => row.slice(1, -1).split(' | '));

test('every claim names tests, and those are there', async () => {
  expect(claims.length).toBeGreaterThan(20);
  for (const [claim, holders = ''] of claims) {
    const files = [...holders.matchAll(/`(test\/[\w./-]+\.test\.ts)`/g)].map(([, file]) => file ?? '');
    expect(files, claim).not.toEqual([]);
    for (const file of files) await access(join(REPOSITORY, file));
  }
});
