import { describe, expect, test, vi } from 'vitest';
import { Emitter, PayloadError, storefront } from '../../emitter/index.ts';
import { storefrontChat } from '../../lambdas/apps/storefront-chat.ts';
import { watchGroups } from '../../lambdas/apps/watch-groups.ts';
import { Grants } from '../../lambdas/bus/grants.ts';
import { originAllowed } from '../../lambdas/bus/handshake.ts';
import { RecordingTransport } from '../emitter/recording.ts';
import { START, type World, world } from '../support/world.ts';
import { Client, type ClientOptions } from './client.ts';
import { JWT_SECRET, seconds, token } from './tokens.ts';

const NOW = new Date(START).toISOString();

async function bus(identityMode: 'trusted' | 'token', ...neighbours: (typeof watchGroups)[]): Promise<World> {
  const at = await world({ applications: [storefrontChat, ...neighbours], secrets: { JWT_SECRET } });
  Object.assign(at.bus.config, { identityMode });
  return at;
}

let connections = 0;

function client(at: World, options: ClientOptions = {}): Promise<Client> {
  connections += 1;
  return Client.connect(at, connections, options);
}

/** A client that authenticated as a customer whom nobody asked for a proof. */
async function customer(at: World, customerId: unknown, ...conversations: unknown[]): Promise<Client> {
  const each = await client(at);
  expect(await each.ask('authenticate', { customerId })).toMatchObject({ ok: true, customerId });
  for (const conversationId of conversations) {
    expect(await each.ask('join-conversation', { conversationId })).toEqual({ ok: true, conversationId });
  }
  return each;
}

async function bearer(claims: Record<string, unknown>): Promise<ClientOptions> {
  return { auth: { token: await token(claims) } };
}

/** How many sockets of a room a publish reaches. */
async function audience(at: World, room: string): Promise<unknown> {
  const answer = await at.publisher.handle({ op: 'emit', rooms: [room], event: 'x' });
  return (answer as { readonly audience?: unknown }).audience;
}

const refused = (code: string, message: unknown = expect.any(String), field?: string) => ({
  ok: false,
  error: { code, message, ...(field === undefined ? {} : { field }) },
});

describe('authenticate', () => {
  test('joins the room of the customer and answers who the socket is now', async () => {
    const at = await bus('trusted');
    const ana = await client(at);
    const answer = { customerId: '123', socketId: ana.id };
    expect(await ana.ask('authenticate', { customerId: '123' })).toEqual({ ok: true, ...answer });
    expect(ana.heard('authenticated')).toEqual([answer]);
    expect(await audience(at, 'user_123')).toBe(1);
  });

  test.each([7, '7', 0, -1, 'cus_01HZ'])('echoes %o as the client sent it', async (customerId) => {
    const at = await bus('trusted');
    const ana = await customer(at, customerId);
    expect(ana.heard('authenticated')).toMatchObject([{ customerId }]);
    expect(await audience(at, `user_${customerId}`)).toBe(1);
  });

  test.each([
    [undefined, undefined],
    [{}, 'customerId'],
    [{ customerId: null }, 'customerId'],
    [{ customerId: '' }, 'customerId'],
    [{ customerId: 1.5 }, 'customerId'],
    [{ customerId: 2 ** 53 }, 'customerId'],
    [{ customerId: ['1'] }, 'customerId'],
    [{ customerId: '1', token: 7 }, 'token'],
  ])('refuses %o, in the acknowledgement and as the event error', async (payload, field) => {
    const at = await bus('trusted');
    const ana = await client(at);
    expect(await ana.ask('authenticate', payload)).toEqual(
      refused('invalid_payload', expect.any(String), field),
    );
    expect(ana.heard('error')).toEqual([
      { message: expect.any(String), code: 'invalid_payload', event: 'authenticate', timestamp: NOW },
    ]);
    expect(ana.heard('authenticated')).toEqual([]);
  });

  test('as another customer leaves what the one before was in', async () => {
    const at = await bus('trusted');
    const ana = await customer(at, 1, 'c');
    await ana.ask('authenticate', { customerId: 2 });
    expect(
      await Promise.all(['user_1', 'user_2', 'conversation_c'].map((room) => audience(at, room))),
    ).toEqual([0, 1, 0]);
  });

  test('again as the same customer, in the other type, keeps everything', async () => {
    const at = await bus('trusted');
    const ana = await customer(at, 1, 'c');
    expect(await ana.ask('authenticate', { customerId: '1' })).toMatchObject({ ok: true, customerId: '1' });
    expect(await audience(at, 'user_1')).toBe(1);
    expect(await audience(at, 'conversation_c')).toBe(1);
  });

  test('believes the claim of a client with a token of somebody else, where claims are trusted', async () => {
    const at = await bus('trusted');
    const ana = await client(at, await bearer({ sub: '1' }));
    expect(await ana.ask('authenticate', { customerId: 2, token: 'none' })).toMatchObject({ ok: true });
  });
});

