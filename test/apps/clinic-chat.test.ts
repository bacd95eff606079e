import { describe, expect, test } from 'vitest';
import { clinicChat } from '../../lambdas/apps/clinic-chat.ts';
import { isTimeOrderedId, timeBound, timeOrderedId } from '../../lambdas/apps/time-ordered-ids.ts';
import type { RoutedResponse } from '../../lambdas/bus/http-router.ts';
import type { Rows } from '../../lambdas/bus/ports.ts';
import { START, type World, world } from '../support/world.ts';
import { Client } from './client.ts';
import { JWT_SECRET, token } from './tokens.ts';

const NOW = new Date(START).toISOString();
const PATH = '/api/chat/mensajes';

async function bus(identityMode: 'trusted' | 'token' = 'trusted'): Promise<World> {
  const at = await world({ applications: [clinicChat], secrets: { JWT_SECRET } });
  Object.assign(at.bus.config, { identityMode });
  return at;
}

let connections = 0;
async function client(at: World, claims?: Record<string, unknown>): Promise<Client> {
  connections += 1;
  const auth = claims === undefined ? undefined : { token: await token(claims) };
  return Client.connect(at, connections, { auth });
}

async function member(at: World, conversacionId: unknown, userId: unknown): Promise<Client> {
  const joined = await client(at);
  expect(await joined.ask('chat:join-room', { conversacionId, userId })).toMatchObject({ ok: true });
  return joined;
}

interface Request {
  readonly query?: Record<string, string>;
  readonly body?: unknown;
  readonly claims?: Record<string, unknown>;
}

async function request(
  at: World,
  method: 'GET' | 'POST',
  { query = {}, body, claims }: Request,
): Promise<{ status: number; body: unknown }> {
  const headers = claims === undefined ? {} : { authorization: `Bearer ${await token(claims)}` };
  const text = body === undefined ? undefined : JSON.stringify(body);
  const answer: RoutedResponse = await at.router.handle({
    method,
    path: PATH,
    headers: headers as Record<string, string>,
    query,
    body: text,
    address: '127.0.0.1',
  });
  return { status: answer.statusCode, body: JSON.parse(answer.body) };
}

interface Page {
  readonly mensajes: { readonly id: string; readonly contenido: string }[];
  readonly before: string | null;
}

async function page(at: World, query: Record<string, string>): Promise<Page> {
  const { status, body } = await request(at, 'GET', { query });
  expect(status).toBe(200);
  return body as Page;
}

const texts = ({ mensajes }: Page) => mensajes.map(({ contenido }) => contenido);
const said = (contenido: unknown, conversacionId: unknown = 7, userId: unknown = 1) => ({
  conversacionId,
  contenido,
  userId,
  rol: 'medico',
});

/** Rows that count how they are used. */
function counting(rows: Rows): Rows & { calls: number } {
  const counted = {
    calls: 0,
    put: (...args: Parameters<Rows['put']>) => count(rows.put(...args)),
    get: (...args: Parameters<Rows['get']>) => count(rows.get(...args)),
    query: (...args: Parameters<Rows['query']>) => count(rows.query(...args)),
    delete: (...args: Parameters<Rows['delete']>) => count(rows.delete(...args)),
  };
  const count = <T>(answer: T): T => {
    counted.calls += 1;
    return answer;
  };
  return counted;
}

