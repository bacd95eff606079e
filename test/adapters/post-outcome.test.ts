import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { postOutcome, statusOf } from '../../lambdas/adapters/post-outcome.ts';

const answered = (httpStatusCode: unknown, name = 'Error') =>
  Object.assign(new Error(name), { name, $metadata: { httpStatusCode } });

describe('an answer to a post means', () => {
  test.each([
    [200, 'ok'],
    [204, 'ok'],
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
    [100, 'failed'],
    [0, 'failed'],
  ])('for status %i: %s', (status, outcome) => {
    expect(postOutcome(status)).toBe(outcome);
  });

  test('that it may or may not have arrived, where there is none', () => {
    expect(postOutcome(undefined)).toBe('failed');
  });
});

describe('the status of an error of the SDK', () => {
  test('is what its metadata says, under whatever name it comes', () => {
    fc.assert(
      fc.property(fc.string(), fc.integer({ min: 100, max: 599 }), (name, status) => {
        expect(statusOf(answered(status, name))).toBe(status);
      }),
    );
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
  ])('is not known for %s', (_, error) => {
    expect(statusOf(error)).toBeUndefined();
  });

  test('is a number or nothing, for any value that can be thrown', () => {
    fc.assert(
      fc.property(fc.anything(), (error) => {
        expect(['number', 'undefined']).toContain(typeof statusOf(error));
      }),
    );
  });
});