describe('a conversation', () => {
  test.each([
    [{ conversationId: 789 }, 789],
    [789, 789],
    ['789', '789'],
    [{ conversationId: '789', extra: {} }, '789'],
  ])('is joined and left with %o', async (payload, conversationId) => {
    const at = await bus('trusted');
    const ana = await customer(at, 1);
    expect(await ana.ask('join-conversation', payload)).toEqual({ ok: true, conversationId });
    expect(await audience(at, 'conversation_789')).toBe(1);
    expect(await ana.ask('leave-conversation', payload)).toEqual({ ok: true, conversationId });
    expect(await audience(at, 'conversation_789')).toBe(0);
  });

  test.each([[undefined], [null], [{}], [''], [{ conversationId: {} }], [[1]]])(
    'is not %o',
    async (payload) => {
      const at = await bus('trusted');
      const ana = await customer(at, 1);
      for (const event of ['join-conversation', 'leave-conversation']) {
        expect(await ana.ask(event, payload)).toMatchObject(refused('invalid_payload'));
      }
      expect(ana.heard('error')).toHaveLength(2);
    },
  );

  test('is heard typing in by the others, and by nobody else', async () => {
    const at = await bus('trusted');
    const [ana, bea, eve] = [
      await customer(at, 1, 'c'),
      await customer(at, 'bea', 'c'),
      await customer(at, 3, 'other'),
    ];
    for (const event of ['typing-start', 'typing-stop']) {
      expect(await ana.ask(event, { conversationId: 'c' })).toEqual({ ok: true });
      expect(bea.heard(event)).toEqual([{ conversationId: 'c', customerId: 1 }]);
      expect([ana, eve].flatMap((each) => each.heard(event))).toEqual([]);
    }
  });

  test('hears no typing of who is no member', async () => {
    const at = await bus('trusted');
    const [ana, bea] = [await customer(at, 1), await customer(at, 2, 'c')];
    expect(await ana.ask('typing-start', { conversationId: 'c' })).toEqual(
      refused('forbidden', 'only members of the conversation c may type in it'),
    );
    expect(bea.heard('typing-start')).toEqual([]);
  });

  test('hears no typing of nobody in particular', async () => {
    const at = await bus('trusted');
    const ana = await client(at);
    await ana.ask('join-conversation', 'c');
    expect(await ana.ask('typing-start', { conversationId: 'c' })).toEqual(
      refused('unauthenticated', 'authenticate must come first'),
    );
  });

  test('is told of typing once, with no second try', async () => {
    const at = await bus('trusted');
    const [ana, bea] = [await customer(at, 1, 'c'), await customer(at, 2, 'c')];
    const tries: string[] = [];
    at.wire.outcome = (connectionId, frame) => {
      if (connectionId !== bea.connectionId) return 'ok';
      tries.push(frame);
      return 'throttled';
    };
    await ana.ask('typing-start', { conversationId: 'c' });
    expect(tries).toHaveLength(1);
  });
});

