import { describe, expect, test } from 'vitest';
import { parseInputTransformer, transformed } from '../../../local/template/input-transformer.ts';

const event = {
  id: 'e1',
  source: 'shop',
  detail: { 'order-id': 7, who: 'ana "the" cat', lines: [{ sku: 'x' }], gift: null },
};

const made = (InputPathsMap: Record<string, string>, InputTemplate: string) =>
  transformed(parseInputTransformer({ InputPathsMap, InputTemplate }, 'Rule'), event);

describe('an input transformer', () => {
  test.each([
    ['a text', '$.source', '{"a":<v>}', { a: 'shop' }],
    ['a number', '$.detail.order-id', '{"a":<v>}', { a: 7 }],
    ['a key in brackets', "$.detail['order-id']", '{"a":<v>}', { a: 7 }],
    ['an element', '$.detail.lines[0].sku', '[<v>]', ['x']],
    ['an object', '$.detail.lines', '{"a":<v>}', { a: [{ sku: 'x' }] }],
    ['null', '$.detail.gift', '{"a":<v>}', { a: null }],
    ['the event', '$', '{"a":<v>}', { a: event }],
    ['a field that is missing', '$.detail.nothing', '{"a":<v>,"b":"c<v>"}', { a: '', b: 'c' }],
    ['a number within a text', '$.detail.order-id', '{"a":"order <v>!"}', { a: 'order 7!' }],
    ['quotes within a text', '$.detail.who', '{"a":"by <v>"}', { a: 'by ana "the" cat' }],
    ['an object within a text', '$.detail.lines', '{"a":"<v>"}', { a: '[{"sku":"x"}]' }],
  ])('puts in %s', (_what, path, template, expected) => {
    expect(JSON.parse(made({ v: path }, template) ?? '')).toEqual(expected);
  });

  test('makes nothing of a template that becomes no JSON', () => {
    expect(made({ v: '$.source' }, '{"a":<v>')).toBeUndefined();
  });

  test.each([
    ['a path with a wildcard', { v: '$.detail.*' }, '{"a":<v>}'],
    ['a path with a filter', { v: '$.detail.lines[?(@.sku)]' }, '{"a":<v>}'],
    ['a variable without a path', {}, '{"a":<aws.events.rule-arn>}'],
    ['a template that is a text', { v: '$.id' }, '"event <v>"'],
    [
      'more paths than AWS takes',
      Object.fromEntries(Array.from({ length: 101 }, (_, n) => [`v${n}`, '$'])),
      '{}',
    ],
  ])('is refused with %s', (_what, InputPathsMap, InputTemplate) => {
    const act = () => parseInputTransformer({ InputPathsMap, InputTemplate }, 'Rule');
    expect(act).toThrow(expect.objectContaining({ code: 'unsupported_property', at: 'Rule' }));
  });
});
