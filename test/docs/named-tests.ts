import { readFile } from 'node:fs/promises';

/** A link to a test file, and the tests of it that are named after it. */
const HELD = /\]\(((?:\.\.\/)?test\/[^)]+)\)((?:,? `[^`]+`)*)/g;

export interface NamedTests {
  readonly count: number;
  /** Files or tests that are not there, or are skipped. */
  readonly missing: readonly { readonly file: string; readonly name: string }[];
}

/** The tests that a page names. */
export async function namedTests(page: URL): Promise<NamedTests> {
  const text = await readFile(page, 'utf8');
  const named = [...text.matchAll(HELD)].flatMap(([, file = '', names = '']) => {
    const all = [...names.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name);
    return (all.length === 0 ? [''] : all).map((name) => ({ file, name }));
  });
  const missing: { file: string; name: string }[] = [];
  for (const { file, name } of named) {
    const source = await readFile(new URL(file, page), 'utf8').catch(() => undefined);
    // In a test's name a quote may be escaped.
    const isThere = source?.replaceAll('\\', '').includes(name) === true;
    if (!isThere || /\.skip\(|\.todo\(/.test(source ?? '')) missing.push({ file, name });
  }
  return { count: named.length, missing };
}
