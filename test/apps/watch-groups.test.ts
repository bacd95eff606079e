import { describe, expect, test } from 'vitest';
import { watchGroups } from '../../lambdas/apps/watch-groups.ts';
import { originAllowed } from '../../lambdas/bus/handshake.ts';
import { START, type World, world } from '../support/world.ts';
import { Client } from './client.ts';
import { JWT_SECRET, token } from './tokens.ts';

const NOW = new Date(START).toISOString();

const bus = () => world({ applications: [watchGroups], secrets: { JWT_SECRET } });

let connections = 0;

async function member(at: World, claims: Record<string, unknown>, ...groups: unknown[]): Promise<Client> {
  connections += 1;
  const client = await Client.connect(at, connections, { auth: { token: await token(claims) } });
  for (const groupId of groups) {
    expect(await client.ask('join-group', { groupId })).toEqual({ ok: true, groupId });
  }
  return client;
}

/** What a client heard after what it has heard until now. */
function from(client: Client): () => unknown[] {
  const before = client.events().length;
  return () =>
    client
      .events()
      .slice(before)
      .map(({ event, args }) => [event, ...args]);
}

const ANA = { sub: '1', username: 'ana' };
const BEA = { sub: 'bea', username: 'Bea' };

describe('a user with a valid token', () => {
  test('is greeted with who the server takes it for', async () => {
    const at = await bus();
    const ana = await member(at, ANA);
    expect(ana.events()).toEqual([
      {
        event: 'connected',
        args: [{ message: 'Conectado exitosamente', user: { id: 1, username: 'ana' } }],
      },
    ]);
    expect(ana.dismissed).toBe(false);
  });

  test('is greeted without a name where the token has none', async () => {
    const at = await bus();
    const ana = await member(at, { sub: 'x' });
    expect(ana.heard('connected')).toEqual([{ message: 'Conectado exitosamente', user: { id: 'x' } }]);
  });

  test('hears what the backend tells it, on each of its sockets, and nobody else does', async () => {
    const at = await bus();
    const [phone, laptop, bea] = [await member(at, ANA), await member(at, ANA), await member(at, BEA)];
    const args = [{ message: 'hola' }];
    await at.publisher.handle({ op: 'emit', rooms: ['member:1'], event: 'notification', args });
    expect([phone, laptop, bea].map((each) => each.heard('notification').length)).toEqual([1, 1, 0]);
    expect(phone.heard('notification')).toEqual(args);
  });
});

