import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { namedTests } from './named-tests.ts';

const PAGE = new URL('../../docs/gateway.md', import.meta.url);
const page = await readFile(PAGE, 'utf8');

test('every test that the page names exists', async () => {
  const { count, missing } = await namedTests(PAGE);
  expect(missing).toEqual([]);
  expect(count).toBeGreaterThan(80);
});

test('every row of the tables of behaviour names a test', () => {
  const rows = page.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith('| ---'));
  const tables = page.slice(0, page.indexOf('## Not established'));
  const without = rows.filter(
    (row) => tables.includes(row) && !row.includes('](../test/') && !/held by|what it does/.test(row),
  );
  expect(without).toEqual([]);
});
