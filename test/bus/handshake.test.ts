import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { defineApp } from '../../lambdas/apps/define-app.ts';
import { marketplace } from '../../lambdas/apps/marketplace.ts';
import { storefrontChat } from '../../lambdas/apps/storefront-chat.ts';
import { watchGroups } from '../../lambdas/apps/watch-groups.ts';
import {
  clientAddress,
  ENGINE_ERRORS,
  headerCredentials,
  keptHandshake,
  type OpeningRequest,
  originAllowed,
  refuseHandshake,
} from '../../lambdas/bus/handshake.ts';
import { Registry } from '../../lambdas/bus/registry.ts';
import { DEFAULT_LIMITS } from '../../lambdas/contract/limits.ts';
import { world } from '../support/world.ts';

const app = defineApp({ name: 'lists', origins: () => ['https://app.example'] });
const busWith = (origins: readonly string[] = []) => ({
  registry: new Registry([app]),
  config: {
    pingIntervalMinutes: 4,
    pingTimeoutMinutes: 2,
    trackPongs: true,
    requestsPerSecond: 10_000,
    inlinePosts: 500,
    transports: ['polling', 'websocket'] as const,
    pollHoldMs: 5_000,
    limits: DEFAULT_LIMITS,
    identityMode: 'token' as const,
    origins,
    settings: {},
  },
});
const request = (query: Record<string, string>, headers: Record<string, string> = {}): OpeningRequest => ({
  headers,
  query,
  address: '192.0.2.1',
  at: 5,
});
const GOOD = { EIO: '4', transport: 'websocket' };

describe('a request to open a connection', () => {
  test('with version and transport is let in, with an allowed origin or without any', () => {
    expect(refuseHandshake(busWith(), request(GOOD), 'websocket')).toBeUndefined();
    expect(
      refuseHandshake(busWith(), request(GOOD, { origin: 'https://app.example' }), 'websocket'),
    ).toBeUndefined();
  });

  test.each([
    [0, 400, 'polling', { EIO: '4', transport: 'polling' }, {}],
    [0, 400, 'no transport', { EIO: '4' }, {}],
    [0, 400, 'a transport that only every object has', { EIO: '4', transport: 'constructor' }, {}],
    [4, 403, 'a foreign origin', GOOD, { origin: 'https://evil.example' }],
    [
      4,
      403,
      'a foreign origin and an old version',
      { ...GOOD, EIO: '3' },
      { origin: 'https://evil.example' },
    ],
    [5, 400, 'an old version', { ...GOOD, EIO: '3' }, {}],
    [5, 400, 'no version', { transport: 'websocket' }, {}],
    [5, 400, 'a version that is no number', { ...GOOD, EIO: '4.0' }, {}],
  ])("is refused with Engine.IO's code %i and status %i for %s", (code, status, _, query, headers) => {
    expect(refuseHandshake(busWith(), request(query as never, headers as never), 'websocket')).toMatchObject({
      code,
      status,
    });
  });

  test('is refused with the words of Engine.IO', () => {
    const { unknownTransport, forbidden, unsupportedVersion } = ENGINE_ERRORS;
    expect([unknownTransport, forbidden, unsupportedVersion].map(({ message }) => message)).toEqual([
      'Transport unknown',
      'Forbidden',
      'Unsupported protocol version',
    ]);
  });
});

