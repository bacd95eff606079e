/** The package as others get it: packed, unpacked beside its dependencies, imported, required and type-checked. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { typeErrors } from '../support/compiler.ts';
import { heard, startTestStack, type TestStack } from '../support/stack.ts';
import { REPOSITORY } from '../support/synthesis.ts';
import { constructCases } from './construct.cases.ts';
import { type Consumer, consumer, run } from './consumer.ts';

/** Packing and type-checking, on a machine that runs other tests at the same time. */
const PATIENCE = 120_000;

let bus: TestStack;
let shop: Consumer;
beforeAll(async () => {
  bus = await startTestStack();
  shop = await consumer();
}, PATIENCE);
afterAll(async () => {
  await bus.close();
  await shop.remove();
});

/** Runs a program beside the installed package; resolves to what it prints. */
async function program(file: string, text: string): Promise<string> {
  await writeFile(join(shop.directory, file), text);
  const env = {
    PATH: process.env.PATH ?? '',
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'local',
    AWS_SECRET_ACCESS_KEY: 'local-secret-key',
    ORIGIN: bus.stack.origin,
  };
  return (await run(process.execPath, [file], { cwd: shop.directory, env })).stdout;
}

const BODY = `
const main = async () => {
  const { ORIGIN } = process.env;
  const io = new Emitter({ endpoint: ORIGIN });
  await io.to('user:pack').emit('said', { by: 'lambda' });
  await new Emitter({ url: ORIGIN + '/publish' }).to('user:pack').emit('said', { by: 'http' });
  await storefront(io).emitToAll('said', { by: 'storefront' });
  try { io.emit('connect'); } catch (error) { console.log(error instanceof PayloadError, error.field); }
};
main();
`;

describe.each([
  ['import', 'consumer.mjs', "import { Emitter, PayloadError, storefront } from 'socketbus/emitter';"],
  ['require', 'consumer.cjs', "const { Emitter, PayloadError, storefront } = require('socketbus/emitter');"],
])('the packed package, by %s', (_way, file, opening) => {
  test('publishes to the running stack both ways', async () => {
    const ana = bus.client();
    await heard(ana, 'connect');
    await ana.emitWithAck('join', { type: 'user', id: 'pack' });
    const ears: unknown[] = [];
    ana.on('said', ({ by }: { by: string }) => ears.push(by));
    expect(await program(file, `${opening}\n${BODY}`)).toBe('true event\n');
    await expect.poll(() => ears).toEqual(['lambda', 'http', 'storefront']);
    ana.disconnect();
  });
});

const CLIENT = `
const socket = io('http://localhost:1', { autoConnect: false });
const heard = [];
socket.onAny((event, text) => heard.push(text));
dropRepeats(socket);
for (const time of ['00mbxyz12', '00mbxyz99', '00mbxyz99']) socket.emitEvent(['said', 'once', time + 'A'.repeat(20)]);
console.log(heard.join());
`;

test.each([
  ['import', 'client.mjs', (name: string, from: string) => `import { ${name} } from '${from}';`],
  ['require', 'client.cjs', (name: string, from: string) => `const { ${name} } = require('${from}');`],
])('the packed client, by %s, drops repeats', async (_way, file, imported) => {
  const opening = [imported('io', 'socket.io-client'), imported('dropRepeats', 'socketbus/client')];
  expect(await program(file, `${opening.join('\n')}\n${CLIENT}`)).toBe('once\n');
});

const TYPED = `
import { io, type Socket } from 'socket.io-client';
import { type ClientSocket, type DropRepeatsOptions, dropRepeats } from 'socketbus/client';
import { Emitter, type EmitResult, emitBookingCreated, PublishError } from 'socketbus/emitter';
import { defineApp } from 'socketbus/app';
import type { ClientToServerEvents, ServerToClientEvents } from 'socketbus/events';
interface Events { said: (message: { readonly text: string }) => void }
const bus = new Emitter<Events>();
export const result: Promise<EmitResult> = bus.to('a').emit('said', { text: 'x' });
export const count: Promise<number> = bus.fetchSockets().then((sockets) => sockets.length);
export const booked = emitBookingCreated(new Emitter(), {
  booking: { id: 1, userId: 2, vendorId: 3 },
  actor: { id: 1, role: 'x' },
});
export const retryable = (error: PublishError): boolean => error.retryable;
// @ts-expect-error: a misspelled event
bus.emit('siad', { text: 'x' });
// @ts-expect-error: an argument of another type
bus.emit('said', { text: 7 });
const options: DropRepeatsOptions = { remember: 10 };
const socket: Socket<Events, Record<string, never>> = io();
export const stop: () => void = dropRepeats(socket, options);
export const any: ClientSocket = io();
// @ts-expect-error: no socket
dropRepeats({});
const watching: Socket<ServerToClientEvents<'watch-groups'>, ClientToServerEvents<'watch-groups'>> = io();
watching.emit('join-group', { groupId: 1 });
// @ts-expect-error: a misspelled event
watching.emit('jion-group', { groupId: 1 });
// @ts-expect-error: a part of an application that there is not
defineApp({ nome: 'todo' });
`;

describe.each([
  // Stricter than nodenext, which lets CommonJS have the types of an ES module.
  ['node16', 'node16', ['typed.mts', 'typed.cts']],
  ['esnext', 'bundler', ['typed.ts']],
])('the types of the packed package, module %s resolved as %s', (module, moduleResolution, files) => {
  test('are found, and refuse what is wrong', { timeout: PATIENCE }, async () => {
    const directory = join(shop.directory, moduleResolution);
    await mkdir(directory, { recursive: true });
    for (const file of files) await writeFile(join(directory, file), TYPED);
    const compilerOptions = {
      module,
      moduleResolution,
      target: 'es2023',
      strict: true,
      skipLibCheck: true,
      types: ['node'],
    };
    expect(await typeErrors(directory, files, compilerOptions)).toEqual([]);
  });
});

test('the types of the packed package are those for require where exports are not known, as by node10', async () => {
  const { exports, types } = JSON.parse(await readFile(join(shop.installed, 'package.json'), 'utf8')) as {
    exports: Record<string, unknown>;
    types: string;
  };
  const options = { moduleResolution: ts.ModuleResolutionKind.Node10 };
  const found = (path: string) =>
    ts.resolveModuleName(`socketbus${path}`, join(shop.directory, 'typed.ts'), options, ts.sys).resolvedModule
      ?.resolvedFileName;
  const paths = Object.keys(exports).filter((path) => path !== './package.json');
  expect(Object.fromEntries(paths.map((path) => [path, found(path.slice(1))]))).toEqual({
    '.': join(shop.installed, types),
    './emitter': join(shop.installed, 'dist/emitter/cjs/emitter/index.d.ts'),
    './client': join(shop.installed, 'dist/client/cjs/index.d.ts'),
    './events': join(shop.installed, 'dist/emitter/cjs/lambdas/apps/events.d.ts'),
    './app': join(shop.installed, 'dist/app/cjs/lambdas/apps/public.d.ts'),
  });
});

test.each([
  ['module', "import { Emitter } from 'socketbus/emitter'; console.log(Emitter.name)"],
  ['commonjs', "console.log(require('socketbus/emitter').Emitter.name)"],
])('a clone has the package under its own name, for a %s', async (type, text) => {
  const { stdout } = await run(process.execPath, [`--input-type=${type}`, '-e', text], { cwd: REPOSITORY });
  expect(stdout).toBe('Emitter\n');
});

constructCases(() => shop);
