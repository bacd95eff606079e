import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';

const PAGE = new URL('../../docs/gateway.md', import.meta.url);
const page = await readFile(PAGE, 'utf8');
/** A link to a test file, and the tests of it that are named after it. */
const HELD = /\]\((\.\.\/test\/[^)]+)\)((?:,? `[^`]+`)+)/g;

test('every test that the page names exists', async () => {
  const named = [...page.matchAll(HELD)].flatMap(([, file = '', names = '']) =>
    [...names.matchAll(/`([^`]+)`/g)].map(([, name = '']) => ({ file, name })),
  );
  expect(named.length).toBeGreaterThan(80);
  const missing: unknown[] = [];
  for (const { file, name } of named) {
    const source = await readFile(new URL(file, PAGE), 'utf8').catch(() => '');
    if (!source.includes(name) || /\.skip\(|\.todo\(/.test(source)) missing.push({ file, name });
  }
  expect(missing).toEqual([]);
});

test('every row of the tables of behaviour names a test', () => {
  const rows = page.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith('| ---'));
  const tables = page.slice(0, page.indexOf('## Not established'));
  const without = rows.filter(
    (row) => tables.includes(row) && !row.includes('](../test/') && !/held by|what it does/.test(row),
  );
  expect(without).toEqual([]);
});
