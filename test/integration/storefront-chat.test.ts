/** The customer chat's documented client, option objects and all, against the running template. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Emitter, lambdaTransport, storefront } from '../../emitter/index.ts';
import { seededShuffle } from '../../local/gateway/shuffle.ts';
import { synthesise } from '../support/assembly.ts';
import { heard, recorded, startTestStack, type TestStack, token } from '../support/stack.ts';

const ORIGIN = 'http://localhost:8000';
const SETTINGS = { APPS: 'storefront-chat,watch-groups', STORE_CORS: `${ORIGIN},https://shop.example` };
/** Of their document, but for `transports`, which has no polling yet. */
const OPTIONS = { transports: ['websocket'], withCredentials: true };

/** As a backend reaches the stack: by Lambda invoke, with the local credentials. */
function backend({ stack }: TestStack) {
  const { credentials, origin: endpoint } = stack;
  return new Emitter({
    transport: lambdaTransport({ functionName: 'publish', region: 'us-east-1', credentials, endpoint }),
  });
}

async function status({ stack }: TestStack, headers: Record<string, string> = {}) {
  const answer = await fetch(`${stack.origin}/socket/status`, { headers });
  return { answer, body: (await answer.json()) as { data: { connectionInfo: Record<string, unknown> } } };
}

describe('where claims are trusted', () => {
  let bus: TestStack;
  beforeAll(async () => {
    bus = await startTestStack({ assembly: await synthesise({ ...SETTINGS, IDENTITY: 'trusted' }) });
  });
  afterAll(() => bus.close());

  /** The documented snippet: authenticate and join in one breath. */
  async function customer(customerId: string | number, conversationId: string | number) {
    const socket = bus.client(OPTIONS);
    const ears = recorded(socket);
    socket.emit('authenticate', { customerId });
    expect(await socket.emitWithAck('join-conversation', { conversationId })).toEqual({
      ok: true,
      conversationId,
    });
    await expect
      .poll(() => ears, { timeout: 8_000 })
      .toEqual([{ event: 'authenticated', args: [{ customerId, socketId: socket.id }] }]);
    socket.offAny();
    return socket;
  }

  test('the documented client chats: messages of the backend, typing of the others', async () => {
    const [ana, bea, eve] = [
      await customer('123', 789),
      await customer('shop', '789'),
      await customer('eve', 'her own'),
    ];
    const ears = recorded(eve);
    const shop = storefront(backend(bus));
    const message = {
      messageId: 'm1',
      content: '¡hola!',
      senderId: 'shop',
      timestamp: '2024-01-15T10:30:00.000Z',
    };
    const messages = [ana, bea].map((each) => heard(each, 'new-message'));
    expect(await shop.emitToConversation(789, 'new-message', message)).toMatchObject({
      audience: 2,
      posted: 2,
    });
    for (const each of await Promise.all(messages)) expect(each).toEqual(message);

    for (const event of ['typing-start', 'typing-stop']) {
      const own = recorded(ana);
      const typing = heard(bea, event);
      expect(await ana.emitWithAck(event, { conversationId: 789 })).toEqual({ ok: true });
      expect(await typing).toEqual({ conversationId: 789, customerId: '123' });
      expect(own).toEqual([]);
    }

    const shipped = heard(ana, 'order-shipped');
    await shop.emitToUser('123', 'order-shipped', { order: 5 });
    expect(await shipped).toEqual({ order: 5 });

    await bea.emitWithAck('leave-conversation', { conversationId: '789' });
    expect(await shop.emitToConversation('789', 'new-message', message)).toMatchObject({ audience: 1 });
    // An answer after the publishes proves that nothing else is on its way.
    await eve.emitWithAck('leave-conversation', 'none');
    expect(ears).toEqual([]);
  });

  test('status tells the truth, on the wire as documented, and the backend hears the same', async () => {
    const before = Number((await status(bus)).body.data.connectionInfo.connectedClients);
    const ana = await customer('status', 'status');
    const { answer, body } = await status(bus);
    expect([answer.status, answer.headers.get('content-type')]).toEqual([
      200,
      expect.stringMatching(/^application\/json/),
    ]);
    expect(body).toEqual({
      success: true,
      data: {
        socketServerInitialized: true,
        connectionInfo: {
          connectedClients: before + 1,
          rooms: [],
          userRooms: expect.arrayContaining(['user_status']),
          conversationRooms: expect.arrayContaining(['conversation_status']),
        },
        timestamp: expect.stringMatching(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/),
        message: 'Socket.IO server is running successfully',
      },
    });
    expect(await storefront(backend(bus)).getConnectionInfo()).toEqual(body.data.connectionInfo);
    ana.disconnect();
    await expect
      .poll(async () => (await status(bus)).body.data.connectionInfo)
      .toMatchObject({
        connectedClients: before,
        userRooms: expect.not.arrayContaining(['user_status']),
        conversationRooms: expect.not.arrayContaining(['conversation_status']),
      });
  });

  test('browsers of the configured origins connect and read the status, others do not', async () => {
    const { answer } = await status(bus, { origin: ORIGIN });
    expect(answer.headers.get('access-control-allow-origin')).toBe(ORIGIN);
    expect(answer.headers.get('access-control-allow-credentials')).toBe('true');
    const socket = bus.client({ ...OPTIONS, extraHeaders: { origin: ORIGIN } });
    expect(await socket.emitWithAck('authenticate', { customerId: 1 })).toMatchObject({ ok: true });

    const evil = 'https://evil.example';
    const refusal = (await status(bus, { origin: evil })).answer;
    expect([refusal.status, refusal.headers.get('access-control-allow-origin')]).toEqual([403, null]);
    const refused = bus.client({ ...OPTIONS, extraHeaders: { origin: evil } });
    expect(await heard(refused, 'connect_error')).toBeInstanceOf(Error);
  });

  test('a preflight is answered for the configured origins', async () => {
    const answer = await fetch(`${bus.stack.origin}/socket/status`, {
      method: 'OPTIONS',
      headers: { origin: 'https://shop.example', 'access-control-request-method': 'GET' },
    });
    expect([answer.status, answer.headers.get('access-control-allow-origin')]).toEqual([
      204,
      'https://shop.example',
    ]);
  });
});

