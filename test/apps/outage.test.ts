/** While secrets or key sets cannot be read nobody is expelled, and nobody is told that a proof is wrong. */
import { describe, expect, test } from 'vitest';
import { clinicChat } from '../../lambdas/apps/clinic-chat.ts';
import { defineApp } from '../../lambdas/apps/define-app.ts';
import { jwt } from '../../lambdas/apps/jwt.ts';
import { marketplace } from '../../lambdas/apps/marketplace.ts';
import { orderSync } from '../../lambdas/apps/order-sync.ts';
import { storefrontChat } from '../../lambdas/apps/storefront-chat.ts';
import { watchGroups } from '../../lambdas/apps/watch-groups.ts';
import type { Application } from '../../lambdas/bus/application.ts';
import { connectionId, type World, world } from '../support/world.ts';
import { Client, type ClientOptions } from './client.ts';
import { JWT_SECRET, seconds, token } from './tokens.ts';

const ANA = { sub: '1', username: 'ana', exp: seconds(7_200), conversations: [9] };
const KEY = 'a key of the cloud';

const reader = defineApp({
  name: 'reader',
  auth: jwt({ onFailure: () => ({ kind: 'refused', message: 'a token is needed' }) }),
  rooms: { 'page:': { canJoin: () => true, history: true } },
});

interface Outage {
  begin(): void;
  end(): void;
}

async function bus(...applications: Application[]): Promise<World & Outage> {
  const known = { JWT_SECRET, CLOUD_API_KEY: KEY };
  const secrets: Record<string, string> = { ...known };
  const at = await world({ applications, secrets });
  Object.assign(at.bus.config, { identityMode: 'token' });
  const begin = () => {
    for (const name of Object.keys(known)) delete secrets[name];
  };
  return { ...at, begin, end: () => Object.assign(secrets, known) };
}

const inAuth = async (): Promise<ClientOptions> => ({ auth: { token: await token(ANA) } });
const inHeader = async (): Promise<ClientOptions> => ({
  headers: { authorization: `Bearer ${await token(ANA)}` },
});
const inKey = async (): Promise<ClientOptions> => ({ namespace: '/sync', auth: { apiKey: KEY } });

const WAYS: [string, Application, () => Promise<ClientOptions>][] = [
  ['storefront-chat, auth', storefrontChat, inAuth],
  ['storefront-chat, header', storefrontChat, inHeader],
  ['clinic-chat, auth', clinicChat, inAuth],
  ['clinic-chat, header', clinicChat, inHeader],
  ['marketplace, auth', marketplace, inAuth],
  ['marketplace, header', marketplace, inHeader],
  ['watch-groups, auth', watchGroups, inAuth],
  ['watch-groups, header', watchGroups, inHeader],
  ['order-sync', orderSync, inKey],
  ['an application of one’s own', reader, inAuth],
];

/** What the client was given to come back with. */
function pidOf(at: World, client: Client): string {
  const [pid] = at.wire
    .framesTo(client.connectionId)
    .flatMap((frame) => /"pid":"([^"]+)"/.exec(frame)?.[1] ?? []);
  return pid!;
}

describe.each(WAYS)('while proofs cannot be verified: %s', (_name, application, proof) => {
  test('a client is told nothing that would keep it away, and its connection ends', async () => {
    const at = await bus(application);
    at.begin();
    const client = await Client.connect(at, 1, await proof());
    expect([client.packets(), client.cut]).toEqual([[], true]);
    expect(at.log.lines).toContainEqual(expect.objectContaining({ level: 'error' }));
    at.end();
    const back = await Client.connect(at, 2, await proof());
    expect(back.packets()[0]).toMatchObject({ data: { sid: expect.any(String) } });
  });

  test('who is in stays, through sweeps as well', async () => {
    const at = await bus(application);
    const client = await Client.connect(at, 1, await proof());
    const told = client.packets().length;
    at.begin();
    for (let minute = 0; minute < 5; minute += 1) {
      at.clock.advance(60_000);
      await at.messages.handle(client.connectionId, '3');
      await at.sweeper.sweep();
    }
    expect([client.cut, client.packets().length]).toEqual([false, told]);
  });
});