describe('a conversation', () => {
  test('hears a message, its sender included, and nobody else hears it', async () => {
    const at = await bus();
    const [ana, beto] = [await member(at, 7, 1), await member(at, '7', 'b')];
    const [other, stranger] = [await member(at, 70, 3), await client(at)];
    const answer = (await ana.ask('chat:send-message', said('hola'))) as { mensaje: { id: string } };
    const mensaje = {
      id: expect.any(String),
      conversacionId: 7,
      contenido: 'hola',
      userId: 1,
      rol: 'medico',
      timestamp: NOW,
    };
    expect(answer).toEqual({ ok: true, mensaje });
    for (const each of [ana, beto]) expect(each.heard('chat:message-received')).toEqual([answer.mensaje]);
    for (const each of [other, stranger]) expect(each.events()).toEqual([]);
    expect(isTimeOrderedId(answer.mensaje.id)).toBe(true);
  });

  test('keeps a message before anybody hears it, and whether anybody is there or not', async () => {
    const at = await bus();
    const ana = await member(at, 7, 1);
    const kept: Promise<unknown[]>[] = [];
    at.wire.outcome = (_id, frame) => {
      if (frame.includes('message-received')) {
        kept.push(at.bus.rows.query('clinic-chat#messages#7', { limit: 9 }));
      }
      return 'ok';
    };
    await ana.emit('chat:send-message', said('hola'));
    expect((await Promise.all(kept)).map(({ length }) => length)).toEqual([1]);
    await request(at, 'POST', { body: said('nadie', 'empty') });
    expect(texts(await page(at, { conversacionId: 'empty' }))).toEqual(['nadie']);
  });

  test('goes out to the event bus with each message, and typing does not', async () => {
    const at = await bus();
    const ana = await member(at, 7, 1);
    await ana.ask('chat:send-message', said('hola'));
    await ana.ask('chat:typing', { conversacionId: 7, userId: 1 });
    expect(at.forwarded).toEqual([
      expect.objectContaining({ app: 'clinic-chat', event: 'chat:send-message', payload: said('hola') }),
    ]);
  });

  test('hears typing and its end, but for who types, once and never again', async () => {
    const at = await bus();
    const [ana, beto, other] = [await member(at, 7, 1), await member(at, 7, 2), await member(at, 8, 3)];
    const typing = { conversacionId: 7, userId: 1 };
    const posts: string[] = [];
    at.wire.outcome = (_id, frame) => {
      if (!frame.includes('typing')) return 'ok';
      posts.push(frame);
      return posts.length === 1 ? 'failed' : 'ok';
    };
    expect(await ana.ask('chat:typing', typing)).toEqual({ ok: true });
    expect(await ana.ask('chat:stop-typing', typing)).toEqual({ ok: true });
    // Ephemeral: the first post failed and was not tried again.
    expect(beto.events()).toEqual([{ event: 'chat:user-stop-typing', args: [typing] }]);
    expect([...ana.events(), ...other.events()]).toEqual([]);
    expect(at.wire.closed).toEqual([]);
  });

  test('keeps a receipt and tells everybody in it; reading again tells of the first time', async () => {
    const at = await bus();
    const [ana, beto] = [await member(at, 7, 1), await member(at, 7, 2)];
    const sent = (await ana.ask('chat:send-message', said('hola'))) as { mensaje: { id: string } };
    const receipt = { conversacionId: 7, mensajeId: sent.mensaje.id, userId: 2 };
    expect(await beto.ask('chat:mark-read', receipt)).toEqual({ ok: true });
    at.clock.advance(60_000);
    expect(await beto.ask('chat:mark-read', { ...receipt, userId: '2' })).toEqual({ ok: true });
    for (const each of [ana, beto]) {
      expect(each.heard('chat:message-read')).toEqual([
        { ...receipt, timestamp: NOW },
        { ...receipt, userId: '2', timestamp: NOW },
      ]);
    }
    const rows = await at.bus.rows.query('clinic-chat#receipts#7', { limit: 9 });
    expect(rows).toEqual([{ sort: `${sent.mensaje.id}#2`, value: { ...receipt, timestamp: NOW } }]);
  });

  test.each([['no such message'], [7], ['../messages']])(
    'has no message %j to be read',
    async (mensajeId) => {
      const at = await bus();
      const ana = await member(at, 7, 1);
      await ana.ask('chat:send-message', said('hola'));
      const answer = await ana.ask('chat:mark-read', { conversacionId: 7, mensajeId, userId: 1 });
      expect(answer).toMatchObject({ ok: false, error: { code: 'not_found', field: 'mensajeId' } });
      expect(ana.heard('chat:error')).toEqual([
        { message: expect.any(String), code: 'not_found', event: 'chat:mark-read' },
      ]);
    },
  );
});

