import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { assembly } from '../support/assembly.ts';
import { REPOSITORY, SETTINGS, type Settings } from '../support/synthesis.ts';

let home: string;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'socketbus-home-'));
  await cdkSynth('cdk.out', SETTINGS);
}, 60_000);

afterAll(() => rm(home, { recursive: true, force: true }));

/** `npx cdk synth` as somebody without an AWS account, a configuration or a network would run it. */
function cdkSynth(output: string, settings: Settings, ...options: string[]) {
  const { PATH = '' } = process.env;
  const env = { PATH, HOME: home, ...settings };
  return promisify(execFile)('npx', ['cdk', 'synth', '--quiet', '--output', join(home, output), ...options], {
    cwd: REPOSITORY,
    env,
  });
}

describe('npx cdk synth', () => {
  it('works without an account or a network, and its validation finds no error', async () => {
    const report = JSON.parse(await readFile(join(home, 'cdk.out', 'validation-report.json'), 'utf8')) as {
      pluginReports: { violations?: { severity?: string }[] }[];
    };
    const violations = report.pluginReports.flatMap((plugin) => plugin.violations ?? []);
    expect(violations.filter(({ severity }) => severity === 'error' || severity === 'fatal')).toEqual([]);
    const template = await readFile(join(home, 'cdk.out', 'Socketbus.template.json'), 'utf8');
    expect(template).toContain('"FRONTEND_URL": "https://app.example"');
  });

  it('bundles the same code as the direct run, into the same asset', async () => {
    const assets = await Promise.all(
      [join(home, 'cdk.out'), assembly()].map((directory) =>
        readFile(join(directory, 'Socketbus.assets.json'), 'utf8'),
      ),
    );
    const [cli, direct] = assets.map((text) => Object.keys((JSON.parse(text) as { files: object }).files));
    const code = (direct ?? []).filter((hash) => cli?.includes(hash));
    expect(code).toHaveLength(1);
  });

  it('takes settings from the context', { timeout: 60_000 }, async () => {
    await cdkSynth('other.out', SETTINGS, '--no-validation', '-c', 'stage=gamma');
    const template = await readFile(join(home, 'other.out', 'Socketbus.template.json'), 'utf8');
    expect(template).toContain('"StageName": "gamma"');
  });

  it('fails and names CLIENT_ORIGIN where marketplace is deployed without', { timeout: 60_000 }, async () => {
    await expect(cdkSynth('failed.out', {}, '--no-validation')).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining('  CLIENT_ORIGIN: is required by marketplace'),
    });
  });
});
