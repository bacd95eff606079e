import { readdir, readFile } from 'node:fs/promises';
import { beforeAll, expect, test } from 'vitest';
import { assembly, type TemplateJson, template } from '../support/assembly.ts';
import { alarmsOf } from '../support/template-metrics.ts';

const ROOT = new URL('../../', import.meta.url);
const page = await readFile(new URL('docs/runbook.md', ROOT), 'utf8');
const [introduction = '', ...sections] = page.split(/^## /m);
let deployed: TemplateJson;

beforeAll(async () => {
  deployed = await template(assembly());
});

function queries(): { readonly name: string; readonly text: string }[] {
  return Object.values(deployed.Resources)
    .filter(({ Type }) => Type === 'AWS::Logs::QueryDefinition')
    .map(({ Properties }) => ({
      name: String(Properties.Name).replace('Socketbus/Bus/', ''),
      text: String(Properties.QueryString),
    }));
}

test('every alarm of the template has its section, and every section its alarm', () => {
  const named = sections.map((section) => section.slice(0, section.indexOf('\n')).toLowerCase());
  const described = alarmsOf(deployed).map(
    ({ Properties }) => /runbook\.md#(\w+)\.$/.exec(String(Properties.AlarmDescription))?.[1],
  );
  expect(named.toSorted()).toEqual(described.toSorted());
});

test('a section says what it means, where to look and what to do', () => {
  for (const section of sections) {
    expect(section.match(/^\*\*\w+\.\*\*/gm)).toEqual(['**Meaning.**', '**Look.**', '**Do.**']);
  }
});

test('the queries are those of the template, and each is of use in a section or said to be there', () => {
  const list = /^The queries: (.*?)\n\n/ms.exec(introduction)?.[1] ?? '';
  const named = [...list.matchAll(/`([\w-]+)`/g)].map(([, name]) => name);
  expect(named.toSorted()).toEqual(
    queries()
      .map(({ name }) => name)
      .toSorted(),
  );
});

test('a section sends nobody to a graph that is not on the dashboard', () => {
  const board = Object.values(deployed.Resources).find(({ Type }) => Type === 'AWS::CloudWatch::Dashboard');
  const titles = JSON.stringify(board?.Properties.DashboardBody);
  const graphs = sections.flatMap((section) =>
    [...section.matchAll(/Graphs? ("[^"]+")(?:[^".]* and ("[^"]+"))?/g)].flatMap(([, one, other]) =>
      other === undefined ? [one] : [one, other],
    ),
  );
  expect(graphs.length).toBeGreaterThan(5);
  for (const graph of graphs) expect(titles).toContain(graph?.slice(1, -1));
});

test('the log lines that queries and sections look for are written by the functions', async () => {
  const directory = new URL('lambdas/', ROOT);
  const files = (await readdir(directory, { recursive: true })).filter((name) => name.endsWith('.ts'));
  const sources = (await Promise.all(files.map((name) => readFile(new URL(name, directory), 'utf8')))).join();
  const wanted = queries().flatMap(({ text }) =>
    [...text.matchAll(/message (?:=|like) [/"]([^/"]+)[/"]/g)].flatMap(([, found = '']) => found.split('|')),
  );
  const ours = wanted.filter((text) => !/^PUT THE ID|^Task timed out|^Runtime exited|^$/.test(text));
  const quoted = [
    'a handler failed',
    'what is due could not be done yet',
    'could not be cleaned up',
    'it is dropped',
  ];
  expect(ours.length).toBeGreaterThan(2);
  for (const text of [...ours, ...quoted, 'the invocation fails']) expect(sources).toContain(text);
  for (const text of quoted) expect(page.replaceAll('\n', ' ')).toContain(text);
});