describe('where identities are to be proven', () => {
  test('nobody is a customer without a token', async () => {
    const at = await bus('token');
    const eve = await client(at);
    expect(await eve.ask('authenticate', { customerId: 1 })).toEqual(
      refused('unauthenticated', 'a verified token is missing: auth.token or an Authorization header'),
    );
    expect(await eve.ask('join-conversation', 'c')).toMatchObject(refused('unauthenticated'));
    expect(await eve.ask('typing-start', { conversationId: 'c' })).toMatchObject(refused('unauthenticated'));
    expect(await audience(at, 'user_1')).toBe(0);
    expect(await audience(at, 'conversation_c')).toBe(0);
    expect(eve.dismissed).toBe(false);
  });

  test.each([
    ['in the handshake', async () => bearer({ sub: '1' }), {}],
    [
      'in the header',
      async () => ({ headers: { authorization: `Bearer ${await token({ sub: '1' })}` } }),
      {},
    ],
    ['in the payload', async () => ({}), { token: token({ sub: '1' }) }],
  ])('a token %s proves its own customer and no other', async (_where, options, payload) => {
    const at = await bus('token');
    const ana = await client(at, await options());
    const proof = 'token' in payload ? { token: await payload.token } : {};
    expect(await ana.ask('authenticate', { customerId: 2, ...proof })).toEqual(
      refused('forbidden', 'the token proves another id than the customerId 2', 'customerId'),
    );
    expect(await audience(at, 'user_2')).toBe(0);
    expect(await ana.ask('authenticate', { customerId: '1', ...proof })).toMatchObject({ ok: true });
    expect(await audience(at, 'user_1')).toBe(1);
  });

  test.each([
    ['signed by another', () => token({ sub: '1' }, { secret: 'another secret, as long as the real one' })],
    ['that has ended', () => token({ sub: '1', exp: seconds(-3_600) })],
    ['that is none', async () => 'x'],
  ])('a token in the payload %s proves nothing', async (_which, made) => {
    const at = await bus('token');
    const eve = await client(at);
    expect(await eve.ask('authenticate', { customerId: 1, token: await made() })).toEqual(
      refused('unauthenticated', 'the token could not be verified'),
    );
    expect(await audience(at, 'user_1')).toBe(0);
  });

  test('connections that prove a customer by the event are counted as its, beside those of the handshake', async () => {
    const at = await bus('token');
    Object.assign(at.bus.config.limits, { connectionsPerUser: 2 });
    const proof = await token({ sub: '1' });
    await client(at, { auth: { token: proof } });
    const [one, another] = [await client(at), await client(at)];
    expect(await one.ask('authenticate', { customerId: 1, token: proof })).toMatchObject({ ok: true });
    expect(await another.ask('authenticate', { customerId: 1, token: proof })).toEqual(
      refused('rate_limited', 'too many connections of one user'),
    );
    expect([await audience(at, 'user_1'), another.cut]).toEqual([1, false]);
    // A claim alone fills nobody's number.
    Object.assign(at.bus.config, { identityMode: 'trusted' });
    expect(await another.ask('authenticate', { customerId: 1, token: proof })).toMatchObject({ ok: true });
  });

  test('a token in the payload, whose secret was replaced, opens no third connection to who comes back by the pid alone', async () => {
    const secrets = { JWT_SECRET };
    const at = await world({ applications: [storefrontChat], secrets });
    Object.assign(at.bus.config, { identityMode: 'token' });
    const proof = await token({ sub: '7', exp: undefined });
    const pidOf = ({ connectionId }: Client) =>
      /"pid":"([\w-]{40})"/.exec(at.wire.framesTo(connectionId).join())?.[1];
    let ana = await client(at);
    await ana.ask('authenticate', { customerId: 7, token: proof });
    const pid = pidOf(ana);
    const back = async () => {
      at.clock.advance(90 * 60_000);
      await at.lifecycle.disconnected(ana.connectionId);
      ana = await client(at, { auth: { pid } });
      return pidOf(ana) === pid;
    };
    // The stock frontends do so on every `connect`.
    expect(await back()).toBe(true);
    expect(await ana.ask('authenticate', { customerId: 7, token: proof })).toMatchObject({ ok: true });
    expect([await back(), await audience(at, 'user_7')]).toEqual([true, 1]);
    secrets.JWT_SECRET = 'another secret, with which no old token was signed';
    expect(await ana.ask('authenticate', { customerId: 7, token: proof })).toMatchObject(
      refused('unauthenticated'),
    );
    expect([await back(), await audience(at, 'user_7')]).toEqual([false, 0]);
  });

  test('an invalid token in the handshake leaves a client that is nobody', async () => {
    const at = await bus('token');
    const eve = await client(at, { auth: { token: 'x' } });
    expect(eve.dismissed).toBe(false);
    expect(await eve.ask('authenticate', { customerId: 1 })).toMatchObject(refused('unauthenticated'));
  });

  test('a conversation opens to the claim of the token, whichever type its id has', async () => {
    const at = await bus('token');
    const ana = await client(at, await bearer({ sub: '1', conversations: ['7', 8] }));
    for (const conversationId of [7, '8']) {
      expect(await ana.ask('join-conversation', { conversationId })).toEqual({ ok: true, conversationId });
    }
    expect(await ana.ask('join-conversation', 9)).toEqual(
      refused('forbidden', "neither the token's conversations claim nor a grant opens the conversation 9"),
    );
    expect(await audience(at, 'conversation_9')).toBe(0);
  });

  test('a conversation opens to a grant until it is revoked', async () => {
    const at = await bus('token');
    const ana = await client(at, await bearer({ sub: '1' }));
    await new Grants(at.bus.rows, '/').add(1, 'conversation_9');
    expect(await ana.ask('join-conversation', 9)).toMatchObject({ ok: true });
    await at.publisher.handle({ op: 'revoke', identity: 1, room: 'conversation_9' });
    expect(await audience(at, 'conversation_9')).toBe(0);
    expect(await ana.ask('join-conversation', 9)).toMatchObject(refused('forbidden'));
  });

  test('a grant to one customer opens nothing to another', async () => {
    const at = await bus('token');
    await new Grants(at.bus.rows, '/').add(1, 'conversation_9');
    const eve = await client(at, await bearer({ sub: '2' }));
    expect(await eve.ask('join-conversation', 9)).toMatchObject(refused('forbidden'));
  });

  test('a token in the payload opens its conversations, until it ends', async () => {
    const at = await bus('token');
    const ana = await client(at);
    const proof = await token({ sub: '1', conversations: ['c', 'd'], exp: seconds(60) });
    await ana.ask('authenticate', { customerId: 1, token: proof });
    expect(await ana.ask('join-conversation', 'c')).toMatchObject({ ok: true });
    expect(await ana.ask('typing-start', { conversationId: 'c' })).toEqual({ ok: true });
    at.clock.advance(61_000);
    expect(await ana.ask('join-conversation', 'd')).toMatchObject(refused('unauthenticated'));
    expect(await ana.ask('typing-start', { conversationId: 'c' })).toMatchObject(refused('unauthenticated'));
  });

  test.each(['saveExpiry', 'addDue'] as const)(
    'a token in the payload opens nothing where its end could not be written: %s',
    async (call) => {
      const at = await bus('token');
      const ana = await client(at);
      const proof = await token({ sub: '1', exp: seconds(120) });
      vi.spyOn(at.store, call).mockRejectedValueOnce(new Error('throttled'));
      expect(await ana.ask('authenticate', { customerId: 1, token: proof })).toMatchObject(
        refused('internal'),
      );
      expect([await audience(at, 'user_1'), ana.heard('authenticated')]).toEqual([0, []]);
      expect(await ana.ask('authenticate', { customerId: 1, token: proof })).toMatchObject({ ok: true });
      expect(await audience(at, 'user_1')).toBe(1);
    },
  );

  test('what is kept of a token in the payload is not the token', async () => {
    const at = await bus('token');
    const ana = await client(at);
    const proof = await token({ sub: '1', email: 'ana@example.com', vendors: [1] });
    await ana.ask('authenticate', { customerId: 1, token: proof });
    const rows = JSON.stringify(await at.table.rows());
    expect(rows).toContain('proof');
    expect(rows).not.toContain(proof);
    expect(rows).not.toContain('ana@example.com');
  });

  test('nobody types as the customer that the socket was before', async () => {
    const at = await bus('token');
    const [ana, bea] = [
      await client(at, await bearer({ sub: '1', conversations: ['c'] })),
      await client(at, await bearer({ sub: '2', conversations: ['c'] })),
    ];
    for (const [each, customerId] of [[ana, 1] as const, [bea, 2] as const]) {
      await each.ask('authenticate', { customerId });
      await each.ask('join-conversation', 'c');
    }
    await ana.ask('typing-start', { conversationId: 'c', customerId: 2 });
    expect(bea.heard('typing-start')).toEqual([{ conversationId: 'c', customerId: 1 }]);
  });
});

