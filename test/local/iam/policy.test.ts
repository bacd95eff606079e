import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decide, type Need, type Statement } from '../../../local/iam/policy.ts';

const TABLE = 'arn:aws:dynamodb:us-east-1:123456789012:table/Bus';
const need: Need = { action: 'dynamodb:PutItem', resource: TABLE };

const statement = (
  actions: readonly string[] | string,
  resources: readonly string[] | string,
  effect: Statement['effect'] = 'Allow',
): Statement => ({ effect, actions: [actions].flat(), resources: [resources].flat() });

describe('a decision', () => {
  test.each<[string, Statement[], string]>([
    ['nothing is said', [], 'not-allowed'],
    ['it is allowed as it is', [statement(need.action, TABLE)], 'allowed'],
    ['the action is written in other letters', [statement('DYNAMODB:putitem', TABLE)], 'allowed'],
    ['it is one of several', [statement(['dynamodb:GetItem', need.action], ['x', TABLE])], 'allowed'],
    ['another statement allows it', [statement('a:B', '*'), statement('dynamodb:*', '*')], 'allowed'],
    ['everything is allowed', [statement('*', '*')], 'allowed'],
    ['the action is another', [statement('dynamodb:GetItem', TABLE)], 'not-allowed'],
    ['the action is longer', [statement('dynamodb:Put', TABLE)], 'not-allowed'],
    ['the resource is another', [statement(need.action, `${TABLE}/index/i`)], 'not-allowed'],
    [
      'the resource is written in other letters',
      [statement(need.action, TABLE.toUpperCase())],
      'not-allowed',
    ],
    ['it is denied beside', [statement('*', '*'), statement(need.action, '*', 'Deny')], 'explicitly-denied'],
    ['it is denied before', [statement(need.action, '*', 'Deny'), statement('*', '*')], 'explicitly-denied'],
    ['something else is denied', [statement('*', '*'), statement('a:B', '*', 'Deny')], 'allowed'],
  ])('where %s', (_where, statements, decision) => {
    expect(decide(statements, need)).toBe(decision);
  });

  const names = fc.constantFrom('a:X', 'a:Y', 'b:X', 'a:*', '*', 'A:x', '?:X');
  const arns = fc.constantFrom(
    'arn:aws:s:r:1:t/a',
    'arn:aws:s:r:1:t/b',
    'arn:aws:s:r:1:t/*',
    '*',
    'arn:aws:s:r:1:t/?',
  );
  const statements = fc.array(
    fc.record({
      effect: fc.constantFrom('Allow' as const, 'Deny' as const),
      actions: fc.array(names, { maxLength: 3 }),
      resources: fc.array(arns, { maxLength: 3 }),
    }),
    { maxLength: 6 },
  );
  const needs = fc.record({
    action: fc.constantFrom('a:X', 'a:Y', 'b:X'),
    resource: fc.constantFrom('arn:aws:s:r:1:t/a', 'arn:aws:s:r:1:t/b', 'arn:aws:s:r:1:t/c/d'),
  });

  test('does not depend on the order of the statements', () => {
    fc.assert(
      fc.property(statements, needs, (all, one) => {
        expect(decide([...all].reverse(), one)).toBe(decide(all, one));
      }),
    );
  });

  test('is what its statements decide one by one: any deny, else any allow', () => {
    fc.assert(
      fc.property(statements, needs, (all, one) => {
        const alone = all.map((each) => decide([each], one));
        const expected = ['explicitly-denied', 'allowed'].find((each) => alone.some((it) => it === each));
        expect(decide(all, one)).toBe(expected ?? 'not-allowed');
      }),
    );
  });

  test('never allows more by a deny, nor less by an allow', () => {
    fc.assert(
      fc.property(statements, statements, needs, (all, more, one) => {
        const denies = more.map((each) => ({ ...each, effect: 'Deny' as const }));
        const allows = more.map((each) => ({ ...each, effect: 'Allow' as const }));
        if (decide(all, one) !== 'allowed') expect(decide([...all, ...denies], one)).not.toBe('allowed');
        else expect(decide([...all, ...allows], one)).toBe('allowed');
      }),
    );
  });
});
