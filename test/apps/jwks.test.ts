import { type CryptoKey, exportSPKI, importJWK } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { FetchedKeySets } from '../../lambdas/adapters/fetched-key-sets.ts';
import { watchGroups } from '../../lambdas/apps/watch-groups.ts';
import { type Issuer, issuer, type KeyServer, keyServer } from '../support/key-server.ts';
import { FakeClock, type World, world } from '../support/world.ts';
import { Client } from './client.ts';
import { JWT_SECRET, seconds, token, unsigned } from './tokens.ts';

const ISSUER = 'https://issuer.example/';
const ANA = { sub: '1', username: 'ana', iss: ISSUER, aud: 'groups', exp: seconds(3_600) };

let server: KeyServer;
let old: Issuer;
let next: Issuer;
let stranger: Issuer;
let at: World;
let n: number;

beforeAll(async () => {
  server = await keyServer();
  [old, next, stranger] = await Promise.all([issuer('2025'), issuer('2026', 'RS256'), issuer('2025')]);
});
afterAll(() => server.close());
beforeEach(async () => {
  server.publish(old);
  server.requests = 0;
  n = 0;
  at = await deployed();
});

function deployed(settings: Record<string, string> = {}): Promise<World> {
  const clock = new FakeClock();
  return world({
    applications: [watchGroups],
    secrets: { JWT_SECRET },
    settings: { JWKS_URL: server.url, JWT_AUDIENCE: 'shop, groups', JWT_ISSUER: ISSUER, ...settings },
    keySets: new FetchedKeySets(clock),
    clock,
  });
}

/** What becomes of a client with this token, in `auth` and in the header. */
async function outcomes(text: string): Promise<string[]> {
  const options = [{ auth: { token: text } }, { headers: { authorization: `Bearer ${text}` } }];
  const all: string[] = [];
  for (const each of options) {
    n += 1;
    const client = await Client.connect(at, n, each);
    if (client.cut && client.packets().length === 0) {
      all.push('closed');
      continue;
    }
    const [failure] = client.heard('error') as { message: string }[];
    const [welcome] = client.heard('connected') as { user: { id: unknown } }[];
    all.push(failure === undefined ? `user ${welcome?.user.id}` : failure.message);
  }
  return all;
}

const twice = (outcome: string) => [outcome, outcome];

describe('a token of an issuer', () => {
  test('is verified with the public keys it publishes, which are read once', async () => {
    expect(await outcomes(await old.sign(ANA))).toEqual(twice('user 1'));
    expect(await outcomes(await old.sign({ ...ANA, sub: '2' }))).toEqual(twice('user 2'));
    expect(server.requests).toBe(1);
  });

  test('may be signed with the next key as soon as that is published, beside the old one', async () => {
    expect(await outcomes(await old.sign(ANA))).toEqual(twice('user 1'));
    expect(await outcomes(await next.sign(ANA))).toEqual(twice('Token inválido'));
    server.publish(old, next);
    at.clock.advance(30_000);
    expect(await outcomes(await next.sign(ANA))).toEqual(twice('user 1'));
    expect(await outcomes(await old.sign(ANA))).toEqual(twice('user 1'));
    expect(server.requests).toBe(2);
  });

  test('is refused ten minutes after its key was withdrawn', async () => {
    expect(await outcomes(await old.sign(ANA))).toEqual(twice('user 1'));
    server.publish(next);
    at.clock.advance(600_000);
    expect(await outcomes(await old.sign(ANA))).toEqual(twice('Token inválido'));
    expect(await outcomes(await next.sign(ANA))).toEqual(twice('user 1'));
  });

  test.each<[string, () => Promise<string> | string]>([
    ['has expired', () => old.sign({ ...ANA, exp: seconds(-1) })],
    ['is not valid for another 6 seconds', () => old.sign({ ...ANA, nbf: seconds(6) })],
    ['is for somebody else', () => old.sign({ ...ANA, aud: 'billing' })],
    ['is for nobody', () => old.sign({ ...ANA, aud: undefined })],
    ['was issued by somebody else', () => old.sign({ ...ANA, iss: 'https://issuer.example' })],
    ['was issued by nobody', () => old.sign({ ...ANA, iss: undefined })],
    ['was signed by somebody else under the same key id', () => stranger.sign(ANA)],
    ['names a key that is not published', () => next.sign(ANA)],
    ['brings its own key', () => stranger.sign(ANA, { jwk: stranger.publicKey, jku: server.url })],
    ['needs no signature', () => unsigned(ANA)],
    ['is signed with the secret, which counts for nothing here', () => token(ANA)],
    ['is signed with the public key as if that were a secret', () => signedWithPublicKey(JSON.stringify)],
    ['is signed with the text of the public key', () => signedWithPublicKey(pem)],
    ['was cut short', async () => (await old.sign(ANA)).slice(0, -2)],
  ])('that %s is refused', async (_what, make) => {
    expect(await outcomes(await make())).toEqual(twice('Token inválido'));
  });

  test.each([
    ['one of several audiences', { aud: ['other', 'shop'] }],
    ['a beginning that is 4 seconds ahead of this clock', { nbf: seconds(4) }],
  ])('may have %s', async (_what, claims) => {
    expect(await outcomes(await old.sign({ ...ANA, ...claims }))).toEqual(twice('user 1'));
  });

  test('may leave the key unnamed where one alone fits its algorithm', async () => {
    server.publish(old, next);
    expect(await outcomes(await old.sign(ANA, { kid: undefined }))).toEqual(twice('user 1'));
    server.publish(old, stranger);
    at.clock.advance(600_000);
    expect(await outcomes(await old.sign(ANA, { kid: undefined }))).toEqual(twice('Token inválido'));
  });

  test('cannot be verified where its keys cannot be had, which is no fault of the client', async () => {
    server.answer = (response) => response.writeHead(500).end();
    expect(await outcomes(await old.sign(ANA))).toEqual(twice('closed'));
    expect(at.log.lines).toContainEqual(
      expect.objectContaining({ level: 'error', message: 'tokens cannot be verified' }),
    );
  });

  test('that is junk costs the issuer no more than the first request', async () => {
    for (const junk of ['junk', '..', await stranger.sign(ANA, { kid: 'made up' }), unsigned(ANA)])
      await outcomes(junk);
    expect(server.requests).toBe(1);
  });
});

test('a token that is signed with the secret is held to audience and issuer as well', async () => {
  at = await deployed({ JWKS_URL: '' });
  expect(await outcomes(await token(ANA))).toEqual(twice('user 1'));
  for (const claims of [{ aud: 'billing' }, { iss: 'https://evil.example/' }, { aud: undefined }])
    expect(await outcomes(await token({ ...ANA, ...claims }))).toEqual(twice('Token inválido'));
  expect(await outcomes(await old.sign(ANA))).toEqual(twice('Token inválido'));
});

async function signedWithPublicKey(
  text: (key: Issuer['publicKey']) => string | Promise<string>,
): Promise<string> {
  return token(ANA, { secret: await text(old.publicKey) });
}

async function pem(key: Issuer['publicKey']): Promise<string> {
  return exportSPKI((await importJWK(key, 'ES256')) as CryptoKey);
}
