import { expect, test } from 'vitest';
import { builtIns } from '../../lambdas/apps/registry.ts';
import {
  BUILT_IN_APPLICATIONS,
  BUILT_IN_ROUTES,
  chosenApplications,
} from '../../lambdas/contract/applications.ts';

const all = BUILT_IN_APPLICATIONS.map((name) => ({ name }));
const named = (...names: string[]) => names.map((name) => ({ name }));

test.each([
  ['those that are named, in their order', all, ['marketplace', 'order-sync'], ['marketplace', 'order-sync']],
  ['all, where all are named', all, BUILT_IN_APPLICATIONS, BUILT_IN_APPLICATIONS],
  ['what was bundled, where a module is among them', named('todo'), ['./todo.ts'], ['todo']],
  ['both of one name, where the other is a module’s', named('a', 'a'), ['./a.ts', 'marketplace'], ['a', 'a']],
])('a deployment runs %s', (_what, bundled, names, expected) => {
  expect(chosenApplications(bundled, names).map(({ name }) => name)).toEqual([...expected]);
});

test.each(BUILT_IN_APPLICATIONS)('the HTTP routes of %s are those that a deployment is told of', (name) => {
  const paths = new Set(builtIns[name]?.http.map(({ path }) => path));
  expect([...paths]).toEqual(BUILT_IN_ROUTES[name]);
});
