import { describe, expect, test } from 'vitest';
import { defineApp } from '../../lambdas/apps/define-app.ts';
import { watchGroups } from '../../lambdas/apps/watch-groups.ts';
import { START, type World, world } from '../support/world.ts';
import { Client } from './client.ts';
import { JWT_SECRET, seconds, token, unsigned } from './tokens.ts';

const ANA = { sub: '1', username: 'ana' };
const neighbour = defineApp({ name: 'neighbour' });

interface BusOptions {
  readonly settings?: Record<string, string>;
  readonly secrets?: Record<string, string>;
  readonly alone?: boolean;
}

const bus = ({ settings = {}, secrets = { JWT_SECRET }, alone = true }: BusOptions = {}) =>
  world({ applications: alone ? [watchGroups] : [watchGroups, neighbour], secrets, settings });

/** Told why, dismissed, and no member of anything. */
async function expectExpelled(at: World, client: Client, message: string): Promise<void> {
  expect(client.events()).toEqual([
    { event: 'error', args: [{ message, timestamp: new Date(at.clock.now()).toISOString() }] },
  ]);
  expect(client.dismissed).toBe(true);
  expect(await at.publisher.handle({ op: 'emit', event: 'any' })).toMatchObject({ audience: 0 });
  expect(await at.publisher.handle({ op: 'emit', rooms: ['member:1'], event: 'any' })).toMatchObject({
    audience: 0,
  });
}

const greeted = (client: Client) =>
  (client.heard('connected') as { readonly user: unknown }[]).map(({ user }) => user);

/** Tokens that prove nothing. */
const BAD: [string, () => unknown][] = [
  ['is no token', () => 'nonsense'],
  ['has three empty parts', () => '..'],
  ['has expired', () => token({ ...ANA, exp: seconds(-60) })],
  ['expired this instant', () => token({ ...ANA, exp: seconds(0) })],
  ['is not valid yet', () => token({ ...ANA, nbf: seconds(60) })],
  ['was signed with another key', () => token(ANA, { secret: 'another secret, just as long as the first' })],
  ['needs no signature', () => unsigned({ ...ANA, exp: seconds(60) })],
  ['was signed with HS512', () => token(ANA, { alg: 'HS512' })],
  ['was signed with HS384', () => token(ANA, { alg: 'HS384' })],
  ['was changed after it was signed', async () => tampered(await token(ANA))],
  ['names nobody', () => token({ username: 'ana' })],
  ['names nobody by an empty id', () => token({ sub: '' })],
  ['names nobody by a fraction', () => token({ sub: 1.5 })],
  ['names nobody by an unsafe integer', () => token({ sub: 2 ** 53 })],
  ['names nobody by an object', () => token({ sub: { id: 1 } })],
  ['names nobody by true', () => token({ sub: true })],
  ['names nobody by a text that is too long for an id', () => token({ sub: 'x'.repeat(257) })],
  ['names nobody by half a character', () => token({ sub: '\ud83d' })],
  ['says no time but a text in exp', () => token({ ...ANA, exp: 'tomorrow' })],
];

function tampered(good: string): string {
  const [header, , signature] = good.split('.');
  const claims = Buffer.from(JSON.stringify({ sub: '2', exp: seconds(60) })).toString('base64url');
  return [header, claims, signature].join('.');
}

