import {
  GetSecretValueCommand,
  ResourceNotFoundException,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import { mockClient } from 'aws-sdk-client-mock';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { ManagedSecrets } from '../../lambdas/adapters/managed-secrets.ts';
import { FakeClock } from '../support/world.ts';

const manager = mockClient(SecretsManagerClient);
// Files of a project share their process.
afterAll(() => manager.restore());
const read = () => manager.commandCalls(GetSecretValueCommand).map((call) => call.args[0].input.SecretId);

describe('a managed secret', () => {
  let clock: FakeClock;
  let secrets: ManagedSecrets;

  beforeEach(() => {
    manager.reset();
    clock = new FakeClock();
    secrets = new ManagedSecrets('socketbus', clock);
  });

  test('is read by its prefix and name', async () => {
    manager.on(GetSecretValueCommand, { SecretId: 'socketbus/JWT_SECRET' }).resolves({ SecretString: 's1' });
    expect(await secrets.get('JWT_SECRET')).toBe('s1');
  });

  test('is read once for five minutes, however many ask for it at once', async () => {
    manager.on(GetSecretValueCommand).resolves({ SecretString: 's1' });
    await Promise.all([secrets.get('A'), secrets.get('A'), secrets.get('A')]);
    clock.advance(5 * 60_000 - 1);
    expect(await secrets.get('A')).toBe('s1');
    expect(read()).toEqual(['socketbus/A']);
  });

  test('that was rotated is noticed after five minutes', async () => {
    manager.on(GetSecretValueCommand).resolvesOnce({ SecretString: 's1' }).resolves({ SecretString: 's2' });
    expect(await secrets.get('A')).toBe('s1');
    clock.advance(5 * 60_000);
    expect(await secrets.get('A')).toBe('s2');
  });

  test('is not taken for another of the same prefix', async () => {
    manager.on(GetSecretValueCommand, { SecretId: 'socketbus/A' }).resolves({ SecretString: 'a' });
    manager.on(GetSecretValueCommand, { SecretId: 'socketbus/B' }).resolves({ SecretString: 'b' });
    expect(await Promise.all([secrets.get('A'), secrets.get('B')])).toEqual(['a', 'b']);
  });

  test('that could not be read is asked for again at the next need', async () => {
    const cause = new ResourceNotFoundException({ message: 'no such secret', $metadata: {} });
    manager.on(GetSecretValueCommand).rejectsOnce(cause).resolves({ SecretString: 's1' });
    await expect(secrets.get('A')).rejects.toMatchObject({
      name: 'SecretError',
      code: 'secret_unavailable',
      message: 'secret A cannot be read',
      cause,
    });
    expect(await secrets.get('A')).toBe('s1');
  });

  test('that was read within the hour is good while Secrets Manager does not answer, asked every 30 seconds', async () => {
    manager
      .on(GetSecretValueCommand)
      .resolvesOnce({ SecretString: 's1' })
      .rejects(new Error('socket hang up'));
    expect(await secrets.get('A')).toBe('s1');
    clock.advance(5 * 60_000);
    expect(await Promise.all([secrets.get('A'), secrets.get('A')])).toEqual(['s1', 's1']);
    clock.advance(30_000 - 1);
    expect(await secrets.get('A')).toBe('s1');
    expect(read()).toHaveLength(2);
    clock.advance(1);
    expect(await secrets.get('A')).toBe('s1');
    expect(read()).toHaveLength(3);
    clock.advance(55 * 60_000);
    await expect(secrets.get('A')).rejects.toMatchObject({ name: 'SecretError' });
    manager.on(GetSecretValueCommand).resolves({ SecretString: 's2' });
    expect(await secrets.get('A')).toBe('s2');
  });

  test('that is rotated while Secrets Manager does not answer is noticed when it does', async () => {
    manager
      .on(GetSecretValueCommand)
      .resolvesOnce({ SecretString: 's1' })
      .rejectsOnce(new Error('socket hang up'))
      .resolves({ SecretString: 's2' });
    await secrets.get('A');
    clock.advance(5 * 60_000);
    expect(await secrets.get('A')).toBe('s1');
    clock.advance(30_000);
    expect(await secrets.get('A')).toBe('s2');
  });

  test.each([
    ['empty', { SecretString: '' }],
    ['binary', { SecretBinary: new Uint8Array([1]) }],
  ])('that is %s counts as one that cannot be read', async (_, answer) => {
    manager.on(GetSecretValueCommand).resolves(answer);
    await expect(secrets.get('A')).rejects.toMatchObject({ name: 'SecretError' });
  });
});