describe('join-group', () => {
  test('answers the joiner and tells the other members', async () => {
    const at = await bus();
    const ana = await member(at, ANA, 123);
    const bea = await member(at, BEA);
    const [anaHears, beaHears] = [from(ana), from(bea)];
    expect(await bea.ask('join-group', { groupId: 123 })).toEqual({ ok: true, groupId: 123 });
    expect(beaHears()).toEqual([
      ['joined-group', { groupId: 123, message: 'Te has unido al grupo exitosamente' }],
    ]);
    expect(anaHears()).toEqual([
      ['user-joined-group', { userId: 'bea', username: 'Bea', groupId: 123, timestamp: NOW }],
    ]);
  });

  test.each([
    [7, '7'],
    ['7', 7],
    [0, '0'],
    [-5, '-5'],
  ])('takes %o and %o for one group, and echoes the type it was sent', async (one, other) => {
    const at = await bus();
    const ana = await member(at, ANA, one);
    const bea = await member(at, BEA);
    const [anaHears, beaHears] = [from(ana), from(bea)];
    await bea.emit('join-group', { groupId: other });
    expect(beaHears()).toMatchObject([['joined-group', { groupId: other }]]);
    expect(anaHears()).toMatchObject([['user-joined-group', { groupId: other }]]);
  });

  test.each([
    ['07', 7],
    ['7 ', 7],
    ['7.0', 7],
  ])('keeps %o and %o apart', async (one, other) => {
    const at = await bus();
    const ana = await member(at, ANA, one);
    const anaHears = from(ana);
    await member(at, BEA, other);
    expect(anaHears()).toEqual([]);
  });

  test('ignores keys it does not know', async () => {
    const at = await bus();
    const ana = await member(at, ANA);
    const payload = { extra: [1], groupId: 1, __proto__: null, userId: 'somebody else' };
    expect(await ana.ask('join-group', payload)).toEqual({ ok: true, groupId: 1 });
  });

  test('lets any user in where the token carries no groups', async () => {
    const at = await bus();
    await member(at, ANA, 1, 'two', 3);
  });

  test.each([
    ['listed as text', 'g', true],
    ['listed as a number', 7, true],
    ['listed as the number it is the text of', '7', true],
    ['not listed', 8, false],
    ['only the beginning of one listed', 'gg', false],
  ])('lets a user whose token lists groups into one that is %s: %o', async (_how, groupId, allowed) => {
    const at = await bus();
    const ana = await member(at, { ...ANA, groups: ['g', 7] });
    expect(await ana.ask('join-group', { groupId })).toMatchObject({ ok: allowed });
  });

  test.each([[[]], [null], ['g'], [{ g: true }]])('lets nobody in by the groups claim %j', async (groups) => {
    const at = await bus();
    const ana = await member(at, { ...ANA, groups });
    const hears = from(ana);
    expect(await ana.ask('join-group', { groupId: 'g' })).toEqual({
      ok: false,
      error: { code: 'forbidden', message: expect.any(String) },
    });
    expect(hears()).toEqual([['error', { message: 'Error al unirse al grupo', timestamp: NOW }]]);
    expect(ana.dismissed).toBe(false);
  });

  test('cannot reach the room of a user: a group’s name is only ever part of a group room', async () => {
    const at = await bus();
    const bea = await member(at, BEA);
    await member(at, ANA, 'member:bea', '../member:bea');
    const beaHears = from(bea);
    const report = await at.publisher.handle({ op: 'emit', rooms: ['member:bea'], event: 'notification' });
    expect(report).toMatchObject({ audience: 1 });
    expect(beaHears()).toHaveLength(1);
  });
});

describe('leave-group', () => {
  test('leaves, and what the group says is not heard any more', async () => {
    const at = await bus();
    const [ana, bea] = [await member(at, ANA, 1), await member(at, BEA, 1)];
    const hears = from(bea);
    expect(await bea.ask('leave-group', { groupId: '1' })).toEqual({ ok: true, groupId: '1' });
    await ana.emit('group-activity', { groupId: 1, type: 'chat' });
    expect(hears()).toEqual([]);
  });

  test('is harmless for a group the user is not in', async () => {
    const at = await bus();
    const ana = await member(at, ANA, 1);
    expect(await ana.ask('leave-group', { groupId: 2 })).toEqual({ ok: true, groupId: 2 });
    expect(await ana.ask('group-activity', { groupId: 1, type: 'x' })).toEqual({ ok: true });
  });
});

describe('watch-episode', () => {
  test('tells the whole group, the sender included, who watched what', async () => {
    const at = await bus();
    const [ana, bea, eve] = [await member(at, ANA, 5), await member(at, BEA, 5), await member(at, ANA, 6)];
    const hears = [ana, bea, eve].map(from);
    const ask = ana.ask('watch-episode', { groupId: 5, seriesId: 'dark', episodeId: 3 });
    expect(await ask).toEqual({ ok: true });
    const watched = {
      userId: 1,
      username: 'ana',
      groupId: 5,
      seriesId: 'dark',
      episodeId: 3,
      timestamp: NOW,
    };
    expect(hears.map((each) => each())).toEqual([
      [['episode-watched', watched]],
      [['episode-watched', watched]],
      [],
    ]);
  });
});