test('a client that comes back while tokens cannot be verified has its session as soon as they can', async () => {
  const at = await bus(watchGroups, storefrontChat);
  const ana = await Client.connect(at, 1, await inAuth());
  await ana.ask('join-group', { groupId: 5 });
  await at.lifecycle.disconnected(ana.connectionId);
  const auth = { token: await token(ANA), pid: pidOf(at, ana) };
  at.begin();
  const early = await Client.connect(at, 2, { auth });
  expect([early.packets(), early.cut]).toEqual([[], true]);
  await at.lifecycle.disconnected(early.connectionId);
  at.end();
  const back = await Client.connect(at, 3, { auth });
  expect(back.id).toBe(ana.id);
  expect(await at.publisher.handle({ op: 'emit', rooms: ['group:5'], event: 'x' })).toMatchObject({
    audience: 1,
  });
});

test('a connection that serves another namespace stays; this one is refused, as what may be tried again', async () => {
  const elsewhere = defineApp({ name: 'elsewhere', namespace: '/elsewhere' });
  const at = await bus(watchGroups, elsewhere);
  at.begin();
  const there = await Client.connect(at, 1, { namespace: '/elsewhere' });
  await at.messages.handle(there.connectionId, `40${JSON.stringify({ token: await token(ANA) })}`);
  expect(at.wire.to(there.connectionId).at(-1)).toBe(
    '44{"message":"tokens cannot be verified at the moment","data":{"code":"internal","retryable":true}}',
  );
  expect(there.cut).toBe(false);
});

test.each([
  ['/api/chat/mensajes', { conversacionId: '9' }],
  ['/rooms/page:1/history', {}],
])('a request for %s is not told that it proves nothing', async (path, query) => {
  const at = await bus(clinicChat, reader);
  const headers = { authorization: `Bearer ${await token(ANA)}` };
  const ask = () =>
    at.router.handle({ method: 'GET', path, headers, query, body: undefined, address: '127.0.0.1' });
  expect((await ask()).statusCode).toBe(200);
  at.begin();
  const { statusCode, body } = await ask();
  expect([statusCode, JSON.parse(body)]).toEqual([
    500,
    { error: { code: 'internal', message: 'tokens cannot be verified at the moment' } },
  ]);
});

test('authenticating later fails without a verdict on the token, and the socket stays who it was', async () => {
  const at = await bus(storefrontChat);
  const ana = await Client.connect(at, 1, await inAuth());
  await ana.ask('authenticate', { customerId: 1 });
  at.begin();
  expect(await ana.ask('authenticate', { customerId: 2, token: await token({ sub: '2' }) })).toEqual({
    ok: false,
    error: { code: 'internal', message: 'tokens cannot be verified at the moment' },
  });
  at.end();
  expect([ana.dismissed, ana.cut]).toEqual([false, false]);
  expect(await ana.ask('authenticate', { customerId: 1 })).toMatchObject({ ok: true });
});

test('joining again while the table cannot be asked leaves nobody outside who was in', async () => {
  const at = await bus(clinicChat);
  const ben = await Client.connect(at, 1, { auth: { token: await token({ sub: '2' }) } });
  await at.publisher.handle({ op: 'grant', identity: 2, room: 'chat:7' });
  const asked = { conversacionId: 7, userId: 2 };
  expect(await ben.ask('chat:join-room', asked)).toMatchObject({ ok: true });
  const { get } = at.bus.rows;
  let looks = 0;
  at.bus.rows.get = async (...args) => {
    looks += 1;
    if (looks === 2) throw new Error('no table');
    return get.apply(at.bus.rows, args);
  };
  expect(await ben.ask('chat:join-room', asked)).toMatchObject({ error: { code: 'internal' } });
  const members = await at.store.socket({ namespace: '/', id: ben.id });
  expect([ben.connectionId === connectionId(1), Object.keys(members?.rooms ?? {})]).toEqual([
    true,
    ['chat:7'],
  ]);
});