describe('a token', () => {
  test.each(BAD)('in auth that %s is told so, and the client is dismissed', async (_how, make) => {
    const at = await bus();
    const client = await Client.connect(at, 1, { auth: { token: await make() } });
    await expectExpelled(at, client, 'Token inválido');
  });

  test.each(BAD)('in the header that %s is told so, and the client is dismissed', async (_how, make) => {
    const at = await bus();
    const headers = { authorization: `Bearer ${await make()}` };
    await expectExpelled(at, await Client.connect(at, 1, { headers }), 'Token inválido');
  });

  test.each(BAD)('that %s is refused also beside other applications', async (_how, make) => {
    const at = await bus({ alone: false });
    await expectExpelled(
      at,
      await Client.connect(at, 1, { auth: { token: await make() } }),
      'Token inválido',
    );
  });

  test.each([[7], [true], [['a']], [{ a: 1 }]])('in auth that is %j was meant as one', async (meant) => {
    const at = await bus();
    await expectExpelled(at, await Client.connect(at, 1, { auth: { token: meant } }), 'Token inválido');
  });

  test('leaves a dismissed client free to come back on the same connection with a better one', async () => {
    const at = await bus();
    const client = await Client.connect(at, 1, { auth: { token: 'nonsense' } });
    await client.join({ token: await token(ANA) });
    expect(greeted(client)).toEqual([{ id: 1, username: 'ana' }]);
    expect([client.dismissed, client.cut]).toEqual([false, false]);
  });

  test('in the header is as good as one in auth', async () => {
    const at = await bus();
    const headers = { authorization: `Bearer ${await token(ANA)}` };
    expect(greeted(await Client.connect(at, 1, { headers }))).toEqual([{ id: 1, username: 'ana' }]);
  });

  test.each(['bearer', 'BEARER', 'Bearer '])('in the header may be written after %j', async (scheme) => {
    const at = await bus();
    const headers = { authorization: `${scheme} ${await token(ANA)}` };
    expect(greeted(await Client.connect(at, 1, { headers }))).toHaveLength(1);
  });

  test('in auth comes before the one in the header', async () => {
    const at = await bus();
    const headers = { authorization: `Bearer ${await token({ sub: 'header' })}` };
    const auth = { token: await token({ sub: 'auth' }) };
    expect(greeted(await Client.connect(at, 1, { headers, auth }))).toEqual([{ id: 'auth' }]);
    const other = await Client.connect(at, 2, { headers, auth: { token: 'nonsense' } });
    expect(greeted(other)).toEqual([]);
    expect(other.dismissed).toBe(true);
  });

  test.each([[undefined], [{}], [{ token: '' }], [{ token: null }], [{ user: 'ana' }]])(
    'in the header counts where auth is %j',
    async (auth) => {
      const at = await bus();
      const headers = { authorization: `Bearer ${await token(ANA)}` };
      expect(greeted(await Client.connect(at, 1, { headers, auth }))).toHaveLength(1);
    },
  );

  test('in the header that expires before the client joins is no longer valid', async () => {
    const at = await bus();
    const headers = { authorization: `Bearer ${await token({ ...ANA, exp: seconds(30) })}` };
    const client = await Client.connect(at, 1, { headers, namespace: '/nowhere' });
    at.clock.advance(30_000);
    await at.messages.handle(client.connectionId, '40');
    const reply = at.wire.to(client.connectionId).slice(-2);
    expect(reply).toEqual([expect.stringContaining('Token inválido'), '41']);
  });

  test.each([
    ['a whole second from now', { exp: seconds(1) }],
    ['that has a fraction', { exp: seconds(1) + 0.123456 }],
    ['that never ends', { exp: undefined }],
    ['that begins within the tolerance for clocks', { nbf: seconds(5) }],
    ['that ends in the year 5138', { exp: 99_999_999_999 }],
    ['whose issuer counts in milliseconds', { exp: START + 3_600_000 }],
    ['that ends after every calendar', { exp: 1e300 }],
  ])('is good with a time %s', async (_how, claims) => {
    const at = await bus();
    const client = await Client.connect(at, 1, { auth: { token: await token({ ...ANA, ...claims }) } });
    expect(greeted(client)).toHaveLength(1);
    expect(client.dismissed).toBe(false);
  });
});

describe('a client whose token ends', () => {
  test.each([0, 0.5, 0.123456, 0.7654321])('%d of a second into one is cut then', async (fraction) => {
    const at = await bus();
    const auth = { token: await token({ ...ANA, exp: seconds(90) + fraction }) };
    const client = await Client.connect(at, 1, { auth });
    const hears = async () => await at.publisher.handle({ op: 'emit', rooms: ['member:1'], event: 'any' });
    at.clock.advance(60_000);
    await at.sweeper.sweep();
    expect(await hears()).toMatchObject({ audience: 1 });
    at.clock.advance(60_000);
    await at.sweeper.sweep();
    expect(await hears()).toMatchObject({ audience: 0 });
    expect(client.dismissed || client.cut).toBe(true);
  });
});

