import { access, readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { outsideOfCode, relativeLinks } from '../support/links.ts';
import { REPOSITORY } from '../support/synthesis.ts';

const documents = (await readdir(join(REPOSITORY, 'docs'))).filter((name) => name.endsWith('.md'));
const PAGES = ['README.md', 'GUARANTEES.md', 'SECURITY.md', ...documents.map((name) => `docs/${name}`)];

const read = (page: string) => readFile(join(REPOSITORY, page), 'utf8');

/** As GitHub names them. */
function anchors(text: string): string[] {
  return [...outsideOfCode(text).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

describe.each(PAGES)('%s', (page) => {
  test('closes every block of code that it opens', async () => {
    const fences = (await read(page)).match(/^ *```.*$/gm) ?? [];
    const wrong = fences.filter((fence, n) => n % 2 === 1 && fence.trim() !== '```');
    expect({ wrong, open: fences.length % 2 }).toEqual({ wrong: [], open: 0 });
  });

  test('links to what is there', async () => {
    const text = await read(page);
    for (const link of relativeLinks(text)) {
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? page : join(dirname(page), path);
      await access(join(REPOSITORY, target));
      if (anchor !== undefined && target.endsWith('.md'))
        expect(anchors(await read(target)), link).toContain(anchor);
    }
  });

  test('names scripts that npm knows', async () => {
    const named = [...(await read(page)).matchAll(/\bnpm run ([\w-]+)/g)].map(([, name = '']) => name);
    expect(named.filter((name) => !(name in packageJson.scripts))).toEqual([]);
  });
});

test('the README leads to every page', async () => {
  const reachable = new Set(['README.md']);
  // A page may be reached through another one.
  for (const page of reachable) {
    if (!page.endsWith('.md')) continue;
    for (const link of relativeLinks(await read(page)))
      reachable.add(join(dirname(page), link.replace(/#.*/, '')));
  }
  expect(PAGES.filter((page) => !reachable.has(page))).toEqual([]);
});
