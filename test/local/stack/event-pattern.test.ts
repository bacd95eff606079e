import { describe, expect, test } from 'vitest';
import { matchesPattern, parseEventPattern } from '../../../local/template/event-pattern.ts';

const matches = (pattern: unknown, event: unknown) =>
  matchesPattern(parseEventPattern(pattern, 'here'), event);

const event = {
  source: 'shop',
  'detail-type': 'Order placed',
  resources: ['till/1', 'till/2'],
  detail: { total: 7, paid: true, note: null, customer: { name: 'Ana' }, tags: [] },
};

describe('an event pattern', () => {
  test.each([
    ['one of the exact values', { source: ['till', 'shop'] }, true],
    ['none of the exact values', { source: ['Shop'] }, false],
    ['a number, which is no text', { detail: { total: ['7'] } }, false],
    ['the same number', { detail: { total: [7] } }, true],
    ['a boolean', { detail: { paid: [true] } }, true],
    ['null', { detail: { note: [null] } }, true],
    ['null where the field is missing', { detail: { nothing: [null] } }, false],
    ['every field, where one does not match', { source: ['shop'], detail: { total: [8] } }, false],
    ['a field of a field', { detail: { customer: { name: ['Ana'] } } }, true],
    ['a field of what is no object', { source: { name: ['shop'] } }, false],
    ['one element of a list', { resources: ['till/2'] }, true],
    ['no element of a list', { resources: ['till/3'] }, false],
    ['a prefix', { 'detail-type': [{ prefix: 'Order' }] }, true],
    ['another prefix', { 'detail-type': [{ prefix: 'order' }] }, false],
    ['a prefix of a number', { detail: { total: [{ prefix: '7' }] } }, false],
    ['a suffix', { 'detail-type': [{ suffix: 'placed' }] }, true],
    ['another suffix', { 'detail-type': [{ suffix: 'Order' }] }, false],
    ['anything but another value', { source: [{ 'anything-but': 'till' }] }, true],
    ['anything but its value', { source: [{ 'anything-but': 'shop' }] }, false],
    ['anything but a list that has it', { detail: { total: [{ 'anything-but': [6, 7] }] } }, false],
    ['anything but a list that has it not', { detail: { total: [{ 'anything-but': [6, 8] }] } }, true],
    ['anything but its prefix', { source: [{ 'anything-but': { prefix: 'sh' } }] }, false],
    ['anything but another prefix', { source: [{ 'anything-but': { prefix: 'ti' } }] }, true],
    ['anything, where the field is missing', { nothing: [{ 'anything-but': 'x' }] }, false],
    ['a field that is there', { detail: { paid: [{ exists: true }] } }, true],
    ['a field that is null', { detail: { note: [{ exists: true }] } }, true],
    ['a field that should not be there', { detail: { paid: [{ exists: false }] } }, false],
    ['a field that is not there', { detail: { nothing: [{ exists: false }] } }, true],
    ['a field that is missing', { detail: { nothing: [{ exists: true }] } }, false],
    ['one of two comparisons', { source: [{ prefix: 'till' }, { suffix: 'op' }] }, true],
    ['a name every object inherits', { constructor: [{ exists: true }] }, false],
  ])('that asks for %s', (_what, pattern, expected) => {
    expect(matches(pattern, event)).toBe(expected);
  });

  test.each([
    ['nothing at all', {}, 'invalid_property'],
    ['a text', 'shop', 'invalid_property'],
    ['a value outside a list', { source: 'shop' }, 'invalid_property'],
    ['an empty list', { source: [] }, 'invalid_property'],
    ['an empty field', { detail: {} }, 'invalid_property'],
    ['two comparisons in one', { source: [{ prefix: 'a', suffix: 'b' }] }, 'invalid_property'],
    ['a list in a list', { source: [['shop']] }, 'invalid_property'],
    ['a number comparison', { total: [{ numeric: ['>', 5] }] }, 'unsupported_property'],
    ['a wildcard', { source: [{ wildcard: 's*p' }] }, 'unsupported_property'],
    ['an address range', { ip: [{ cidr: '10.0.0.0/8' }] }, 'unsupported_property'],
    ['alternatives', { $or: [{ source: ['a'] }] }, 'unsupported_property'],
    [
      'a prefix without case',
      { source: [{ prefix: { 'equals-ignore-case': 'x' } }] },
      'unsupported_property',
    ],
    ['anything but what exists', { source: [{ 'anything-but': { exists: true } }] }, 'unsupported_property'],
  ])('is refused with %s, by its place', (_what, pattern, code) => {
    const at = expect.stringMatching(/^here/);
    expect(() => parseEventPattern(pattern, 'here')).toThrow(expect.objectContaining({ code, at }));
  });
});
