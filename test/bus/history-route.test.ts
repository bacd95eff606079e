import { beforeEach, describe, expect, test } from 'vitest';
import * as z from 'zod/mini';
import { defineApp } from '../../lambdas/apps/define-app.ts';
import type { Auth } from '../../lambdas/apps/public.ts';
import type { RoutedRequest } from '../../lambdas/bus/http-router.ts';
import type { AnySocket } from '../../lambdas/bus/public.ts';
import { type World, world } from '../support/world.ts';

/** `Authorization: ana` is ana; without it anonymous, and `nobody` is refused. */
const auth: Auth<{ id: string }> = {
  credential: async ({ authorization }) => authorization,
  authenticate: async ({ credential }) =>
    credential === 'nobody'
      ? { kind: 'refused', message: 'no' }
      : credential === undefined
        ? { kind: 'accepted' }
        : { kind: 'accepted', identity: { id: credential } },
};
let seen: AnySocket | undefined;
let act: (socket: AnySocket) => unknown = () => undefined;

const app = defineApp({
  name: 'lists',
  auth,
  origins: () => ['https://app.example'],
  rooms: {
    'of:': {
      history: true,
      async canJoin(socket, rest) {
        seen = socket as unknown as AnySocket;
        await act(seen);
        return socket.identity?.id === rest;
      },
    },
    'open:': { history: true, canJoin: ({ handshake }) => handshake.address === '192.0.2.7' },
    'shut:': { history: true },
    'private:': { canJoin: () => true },
  },
  serverEvents: { said: z.number() },
  http: [
    {
      method: 'POST',
      path: '/rooms/of:mine/history',
      handle: async () => ({ status: 200, body: { mine: true } }),
    },
  ],
});
const other = defineApp({
  name: 'other',
  namespace: '/other',
  rooms: { 'open:': { history: true, canJoin: () => true } },
});

let at: World;
beforeEach(async () => {
  at = await world({ applications: [app, other] });
  act = () => undefined;
  seen = undefined;
  for (const n of [1, 2, 3])
    await at.publisher.handle({ op: 'emit', rooms: ['of:ana', 'open:a/b %'], event: 'said', args: [n] });
});

async function get(room: string, request: Partial<RoutedRequest> = {}) {
  const answer = await at.router.handle({
    method: 'GET',
    path: `/rooms/${encodeURIComponent(room)}/history`,
    parameters: { room },
    headers: {},
    query: {},
    body: undefined,
    address: '192.0.2.7',
    ...request,
  });
  return { ...answer, body: answer.body === '' ? undefined : JSON.parse(answer.body) };
}
const as = (authorization: string) => ({ headers: { authorization } });

describe('the history of a room', () => {
  test('is read by who might join it', async () => {
    expect(await get('of:ana', as('ana'))).toMatchObject({
      statusCode: 200,
      body: { events: [{ event: 'said', args: [1] }, { args: [2] }, { args: [3] }], more: false },
    });
  });

  test('begins after an offset and ends at a limit', async () => {
    const { body } = await get('of:ana', as('ana'));
    const query = { since: body.events[0].offset, limit: '1' };
    expect(await get('of:ana', { ...as('ana'), query })).toMatchObject({
      body: { events: [{ args: [2] }], more: true },
    });
  });

  test('is found whatever its name is, as API Gateway has decoded it', async () => {
    const room = 'open:a/b %';
    expect((await get(room)).body.events).toHaveLength(3);
    // More segments than the route has: the path is all there is, and decoded.
    const split = { path: `/rooms/${room}/history`, parameters: {} };
    expect((await get(room, split)).body.events).toHaveLength(3);
  });

  test('of a namespace is that of its application', async () => {
    const query = { namespace: '/other' };
    expect(await get('open:a/b %', { query, address: 'x' })).toMatchObject({
      statusCode: 200,
      body: { events: [], more: false },
    });
  });

  test('may be read by scripts of allowed origins only', async () => {
    const from = (origin: string) => get('of:ana', { headers: { origin, authorization: 'ana' } });
    const { headers } = await from('https://app.example');
    expect(headers).toMatchObject({
      'access-control-allow-origin': 'https://app.example',
      'access-control-allow-credentials': 'true',
    });
    const evil = await from('https://evil.example');
    expect(evil).toMatchObject({ statusCode: 403, body: { error: { code: 'forbidden' } } });
    expect(Object.keys(evil.headers)).toEqual(['content-type']);
    const preflight = await get('of:ana', { method: 'OPTIONS', headers: { origin: 'https://app.example' } });
    expect(preflight).toMatchObject({
      statusCode: 204,
      headers: { 'access-control-allow-headers': 'Authorization, Content-Type' },
    });
  });

  test('leaves a path to the application that has it', async () => {
    const path = '/rooms/of:mine/history';
    expect((await get('of:mine', { method: 'POST', path })).body).toEqual({ mine: true });
    expect((await get('of:mine', { path, ...as('mine') })).statusCode).toBe(200);
    expect((await get('of:ana', { method: 'POST' })).body.error.message).toBe('only GET is answered here');
  });
});