describe('beside watch-groups', () => {
  test.each(['trusted', 'token'] as const)('a client without a token stays connected (%s)', async (mode) => {
    const at = await bus(mode, watchGroups);
    const ana = await client(at);
    expect([ana.dismissed, ana.events()]).toEqual([false, []]);
    if (mode === 'trusted') {
      expect(await ana.ask('authenticate', { customerId: 1 })).toMatchObject({ ok: true });
      expect(await ana.ask('join-conversation', 'c')).toMatchObject({ ok: true });
    } else {
      const proof = await token({ sub: '1', conversations: ['c'] });
      expect(await ana.ask('authenticate', { customerId: 1, token: proof })).toMatchObject({ ok: true });
      expect(await ana.ask('join-conversation', 'c')).toMatchObject({ ok: true });
    }
    expect(ana.dismissed).toBe(false);
  });
});

describe('GET /socket/status', () => {
  const ask = async (at: World, headers: Record<string, string> = {}) => {
    const request = { method: 'GET', path: '/socket/status', query: {}, body: undefined, address: '' };
    const answer = await at.router.handle({ ...request, headers });
    return { status: answer.statusCode, body: JSON.parse(answer.body) as unknown };
  };
  const body = (connectionInfo: unknown) => ({
    success: true,
    data: {
      socketServerInitialized: true,
      connectionInfo,
      timestamp: expect.stringMatching(/^2026-01-01T/),
      message: 'Socket.IO server is running successfully',
    },
  });

  test('counts who is there and lists the rooms by their kind', async () => {
    const at = await bus('trusted', watchGroups);
    await customer(at, 123, 789);
    await customer(at, 'b', 789, 'x');
    const watcher = await client(at, await bearer({ sub: '1' }));
    await watcher.ask('join-group', { groupId: 5 });
    expect(await ask(at)).toEqual({
      status: 200,
      body: body({
        connectedClients: 3,
        rooms: ['group:5', 'member:1'],
        userRooms: ['user_123', 'user_b'],
        conversationRooms: ['conversation_789', 'conversation_x'],
      }),
    });
  });

  test('forgets who has left and who is gone', async () => {
    const at = await bus('trusted');
    const [ana, bea] = [await customer(at, 1, 'c'), await customer(at, 2, 'c', 'd')];
    await bea.ask('leave-conversation', 'd');
    await at.lifecycle.close(ana.connectionId);
    expect((await ask(at)).body).toEqual(
      body({ connectedClients: 1, rooms: [], userRooms: ['user_2'], conversationRooms: ['conversation_c'] }),
    );
  });

  test('cuts a list at 1,000 rooms and says so', async () => {
    const at = await bus('trusted');
    // A socket is in at most 90 rooms.
    for (let n = 0; n < 12; n += 1) {
      const conversations = Array.from({ length: 84 }, (_, each) => `${n}/${each}`);
      await customer(at, n, ...conversations);
    }
    const { data } = (await ask(at)).body as { data: { connectionInfo: Record<string, unknown> } };
    expect(data.connectionInfo).toMatchObject({ connectedClients: 12, truncated: true });
    expect(data.connectionInfo.userRooms).toHaveLength(12);
    expect(data.connectionInfo.conversationRooms).toHaveLength(1_000);
  });

  test.each([
    ['no token', {}],
    ['a token that is not valid', { authorization: 'Bearer x' }],
  ])(
    'tells who brings %s only how many there are, where identities are to be proven',
    async (_who, headers) => {
      const at = await bus('token');
      const ana = await client(at, await bearer({ sub: '1' }));
      await ana.ask('authenticate', { customerId: 1 });
      expect(await ask(at, headers)).toEqual({
        status: 200,
        body: body({ connectedClients: 1, rooms: [], userRooms: [], conversationRooms: [] }),
      });
    },
  );

  test('counts for those who prove nothing once in five seconds, however often they ask', async () => {
    const at = await bus('token');
    const { countMembers } = at.store;
    let counts = 0;
    at.store.countMembers = (group) => {
      counts += 1;
      return counts === 1 ? Promise.reject(new Error('no table')) : countMembers.call(at.store, group);
    };
    const clients = async () =>
      ((await ask(at)).body as { data?: { connectionInfo: { connectedClients: number } } }).data
        ?.connectionInfo.connectedClients;
    expect(await clients()).toBeUndefined();
    expect(await Promise.all(Array.from({ length: 50 }, clients))).toEqual(Array(50).fill(0));
    await client(at);
    at.clock.advance(4_999);
    expect([await clients(), counts]).toEqual([0, 2]);
    at.clock.advance(1);
    expect([await clients(), counts]).toEqual([1, 3]);
  });

  test('lists the rooms for who brings a valid token', async () => {
    const at = await bus('token');
    const ana = await client(at, await bearer({ sub: '1' }));
    await ana.ask('authenticate', { customerId: 1 });
    expect((await ask(at, { authorization: `Bearer ${await token({ sub: '9' })}` })).body).toEqual(
      body({ connectedClients: 1, rooms: [], userRooms: ['user_1'], conversationRooms: [] }),
    );
  });

  test('looks at the rooms once in five seconds for who brings a valid token, however often they ask', async () => {
    const at = await bus('token');
    const ana = await client(at, await bearer({ sub: '1' }));
    await ana.ask('authenticate', { customerId: 1 });
    const looks = vi.spyOn(at.store, 'notedRooms');
    const authorization = `Bearer ${await token({ sub: '9' })}`;
    const rooms = async () =>
      ((await ask(at, { authorization })).body as { data: { connectionInfo: { userRooms: string[] } } }).data
        .connectionInfo.userRooms;
    expect(await Promise.all(Array.from({ length: 20 }, rooms))).toEqual(Array(20).fill(['user_1']));
    const first = looks.mock.calls.length;
    await at.lifecycle.close(ana.connectionId);
    at.clock.advance(4_999);
    expect([await rooms(), looks.mock.calls.length]).toEqual([['user_1'], first]);
    at.clock.advance(1);
    expect([await rooms(), looks.mock.calls.length]).toEqual([[], 2 * first]);
  });

  test('is what the backend is told', async () => {
    const at = await bus('token');
    const ana = await client(at, await bearer({ sub: '1' }));
    await ana.ask('authenticate', { customerId: 1 });
    const call = { op: 'app', app: 'storefront-chat', call: 'getConnectionInfo' };
    expect(await at.publisher.handle(call)).toEqual({
      ok: true,
      result: { connectedClients: 1, rooms: [], userRooms: ['user_1'], conversationRooms: [] },
    });
  });
});

