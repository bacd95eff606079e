import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { postOutcome } from '../../lambdas/adapters/post-outcome.ts';

const answered = (httpStatusCode: unknown, name = 'Error') =>
  Object.assign(new Error(name), { name, $metadata: { httpStatusCode } });

describe('a failed post means', () => {
  test.each([
    [410, 'gone'],
    [429, 'throttled'],
    [400, 'refused'],
    [403, 'refused'],
    [404, 'refused'],
    [413, 'refused'],
    [499, 'refused'],
    [500, 'failed'],
    [502, 'failed'],
    [503, 'failed'],
    [504, 'failed'],
    [301, 'failed'],
    [200, 'failed'],
  ])('for status %i: %s', (status, outcome) => {
    expect(postOutcome(answered(status))).toBe(outcome);
  });

  test('what its status says, under whatever name it comes', () => {
    fc.assert(
      fc.property(fc.string(), (name) => {
        expect(postOutcome(answered(410, name))).toBe('gone');
        expect(postOutcome(answered(429, name))).toBe('throttled');
      }),
    );
    expect(postOutcome(answered(500, 'GoneException'))).toBe('failed');
  });

  test.each([
    ['a timeout', Object.assign(new Error('socket hang up'), { name: 'TimeoutError' })],
    ['a refused connection', Object.assign(new Error('x'), { code: 'ECONNREFUSED', $metadata: {} })],
    ['a status that is no number', answered('410')],
    ['metadata that is none', { $metadata: null }],
    ['metadata of another kind', { $metadata: 410 }],
    ['nothing', undefined],
    ['null', null],
    ['text', '410'],
  ])('that it may or may not have arrived, for %s', (_, error) => {
    expect(postOutcome(error)).toBe('failed');
  });

  test('something, for any value that can be thrown', () => {
    fc.assert(
      fc.property(fc.anything(), (error) => {
        expect(['gone', 'throttled', 'refused', 'failed']).toContain(postOutcome(error));
      }),
    );
  });
});