describe('a request that is refused', () => {
  test.each([
    ['of nobody', 'of:ana', {}, 401, 'unauthenticated'],
    ['of who could not connect', 'open:a/b %', as('nobody'), 401, 'unauthenticated'],
    ['of somebody else', 'of:ana', as('bea'), 403, 'forbidden'],
    ['for a room without anybody or anything', 'of:cleo', as('bea'), 403, 'forbidden'],
    ['for rooms that nobody joins', 'shut:1', as('ana'), 403, 'forbidden'],
    ['for rooms without a history', 'private:1', as('ana'), 404, 'not_found'],
    ['for rooms of nobody', 'x', as('ana'), 404, 'not_found'],
    ['on a namespace of nobody', 'of:ana', { ...as('ana'), query: { namespace: '/x' } }, 404, 'not_found'],
    ['for a room with too long a name', `of:${'x'.repeat(2_048)}`, as('ana'), 400, 'invalid_payload'],
  ])('%s', async (_what, room, request, statusCode, code) => {
    expect(await get(room, request)).toMatchObject({ statusCode, body: { error: { code } } });
  });

  test.each([
    [{ since: 'x' }, 'since'],
    [{ limit: '' }, 'limit'],
    [{ limit: 'all' }, 'limit'],
    [{ limit: '1001' }, 'limit'],
  ])('for %j', async (query, field) => {
    expect(await get('of:ana', { ...as('ana'), query })).toMatchObject({
      statusCode: 400,
      body: { error: { field } },
    });
  });
});

describe('what canJoin is shown', () => {
  test('is a socket in no room, with whom the request is of', async () => {
    act = async ({ nsp, eventually }) => {
      expect(await nsp.fetchSockets()).toEqual([]);
      expect(await nsp.countSockets()).toBe(0);
      expect(await nsp.activeRooms(1, () => true)).toEqual({ rooms: [], truncated: false });
      expect((await nsp.history('of:ana', { limit: 2 })).events).toHaveLength(2);
      expect(await eventually(() => false)).toBe(false);
    };
    expect((await get('of:ana', as('ana'))).statusCode).toBe(200);
    expect(seen).toMatchObject({ id: '', identity: { id: 'ana' }, recovered: false, data: {} });
    expect(seen?.nsp.name).toBe('/');
    expect(seen?.handshake.address).toBe('192.0.2.7');
    expect(seen?.rooms.size).toBe(0);
  });

  const acts: [string, (socket: AnySocket) => unknown][] = [
    ['emit', (socket) => socket.emit('said', 1)],
    ['ask', (socket) => socket.timeout(1).emitWithAck('said', 1)],
    ['emit to a room', (socket) => socket.to('of:ana').emit('said', 1)],
    ['emit to others', (socket) => socket.broadcast.emit('said', 1)],
    ['emit to everybody', (socket) => socket.nsp.emit('said', 1)],
    ['emit volatile', (socket) => socket.nsp.volatile],
    ['join', (socket) => socket.join('of:ana')],
    ['leave', (socket) => socket.leave('of:ana')],
    ['disconnect', (socket) => socket.disconnect()],
    ['end', (socket) => socket.expireAt(1)],
    ['count', (socket) => socket.countAs(1)],
    ['refresh', (socket) => socket.refresh()],
  ];
  test.each(acts)('cannot %s', async (_what, doIt) => {
    act = doIt;
    const answer = await get('of:ana', as('ana'));
    expect(answer).toMatchObject({ statusCode: 500, body: { error: { code: 'internal' } } });
    expect(answer.body.error.message).toMatch(/^a request has no socket/);
  });

  test('cannot keep anything', async () => {
    act = ({ data }) => {
      data.kept = 1;
    };
    expect((await get('of:ana', as('ana'))).statusCode).toBe(500);
  });
});