describe('who is present', () => {
  test('is answered to who joins, everybody once, however many sockets they have', async () => {
    const at = await bus();
    await member(at, 7, 1);
    await member(at, 7, '1');
    await member(at, 8, 'elsewhere');
    const beto = await client(at);
    const answer = await beto.ask('chat:join-room', { conversacionId: 7, userId: 'b' });
    const { usuarios } = answer as { usuarios: { userId: unknown }[] };
    expect(usuarios.map(({ userId }) => String(userId)).sort()).toEqual(['1', 'b']);
    expect(usuarios.every((each) => Object.keys(each).join() === 'userId')).toBe(true);
  });

  test('are those who have neither left nor gone', async () => {
    const at = await bus();
    const [ana, beto] = [await member(at, 7, 1), await member(at, 7, 2)];
    expect(await ana.ask('chat:leave-room', { conversacionId: 7, userId: 1 })).toEqual({ ok: true });
    await at.lifecycle.disconnected(beto.connectionId);
    const carla = await client(at);
    expect(await carla.ask('chat:join-room', { conversacionId: 7, userId: 3 })).toEqual({
      ok: true,
      usuarios: [{ userId: 3 }],
    });
  });

  test('is nothing that a socket keeps once it has left', async () => {
    const at = await bus();
    const ana = await member(at, 7, 1);
    const kept = async () => {
      const answer = await at.publisher.handle({ op: 'fetchSockets', rooms: [ana.id] });
      return (answer as { result: { data: unknown }[] }).result.map(({ data }) => data);
    };
    expect(await kept()).toEqual([{ 'clinic-chat:userId:7': 1 }]);
    await ana.ask('chat:leave-room', { conversacionId: '7', userId: 1 });
    expect(await kept()).toEqual([{}]);
  });

  test('is the one a socket was last said to be', async () => {
    const at = await bus();
    const ana = await member(at, 7, 1);
    const again = { conversacionId: 7, userId: 'otra' };
    expect(await ana.ask('chat:join-room', again)).toEqual({ ok: true, usuarios: [{ userId: 'otra' }] });
  });

  test('is answered to a backend', async () => {
    const at = await bus();
    await member(at, 7, 1);
    const call = { op: 'app', app: 'clinic-chat', call: 'getConnectedUsers', args: ['7'] };
    expect(await at.publisher.handle(call)).toEqual({ ok: true, result: [{ userId: 1 }] });
  });
});

describe('a socket that is not in the room', () => {
  test.each([
    ['chat:send-message', said('hola')],
    ['chat:typing', { conversacionId: 7, userId: 1 }],
    ['chat:stop-typing', { conversacionId: 7, userId: 1 }],
    ['chat:mark-read', { conversacionId: 7, mensajeId: 'x', userId: 1 }],
  ])('does nothing to it with %s', async (event, payload) => {
    const at = await bus();
    const ana = await member(at, 7, 1);
    const stranger = await member(at, 8, 1);
    const error = { code: 'forbidden', message: 'join the conversation 7 first' };
    expect(await stranger.ask(event, payload)).toEqual({ ok: false, error });
    expect(stranger.heard('chat:error')).toEqual([{ ...error, event }]);
    expect(ana.events()).toEqual([]);
    expect(texts(await page(at, { conversacionId: '7' }))).toEqual([]);
    expect(at.forwarded).toEqual([]);
  });

  test('that has left speaks and hears no more', async () => {
    const at = await bus();
    const [ana, beto] = [await member(at, 7, 1), await member(at, 7, 2)];
    await ana.ask('chat:leave-room', { conversacionId: '7' });
    await beto.ask('chat:send-message', said('adiós', 7, 2));
    expect(ana.heard('chat:message-received')).toEqual([]);
    expect(await ana.ask('chat:send-message', said('hola'))).toMatchObject({ ok: false });
  });

  test('may leave it all the same', async () => {
    const at = await bus();
    const stranger = await client(at);
    expect(await stranger.ask('chat:leave-room', { conversacionId: 7, userId: 1 })).toEqual({ ok: true });
  });

  test('is waited for: what was sent with the join may be handled before it', async () => {
    const at = await bus();
    const [ana, beto] = [await client(at), await member(at, 7, 2)];
    const joins = () => ana.ask('chat:join-room', { conversacionId: 7, userId: 1 });
    let joining: Promise<unknown> | undefined;
    const { sleep } = at.clock;
    at.clock.sleep = async (ms) => {
      joining ??= joins();
      await joining;
      await sleep.call(at.clock, ms);
    };
    await ana.emit('chat:send-message', said('hola'));
    expect(await joining).toMatchObject({ ok: true });
    expect(beto.heard('chat:message-received')).toMatchObject([{ contenido: 'hola', userId: 1 }]);
    expect(ana.heard('chat:error')).toEqual([]);
  });
});

