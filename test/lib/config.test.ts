import { describe, expect, it } from 'vitest';
import { BUILT_IN_APPLICATIONS } from '../../lambdas/contract/applications.ts';
import { DEFAULT_LIMITS } from '../../lambdas/contract/limits.ts';
import {
  completeConfiguration,
  ENVIRONMENT_NAMES,
  readApplications,
  readConfiguration,
} from '../../lib/config.ts';
import { ConfigurationError } from '../../lib/errors.ts';
import { REPOSITORY } from '../support/synthesis.ts';

const read = (environment: Record<string, string>, context: Record<string, unknown> = {}) =>
  readConfiguration({ environment, context, directory: REPOSITORY });

/** What the default applications cannot do without. */
const needed = { CLIENT_ORIGIN: 'https://market.example' };

function issuesOf(act: () => unknown) {
  try {
    act();
  } catch (error) {
    if (error instanceof ConfigurationError) return error.issues;
    throw error;
  }
  throw new Error('nothing was refused');
}

describe('the configuration', () => {
  it('is complete with nothing set but what an application requires', () => {
    expect(read(needed)).toEqual({
      apps: ['storefront-chat', 'clinic-chat', 'order-sync', 'watch-groups', 'marketplace'],
      clientOrigin: ['https://market.example'],
      stage: 'prod',
      pingIntervalMinutes: 4,
      pingTimeoutMinutes: 2,
      trackPongs: true,
      transports: ['polling', 'websocket'],
      pollHoldSeconds: 5,
      requestsPerSecond: 10_000,
      inlinePosts: 500,
      ...DEFAULT_LIMITS,
      origins: [],
      identity: 'token',
      secretPrefix: 'socketbus',
      jwtIdClaim: 'sub',
      frontDoor: true,
      wsPath: '/socket.io',
      debug: false,
      logRetentionDays: 30,
    });
  });

  it('takes every setting from the environment', () => {
    const environment = {
      APPS: 'watch-groups',
      STAGE: 'beta',
      PING_INTERVAL_MINUTES: '8',
      PING_TIMEOUT_MINUTES: '8',
      TRACK_PONGS: 'false',
      ORIGINS: 'https://a.example, http://localhost:5173',
      IDENTITY: 'trusted',
      SECRET_PREFIX: 'team/bus',
      JWT_ID_CLAIM: 'https://example.com/id',
      JWKS_URL: 'https://issuer.example/.well-known/jwks.json',
      JWT_AUDIENCE: 'shop, clinic',
      JWT_ISSUER: 'https://issuer.example/',
      FRONTEND_URL: 'https://app.example/groups',
      STORE_CORS: 'https://shop.example',
      CLIENT_ORIGIN: 'https://market.example',
      TRANSPORTS: 'websocket',
      POLL_HOLD_SECONDS: '25',
      REQUESTS_PER_SECOND: '40000',
      INLINE_POSTS: '5000',
      EVENTS_PER_SECOND: '5',
      EVENT_BURST: '10',
      ROOMS_PER_SOCKET: '9',
      JOINS_PER_SECOND: '1',
      CONNECTIONS_PER_USER: '0',
      CONNECTIONS_PER_ADDRESS: '7',
      PAYLOAD_BYTES: '16384',
      POSTS_PER_EVENT: '100000',
      FRONT_DOOR: 'false',
      WS_PATH: '/realtime/',
      DEBUG: 'socket.io*',
      ALARM_TOPIC: 'arn:aws:sns:us-east-1:123456789012:on-call',
      LOG_RETENTION_DAYS: '7',
    };
    expect(Object.keys(environment).sort()).toEqual(Object.values(ENVIRONMENT_NAMES).sort());
    expect(read(environment)).toEqual({
      apps: ['watch-groups'],
      stage: 'beta',
      pingIntervalMinutes: 8,
      pingTimeoutMinutes: 8,
      trackPongs: false,
      origins: ['https://a.example', 'http://localhost:5173'],
      identity: 'trusted',
      secretPrefix: 'team/bus',
      jwtIdClaim: 'https://example.com/id',
      jwksUrl: 'https://issuer.example/.well-known/jwks.json',
      jwtAudience: ['shop', 'clinic'],
      jwtIssuer: 'https://issuer.example/',
      frontendUrl: 'https://app.example/groups',
      storeCors: ['https://shop.example'],
      clientOrigin: ['https://market.example'],
      transports: ['websocket'],
      pollHoldSeconds: 25,
      requestsPerSecond: 40_000,
      inlinePosts: 5_000,
      eventsPerSecond: 5,
      eventBurst: 10,
      roomsPerSocket: 9,
      joinsPerSecond: 1,
      connectionsPerUser: 0,
      connectionsPerAddress: 7,
      payloadBytes: 16_384,
      postsPerEvent: 100_000,
      frontDoor: false,
      wsPath: '/realtime',
      debug: true,
      alarmTopic: 'arn:aws:sns:us-east-1:123456789012:on-call',
      logRetentionDays: 7,
    });
  });

  it('takes typed values and texts from the context', () => {
    const context = { pingIntervalMinutes: 1, pingTimeoutMinutes: '3', trackPongs: false, origins: ['*'] };
    expect(read(needed, context)).toMatchObject({
      pingIntervalMinutes: 1,
      pingTimeoutMinutes: 3,
      trackPongs: false,
      origins: ['*'],
    });
  });

  it('prefers the environment to the context, unless the variable is empty', () => {
    const context = { stage: 'remembered' };
    expect(read({ ...needed, STAGE: 'told' }, context).stage).toBe('told');
    expect(read({ ...needed, STAGE: ' ' }, context).stage).toBe('remembered');
  });

  it('reports every wrong value at once, named as it was given', () => {
    const environment = {
      APPS: 'nope,./missing.ts',
      STAGE: 'a b',
      PING_INTERVAL_MINUTES: '9',
      TRACK_PONGS: 'maybe',
      ORIGINS: 'https://a.example/path',
      IDENTITY: 'anyone',
      SECRET_PREFIX: '/x',
      JWT_ID_CLAIM: 'a b',
      JWKS_URL: 'http://issuer.example/jwks.json',
      JWT_AUDIENCE: ',',
      JWT_ISSUER: 'a b',
      FRONTEND_URL: 'ftp://x',
      STORE_CORS: 'shop',
      CLIENT_ORIGIN: 'https://market.example/',
      TRANSPORTS: 'polling,webtransport',
      POLL_HOLD_SECONDS: '26',
      REQUESTS_PER_SECOND: '0',
      INLINE_POSTS: '5001',
      FRONT_DOOR: 'maybe',
      WS_PATH: 'socket.io',
      LOG_RETENTION_DAYS: '2',
    };
    const issues = issuesOf(() => read(environment, { pingTimeoutMinutes: 1.5 }));
    expect(new Set(issues.map(({ name }) => name))).toEqual(
      new Set([...Object.keys(environment), 'context pingTimeoutMinutes']),
    );
    expect(issues).toContainEqual({
      name: 'PING_INTERVAL_MINUTES',
      message: 'must be a whole number from 1 to 8, not "9"',
    });
    expect(issues).toContainEqual({
      name: 'APPS',
      message: 'names the module "./missing.ts", and there is no such file',
    });
  });

  it('puts one line for each wrong value into the message', () => {
    const act = () => read({ ...needed, STAGE: 'a b', IDENTITY: 'anyone' });
    expect(act).toThrow(
      /^Invalid configuration:\n {2}STAGE: .*\n {2}IDENTITY: must be token or trusted, not "anyone"$/,
    );
    expect(act).toThrow(expect.objectContaining({ code: 'invalid_configuration', retryable: false }));
  });

  it.each([
    ['0', false],
    ['1', true],
    ['8', true],
    ['9', false],
    ['1.5', false],
    ['four', false],
    ['NaN', false],
  ])('asked for a ping every %s minutes, says %s', (minutes, accepted) => {
    const act = () => read({ ...needed, PING_INTERVAL_MINUTES: minutes });
    if (accepted) expect(act().pingIntervalMinutes).toBe(Number(minutes));
    else expect(act).toThrow(ConfigurationError);
  });

  it.each([
    ['socket.io*', true],
    ['1', true],
    ['0', false],
    ['false', false],
  ])('takes DEBUG=%s for %s', (value, on) => {
    expect(read({ ...needed, DEBUG: value }).debug).toBe(on);
  });

  it('accepts a module path from the directory it was given in', () => {
    expect(read({ APPS: './lambdas/contract/applications.ts,watch-groups' }).apps).toEqual([
      './lambdas/contract/applications.ts',
      'watch-groups',
    ]);
  });

  it('refuses a directory as a module, no application at all and one named twice', () => {
    expect(issuesOf(() => read({ APPS: './lambdas' }))).toHaveLength(1);
    expect(issuesOf(() => read({ APPS: ',' }))).toEqual([
      { name: 'APPS', message: 'must name at least one application' },
    ]);
    expect(issuesOf(() => read({ APPS: 'watch-groups,watch-groups' }))).toHaveLength(1);
  });

  it('refuses a context key that looks like a misspelt setting and leaves all others alone', () => {
    const context = {
      'ping-interval-minutes': 3,
      frontendURL: 'x',
      orgins: '*',
      '@aws-cdk/core:stage': 1,
      'cli-telemetry': false,
      team: 'blue',
    };
    expect(issuesOf(() => read(needed, context))).toEqual([
      {
        name: 'context ping-interval-minutes',
        message: 'is no setting; did you mean pingIntervalMinutes?',
      },
      { name: 'context frontendURL', message: 'is no setting; did you mean frontendUrl?' },
      { name: 'context orgins', message: 'is no setting; did you mean origins?' },
    ]);
  });

  it('is checked the same way when it is given in code', () => {
    const clientOrigin = ['https://market.example'];
    expect(completeConfiguration({ stage: undefined, identity: 'trusted', clientOrigin })).toEqual(
      read({ ...needed, IDENTITY: 'trusted' }),
    );
    expect(issuesOf(() => completeConfiguration({ pingIntervalMinutes: 20, clientOrigin }))).toEqual([
      { name: 'pingIntervalMinutes', message: 'must be a whole number from 1 to 8, not 20' },
    ]);
  });

  it('requires the origin of the pages of marketplace where it is among the applications, and only there', () => {
    const issue = { name: 'CLIENT_ORIGIN', message: expect.stringContaining('is required by marketplace') };
    expect(issuesOf(() => read({}))).toEqual([issue]);
    expect(issuesOf(() => read({ APPS: 'watch-groups, marketplace' }))).toEqual([issue]);
    expect(issuesOf(() => read({ CLIENT_ORIGIN: ',' }))).toMatchObject([{ name: 'CLIENT_ORIGIN' }]);
    expect(issuesOf(() => completeConfiguration({}))).toEqual([{ ...issue, name: 'clientOrigin' }]);
    const others = BUILT_IN_APPLICATIONS.filter((app) => app !== 'marketplace');
    expect(read({ APPS: others.join(',') }).apps).toEqual(others);
  });

  it('tells what is missing together with what is wrong', () => {
    expect(issuesOf(() => read({ STAGE: 'a b' })).map(({ name }) => name)).toEqual([
      'STAGE',
      'CLIENT_ORIGIN',
    ]);
  });

  it.each([
    ['https://shop.example, http://localhost:8000', ['https://shop.example', 'http://localhost:8000']],
    ['*', undefined],
    [',', undefined],
    ['shop.example', undefined],
    ['https://shop.example/', undefined],
    ['https://shop.example https://other.example', undefined],
  ])('takes STORE_CORS=%j for %j', (value, origins) => {
    const act = () => read({ ...needed, STORE_CORS: value }).storeCors;
    if (origins === undefined) expect(act).toThrow(/STORE_CORS: must /);
    else expect(act()).toEqual(origins);
  });

  it.each([
    ['/prod', {}, 'the path of the stage: the front door'],
    ['/beta/', { STAGE: 'beta' }, 'the path of the stage: the front door'],
    ['/publish', {}, 'the HTTP route /publish'],
    ['/rooms', {}, 'the HTTP route /rooms/{room}/history'],
    ['/rooms/lobby', { APPS: 'watch-groups' }, 'the HTTP route /rooms/{room}/history'],
    ['/socket/status', {}, 'the HTTP route /socket/status'],
    ['/socket', {}, 'the HTTP route /socket/status'],
    ['/api/chat', {}, 'the HTTP route /api/chat/mensajes'],
    ['/sync', { APPS: 'order-sync' }, 'the HTTP route /sync/pull-changes'],
  ])('refuses WS_PATH=%s with %j, which belongs to another', (path, others, reason) => {
    const issue = { name: 'WS_PATH', message: expect.stringContaining(reason) };
    expect(issuesOf(() => read({ ...needed, ...others, WS_PATH: path }))).toEqual([issue]);
  });

  it.each([
    ['/prod', { FRONT_DOOR: 'false' }],
    ['/prod/live', {}],
    ['/production', {}],
    ['/publish/live', {}],
    ['/rooms/lobby/live', {}],
    ['/socket', { APPS: 'watch-groups' }],
    ['/sync/live', {}],
    ['/syncs', {}],
  ])('takes WS_PATH=%s with %j, which nobody else has', (path, others) => {
    expect(read({ ...needed, ...others, WS_PATH: path }).wsPath).toBe(path);
  });

  it('does not mind a Redis that nobody needs', () => {
    expect(read({ ...needed, REDIS_HOST: 'localhost', REDIS_PORT: '6379' })).toEqual(read(needed));
    expect(read(needed, { redisHost: 'localhost', redisPort: 6379 })).toEqual(read(needed));
  });

  it('is read for a build as far as the applications go', () => {
    const applications = (environment: Record<string, string>) =>
      readApplications({ environment, context: {}, directory: REPOSITORY });
    expect(applications({ STAGE: 'a b' })).toEqual([...BUILT_IN_APPLICATIONS]);
    expect(applications({ APPS: 'clinic-chat' })).toEqual(['clinic-chat']);
    expect(issuesOf(() => applications({ APPS: 'nope' }))).toMatchObject([{ name: 'APPS' }]);
  });
});

describe('the address of a key set', () => {
  const issues = (jwksUrl: string) =>
    issuesOf(() => completeConfiguration({ apps: 'watch-groups', jwksUrl }));

  it.each([
    'https://issuer.example/jwks',
    'http://localhost:4000/jwks',
    'http://127.0.0.1/',
    'http://[::1]:1/',
  ])('is encrypted, or on the machine itself: %s', (jwksUrl) =>
    expect(completeConfiguration({ apps: 'watch-groups', jwksUrl }).jwksUrl).toBe(jwksUrl),
  );

  it.each([
    'http://issuer.example/jwks',
    'http://localhost.evil.example/jwks',
    'https://user:password@issuer.example/jwks',
    'file:///etc/passwd',
    'issuer.example',
    '',
  ])('is never one that somebody in between can change: %j', (jwksUrl) => {
    expect(issues(jwksUrl)).toEqual([
      { name: 'jwksUrl', message: `must be an https URL, not ${JSON.stringify(jwksUrl)}` },
    ]);
  });
});