describe('the backend', () => {
  const message = { messageId: 'm1', content: 'hola', senderId: 1, timestamp: NOW };

  test('reaches a customer, a conversation and everybody, with any event', async () => {
    const at = await bus('trusted', watchGroups);
    const shop = storefront(new Emitter({ transport: { send: (request) => at.publisher.handle(request) } }));
    const [ana, bea, eve] = [await customer(at, 1, 'c'), await customer(at, 2, 'c'), await customer(at, 3)];
    await shop.emitToConversation('c', 'new-message', message);
    await shop.emitToUser('1', 'order-shipped', { order: 5 });
    await shop.emitToAll('sale', ['everything']);
    const events = (each: Client) => each.events().filter(({ event }) => event !== 'authenticated');
    const toAll = { event: 'sale', args: [['everything']] };
    const toConversation = { event: 'new-message', args: [message] };
    expect(events(ana)).toEqual([toConversation, { event: 'order-shipped', args: [{ order: 5 }] }, toAll]);
    expect(events(bea)).toEqual([toConversation, toAll]);
    expect(events(eve)).toEqual([toAll]);
    expect(await shop.getConnectionInfo()).toEqual({
      connectedClients: 3,
      rooms: [],
      userRooms: ['user_1', 'user_2', 'user_3'],
      conversationRooms: ['conversation_c'],
    });
  });

  test('may hand over a date', async () => {
    const transport = new RecordingTransport();
    const shop = storefront(new Emitter({ transport }));
    await shop.emitToConversation(7, 'new-message', { ...message, timestamp: new Date(START) });
    expect(transport.sent).toMatchObject([{ rooms: ['conversation_7'], args: [message] }]);
  });

  type Loose = (...args: readonly unknown[]) => Promise<unknown>;
  test.each([
    ['emitToUser', [undefined, 'x', 1], 'customerId'],
    ['emitToUser', [{}, 'x', 1], 'customerId'],
    ['emitToUser', ['', 'x', 1], 'customerId'],
    ['emitToConversation', [null, 'x', 1], 'conversationId'],
    ['emitToConversation', [1, '', 1], 'event'],
    ['emitToConversation', [1, 'disconnect', 1], 'event'],
    ['emitToConversation', [1, 'new-message'], 'data'],
    ['emitToConversation', [1, 'new-message', { ...message, content: 5 }], 'data.content'],
    ['emitToConversation', [1, 'new-message', { ...message, senderId: null }], 'data.senderId'],
    ['emitToUser', [1, 'new-message', { ...message, timestamp: new Date(Number.NaN) }], 'data.timestamp'],
    ['emitToAll', ['new-message', { ...message, messageId: undefined }], 'data.messageId'],
    ['emitToAll', ['x', 1n], 'args'],
  ] as const)('%s refuses %o before anything is sent', (name, args, field) => {
    const transport = new RecordingTransport();
    const call = storefront(new Emitter({ transport }))[name] as Loose;
    const refusedCall = () => void call(...args);
    expect(refusedCall).toThrow(PayloadError);
    expect(refusedCall).toThrow(expect.objectContaining({ field }));
    expect(transport.sent).toEqual([]);
  });

  test('does not compile with a wrong message', () => {
    const never = (emitter: Emitter) => {
      // @ts-expect-error: a message has a sender
      void storefront(emitter).emitToUser(1, 'new-message', { messageId: 1, content: '', timestamp: '' });
      // @ts-expect-error: a customer is named by an id
      void storefront(emitter).emitToUser({}, 'anything', 1);
    };
    expect(never).toBeTypeOf('function');
  });
});

describe('origins', () => {
  const STORE_CORS = ' http://localhost:8000 ,https://docs.example/,, not an origin ,https://docs.example';

  test('are those of STORE_CORS, exactly', async () => {
    const at = await world({ applications: [storefrontChat], settings: { STORE_CORS } });
    const origins = ['http://localhost:8000', 'https://docs.example', 'http://localhost:80', 'not an origin'];
    expect(origins.map((origin) => originAllowed(at.bus, origin))).toEqual([true, true, false, false]);
  });

  test('are in the lines of a local start', () => {
    expect(storefrontChat.startupLines?.({ STORE_CORS })).toEqual([
      '[SOCKET LOADER] Socket.IO server successfully attached to HTTP server',
      '[SOCKET LOADER] CORS origins configured: ["http://localhost:8000","https://docs.example"]',
      '[SOCKET MODULE] Socket.IO server initialized successfully',
    ]);
    expect(storefrontChat.startupLines?.({})[1]).toBe('[SOCKET LOADER] CORS origins configured: []');
  });
});