describe('the user’s id', () => {
  const cases: [string, Record<string, unknown>, unknown, Record<string, string>][] = [
    ['canonical text becomes a number', { sub: '1' }, 1, {}],
    ['a negative one too', { sub: '-12' }, -12, {}],
    ['zero too', { sub: '0' }, 0, {}],
    ['a number stays one', { sub: 42 }, 42, {}],
    ['leading zeros stay text', { sub: '007' }, '007', {}],
    ['what is no safe integer stays text', { sub: '9007199254740993' }, '9007199254740993', {}],
    ['minus zero stays text', { sub: '-0' }, '-0', {}],
    ['an exponent stays text', { sub: '1e3' }, '1e3', {}],
    ['other text stays', { sub: 'auth0|abc' }, 'auth0|abc', {}],
    ['the claim id counts where there is no sub', { id: '5' }, 5, {}],
    ['sub comes before id', { sub: 'a', id: 'b' }, 'a', {}],
    ['an unusable sub gives way to id', { sub: '', id: 'b' }, 'b', {}],
    ['a claim of another name', { uid: 9, sub: 'a', id: 'b' }, 9, { JWT_ID_CLAIM: 'uid' }],
    ['id where that claim is missing', { sub: 'a', id: 'b' }, 'b', { JWT_ID_CLAIM: 'uid' }],
  ];

  test.each(cases)('%s: %j is %j', async (_what, claims, expected, settings) => {
    const at = await bus({ settings });
    const client = await Client.connect(at, 1, { auth: { token: await token(claims) } });
    expect(greeted(client)).toEqual([{ id: expected }]);
    const room = `member:${String(expected)}`;
    expect(await at.publisher.handle({ op: 'emit', rooms: [room], event: 'any' })).toMatchObject({
      audience: 1,
    });
  });

  test('is not looked for in sub where the deployment names another claim', async () => {
    const at = await bus({ settings: { JWT_ID_CLAIM: 'uid' } });
    const client = await Client.connect(at, 1, { auth: { token: await token({ sub: 'a' }) } });
    await expectExpelled(at, client, 'Token inválido');
  });

  test('is not taken from what every object inherits', async () => {
    const at = await bus({ settings: { JWT_ID_CLAIM: 'constructor' } });
    const client = await Client.connect(at, 1, { auth: { token: await token({ sub: 'a' }) } });
    await expectExpelled(at, client, 'Token inválido');
  });

  test('without a usable name is greeted without one', async () => {
    const at = await bus();
    const client = await Client.connect(at, 1, { auth: { token: await token({ sub: 'a', username: 7 }) } });
    expect(greeted(client)).toEqual([{ id: 'a' }]);
  });
});

describe('no token', () => {
  const without: [string, { auth?: unknown; headers?: Record<string, string> }][] = [
    ['no auth at all', {}],
    ['an auth without one', { auth: { user: 'ana' } }],
    ['an empty one', { auth: { token: '' } }],
    ['null for one', { auth: { token: null } }],
    ['a header of another scheme', { headers: { authorization: 'Basic YW5hOmFuYQ==' } }],
    ['a bearer header without one', { headers: { authorization: 'Bearer ' } }],
  ];

  test.each(without)(
    'but %s: told so at connect where the namespace is ours alone',
    async (_how, options) => {
      const at = await bus();
      await expectExpelled(at, await Client.connect(at, 1, options), 'Token no proporcionado');
    },
  );

  test.each(without)('but %s: welcome where others live on the namespace', async (_how, options) => {
    const at = await bus({ alone: false });
    const client = await Client.connect(at, 1, options);
    expect(client.events()).toEqual([]);
    expect(client.dismissed).toBe(false);
    expect(await at.publisher.handle({ op: 'emit', event: 'any' })).toMatchObject({ audience: 1 });
  });

  test.each([
    ['join-group', { groupId: 1 }],
    ['leave-group', { groupId: 1 }],
    ['watch-episode', { groupId: 1, seriesId: 1, episodeId: 1 }],
    ['group-activity', { groupId: 1, type: 'x' }],
    ['join-group', { groupId: null }],
    ['group-activity', 'nonsense'],
  ])('beside other applications is told so at the first event of ours: %s %j', async (event, payload) => {
    const at = await bus({ alone: false });
    const client = await Client.connect(at, 1);
    await client.emit(event, payload);
    await expectExpelled(at, client, 'Token no proporcionado');
  });

  test('beside other applications is no client of ours', async () => {
    const at = await bus({ alone: false });
    await Client.connect(at, 1);
    expect(
      await at.publisher.handle({ op: 'app', app: 'watch-groups', call: 'getConnectedClients' }),
    ).toEqual({ ok: true, result: [] });
  });
});

