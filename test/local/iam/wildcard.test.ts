import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { matchesAction, matchesArn } from '../../../local/iam/wildcard.ts';

describe('a pattern', () => {
  test.each([
    ['arn:aws:s:r:1:secret:app/KEY-??????', 'arn:aws:s:r:1:secret:app/KEY-local0', true],
    ['arn:aws:s:r:1:secret:app/KEY-??????', 'arn:aws:s:r:1:secret:app/KEY-local', false],
    ['arn:aws:s:r:1:secret:app/KEY-??????', 'arn:aws:s:r:1:secret:app/KEY-more-local0', false],
    ['arn:aws:execute-api:r:1:api/*$connect', 'arn:aws:execute-api:r:1:api/prod/$connect', true],
    ['arn:aws:execute-api:r:1:api/*/*/publish', 'arn:aws:execute-api:r:1:api/$default/POST/publish', true],
    ['arn:aws:execute-api:r:1:api/prod/POST/*', 'arn:aws:execute-api:r:1:api/prod/DELETE/x', false],
    ['arn:aws:lambda:r:1:function:open', 'arn:aws:lambda:r:1:function:open:1', false],
    ['arn:aws:lambda:r:1:function:open*', 'arn:aws:lambda:r:1:function:open:1', true],
    ['arn:aws:lambda:r:1:func*n:open', 'arn:aws:lambda:r:1:func:tion:open', false],
    ['arn:aws:s3:::a.b', 'arn:aws:s3:::aXb', false],
    ['*', 'anything:at all', true],
  ])('%s and %s: %s', (pattern, arn, matches) => {
    expect(matchesArn(pattern, arn)).toBe(matches);
  });

  const plain = fc.string().filter((text) => !/[*?]/.test(text));

  test('without wildcards matches itself and nothing else', () => {
    fc.assert(
      fc.property(plain, plain, (one, other) => {
        expect(matchesArn(one, other)).toBe(one === other);
        expect(matchesAction(one, one)).toBe(true);
      }),
    );
  });

  test('with a star matches whatever stands there, between colons', () => {
    fc.assert(
      fc.property(plain, plain, plain, (before, between, after) => {
        expect(matchesArn(`${before}*`, before + between)).toBe(true);
        const matches = !between.includes(':') || after === '' || after.startsWith(':');
        if (matches) expect(matchesArn(`${before}*${after}`, before + between + after)).toBe(true);
      }),
    );
  });

  test('with a question mark wants one character there', () => {
    fc.assert(
      fc.property(plain, plain, fc.constantFrom('', 'x', 'xx'), (before, after, between) => {
        const one = before + between + after;
        fc.pre(!(between === '' && after.startsWith(before)));
        const same = one.length === before.length + 1 + after.length;
        expect(matchesArn(`${before}?${after}`, one)).toBe(same);
      }),
    );
  });
});
