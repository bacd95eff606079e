import { beforeEach, describe, expect, test } from 'vitest';
import { defineApp } from '../../lambdas/apps/define-app.ts';
import type { RoutedRequest } from '../../lambdas/bus/http-router.ts';
import { type World, world } from '../support/world.ts';

const HOME = 'https://app.example';
const PATH = '/notes';
const FOREIGN = [
  'https://evil.example',
  'null',
  '',
  `${HOME}/`,
  `${HOME}.evil`,
  `${HOME}, https://evil.example`,
];

let notes: number;
let at: World;

const app = defineApp({
  name: 'notes',
  origins: () => [HOME],
  rooms: {
    'open:': {
      history: true,
      canJoin() {
        notes += 1;
        return true;
      },
    },
  },
  http: (['GET', 'POST'] as const).map((method) => ({
    method,
    path: PATH,
    async handle() {
      notes += 1;
      return { status: 200, body: { notes } };
    },
  })),
});

beforeEach(async () => {
  notes = 0;
  at = await world({ applications: [app] });
});

const ask = (method: string, headers: Record<string, string>, more: Partial<RoutedRequest> = {}) =>
  at.router.handle({
    method,
    path: PATH,
    headers,
    query: {},
    body: undefined,
    address: '192.0.2.7',
    ...more,
  });

/** A preflight on the path of long polling. */
const poll = (headers: Record<string, string>) =>
  at.polling.handle({
    method: 'OPTIONS',
    headers,
    query: { EIO: '4', transport: 'polling' },
    body: undefined,
    address: '192.0.2.7',
    at: at.clock.now(),
  });

describe('a request to a route', () => {
  test.each(FOREIGN)('of a page of %j is refused before anything is run for it', async (origin) => {
    const history = { path: '/rooms/open%3A1/history', parameters: { room: 'open:1' } };
    // A form, which a browser sends without a preflight.
    const form = { origin, 'content-type': 'text/plain' };
    const answers = [
      await ask('GET', { origin }),
      await ask('POST', form, { body: '{}' }),
      await ask('GET', { origin }, history),
      await ask('GET', { origin }, { path: '/nowhere' }),
    ];
    for (const { statusCode, headers, body } of answers) {
      expect(statusCode).toBe(403);
      expect(headers).toEqual({ 'content-type': 'application/json' });
      expect(JSON.parse(body)).toEqual({ error: { code: 'forbidden', message: expect.any(String) } });
    }
    expect(notes).toBe(0);
  });

  test('of a page that is listed is answered, and its preflight too', async () => {
    const headers = { 'access-control-allow-origin': HOME };
    expect(await ask('POST', { origin: HOME }, { body: '{}' })).toMatchObject({ statusCode: 200, headers });
    expect(await ask('OPTIONS', { origin: HOME })).toMatchObject({
      statusCode: 204,
      headers: { ...headers, 'access-control-allow-methods': 'GET, POST' },
    });
    expect(notes).toBe(1);
  });

  test.each(FOREIGN)(
    'of a page of %j gets no preflight, on the path of long polling neither',
    async (origin) => {
      const { statusCode, headers } = await ask('OPTIONS', { origin });
      expect([statusCode, Object.keys(headers)]).toEqual([403, ['content-type']]);
      expect(await poll({ origin })).toEqual({
        statusCode: 403,
        headers: { 'content-type': 'application/json', 'cache-control': 'no-store' },
        body: '{"code":4,"message":"Forbidden"}',
      });
    },
  );

  test('of a program has a preflight that allows nothing', async () => {
    for (const { statusCode, headers } of [await ask('OPTIONS', {}), await poll({})])
      expect([statusCode, headers]).toEqual([204, {}]);
  });

  test('of a program, which sends no Origin, is answered', async () => {
    expect(await ask('POST', {}, { body: '{}' })).toMatchObject({ statusCode: 200 });
    expect(await ask('GET', {})).toMatchObject({ statusCode: 200 });
    expect(notes).toBe(2);
  });

  test('of any page is answered where any origin is allowed', async () => {
    Object.assign(at.bus.config, { origins: ['*'] });
    expect(await ask('GET', { origin: 'https://evil.example' })).toMatchObject({ statusCode: 200 });
  });
});
