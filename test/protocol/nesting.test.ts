import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isNestedTooDeep, MAX_NESTING } from '../../lambdas/protocol/nesting.ts';

/** So many levels, by turns arrays and objects. */
function nested(levels: number): string {
  const opening = Array.from({ length: levels }, (_, level) => (level % 2 === 0 ? '[' : '{"k":'));
  const closing = Array.from({ length: levels }, (_, level) => (level % 2 === 0 ? ']' : '}')).reverse();
  return `${opening.join('')}"${'x'.repeat(2 * MAX_NESTING)}"${closing.join('')}`;
}

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

describe('JSON', () => {
  test.each([
    [1, false],
    [MAX_NESTING, false],
    [MAX_NESTING + 1, true],
    [60_000, true],
  ])('of %i levels is nested too deep: %s', (levels, tooDeep) => {
    expect(isNestedTooDeep(nested(levels))).toBe(tooDeep);
  });

  test('that is as wide as a frame is long is not', () => {
    expect(isNestedTooDeep(`[${'[],{},'.repeat(5_000)}0]`)).toBe(false);
  });

  test('is not taken for deep because of its texts', () => {
    const brackets = '['.repeat(500);
    for (const text of [brackets, `"${brackets}`, `\\${brackets}`, `\\"${brackets}`, `\\\\"${brackets}`])
      expect(isNestedTooDeep(JSON.stringify([text, { [text]: text }]))).toBe(false);
  });

  test('is counted as what reads it counts', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), fc.nat(200), (value, more) => {
        const padding = 'x'.repeat(2 * MAX_NESTING);
        const text = `${'['.repeat(more)}${JSON.stringify([value, padding])}${']'.repeat(more)}`;
        expect(isNestedTooDeep(text)).toBe(more + depthOf([value, padding]) > MAX_NESTING);
      }),
    );
  });
});
