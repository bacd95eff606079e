import { describe, expect, test } from 'vitest';
import { EnvironmentError, readEnvironment } from '../../lambdas/adapters/environment.ts';

const WHOLE = {
  BUS_TABLE: 'bus',
  APPS_TABLE: 'apps',
  CALLBACK_URL: 'https://abc.execute-api.eu-west-1.amazonaws.com/prod',
  APPS: 'watch-groups',
  PING_INTERVAL_MINUTES: '4',
  PING_TIMEOUT_MINUTES: '2',
  TRACK_PONGS: 'true',
  TRANSPORTS: 'polling,websocket',
  POLL_HOLD_SECONDS: '5',
  REQUESTS_PER_SECOND: '10000',
  INLINE_POSTS: '500',
  EVENTS_PER_SECOND: '50',
  EVENT_BURST: '100',
  ROOMS_PER_SOCKET: '90',
  JOINS_PER_SECOND: '10',
  CONNECTIONS_PER_USER: '20',
  CONNECTIONS_PER_ADDRESS: '100',
  PAYLOAD_BYTES: '32768',
  POSTS_PER_EVENT: '1000',
  SECRET_PREFIX: 'socketbus',
  IDENTITY: 'token',
  JWT_ID_CLAIM: 'sub',
  POWERTOOLS_LOG_LEVEL: 'INFO',
  POWERTOOLS_SERVICE_NAME: 'socketbus',
  POWERTOOLS_METRICS_NAMESPACE: 'socketbus',
};

const problem = (variables: Record<string, string | undefined>): string => {
  try {
    readEnvironment(variables);
  } catch (error) {
    expect(error).toBeInstanceOf(EnvironmentError);
    return (error as EnvironmentError).message;
  }
  throw new Error('the environment was accepted');
};

describe("a function's environment", () => {
  test('that is whole is read, with its numbers as numbers', () => {
    expect(readEnvironment(WHOLE)).toMatchObject({
      BUS_TABLE: 'bus',
      PING_INTERVAL_MINUTES: 4,
      PING_TIMEOUT_MINUTES: 2,
      TRACK_PONGS: 'true',
      TRANSPORTS: ['polling', 'websocket'],
      POLL_HOLD_SECONDS: 5,
      REQUESTS_PER_SECOND: 10_000,
      INLINE_POSTS: 500,
    });
  });

  test('may hold whatever else a runtime puts there', () => {
    expect(readEnvironment({ ...WHOLE, AWS_REGION: 'eu-west-1' }).BUS_TABLE).toBe('bus');
  });

  test('that is empty is refused in one error that names every missing variable', () => {
    const message = problem({});
    for (const name of Object.keys(WHOLE)) expect(message).toContain(`${name}:`);
  });

  test('that has several wrong variables is refused by the names of all of them, and of no other', () => {
    const message = problem({
      ...WHOLE,
      CALLBACK_URL: 'not a url',
      PING_INTERVAL_MINUTES: '9',
      IDENTITY: 'maybe',
    });
    const named = Object.keys(WHOLE).filter((name) => message.includes(`${name}:`));
    expect(named).toEqual(['CALLBACK_URL', 'PING_INTERVAL_MINUTES', 'IDENTITY']);
  });

  test.each([
    ['BUS_TABLE', ''],
    ['CALLBACK_URL', ''],
    ['PING_INTERVAL_MINUTES', '0'],
    ['PING_INTERVAL_MINUTES', '1.5'],
    ['PING_INTERVAL_MINUTES', 'four'],
    ['PING_TIMEOUT_MINUTES', '9'],
    ['TRACK_PONGS', 'yes'],
    ['TRANSPORTS', ''],
    ['POLL_HOLD_SECONDS', '26'],
    ['POWERTOOLS_LOG_LEVEL', 'loud'],
    ['OPEN_FUNCTION', ''],
  ])('is refused with %s=%j', (name, value) => {
    expect(problem({ ...WHOLE, [name]: value })).toContain(`${name}:`);
  });
});
