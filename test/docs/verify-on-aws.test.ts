import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CHECKS } from '../../dev/verify/checks.ts';
import { REPOSITORY } from '../support/synthesis.ts';

const page = await readFile(join(REPOSITORY, 'docs/verify-on-aws.md'), 'utf8');
const NAMES = CHECKS.map(({ name }) => name);
const points = [...page.matchAll(/^\*\*(\d+)\. /gm)].map(([, number]) => Number(number));

test('the page shows a line of every check, in the order in which they are made', () => {
  const lines = [...page.matchAll(/^(?:OK|SKIPPED) +([\w-]+) /gm)].map(([, name]) => name);
  expect(lines).toEqual(NAMES);
});

test('every check has a row, and the points that it names are there', () => {
  const rows = [...page.matchAll(/^\| (`[^|]*) \| ([\d, ]*) ?\|/gm)];
  const named = rows.flatMap(([, cell = '']) => [...cell.matchAll(/`([\w-]+)`/g)].map(([, name]) => name));
  expect(named.toSorted()).toEqual(NAMES.toSorted());
  for (const [, , numbers = ''] of rows) {
    for (const number of numbers.split(',').filter((text) => text.trim() !== '')) {
      expect(points).toContain(Number(number));
    }
  }
});

test('the points are numbered without a gap, and what is for a person is what no check sees', () => {
  expect(points).toEqual(points.map((_, n) => n + 1));
  const [, list = ''] = /^Points ([\d, and]+),/m.exec(page) ?? [];
  const people = [...list.matchAll(/\d+/g)].map(([number]) => Number(number));
  const rows = [...page.matchAll(/^\| `[^|]*\| ([\d, ]*) ?\|/gm)].map(([, numbers = '']) => numbers);
  const seen = rows.flatMap((numbers) => [...numbers.matchAll(/\d+/g)].map(([number]) => Number(number)));
  expect([...new Set([...people, ...seen])].toSorted((a, b) => a - b)).toEqual(points);
});

test('no query of the AWS CLI calls a function on a field that others of the account may not have', async () => {
  const docs = join(REPOSITORY, 'docs');
  const pages = (await readdir(docs)).filter((name) => name.endsWith('.md'));
  const texts = await Promise.all(pages.map((name) => readFile(join(docs, name), 'utf8')));
  const queries = texts.flatMap((text) =>
    [...text.matchAll(/--query (["'])(.*?)\1/g)].map(([, , query]) => query),
  );
  const calls = queries.flatMap((query = '') => [
    ...query.matchAll(/(.*?)\b(?:contains|starts_with|ends_with)\((\w+),/g),
  ]);
  expect(calls.length).toBeGreaterThan(0);
  for (const [, before = '', field] of calls) expect(before).toMatch(new RegExp(`\\b${field} && $`));
});