describe('group-activity', () => {
  test.each([
    [{ nested: [{ deep: null }], ñ: '😀' }],
    ['text'],
    [0],
    [false],
    [null],
    [[]],
    [{ _placeholder: true, num: 0 }],
  ])('relays any JSON to the whole group: %j', async (data) => {
    const at = await bus();
    const [ana, bea] = [await member(at, ANA, 5), await member(at, BEA, 5)];
    const hears = [ana, bea].map(from);
    expect(await ana.ask('group-activity', { groupId: '5', type: 'reaction', data })).toEqual({ ok: true });
    const activity = { userId: 1, username: 'ana', groupId: '5', type: 'reaction', data, timestamp: NOW };
    for (const each of hears) expect(each()).toEqual([['group-activity', activity]]);
  });

  test('has no data where the sender gave none', async () => {
    const at = await bus();
    const ana = await member(at, ANA, 5);
    const hears = from(ana);
    await ana.emit('group-activity', { groupId: 5, type: 'poke' });
    expect(hears()).toStrictEqual([
      ['group-activity', { userId: 1, username: 'ana', groupId: 5, type: 'poke', timestamp: NOW }],
    ]);
  });

  test('names the sender the token names, whatever the payload claims', async () => {
    const at = await bus();
    const ana = await member(at, ANA, 5);
    await ana.emit('group-activity', {
      groupId: 5,
      type: 'x',
      userId: 'bea',
      username: 'Bea',
      timestamp: '0',
    });
    expect(ana.heard('group-activity')).toEqual([
      { userId: 1, username: 'ana', groupId: 5, type: 'x', timestamp: NOW },
    ]);
  });
});

describe('only members', () => {
  const outsiders: [string, object, string][] = [
    ['watch-episode', { groupId: 5, seriesId: 1, episodeId: 1 }, 'Error al registrar el episodio visto'],
    ['group-activity', { groupId: 5, type: 'x' }, 'Error al enviar la actividad del grupo'],
  ];

  test.each(outsiders)('may send %s to a group', async (event, payload, message) => {
    const at = await bus();
    const [ana, bea] = [await member(at, ANA, 5), await member(at, BEA, 6)];
    const [anaHears, beaHears] = [from(ana), from(bea)];
    expect(await bea.ask(event, payload)).toMatchObject({ ok: false, error: { code: 'forbidden' } });
    expect(anaHears()).toEqual([]);
    expect(beaHears()).toMatchObject([['error', { message }]]);
    expect(bea.dismissed).toBe(false);
  });

  test.each(outsiders)('may send %s: who has left may not any more', async (event, payload) => {
    const at = await bus();
    const ana = await member(at, ANA, 5);
    await ana.emit('leave-group', { groupId: 5 });
    expect(await ana.ask(event, payload)).toMatchObject({ error: { code: 'forbidden' } });
  });
});

describe('a payload', () => {
  const TEXTS: Record<string, string> = {
    'join-group': 'Error al unirse al grupo',
    'leave-group': 'Error al salir del grupo',
    'watch-episode': 'Error al registrar el episodio visto',
    'group-activity': 'Error al enviar la actividad del grupo',
  };
  const good: Record<string, Record<string, unknown>> = {
    'join-group': { groupId: 1 },
    'leave-group': { groupId: 1 },
    'watch-episode': { groupId: 1, seriesId: 2, episodeId: 3 },
    'group-activity': { groupId: 1, type: 'x' },
  };
  const wrong: [string, (payload: Record<string, unknown>) => unknown, string | undefined][] = [
    ['that is missing', () => undefined, undefined],
    ['that is null', () => null, undefined],
    ['that is an array', (payload) => [payload], undefined],
    ['that is a bare id', () => 1, undefined],
    ['without groupId', ({ groupId: _, ...rest }) => rest, 'groupId'],
    ['whose groupId is null', (payload) => ({ ...payload, groupId: null }), 'groupId'],
    ['whose groupId is an object', (payload) => ({ ...payload, groupId: { id: 1 } }), 'groupId'],
    ['whose groupId is a list', (payload) => ({ ...payload, groupId: [1] }), 'groupId'],
    ['whose groupId is true', (payload) => ({ ...payload, groupId: true }), 'groupId'],
    ['whose groupId is empty', (payload) => ({ ...payload, groupId: '' }), 'groupId'],
    ['whose groupId is too long', (payload) => ({ ...payload, groupId: 'x'.repeat(257) }), 'groupId'],
    ['whose groupId is a fraction', (payload) => ({ ...payload, groupId: 1.5 }), 'groupId'],
    ['whose groupId is no safe integer', (payload) => ({ ...payload, groupId: 2 ** 53 }), 'groupId'],
    ['whose groupId is half a character', (payload) => ({ ...payload, groupId: '\ud83d' }), 'groupId'],
  ];
  const cases = Object.keys(good).flatMap((event) =>
    wrong.map(([how, make, field]) => ({ event, how, payload: make(good[event]!), field })),
  );

  test.each(cases)('of $event $how is refused by name, and the socket goes on', async (each) => {
    const { event, payload, field } = each;
    const at = await bus();
    const ana = await member(at, ANA, 1);
    const hears = from(ana);
    const answer = await (payload === undefined ? ana.ask(event) : ana.ask(event, payload));
    expect(answer).toEqual({
      ok: false,
      error: {
        code: 'invalid_payload',
        message: expect.any(String),
        ...(field === undefined ? {} : { field }),
      },
    });
    expect(hears()).toEqual([['error', { message: TEXTS[event], timestamp: NOW }]]);
    expect(await ana.ask('group-activity', { groupId: 1, type: 'still here' })).toEqual({ ok: true });
  });

  test.each([
    ['watch-episode', { groupId: 1, seriesId: 2 }, 'episodeId'],
    ['watch-episode', { groupId: 1, episodeId: 2 }, 'seriesId'],
    ['group-activity', { groupId: 1 }, 'type'],
    ['group-activity', { groupId: 1, type: 7 }, 'type'],
  ])('of %s like %j names the missing part', async (event, payload, field) => {
    const at = await bus();
    const ana = await member(at, ANA, 1);
    expect(await ana.ask(event, payload)).toMatchObject({ error: { code: 'invalid_payload', field } });
  });

  test('nested deeper than anybody means is no packet, and nobody hears of it', async () => {
    const at = await bus();
    const ana = await member(at, ANA, 1);
    const depth = 15_000;
    const data = `${'['.repeat(depth)}${']'.repeat(depth)}`;
    await at.messages.handle(
      ana.connectionId,
      `42["group-activity",{"groupId":1,"type":"x","data":${data}}]`,
    );
    expect(ana.heard('group-activity')).toEqual([]);
    expect(at.wire.closed).toContain(ana.connectionId);
  });
});