describe('an origin', () => {
  test.each([
    'https://APP.example',
    'https://app.example.',
    'https://app.example:443',
    'https://app.example:8443',
    'https://app.example/',
    'http://app.example',
    'https://app.example.evil.example',
    'https://evilapp.example',
    'https://evil.example/https://app.example',
    'https://app.example https://evil.example',
    'app.example',
    'null',
    '',
    '*',
    'https://evil-app.example',
    'https://app.example.evil',
    'https://app.example@evil.example',
    'https://app.example\\@evil.example',
    'https://app.example%2eevil.example',
    'https://app.example\u0000',
    ' https://app.example',
    'https://app.example, https://app.example',
    'https://\u0430pp.example',
    'https://app\u3002example',
    'https://xn--pp-6kc.example',
  ])('that only looks like an allowed one is foreign: %j', (origin) => {
    expect(originAllowed(busWith(), origin)).toBe(false);
    const configured = { ...busWith(['https://app.example']), registry: new Registry([]) };
    expect(originAllowed(configured, origin)).toBe(false);
  });

  test('is allowed by an application or by the deployment, exactly as written', () => {
    const bus = busWith(['http://localhost:3000']);
    expect(originAllowed(bus, 'https://app.example')).toBe(true);
    expect(originAllowed(bus, 'http://localhost:3000')).toBe(true);
    expect(originAllowed(bus, 'http://localhost:3001')).toBe(false);
  });

  test.each([
    [
      'STORE_CORS',
      'https://shop.example, https://xn--mnchen-3ya.example',
      ['https://shop.example', 'https://xn--mnchen-3ya.example'],
    ],
    ['STORE_CORS', 'https://m\u00fcnchen.example/', ['https://xn--mnchen-3ya.example']],
    ['FRONTEND_URL', 'https://Groups.example/app?x=1', ['https://groups.example']],
    ['CLIENT_ORIGIN', 'https://market.example:8443', ['https://market.example:8443']],
  ])('of %s, %s, is allowed as a browser writes it, and no other', (name, setting, allowed) => {
    const bus = {
      registry: new Registry([storefrontChat, watchGroups, marketplace]),
      config: { ...busWith().config, settings: { [name]: setting } },
    };
    for (const origin of allowed) expect(originAllowed(bus, origin)).toBe(true);
    const near = allowed.flatMap((origin) => [
      `${origin}/`,
      `${origin}.`,
      `${origin}:1`,
      `${origin}.evil`,
      origin.toUpperCase(),
    ]);
    for (const origin of [
      ...near,
      'https://m\u00fcnchen.example',
      'https://market.example',
      'https://evil.example',
      'null',
    ])
      expect([origin, originAllowed(bus, origin)]).toEqual([origin, false]);
  });

  test('of any kind is allowed only where that is written out', () => {
    expect(originAllowed(busWith(['*']), 'https://evil.example')).toBe(true);
    expect(originAllowed(busWith(['https://*.example']), 'https://a.example')).toBe(false);
  });

  test('no other than an allowed one is ever let in', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.webUrl()), (origin) => {
        expect(originAllowed(busWith(), origin)).toBe(origin === 'https://app.example');
      }),
    );
  });
});

