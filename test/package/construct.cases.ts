/** What a CDK app gets of the packed package: constructs, the code of the functions, and `socketbus-local`. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { EventBridgeClient, PutEventsCommand } from '@aws-sdk/client-eventbridge';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { publint } from 'publint';
import { io, type Socket } from 'socket.io-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TemplateJson } from '../support/assembly.ts';
import { typeErrors } from '../support/compiler.ts';
import { relativeLinks } from '../support/links.ts';
import { JWT_SECRET, recorded, token } from '../support/stack.ts';
import { REPOSITORY } from '../support/synthesis.ts';
import { type Consumer, run } from './consumer.ts';

const PATIENCE = 120_000;

/** The four lines of the README, in either kind of module. */
const FOUR_LINES = {
  module: `import { App, Stack } from 'aws-cdk-lib';
import { SocketBus } from 'socketbus';
const stack = new Stack(new App(), 'Shop');
new SocketBus(stack, 'Bus', { clientOrigin: ['https://shop.example'] });
`,
  commonjs: `const { App, Stack } = require('aws-cdk-lib');
const { SocketBus } = require('socketbus');
const stack = new Stack(new App(), 'Shop');
new SocketBus(stack, 'Bus', { clientOrigin: ['https://shop.example'] });
`,
};

const TYPED = `
import { App, Stack } from 'aws-cdk-lib';
import { EventField } from 'aws-cdk-lib/aws-events';
import { SocketBus, type SocketBusProps } from 'socketbus';
const stack = new Stack(new App(), 'Shop');
const props: SocketBusProps = { apps: ['watch-groups'], frontDoor: { apiKey: true }, ipv6: false, tracing: true };
const bus = new SocketBus(stack, 'Bus', props);
export const url: string = bus.url;
bus.addPublishRule({ source: ['shop'] }, { event: 'said', args: [EventField.fromPath('$.detail.text')] });
bus.metric('Posted').createAlarm(stack, 'Alarm', { threshold: 1, evaluationPeriods: 1 });
// @ts-expect-error: a setting that there is not
new SocketBus(stack, 'Other', { aps: ['watch-groups'] });
// @ts-expect-error: read only
props.stage = 'beta';
`;