describe('getConnectedClients', () => {
  const call = { op: 'app', app: 'watch-groups', call: 'getConnectedClients' };

  test('lists each socket with its user and groups, and none that is gone', async () => {
    const at = await bus();
    const ana = await member(at, ANA, 7, '8', 'nine');
    const bea = await member(at, { sub: 'bea' });
    const gone = await member(at, ANA, 7);
    await at.lifecycle.disconnected(gone.connectionId);
    const answer = (await at.publisher.handle(call)) as { readonly result: { readonly socketId: string }[] };
    const result = JSON.parse(JSON.stringify(answer.result)) as { groups: unknown[] }[];
    expect(result).toHaveLength(2);
    expect(result).toContainEqual({
      socketId: ana.id,
      userId: 1,
      username: 'ana',
      groups: expect.arrayContaining([7, 8, 'nine']),
    });
    expect(result.find(({ groups }) => groups.length > 0)?.groups).toHaveLength(3);
    expect(result).toContainEqual({ socketId: bea.id, userId: 'bea', groups: [] });
  });

  test('is empty where nobody is there', async () => {
    expect(await (await bus()).publisher.handle(call)).toEqual({ ok: true, result: [] });
  });

  test('takes no arguments', async () => {
    const at = await bus();
    expect(await at.publisher.handle({ ...call, args: [1] })).toMatchObject({
      ok: false,
      error: { code: 'invalid_payload' },
    });
  });
});

describe('origins', () => {
  const allowed = async (settings: Record<string, string>, origin: string) =>
    originAllowed((await world({ applications: [watchGroups], settings })).bus, origin);

  test.each([
    ['http://localhost:3000', {}, true],
    ['http://localhost:3001', {}, false],
    ['https://app.example', {}, false],
    ['https://app.example', { FRONTEND_URL: 'https://app.example' }, true],
    ['https://app.example', { FRONTEND_URL: 'https://app.example/some/page?x=1' }, true],
    ['https://app.example.evil', { FRONTEND_URL: 'https://app.example' }, false],
    ['http://app.example', { FRONTEND_URL: 'https://app.example' }, false],
    ['http://localhost:3000', { FRONTEND_URL: 'https://app.example' }, true],
    ['null', { FRONTEND_URL: '' }, false],
  ])('%s with the settings %j: %s', async (origin, settings, expected) => {
    expect(await allowed(settings, origin)).toBe(expected);
  });
});