describe('where identities are to be proven, and messages arrive in any order', () => {
  let bus: TestStack;
  beforeAll(async () => {
    bus = await startTestStack({
      assembly: await synthesise({ ...SETTINGS, IDENTITY: 'token' }),
      gateway: { shuffle: seededShuffle('storefront', { gapMs: 10 }) },
    });
  });
  afterAll(() => bus.close());

  test('authenticate, join and typing in one breath work for every order of them', async () => {
    const listener = bus.client({
      auth: { token: await token({ sub: 'staff', conversations: ['breath'] }) },
    });
    await listener.emitWithAck('authenticate', { customerId: 'staff' });
    // As many at once as follow: a cold instance takes longer to start than a handler waits for another.
    await Promise.all([1, 2, 3, 4].map(() => listener.emitWithAck('join-conversation', 'breath')));
    const ears = recorded(listener);
    const customers = [1, 2, 3, 4, 5, 6];
    for (const customerId of customers) {
      // Its proof comes with the first of the three, which may be handled last.
      const proof = await token({ sub: String(customerId), conversations: ['breath'] });
      const socket = bus.client(OPTIONS);
      await heard(socket, 'connect');
      const answers = await Promise.all([
        socket.emitWithAck('authenticate', { customerId, token: proof }),
        socket.emitWithAck('join-conversation', { conversationId: 'breath' }),
        socket.emitWithAck('typing-start', { conversationId: 'breath' }),
      ]);
      expect(answers).toEqual([
        { ok: true, customerId, socketId: socket.id },
        { ok: true, conversationId: 'breath' },
        { ok: true },
      ]);
      socket.disconnect();
    }
    await expect
      .poll(() => ears.map(({ args }) => args[0]))
      .toEqual(customers.map((customerId) => ({ conversationId: 'breath', customerId })));
  });

  test('nobody acts or listens as somebody else', async () => {
    const eve = bus.client({ auth: { token: await token({ sub: 'eve' }) } });
    await heard(eve, 'connected');
    const ears = recorded(eve);
    expect(await eve.emitWithAck('authenticate', { customerId: 'ana' })).toMatchObject({
      ok: false,
      error: { code: 'forbidden', field: 'customerId' },
    });
    expect(await eve.emitWithAck('join-conversation', 'private')).toMatchObject({
      ok: false,
      error: { code: 'forbidden', message: expect.stringContaining('grant') },
    });
    const shop = storefront(backend(bus));
    expect(await shop.emitToUser('ana', 'secret', {})).toMatchObject({ audience: 0 });
    expect(await shop.emitToConversation('private', 'secret', {})).toMatchObject({ audience: 0 });
    expect(ears.map(({ event }) => event)).toEqual(['error', 'error']);
  });

  test('a grant of the backend opens a conversation, its revocation closes it', async () => {
    const emitter = backend(bus);
    const ana = bus.client({ auth: { token: await token({ sub: '7' }) } });
    await heard(ana, 'connected');
    await emitter.grant(7, 'conversation_granted');
    expect(await ana.emitWithAck('join-conversation', 'granted')).toMatchObject({ ok: true });
    const heardBefore = heard(ana, 'x');
    await storefront(emitter).emitToConversation('granted', 'x', 1);
    expect(await heardBefore).toBe(1);
    expect(await emitter.revoke('7', 'conversation_granted')).toEqual({ sockets: 1 });
    expect(await storefront(emitter).emitToConversation('granted', 'x', 2)).toMatchObject({ audience: 0 });
    expect(await ana.emitWithAck('join-conversation', 'granted')).toMatchObject({ ok: false });
  });

  test('a revocation also reaches who brought the token with `authenticate`', async () => {
    const emitter = backend(bus);
    const late = bus.client();
    const customer = { customerId: 'late', token: await token({ sub: 'late' }) };
    expect(await late.emitWithAck('authenticate', customer)).toMatchObject({ ok: true });
    await emitter.grant('late', 'conversation_late');
    expect(await late.emitWithAck('join-conversation', 'late')).toMatchObject({ ok: true });
    expect(await emitter.revoke('late', 'conversation_late')).toEqual({ sockets: 1 });
    expect(await storefront(emitter).emitToConversation('late', 'x', 1)).toMatchObject({ audience: 0 });
  });

  test('status lists rooms only for who proves who it is, in the header', async () => {
    const ana = bus.client({ auth: { token: await token({ sub: 'listed' }) } });
    await ana.emitWithAck('authenticate', { customerId: 'listed' });
    const anonymous = (await status(bus)).body.data.connectionInfo;
    expect(anonymous).toEqual({
      connectedClients: expect.any(Number),
      rooms: [],
      userRooms: [],
      conversationRooms: [],
    });
    expect(anonymous.connectedClients).toBeGreaterThan(0);
    const authorization = `Bearer ${await token({ sub: 'staff' })}`;
    expect((await status(bus, { authorization })).body.data.connectionInfo).toMatchObject({
      userRooms: expect.arrayContaining(['user_listed']),
    });
  });
});