describe('what is kept of a request', () => {
  const secrets = {
    authorization: 'Bearer t0ken',
    cookie: 'session=t0ken',
    'proxy-authorization': 't0ken',
    'x-api-key': 't0ken',
    'sec-websocket-protocol': 't0ken',
    'sec-websocket-key': 't0ken',
    'x-forwarded-access-token': 't0ken',
  };

  test('has no token, cookie or authorization, from no header and no query parameter', () => {
    const kept = keptHandshake(
      request({ ...GOOD, token: 't0ken', apiKey: 't0ken' }, { ...secrets, 'user-agent': 'test' }),
    );
    expect(JSON.stringify(kept)).not.toContain('t0ken');
    expect(kept).toEqual({
      headers: { 'user-agent': 'test' },
      query: GOOD,
      address: '192.0.2.1',
      secure: true,
      xdomain: false,
      issued: 5,
    });
  });

  test('has nothing but what is on the list, whatever the request had', () => {
    const allowed = [
      'host',
      'origin',
      'user-agent',
      'accept-language',
      'x-forwarded-for',
      'x-forwarded-proto',
    ];
    const names = fc.oneof(
      fc.string(),
      fc.constantFrom('constructor', '__proto__', ...allowed, ...Object.keys(secrets)),
    );
    fc.assert(
      fc.property(fc.dictionary(names, fc.string()), (headers) => {
        const kept = keptHandshake(request(GOOD, headers)).headers;
        const expected = allowed.filter((name) => Object.hasOwn(headers, name));
        expect(Object.keys(kept).sort()).toEqual(expected.sort());
        for (const name of expected) expect(kept[name]).toBe(headers[name]);
      }),
    );
  });

  test('has no more than 256 characters of each, of the addresses the last ones, whole', () => {
    const long = 'x'.repeat(9_000);
    const forwarded = `${long}, ${'198.51.100.7, '.repeat(30)}192.0.2.33, 203.0.113.5`;
    const { headers, query } = keptHandshake(
      request({ ...GOOD, b64: long }, { 'user-agent': long, 'x-forwarded-for': forwarded }),
    );
    expect(headers['user-agent']).toBe('x'.repeat(256));
    expect(query.b64).toBe('x'.repeat(256));
    const addresses = headers['x-forwarded-for']!.split(', ');
    expect(forwarded.split(', ').slice(-addresses.length)).toEqual(addresses);
    expect(addresses.length).toBeGreaterThan(15);
    expect(keptHandshake(request(GOOD, { 'x-forwarded-for': long })).headers).toEqual({
      'x-forwarded-for': '',
    });
  });

  test('says whether the request crossed origins, and whether it was encrypted', () => {
    expect(keptHandshake(request(GOOD, { origin: 'null' })).xdomain).toBe(true);
    expect(keptHandshake(request(GOOD, { 'x-forwarded-proto': 'http' })).secure).toBe(false);
    expect(keptHandshake(request(GOOD, { 'x-forwarded-proto': 'https' })).secure).toBe(true);
  });
});

test('each application makes of the headers what it wants, and what it makes of none is not kept', async () => {
  const reading = defineApp({
    name: 'reading',
    auth: {
      credential: async (headers) =>
        headers['x-user'] === undefined ? undefined : { user: headers['x-user'] },
      authenticate: async () => ({ kind: 'accepted' }),
    },
  });
  const { bus } = await world({ applications: [reading, app] });
  expect(await headerCredentials(bus, request(GOOD, { 'x-user': 'ana' }))).toEqual({
    reading: { user: 'ana' },
  });
  expect(await headerCredentials(bus, request(GOOD))).toEqual({});
});

describe('the address of a client', () => {
  const EDGE = '203.0.113.1';
  const VIEWER = '198.51.100.7';

  test.each([
    ['one hop before CloudFront’s', `${VIEWER}, ${EDGE}`, VIEWER],
    ['not what the client wrote before it', `10.0.0.1, 127.0.0.1, ${VIEWER}, ${EDGE}`, VIEWER],
    ['not a copy of what the door writes', `10.0.0.1, ${EDGE}, ${VIEWER}, ${EDGE}`, VIEWER],
    ['an IPv6 address as well', `2001:db8::7, ${EDGE}`, '2001:db8::7'],
    ['found without spaces', `x,${VIEWER},${EDGE}`, VIEWER],
    ['CloudFront’s where it is alone', EDGE, EDGE],
    ['CloudFront’s where nothing is said', undefined, EDGE],
    ['CloudFront’s where the header is empty', '', EDGE],
    ['CloudFront’s where the entry is no address', `unknown, ${EDGE}`, EDGE],
    ['CloudFront’s where an address has a port', `${VIEWER}:443, ${EDGE}`, EDGE],
    ['CloudFront’s where API Gateway appended nothing', `10.0.0.1, ${VIEWER}`, EDGE],
  ])('behind the front door is %s: %j', (_what, header, address) => {
    expect(clientAddress(header, EDGE, true)).toBe(address);
  });

  test('is that of the connection where anybody could have written the header', () => {
    expect(clientAddress(`10.0.0.1, ${EDGE}`, EDGE, false)).toBe(EDGE);
  });
});
