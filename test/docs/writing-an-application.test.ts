import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { synthesise } from '../support/assembly.ts';
import { heard, JWT_SECRET, startTestStack, type TestStack, token } from '../support/stack.ts';
import { REPOSITORY } from '../support/synthesis.ts';
import { COMPILING, filesOf, type Workspace, workspace } from './workspace.ts';

const PAGE = 'writing-an-application.md';

let files: ReadonlyMap<string, string>;
let pages: Workspace;
let bus: TestStack;

beforeAll(async () => {
  files = await filesOf(PAGE);
  pages = await workspace(files);
  const settings = { APPS: pages.path('todo.ts'), IDENTITY: 'token' };
  bus = await startTestStack({ assembly: synthesise(settings) });
});
afterAll(async () => {
  await bus.close();
  await pages.remove();
});

/** Runs a file of the page as a process of its own. */
async function run(...args: string[]): Promise<string> {
  const { accessKeyId, secretAccessKey } = bus.stack.credentials;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--import', import.meta.resolve('tsx'), ...args],
    {
      cwd: pages.directory,
      env: {
        PATH: process.env.PATH,
        BUS_URL: bus.stack.origin,
        JWT_SECRET,
        AWS_ENDPOINT_URL_LAMBDA: bus.stack.origin,
        AWS_REGION: bus.stack.deployment.region,
        AWS_ACCESS_KEY_ID: accessKeyId,
        AWS_SECRET_ACCESS_KEY: secretAccessKey,
      },
    },
  );
  return stdout;
}

describe('the page on writing an application', () => {
  test('writes one in under 40 lines, the same as in examples/', async () => {
    const code = files.get('todo.ts')!;
    expect(code).toBe(await readFile(join(REPOSITORY, 'examples/todo.ts'), 'utf8'));
    expect(code.trimEnd().split('\n').length).toBeLessThan(40);
  });

  test('compiles as it stands, and would not with a misspelled event', COMPILING, async () => {
    expect([...files.keys()]).toEqual(['todo.ts', 'client.ts', 'backend.ts', 'todo.test.ts']);
    await writeFile(pages.path('wrong.ts'), files.get('backend.ts')!.replace("'added'", "'aded'"));
    const errors = await pages.typeErrors(...files.keys(), 'wrong.ts');
    expect(errors).toEqual([expect.stringMatching(/^wrong\.ts\(6,.*"aded"/)]);
  });

  test('tests it, and its tests pass on the running stack', async () => {
    const report = await run('--test', '--test-reporter=tap', 'todo.test.ts');
    expect(report).toMatch(/^# pass 3$/m);
    expect(report).toMatch(/^# fail 0$/m);
  });

  test('publishes to it and calls it from a backend', async () => {
    const auth = { token: await token({ sub: 'ana', lists: ['shopping'] }) };
    const ana = bus.client({ auth }, '/todo');
    expect(await ana.emitWithAck('open', { list: 'shopping' })).toEqual({ ok: true });
    expect(await ana.emitWithAck('add', { list: 'shopping', text: 'eggs' })).toMatchObject({ ok: true });
    const added = heard(ana, 'added');
    const tasks = JSON.parse(await run('backend.ts'));
    expect(await added).toEqual({ list: 'shopping', text: 'bread', by: 'backend' });
    expect(tasks).toContainEqual({
      sort: expect.any(String),
      value: { list: 'shopping', text: 'eggs', by: 'ana' },
    });
  });

  test('says what becomes of a client without a token, and of a request without a claim', async () => {
    const nobody = bus.client({}, '/todo');
    const refusal = new Promise<Error>((resolve) => nobody.once('connect_error', resolve));
    expect((await refusal).message).toBe('a token is needed');
    const response = await fetch(`${bus.stack.origin}/todo/tasks?list=shopping`);
    expect(response.status).toBe(403);
    expect(await response.json()).toMatchObject({ error: { code: 'forbidden' } });
  });

  test('tells a client of a failure by its acknowledgement and by the event error', async () => {
    const eve = bus.client({ auth: { token: await token({ sub: 'eve' }) } }, '/todo');
    const failure = heard(eve, 'error');
    expect(await eve.emitWithAck('open', { list: 'shopping' })).toMatchObject({
      ok: false,
      error: { code: 'forbidden' },
    });
    expect(await failure).toMatchObject({ code: 'forbidden', event: 'open' });
  });
});