export function constructCases(shopOf: () => Consumer): void {
  describe('the packed package', () => {
    test('has nothing that publint would tell its author', async () => {
      const { messages } = await publint({ pkgDir: shopOf().installed, pack: false, strict: true });
      expect(messages).toEqual([]);
    });

    test('has what its exports name and the sources that functions are bundled from, and nothing else', async () => {
      const files = await readdir(shopOf().installed, { recursive: true, withFileTypes: true });
      const paths = files
        .filter((file) => file.isFile())
        .map((file) => join(file.parentPath, file.name).slice(shopOf().installed.length + 1));
      const rooms = [
        /^dist\/(app|cdk|client|emitter|functions|local)\//,
        /^lambdas\//,
        /^docs\/[\w-]+\.(md|yaml)$/,
        /^examples\//,
        /^(lib\/front-door-function\.js|package\.json|(README|GUARANTEES|SECURITY)\.md|LICENSE)$/,
      ];
      expect(paths.filter((path) => !rooms.some((room) => room.test(path)))).toEqual([]);
      expect(paths.length).toBeGreaterThan(100);
    });

    test('has whatever its pages link to, but the tests that hold their claims', async () => {
      const { installed } = shopOf();
      const documents = (await readdir(join(installed, 'docs'))).filter((name) => name.endsWith('.md'));
      const pages = ['README.md', 'GUARANTEES.md', 'SECURITY.md', ...documents.map((name) => `docs/${name}`)];
      const linked = await Promise.all(
        pages.map(async (page) =>
          relativeLinks(await readFile(join(installed, page), 'utf8')).map((link) =>
            join(dirname(page), link.replace(/#.*/, '')),
          ),
        ),
      );
      const wanted = [...new Set(linked.flat())].filter((path) => !path.startsWith('test/'));
      expect(wanted.length).toBeGreaterThan(10);
      const missing = wanted.filter((path) => !existsSync(join(installed, path)));
      expect(missing).toEqual([]);
    });
  });

  describe('a CDK app with four lines', () => {
    test.each(['module', 'commonjs'] as const)(
      'that is a %s is synthesised without a bundler, with the code that the package brings',
      { timeout: PATIENCE },
      async (type) => {
        const { directory, installed } = shopOf();
        const file = join(directory, type === 'module' ? 'app.mjs' : 'app.cjs');
        await writeFile(file, FOUR_LINES[type]);
        const out = await synthesised(directory, type, [file]);
        const { Resources } = JSON.parse(
          await readFile(join(out, 'Shop.template.json'), 'utf8'),
        ) as TemplateJson;
        const functions = Object.values(Resources).filter(({ Type }) => Type === 'AWS::Lambda::Function');
        expect(functions).toHaveLength(9);
        const { S3Key } = functions[0]!.Properties.Code as { S3Key: string };
        const code = await readdir(join(out, `asset.${S3Key.replace('.zip', '')}`));
        expect(code.sort()).toEqual((await readdir(join(installed, 'dist', 'functions'))).sort());
      },
    );

    test('that names a module is told to install esbuild where it is not', {
      timeout: PATIENCE,
    }, async () => {
      const { directory } = shopOf();
      await writeFile(join(directory, 'mine.mjs'), 'export default [];');
      const file = join(directory, 'path.mjs');
      const text = FOUR_LINES.module.replace(
        "clientOrigin: ['https://shop.example']",
        "apps: ['./mine.mjs']",
      );
      await writeFile(file, text);
      await expect(synthesised(directory, 'path', [file])).rejects.toMatchObject({
        stderr: expect.stringContaining('npm install --save-dev esbuild'),
      });
    });

    test('is type-checked, as an ES module and as CommonJS', { timeout: PATIENCE }, async () => {
      const directory = join(shopOf().directory, 'typed-app');
      await mkdir(directory);
      const files = ['app.mts', 'app.cts'];
      for (const file of files) await writeFile(join(directory, file), TYPED);
      const options = { module: 'nodenext', strict: true, skipLibCheck: true, types: ['node'] };
      expect(await typeErrors(directory, files, options)).toEqual([]);
    });
  });

  describe('the example of another team, run by socketbus-local', () => {
    let local: Running;
    let ana: Socket;

    beforeAll(async () => {
      const { directory, install } = shopOf();
      await install('esbuild');
      const orders = join(directory, 'orders');
      await cp(join(REPOSITORY, 'examples', 'orders'), orders, { recursive: true });
      await writeFile(join(orders, 'package.json'), JSON.stringify({ type: 'module' }));
      await writeFile(join(orders, 'package-lock.json'), JSON.stringify({ lockfileVersion: 3 }));
      local = await started(shopOf(), orders);
      ana = io(local.origin, { auth: { token: await token({ sub: 'ana' }) }, reconnection: false });
      await once(ana as never, 'connect');
    }, PATIENCE);
    afterAll(() => {
      ana?.disconnect();
      local?.process.kill('SIGKILL');
    });

    const client = () => ({
      endpoint: local.origin,
      region: 'us-east-1',
      credentials: { accessKeyId: 'local', secretAccessKey: 'local-secret-key' },
    });

    test('says what of the stack does not run here', () => {
      expect(local.output()).toMatch(
        /Left out, because it does not run here:\n\n {2}AWS::S3::Bucket Receipts/,
      );
      expect(local.output()).toContain(`SocketUrl  ${local.origin}\n`);
    });

    test('tells a customer what the team’s own function publishes', async () => {
      const heard = recorded(ana);
      const Payload = Buffer.from(JSON.stringify({ customerId: 'ana', orderId: 7 }));
      const invoked = new LambdaClient(client()).send(new InvokeCommand({ FunctionName: 'index', Payload }));
      const { Payload: answer = new Uint8Array() } = await invoked;
      expect(JSON.parse(Buffer.from(answer).toString())).toEqual({ told: 1 });
      await expect.poll(() => heard).toEqual([{ event: 'order-placed', args: [{ orderId: 7 }] }]);
    });

    test('tells a customer what a rule makes of another system’s event, and nobody of one that it is not for', async () => {
      const heard = recorded(ana);
      const entry = (customerId: string, DetailType = 'Order Shipped') => ({
        Source: 'shop.warehouse',
        DetailType,
        Detail: JSON.stringify({ customerId, orderId: 7 }),
      });
      const Entries = [entry('ben'), entry('ana', 'Order Packed'), entry('ana')];
      await new EventBridgeClient(client()).send(new PutEventsCommand({ Entries }));
      const at = expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:]+Z$/);
      await expect
        .poll(() => heard, { timeout: 5_000 })
        .toEqual([{ event: 'order-shipped', args: [{ orderId: 7, at }] }]);
    });

    test('names the stacks where another one was asked for', { timeout: PATIENCE }, async () => {
      const assembly = join(shopOf().directory, 'module.out');
      const options = ['--assembly', assembly, '--stack', 'Nope', '--port', '0'];
      const refused = run(process.execPath, [programOf(shopOf()), ...options], { cwd: shopOf().directory });
      await expect(refused).rejects.toMatchObject({
        code: 1,
        stderr: expect.stringContaining('expected the stack Nope, found: Shop'),
      });
    });
  });
}

/** Runs an app as the CDK CLI would, without the validation, which is the CLI's. */
async function synthesised(directory: string, name: string, program: readonly string[]): Promise<string> {
  const CDK_OUTDIR = join(directory, `${name}.out`);
  const env = { PATH: process.env.PATH ?? '', HOME: directory, CDK_OUTDIR, CDK_VALIDATION: 'false' };
  await run(process.execPath, [...program], { cwd: directory, env });
  return CDK_OUTDIR;
}

interface Running {
  readonly process: ChildProcess;
  readonly origin: string;
  /** Everything it has printed. */
  output(): string;
}

const programOf = ({ installed }: Consumer) => join(installed, 'dist', 'local', 'socketbus-local.js');

/** Starts the program in a directory with a `cdk.json`; resolves when it is ready. */
async function started(shop: Consumer, cwd: string): Promise<Running> {
  const env = { PATH: process.env.PATH ?? '', HOME: shop.directory, JWT_SECRET };
  const child = spawn(process.execPath, [programOf(shop), '--port', '0'], { cwd, env });
  const lines: string[] = [];
  const output = () => lines.join('\n');
  const ready = new Promise<string>((resolve, reject) => {
    child.once('close', () => reject(new Error(`ended before it was ready:\n${output()}`)));
    for (const stream of [child.stdout, child.stderr]) {
      createInterface(stream).on('line', (line) => {
        lines.push(line);
        if (line === 'Ctrl-C stops it.') {
          resolve(/socketbus ready on (\S+)/.exec(output())?.[1] ?? '');
        }
      });
    }
  });
  return { process: child, origin: await ready, output };
}