describe('a payload', () => {
  test.each([
    ['chat:join-room', {}, 'conversacionId'],
    ['chat:join-room', { conversacionId: 7 }, 'userId'],
    ['chat:join-room', { conversacionId: { id: 7 }, userId: 1 }, 'conversacionId'],
    ['chat:send-message', { ...said('x'), contenido: 7 }, 'contenido'],
    ['chat:send-message', said(''), 'contenido'],
    ['chat:send-message', said('ñ'.repeat(12_288)), 'contenido'],
    ['chat:send-message', { conversacionId: 7, contenido: 'x', userId: 1 }, 'rol'],
    ['chat:send-message', said('x', 7, null), 'userId'],
    ['chat:typing', { conversacionId: 7 }, 'userId'],
    ['chat:mark-read', { conversacionId: 7, userId: 1 }, 'mensajeId'],
    ['chat:leave-room', { userId: 1 }, 'conversacionId'],
    ['chat:leave-room', undefined, undefined],
  ])('of %s is refused where it is %j', async (event, payload, field) => {
    const at = await bus();
    const ana = await member(at, 7, 1);
    const answer = await ana.ask(event, payload);
    const error = { code: 'invalid_payload', message: expect.any(String), ...(field && { field }) };
    expect(answer).toEqual({ ok: false, error });
    expect(ana.heard('chat:error')).toEqual([
      { message: expect.any(String), code: 'invalid_payload', event },
    ]);
  });

  test('may hold keys that nobody knows; they go nowhere', async () => {
    const at = await bus();
    const ana = await member(at, 7, 1);
    await ana.ask('chat:send-message', { ...said('hola'), id: 'mine', timestamp: 'never', extra: 1 });
    expect(ana.heard('chat:message-received')).toEqual([
      { ...said('hola'), id: expect.stringMatching(/^[0-9a-z]{12}[\w-]{20}$/), timestamp: NOW },
    ]);
  });

  test('may hold the longest text there is, and everybody hears it', async () => {
    const at = await bus();
    const ana = await member(at, 'c'.repeat(256), 'u'.repeat(256));
    const longest = said('x'.repeat(24_574), 'c'.repeat(256), 'u'.repeat(256));
    expect(await ana.ask('chat:send-message', longest)).toMatchObject({ ok: true });
    expect(ana.heard('chat:message-received')).toHaveLength(1);
  });
});

describe('over HTTP', () => {
  test('a message is the same as over the socket', async () => {
    const at = await bus();
    const ana = await member(at, 7, 1);
    const posted = await request(at, 'POST', { body: { ...said('hola', '7', 2), id: 'mine' } });
    expect(posted).toEqual({
      status: 201,
      body: { ...said('hola', '7', 2), id: expect.any(String), timestamp: NOW },
    });
    expect(ana.heard('chat:message-received')).toEqual([posted.body]);
    const sent = (await ana.ask('chat:send-message', said('buenas'))) as { mensaje: unknown };
    expect((await page(at, { conversacionId: '7' })).mensajes).toEqual([posted.body, sent.mensaje]);
  });

  test('a page holds the newest messages, oldest first, and leads to the next older one', async () => {
    const at = await bus();
    for (let n = 0; n < 120; n += 1) {
      // Some in one millisecond, some later.
      if (n % 10 === 0) at.clock.advance(1);
      await request(at, 'POST', { body: said(String(n)) });
    }
    const from = (first: number, count: number) => Array.from({ length: count }, (_, n) => String(first + n));
    const newest = await page(at, { conversacionId: '7' });
    expect(texts(newest)).toEqual(from(70, 50));
    expect(newest.before).toBe(newest.mensajes[0]?.id);
    const older = await page(at, { conversacionId: '7', before: newest.before!, limit: '50' });
    expect(texts(older)).toEqual(from(20, 50));
    const oldest = await page(at, { conversacionId: '7', before: older.before!, limit: '20' });
    expect(texts(oldest)).toEqual(from(0, 20));
    expect(oldest.before).toBeNull();
    expect(texts(await page(at, { conversacionId: '7', limit: '1000' }))).toEqual(from(20, 100));
    expect(texts(await page(at, { conversacionId: '7', limit: '', before: '' }))).toEqual(from(70, 50));
    expect(await page(at, { conversacionId: '70' })).toEqual({ mensajes: [], before: null });
  });

  test.each([
    [{}, 'conversacionId'],
    [{ conversacionId: '' }, 'conversacionId'],
    [{ conversacionId: '7', limit: '0' }, 'limit'],
    [{ conversacionId: '7', limit: 'x' }, 'limit'],
    [{ conversacionId: '7', before: 'x' }, 'before'],
    [{ conversacionId: '7', before: 'x'.repeat(2_000) }, 'before'],
  ])('refuses to list %j', async (query: Record<string, string>, field) => {
    const answer = await request(await bus(), 'GET', { query });
    expect(answer).toEqual({
      status: 400,
      body: { error: { code: 'invalid_payload', message: expect.any(String), field } },
    });
  });

  test('refuses a message that is none', async () => {
    const at = await bus();
    const ana = await member(at, 7, 1);
    expect(await request(at, 'POST', {})).toMatchObject({ status: 400 });
    expect(await request(at, 'POST', { body: said('') })).toMatchObject({
      status: 400,
      body: { error: { code: 'invalid_payload', field: 'contenido' } },
    });
    expect(ana.events()).toEqual([]);
  });
});