describe('two secrets with a comma between them', () => {
  const [OLD, NEW] = ['the secret of last year that is on its way out', 'n'.repeat(32)];
  const during = () => bus({ secrets: { JWT_SECRET: `${OLD}, ${NEW}` } });

  test.each([
    ['the first', OLD],
    ['the second', NEW],
    ['both as one, which is how a stack of one’s own signs', `${OLD}, ${NEW}`],
  ])('verify what is signed with %s', async (_which, secret) => {
    const at = await during();
    const auth = { token: await token(ANA, { secret }) };
    expect(greeted(await Client.connect(at, 1, { auth }))).toHaveLength(1);
    const headers = { authorization: `Bearer ${auth.token}` };
    expect(greeted(await Client.connect(at, 2, { headers }))).toHaveLength(1);
  });

  test.each(BAD)('refuse one that %s', async (_how, make) => {
    const at = await during();
    await expectExpelled(
      at,
      await Client.connect(at, 1, { auth: { token: await make() } }),
      'Token inválido',
    );
  });

  test.each([
    ['has expired', () => token({ ...ANA, exp: seconds(-60) }, { secret: NEW })],
    ['was signed with HS512', () => token(ANA, { secret: NEW, alg: 'HS512' })],
    ['was signed with a part of one', () => token(ANA, { secret: NEW.slice(1) })],
    ['was changed after it was signed', async () => tampered(await token(ANA, { secret: NEW }))],
  ])('refuse one of the second that %s', async (_how, make) => {
    const at = await during();
    await expectExpelled(
      at,
      await Client.connect(at, 1, { auth: { token: await make() } }),
      'Token inválido',
    );
  });

  test('are not made of one secret that has a comma in it: a short part is no key', async () => {
    for (const secret of [
      `x,${'y'.repeat(40)}`,
      `${'x'.repeat(31)},${'y'.repeat(40)}`,
      ',',
      `${'x'.repeat(40)},`,
    ]) {
      const at = await bus({ secrets: { JWT_SECRET: secret } });
      const whole = await Client.connect(at, 1, { auth: { token: await token(ANA, { secret }) } });
      expect(greeted(whole)).toHaveLength(1);
      for (const part of secret.split(',').filter((each) => each !== '')) {
        const auth = { token: await token(ANA, { secret: part }) };
        expect(greeted(await Client.connect(at, 2, { auth }))).toEqual([]);
      }
    }
  });
});

describe('a secret that cannot be read (what else it means: outage.test.ts)', () => {
  test('makes no difference to a client without a token', async () => {
    const at = await bus({ secrets: {} });
    await expectExpelled(at, await Client.connect(at, 1), 'Token no proporcionado');
  });
});

describe('a token that expires', () => {
  test('closes its connection with the sweep after that moment, and no other', async () => {
    const at = await bus();
    const short = await Client.connect(at, 1, {
      auth: { token: await token({ ...ANA, exp: seconds(150) }) },
    });
    const long = await Client.connect(at, 2, {
      auth: { token: await token({ sub: 'b', exp: seconds(900) }) },
    });
    for (const minute of [0, 1, 2]) {
      at.clock.advance(minute === 0 ? 0 : 60_000);
      await at.sweeper.sweep();
      expect([minute, short.cut, long.cut]).toEqual([minute, false, false]);
    }
    at.clock.advance(60_000);
    await at.sweeper.sweep();
    expect([short.cut, long.cut]).toEqual([true, false]);
    expect(await at.publisher.handle({ op: 'emit', rooms: ['member:1'], event: 'any' })).toMatchObject({
      audience: 0,
    });
    const late = await Client.connect(at, 3, { auth: { token: await token({ ...ANA, exp: seconds(150) }) } });
    expect(late.dismissed).toBe(true);
  });
});

describe('nothing secret', () => {
  test('is kept in a row or written to a log', async () => {
    const at = await bus();
    const tokens = {
      auth: await token({ ...ANA, jti: 'one' }),
      header: await token({ ...ANA, jti: 'two' }),
      expired: await token({ ...ANA, exp: seconds(-60) }),
      foreign: await token(ANA, { secret: 'another secret, just as long as the first' }),
      unsigned: unsigned(ANA),
      nonsense: 'not-at-all-a-token',
    };
    const cookie = 'session=0123456789abcdef';
    let n = 0;
    for (const text of Object.values(tokens)) {
      n += 1;
      const client = await Client.connect(at, n, { auth: { token: text } });
      await client.emit('join-group', { groupId: 1 });
      await client.emit('group-activity', { groupId: null, token: text });
      n += 1;
      await Client.connect(at, n, { headers: { authorization: `Bearer ${text}`, cookie } });
    }
    const secretless = await bus({ secrets: {} });
    await Client.connect(secretless, 1, { auth: { token: tokens.auth } });
    const kept = [
      JSON.stringify(await at.table.rows()),
      ...[...at.log.lines, ...secretless.log.lines].map(
        (line) => JSON.stringify(line, errorsWhole) + String((line.fields as { error?: unknown })?.error),
      ),
      JSON.stringify(at.wire.posts),
    ].join('\n');
    expect(kept).toContain('member:1');
    for (const text of [...Object.values(tokens), cookie, JWT_SECRET]) {
      const [, claims = text, signature = text] = text.split('.');
      expect(kept).not.toContain(text);
      expect(kept).not.toContain(claims);
      if (signature !== '') expect(kept).not.toContain(signature);
    }
  });
});

/** Errors are logged with all they carry. */
function errorsWhole(_key: string, value: unknown): unknown {
  if (!(value instanceof Error)) return value;
  const { name, message, stack, cause } = value;
  return { ...value, name, message, stack, cause };
}
