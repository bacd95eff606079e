import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { LEASE_MS } from '../../lambdas/bus/once.ts';
import { RECOVERY_WINDOW_MS } from '../../lambdas/bus/recovery.ts';
import { MOST_MISSED, OVERLAP_MS, SKEW_MS } from '../../lambdas/bus/replay.ts';
import { namedTests } from './named-tests.ts';

const PAGE = new URL('../../GUARANTEES.md', import.meta.url);
const page = await readFile(PAGE, 'utf8');

test('every test that the guarantees name exists', async () => {
  const { count, missing } = await namedTests(PAGE);
  expect(missing).toEqual([]);
  expect(count).toBeGreaterThan(30);
});

test('every guarantee names a test', () => {
  const rows = page.split('\n').filter((line) => line.startsWith('| ') && !/^\| (question|---)/.test(line));
  expect(rows.length).toBeGreaterThan(10);
  expect(rows.filter((row) => !row.includes('](test/'))).toEqual([]);
});

test('the times and numbers of the guarantees are those of the code', () => {
  expect(page).toContain(`${RECOVERY_WINDOW_MS / 60_000} minutes from when its end was noticed`);
  expect(page).toContain(
    `within ${OVERLAP_MS / 1_000} s before its last event and was not done ${SKEW_MS / 1_000} s before it`,
  );
  expect(page).toContain(`over ${MOST_MISSED.toLocaleString('en')} missed events`);
  expect(page).toContain(`a function that dies holds it for ${LEASE_MS / 1_000} s`);
});
