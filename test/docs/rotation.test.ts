/** The steps of docs/deploy.md, "Exchanging a secret", followed as they stand there. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { mockClient } from 'aws-sdk-client-mock';
import { afterAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { ManagedSecrets } from '../../lambdas/adapters/managed-secrets.ts';
import { orderSync } from '../../lambdas/apps/order-sync.ts';
import { watchGroups } from '../../lambdas/apps/watch-groups.ts';
import { PacketType } from '../../lambdas/protocol/socket-packet.ts';
import { Client } from '../apps/client.ts';
import { token } from '../apps/tokens.ts';
import { REPOSITORY } from '../support/synthesis.ts';
import { type World, world } from '../support/world.ts';

const page = await readFile(join(REPOSITORY, 'docs/deploy.md'), 'utf8');
const section = /^## Exchanging a secret\n(.*?)^## /ms.exec(page)?.[1] ?? '';
const MINUTES = 60_000;
/** Functions keep a secret for so long, as the page says. */
const WAIT = Number(/keep it for (\d+) minutes/.exec(section)?.[1]) * MINUTES;
const KEYS = { OLD: 'the old key+/=', NEW: 'the new key+/=' };

const manager = mockClient(SecretsManagerClient);
afterAll(() => manager.restore());

/** What a shell makes of a text of the page, with its function `hashed` and the two keys. */
async function inShell(text: string): Promise<string> {
  const hashed = /^ *hashed\(\) .*$/m.exec(page)?.[0] ?? '';
  const { stdout } = await promisify(execFile)('bash', ['-c', `${hashed}\nprintf %s "${text}"`], {
    env: { PATH: process.env.PATH, ...KEYS },
  });
  return stdout;
}

let at: World;
let connections: number;

/** A deployment whose secrets are those of Secrets Manager, cached. */
beforeEach(async () => {
  manager.reset();
  at = await world({ applications: [orderSync, watchGroups] });
  connections = 0;
  const managed = new ManagedSecrets('socketbus', at.clock);
  vi.spyOn(at.bus.secrets, 'get').mockImplementation((name) => managed.get(name));
});

function put(name: string, value: string): void {
  manager.on(GetSecretValueCommand, { SecretId: `socketbus/${name}` }).resolves({ SecretString: value });
}

async function connects(namespace: string, auth: object): Promise<Client> {
  connections += 1;
  return Client.connect(at, connections, { namespace, auth });
}

const isIn = (client: Client) => client.packets().some(({ type }) => type === PacketType.CONNECT);
const outcome = (client: Client) => (isIn(client) ? 'let in' : 'refused');

/** The rows of the page's table: the secret as a shell's text, and what becomes of either key. */
const rows = [...section.matchAll(/^\| `(\$.*)` \| ([\w ]+) \| ([\w ]+) \|$/gm)].map(
  ([, secret = '', old = '', next = '']) => ({ secret, old, next }),
);

describe('an API key', () => {
  test('is exchanged in the steps of the page, after each of which machines are let in as it says', async () => {
    expect(rows.length).toBe(3);
    for (const { secret, old, next } of rows) {
      put('CLOUD_API_KEY', await inShell(secret));
      at.clock.advance(WAIT);
      expect(outcome(await connects('/sync', { apiKey: KEYS.OLD }))).toBe(old);
      expect(outcome(await connects('/sync', { apiKey: KEYS.NEW }))).toBe(next);
    }
  });

  test('is put there by the commands of the page as its table says, both keys before the new one alone', () => {
    const commands = [...section.matchAll(/^put CLOUD_API_KEY "(.*?)" +#/gm)].map(([, value]) => value);
    expect(commands).toEqual(rows.slice(1).map(({ secret }) => secret));
  });

  test('that is taken back cuts nobody who is connected; the call of the page does', async () => {
    put('CLOUD_API_KEY', await inShell('$(hashed "$OLD")'));
    const machine = await connects('/sync', { apiKey: KEYS.OLD });
    put('CLOUD_API_KEY', await inShell('$(hashed "$NEW")'));
    at.clock.advance(WAIT);
    expect([machine.dismissed, machine.cut]).toEqual([false, false]);
    expect(section).toContain("emitter.of('/sync').disconnectSockets(true)");
    await at.publisher.handle({ op: 'disconnectSockets', namespace: '/sync', close: true });
    expect(machine.cut).toBe(true);
  });
});

describe('the secret of tokens, replaced at once', () => {
  const [old, next] = [
    'an old secret for tests only, long enough',
    'a new secret for tests only, long enough',
  ];

  test('lets those stay who are connected, and refuses their tokens from then on', async () => {
    const signed = (secret: string) => token({ sub: '7' }, { secret });
    put('JWT_SECRET', old);
    const connected = await connects('/', { token: await signed(old) });
    put('JWT_SECRET', next);
    expect(outcome(await connects('/', { token: await signed(old) }))).toBe('let in');
    expect(connected.cut).toBe(false);
    at.clock.advance(WAIT);
    expect(connected.heard('connected')).toHaveLength(1);
    expect([connected.dismissed, connected.cut]).toEqual([false, false]);
    const late = await connects('/', { token: await signed(old) });
    expect(late.heard('connected')).toEqual([]);
    expect((await connects('/', { token: await signed(next) })).heard('connected')).toHaveLength(1);
  });
});
