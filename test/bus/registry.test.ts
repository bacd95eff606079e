import { describe, expect, test } from 'vitest';
import * as z from 'zod/mini';
import { defineApp } from '../../lambdas/apps/define-app.ts';
import { Registry } from '../../lambdas/bus/registry.ts';

const listens = (name: string, event: string, namespace = '/') =>
  defineApp({
    name,
    namespace,
    clientEvents: { [event]: { payload: z.unknown(), handle: () => undefined } },
  });
const owns = (name: string, prefix: string, namespace = '/', hot = false) =>
  defineApp({ name, namespace, rooms: { [prefix]: { hot } } });

describe('applications that do not fit together are refused', () => {
  test.each([
    ['two of one name', [owns('a', 'x:', '/one'), owns('a', 'y:', '/two')], 'two applications are named a'],
    ['two that handle one event', [listens('a', 'e'), listens('b', 'e')], 'b and a both handle e on /'],
    ['two that own one prefix', [owns('a', 'x:'), owns('b', 'x:')], 'b and a both own the rooms x:* on /'],
    [
      'a third that clashes with the first',
      [listens('a', 'e'), listens('b', 'f'), listens('c', 'e')],
      'c and a both handle e on /',
    ],
  ])('%s', (_, applications, message) => {
    expect(() => new Registry(applications)).toThrow(
      expect.objectContaining({ name: 'ApplicationError', message: expect.stringContaining(message) }),
    );
  });

  test.each([
    ['x:', 'x:y:'],
    ['x:y:', 'x:'],
  ])('where %j would take rooms from %j, or give them away', (one, other) => {
    expect(() => new Registry([owns('a', one), owns('b', other)])).toThrow(/both own the rooms x:y:\*/);
  });

  test('but not where they live on different namespaces', () => {
    const [one, two] = [listens('a', 'e', '/one'), listens('b', 'e', '/two')];
    const registry = new Registry([one, two, owns('c', 'x:', '/one'), owns('d', 'x:', '/two')]);
    expect(registry.clientEvent('/one', 'e')?.application).toBe(one);
    expect(registry.clientEvent('/two', 'e')?.application).toBe(two);
    expect(registry.clientEvent('/', 'e')).toBeUndefined();
  });
});

describe('rooms whose log is read', () => {
  const reads = (kind: object, recovery?: false | { unlogged: string[] }) => () =>
    new Registry([
      defineApp({
        name: 'a',
        rooms: { 'x:': kind },
        ...(recovery === undefined ? {} : { recovery: recovery as false }),
      }),
    ]);

  test.each([
    ['history', { history: true }],
    ['lastOnJoin', { lastOnJoin: true }],
    ['lastOnJoin', { lastOnJoin: 'state' }],
  ])('are refused where nothing is logged: %s', (option, kind) => {
    expect(reads(kind, false)).toThrow(
      expect.objectContaining({
        name: 'ApplicationError',
        message: `a wants ${option} of the rooms x:*, and with recovery off / keeps no log`,
      }),
    );
    expect(reads(kind)).not.toThrow();
    expect(reads({ history: false, lastOnJoin: false }, false)).not.toThrow();
  });

  test('are refused where the one event is unlogged', () => {
    expect(reads({ lastOnJoin: 'state' }, { unlogged: ['state'] })).toThrow(/leaves it unlogged/);
    expect(reads({ lastOnJoin: true }, { unlogged: ['state'] })).not.toThrow();
  });
});

describe('a registry finds', () => {
  const lists = owns('lists', 'list:');
  const shared = owns('shared', 'shared:', '/', true);
  const other = owns('other', 'x:', '/other');
  const registry = new Registry([lists, shared, other]);

  test('who lives on a namespace, and that nobody does', () => {
    expect(registry.namespace('/')).toEqual([lists, shared]);
    expect(registry.namespace('/nobody')).toBeUndefined();
    expect(registry.namespace('/constructor')).toBeUndefined();
    expect(registry.application('shared')).toBe(shared);
    expect(registry.application('toString')).toBeUndefined();
  });

  test.each([
    ['list:1', lists],
    ['list:', lists],
    ['list:share', lists],
    ['list:shared:1', lists],
    ['shared:1', shared],
    ['List:1', undefined],
    ['my list:1', undefined],
    ['x:1', undefined],
    ['', undefined],
  ])('that the room %j belongs to whoever declared its longest prefix', (room, owner) => {
    expect(registry.roomOwner('/', room)?.application).toBe(owner);
  });

  test.each(['constructor', 'toString', '__proto__', 'hasOwnProperty'])(
    'no handler for an event that only every object has: %s',
    (event) => {
      expect(new Registry([listens('a', 'e')]).clientEvent('/', event)).toBeUndefined();
    },
  );

  test('the origins of all applications', () => {
    const one = defineApp({ name: 'one', origins: ({ URL_ONE }) => [URL_ONE ?? 'none', 'https://both'] });
    const two = defineApp({ name: 'two', namespace: '/x', origins: () => ['https://two', 'https://both'] });
    const origins = new Registry([one, two, lists]).origins({ URL_ONE: 'https://one' });
    expect([...origins].sort()).toEqual(['https://both', 'https://one', 'https://two']);
  });
});