describe('where identities must be proven', () => {
  const ANA = { sub: '1', rol: 'medico', conversations: [7] };
  const grant = (at: World, op: 'grant' | 'revoke', identity: unknown) =>
    at.publisher.handle({ op, identity, room: 'chat:7' });

  test('the claim opens a conversation, for the socket and for requests', async () => {
    const at = await bus('token');
    const ana = await client(at, ANA);
    const usuarios = [{ userId: '1' }];
    const joined = await ana.ask('chat:join-room', { conversacionId: '7', userId: '1' });
    expect(joined).toEqual({ ok: true, usuarios });
    expect(await ana.ask('chat:send-message', said('hola'))).toMatchObject({ ok: true });
    const posted = await request(at, 'POST', { body: said('buenas'), claims: ANA });
    expect(posted).toMatchObject({ status: 201 });
    const listed = await request(at, 'GET', { query: { conversacionId: '7' }, claims: ANA });
    expect(texts(listed.body as Page)).toEqual(['hola', 'buenas']);
  });

  test('a grant opens it until it is revoked, which puts its sockets out', async () => {
    const at = await bus('token');
    const claims = { sub: 'beto' };
    const beto = await client(at, claims);
    const join = () => beto.ask('chat:join-room', { conversacionId: 7, userId: 'beto' });
    expect(await join()).toMatchObject({ ok: false, error: { code: 'forbidden' } });
    await grant(at, 'grant', 'beto');
    expect(await join()).toMatchObject({ ok: true });
    const query = { conversacionId: '7' };
    expect(await request(at, 'GET', { query, claims })).toMatchObject({ status: 200 });
    await grant(at, 'revoke', 'beto');
    expect(await beto.ask('chat:send-message', said('hola', 7, 'beto'))).toMatchObject({
      ok: false,
      error: { code: 'forbidden' },
    });
    expect(await request(at, 'GET', { query, claims })).toMatchObject({ status: 403 });
    const ana = await client(at, ANA);
    expect(await ana.ask('chat:join-room', { conversacionId: 7, userId: 1 })).toEqual({
      ok: true,
      usuarios: [{ userId: 1 }],
    });
  });

  test('a grant that is revoked while its holder joins leaves nobody in the room', async () => {
    const at = await bus('token');
    await grant(at, 'grant', 'beto');
    const beto = await client(at, { sub: 'beto' });
    const { join } = at.store;
    at.store.join = async (...args) => {
      // Sees no member yet; the join is through after it.
      await grant(at, 'revoke', 'beto');
      return join.apply(at.store, args);
    };
    const answer = await beto.ask('chat:join-room', { conversacionId: 7, userId: 'beto' });
    expect(answer).toMatchObject({ ok: false, error: { code: 'forbidden' } });
    await request(at, 'POST', { body: said('secreto'), claims: ANA });
    expect(beto.heard('chat:message-received')).toEqual([]);
  });

  test.each([
    ['without a token', undefined, 'unauthenticated'],
    ['as somebody else', { ...ANA, sub: '2' }, 'forbidden'],
    ['in another’s conversation', { ...ANA, conversations: [70] }, 'forbidden'],
  ])('nobody joins, lists or posts %s', async (_how, claims, code) => {
    const at = await bus('token');
    const ana = await client(at, ANA);
    await ana.ask('chat:join-room', { conversacionId: 7, userId: 1 });
    await ana.ask('chat:send-message', said('secreto'));
    const before = ana.events().length;

    const intruder = await client(at, claims);
    const error = expect.objectContaining({ code });
    for (const [event, payload] of [
      ['chat:join-room', { conversacionId: 7, userId: 1 }],
      ['chat:send-message', said('falso')],
      ['chat:typing', { conversacionId: 7, userId: 1 }],
      ['chat:mark-read', { conversacionId: 7, mensajeId: 'x', userId: 1 }],
    ] as const) {
      expect(await intruder.ask(event, payload)).toEqual({ ok: false, error });
    }
    const status = code === 'unauthenticated' ? 401 : 403;
    const proof = claims === undefined ? {} : { claims };
    expect(await request(at, 'POST', { body: said('falso'), ...proof })).toEqual({ status, body: { error } });
    await ana.ask('chat:send-message', said('otro secreto'));
    expect(intruder.heard('chat:message-received')).toEqual([]);
    expect(ana.events().slice(before)).toHaveLength(1);
  });

  test.each([
    ['without a token', undefined, 401],
    ['with a token of another conversation', { sub: '1', conversations: [70] }, 403],
  ])('nobody lists %s', async (_how, claims, status) => {
    const at = await bus('token');
    const proof = claims === undefined ? {} : { claims };
    const answer = await request(at, 'GET', { query: { conversacionId: '7' }, ...proof });
    expect(answer.status).toBe(status);
  });

  test('a member of the room speaks neither as somebody else nor in another role', async () => {
    const at = await bus('token');
    const [ana, beto] = [await client(at, ANA), await client(at, { sub: '2', conversations: [7] })];
    await ana.ask('chat:join-room', { conversacionId: 7, userId: 1 });
    await beto.ask('chat:join-room', { conversacionId: 7, userId: 2 });
    expect(await beto.ask('chat:send-message', said('falso'))).toMatchObject({ ok: false });
    expect(await ana.ask('chat:send-message', { ...said('hola'), rol: 'admin' })).toMatchObject({
      ok: false,
      error: { code: 'forbidden', field: 'rol' },
    });
    expect(await request(at, 'POST', { body: { ...said('x'), rol: 'admin' }, claims: ANA })).toMatchObject({
      status: 403,
    });
    for (const each of [ana, beto]) expect(each.heard('chat:message-received')).toEqual([]);
  });

  test('a page costs the query and, without the claim, the look at the grant', async () => {
    const at = await bus('token');
    await grant(at, 'grant', 'beto');
    const rows = counting(at.bus.rows);
    Object.assign(at.bus, { rows });
    const query = { conversacionId: '7', limit: '100' };
    await request(at, 'GET', { query, claims: ANA });
    expect(rows.calls).toBe(1);
    await request(at, 'GET', { query, claims: { sub: 'beto' } });
    expect(rows.calls).toBe(3);
  });
});

describe('time-ordered ids', () => {
  let salt = 0;
  const ids = (now: number) => {
    salt += 1;
    return timeOrderedId({ now: () => now, newId: () => String(salt).padStart(20, '-') });
  };

  test('sort by time, and by order within one millisecond', () => {
    const made = [START, START, START + 0.7, START + 1, START + 1, START + 36 ** 5].map(ids);
    expect(made.toSorted()).toEqual(made);
    expect(new Set(made).size).toBe(made.length);
    expect(made.every(isTimeOrderedId)).toBe(true);
  });

  test('lie behind the bound of their time and before the next', () => {
    const made = ids(START);
    expect(timeBound(START) < made && made < timeBound(START + 1)).toBe(true);
    expect(timeBound(-5)).toBe(timeBound(0));
  });

  test('go on when a clock is set back', () => {
    const [later, earlier] = [ids(START + 1_000), ids(START)];
    expect(earlier < later).toBe(true);
  });
});
