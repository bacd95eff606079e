import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import * as z from 'zod/mini';
import { ASYNCAPI_FILE } from '../../bin/asyncapi.ts';
import { documentedServerEvents } from '../../lambdas/apps/asyncapi.ts';
import { defineApp, type EventSchemas } from '../../lambdas/apps/define-app.ts';
import { Client } from '../apps/client.ts';
import { REPOSITORY } from '../support/synthesis.ts';
import { world } from '../support/world.ts';
import { type Emitted, emittedNames } from './emitted-names.ts';
import { COMPILING } from './workspace.ts';

/** Where any name may be emitted, because whoever calls it chooses: a backend (the contract's "any event name"). */
const ANY_NAME = [
  'emitter/remote-socket.ts emit',
  'emitter/storefront.ts storefront',
  'emitter/watch-groups.ts watchGroups',
];

function options(): ts.CompilerOptions {
  const { config } = ts.readConfigFile(join(REPOSITORY, 'tsconfig.json'), ts.sys.readFile);
  return ts.convertCompilerOptionsFromJson(config.compilerOptions, REPOSITORY).options;
}

const sources = (directory: string) => ts.sys.readDirectory(join(REPOSITORY, directory), ['.ts']);

async function documented(): Promise<Map<string, ReadonlySet<string>>> {
  return documentedServerEvents(parse(await readFile(ASYNCAPI_FILE, 'utf8')));
}

/** An application is the file of its name; what else emits may emit what any application does. */
function known(events: Map<string, ReadonlySet<string>>, { file, name = '' }: Emitted): boolean {
  const own = /^lambdas\/apps\/(.+)\.ts$/.exec(file)?.[1];
  const sets = own !== undefined && events.has(own) ? [events.get(own)!] : [...events.values()];
  return sets.some((names) => names.has(name));
}

describe('the names that code emits', () => {
  test('are all in docs/asyncapi.yaml', COMPILING, async () => {
    const events = await documented();
    const emitted = emittedNames(REPOSITORY, [...sources('lambdas/apps'), ...sources('emitter')], options());
    const named = emitted.filter(({ name }) => name !== undefined);
    expect(named.filter((each) => !known(events, each))).toEqual([]);
    const free = emitted.filter(({ name }) => name === undefined);
    expect([...new Set(free.map(({ file, within }) => `${file} ${within}`))].sort()).toEqual(ANY_NAME);
    // The search finds emits at all: in every application, and in the backend's functions.
    const found = new Set(named.map(({ file }) => file));
    const emitting = [...events.keys()].filter((name) => name !== 'marketplace');
    for (const name of emitting) expect(found).toContain(`lambdas/apps/${name}.ts`);
    expect(found).toContain('emitter/marketplace.ts');
  });

  test(
    'are found in calls, in helpers that pass them on, and in refusals, with names nobody declared',
    COMPILING,
    async () => {
      const directory = await mkdtemp(join(tmpdir(), 'socketbus-emits-'));
      const file = join(directory, 'fixture.ts');
      await writeFile(
        file,
        `interface Io { to(room: string): Io; emit(event: string, data?: unknown): void }
declare const io: Io;
export function helper(event: 'typing-start' | 'typpo', name: string) {
  io.to('a').emit('undeclared');
  io.emit(event);
  io.emit(name);
  emitTo('room', 'passed-on');
}
function emitTo<E extends string>(room: string, event: E) {
  io.to(room).emit(event);
}
export const refused = { kind: 'expelled', event: 'expelled-event', args: [] } as const;
export const unrelated = { kind: 'accepted', event: 'not-emitted' } as const;
`,
      );
      try {
        const emitted = emittedNames(directory, [file], { ...options(), types: [] });
        expect(emitted.map(({ line, within, name }) => [line, within, name])).toEqual([
          [4, 'helper', 'undeclared'],
          [5, 'helper', 'typing-start'],
          [5, 'helper', 'typpo'],
          [6, 'helper', undefined],
          [7, 'helper', 'passed-on'],
          [10, 'emitTo', undefined],
          [12, '', 'expelled-event'],
        ]);
        const events = await documented();
        expect(emitted.filter((each) => each.name !== undefined && known(events, each))).toHaveLength(1);
      } finally {
        await rm(directory, { recursive: true, force: true });
      }
    },
  );

  test('that no catalogue has are refused when they are emitted, and nobody hears them', async () => {
    const said: EventSchemas = { said: z.string() };
    const app = defineApp({
      name: 'careless',
      serverEvents: said,
      clientEvents: {
        emit: { payload: z.string(), handle: (socket, event) => socket.emit(event, 'x') },
        broadcast: { payload: z.string(), handle: (socket, event) => socket.nsp.emit(event, 'x') },
      },
    });
    const at = await world({ applications: [app] });
    const client = await Client.connect(at, 1);
    expect(await client.ask('emit', 'said')).toEqual({ ok: true });
    for (const how of ['emit', 'broadcast']) {
      expect(await client.ask(how, 'siad')).toMatchObject({ ok: false, error: { code: 'internal' } });
    }
    expect(client.events().map(({ event }) => event)).toEqual(['said', 'error', 'error']);
  });
});
