import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, expect, test } from 'vitest';
import { readCostPage } from '../../dev/cost/page.ts';
import { RECYCLED_MINUTES } from '../../dev/cost/workload.ts';
import { FAN_OUT_SHARE } from '../../lambdas/bus/fan-out.ts';
import { ENVIRONMENT_NAMES } from '../../lib/config.ts';
import { assembly, type ResourceJson, type TemplateJson, template } from '../support/assembly.ts';
import { REPOSITORY } from '../support/synthesis.ts';
import { filesOf } from './workspace.ts';

const page = await readFile(join(REPOSITORY, 'docs/deploy.md'), 'utf8');
const text = page.replaceAll(/\s+/g, ' ');

/** A process that reads the CDK, beside other tests. */
const SYNTHESISING = { timeout: 60_000 };

let deployed: TemplateJson;
beforeAll(async () => {
  deployed = await template(assembly());
});

function ofType(type: string, from: TemplateJson = deployed): ResourceJson[] {
  return Object.values(from.Resources).filter(({ Type }) => Type === type);
}

test(
  'the stack with a name of one’s own has its alias, its certificate and its URL',
  SYNTHESISING,
  async () => {
    const code = (await filesOf('deploy.md')).get('named.ts') ?? '';
    const directory = await mkdtemp(join(tmpdir(), 'socketbus-named-'));
    const packages = join(directory, 'node_modules');
    await mkdir(packages);
    for (const name of ['aws-cdk-lib', 'constructs'])
      await symlink(join(REPOSITORY, 'node_modules', name), join(packages, name));
    // From its source, where the reader has it from the package.
    const file = join(directory, 'named.mts');
    await writeFile(file, code.replace("'socketbus'", JSON.stringify(join(REPOSITORY, 'lib/index.ts'))));
    const env = { PATH: process.env.PATH, HOME: directory, CDK_OUTDIR: join(directory, 'out') };
    const tsx = import.meta.resolve('tsx');
    await promisify(execFile)(process.execPath, ['--import', tsx, file], { cwd: REPOSITORY, env });
    const named = JSON.parse(
      await readFile(join(directory, 'out', 'Chat.template.json'), 'utf8'),
    ) as TemplateJson;
    await rm(directory, { recursive: true });
    const [distribution] = ofType('AWS::CloudFront::Distribution', named);
    expect(distribution?.Properties.DistributionConfig).toMatchObject({
      Aliases: ['chat.example.com'],
      ViewerCertificate: { AcmCertificateArn: expect.stringContaining('arn:aws:acm:us-east-1:') },
    });
    expect(named.Outputs.Url?.Value).toBe('https://chat.example.com');
    expect(JSON.stringify(named.Outputs.Alias?.Value)).toContain('DomainName');
  },
);

test('what is asked of the stack’s outputs is among them', () => {
  const asked = [...page.matchAll(/\bout (\w+)\)/g)].map(([, name = '']) => name);
  expect(asked.length).toBeGreaterThan(3);
  expect(asked.filter((name) => !(name in deployed.Outputs))).toEqual([]);
});

test('the settings that are named are settings', () => {
  const others = ['AWS_PROFILE', 'AWS_REGION', 'JWT_SECRET', 'CLOUD_API_KEY', 'TOKEN', 'TEST_USER', 'WS_URL'];
  const known = [...Object.values(ENVIRONMENT_NAMES), ...others];
  const named = [...page.matchAll(/`([A-Z]+(?:_[A-Z]+)+)[`=]/g)].map(([, name = '']) => name);
  expect(named.length).toBeGreaterThan(8);
  expect(named.filter((name) => !known.includes(name))).toEqual([]);
});

test('the table of quotas is what the project’s own units come to', async () => {
  const { step } = await readCostPage();
  const [byDefault, direct, event] = [
    step('a session with default options'),
    step('a session over a WebSocket'),
    step('an event of a client'),
  ];
  const of = (n: number) => Math.floor(n).toLocaleString('en');
  const [requests, connects, executions, writes] = [10_000, 500, 1_000, 4_000];
  const expected = [
    `8,000 posts/s beside the pings of ${of((2_000 / 2) * 4 * 60)} clients; broadcasts use at most ${of(FAN_OUT_SHARE * requests)}/s`,
    // Pings are paced over 45 s of each minute.
    `${of(0.25 * requests * 45 * 4)} clients at 4 minutes, ${of(0.25 * requests * 45 * 8)} at 8`,
    `${of(connects * RECYCLED_MINUTES * 60)} clients that are recycled; 10,000 that come back at once take ${10_000 / connects} s, 100,000 take ${100_000 / connects} s`,
    `${of(1_000 / byDefault.httpRequests)} connections/s with default options`,
    `${of(executions / event.gigabyteSeconds)} events/s of 20 ms`,
  ];
  for (const cell of expected) expect(text).toContain(cell);
  const [, shown, shownDirect] = /\| (\d+) connections\/s with default options, (\d+) with/.exec(text) ?? [];
  expect(Number(shown) / (writes / byDefault.writeUnits)).toBeCloseTo(1, 1);
  expect(Number(shownDirect) / (writes / direct.writeUnits)).toBeCloseTo(1, 1);
  expect(connects * byDefault.writeUnits).toBeLessThan(40_000);
});

test('a change of code touches no route: functions have no versions, and stages deploy themselves', () => {
  expect(ofType('AWS::Lambda::Version')).toEqual([]);
  expect(ofType('AWS::Lambda::Alias')).toEqual([]);
  const stages = ofType('AWS::ApiGatewayV2::Stage');
  expect(stages.map(({ Properties }) => Properties.AutoDeploy)).toEqual([true, true]);
});

test('the apps table stays with its backups and its protection, all else goes with the stack', () => {
  const staying = Object.values(deployed.Resources).filter(
    ({ DeletionPolicy }) => DeletionPolicy === 'Retain',
  );
  expect(staying.map(({ Type }) => Type)).toEqual(['AWS::DynamoDB::Table']);
  expect(staying[0]?.Properties).toMatchObject({
    DeletionProtectionEnabled: true,
    PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
  });
  expect(ofType('AWS::SecretsManager::Secret')).toEqual([]);
});
