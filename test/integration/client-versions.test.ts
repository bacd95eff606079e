/**
 * The stock client in the versions that people have: what each of them does with the same deployment. The five
 * differ in what they offer to callers (acknowledgements as promises since 4.6) and in their transports' code.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { CLIENT_VERSIONS, type Client } from '../support/client-versions.ts';
import { JWT_SECRET, startTestStack, type TestStack, token } from '../support/stack.ts';

const API_KEY = 'a key for tests only';

let bus: TestStack;
let clients: Client[] = [];
beforeAll(async () => {
  bus = await startTestStack({ settings: { JWT_SECRET, CLOUD_API_KEY: API_KEY } });
});
afterEach(() => {
  for (const client of clients) client.disconnect();
  clients = [];
});
afterAll(() => bus?.close());

function next<T>(client: Client, event: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${event} did not come`)), 8_000);
    client.once(event, (value: T) => {
      clearTimeout(timer);
      resolve(value);
    });
  });
}

function acknowledged(client: Client, event: string, payload: unknown): Promise<unknown> {
  return new Promise((resolve) => {
    client.emit(event, payload, resolve);
  });
}

describe.each(CLIENT_VERSIONS)('socket.io-client %s', (_version, io) => {
  function open(options: Record<string, unknown>, namespace = ''): Client {
    const client = io(bus.stack.origin + namespace, {
      transports: ['websocket'],
      forceNew: true,
      reconnection: false,
      ...options,
    });
    clients.push(client);
    return client;
  }

  async function member(sub: string): Promise<Client> {
    const client = open({ auth: { token: await token({ sub, username: `user ${sub}` }) } });
    await next(client, 'connected');
    return client;
  }

  test('connects, is acknowledged, and hears what others send', async () => {
    const [ana, bea] = await Promise.all([member('1'), member('2')]);
    for (const client of [ana, bea]) {
      expect(await acknowledged(client, 'join-group', { groupId: 9 })).toEqual({ ok: true, groupId: 9 });
    }
    const episodes = [ana, bea].map((client) => next(client, 'episode-watched'));
    bea.emit('watch-episode', { groupId: 9, seriesId: 3, episodeId: 's1e1' });
    const expected = { userId: 2, username: 'user 2', groupId: 9, seriesId: 3, episodeId: 's1e1' };
    for (const episode of await Promise.all(episodes)) expect(episode).toMatchObject(expected);
  });

  test('is told in the acknowledgement and by the event what failed', async () => {
    const ana = await member('1');
    const error = next(ana, 'error');
    const answer = await acknowledged(ana, 'watch-episode', { groupId: 'none of mine' });
    expect(answer).toMatchObject({ ok: false, error: { code: 'invalid_payload', field: 'seriesId' } });
    expect(await error).toMatchObject({ message: 'Error al registrar el episodio visto' });
  });

  test('receives binary values as binary, also several of one event', async () => {
    const ana = await member('1');
    const note = next<{ one: Buffer; two: Buffer }>(ana, 'notification');
    await bus.stack.invoke('publish', {
      op: 'emit',
      rooms: [ana.id],
      event: 'notification',
      args: [{ one: { _placeholder: true, num: 0 }, two: { _placeholder: true, num: 1 } }],
      attachments: [Buffer.from([0, 1, 254, 255]).toString('base64'), Buffer.from('dos').toString('base64')],
    });
    const { one, two } = await note;
    expect([[...one], two.toString()]).toEqual([[0, 1, 254, 255], 'dos']);
  });

  test('knows why it was disconnected, from either side', async () => {
    const gone = await member('1');
    const byClient = next(gone, 'disconnect');
    gone.disconnect();
    expect(await byClient).toBe('io client disconnect');

    const ana = await member('1');
    const byServer = next(ana, 'disconnect');
    await bus.stack.invoke('publish', { op: 'disconnectSockets', rooms: [ana.id] });
    expect(await byServer).toBe('io server disconnect');

    const refused = open({ auth: { token: 'no token at all' } });
    const [error, reason] = await Promise.all([next(refused, 'error'), next(refused, 'disconnect')]);
    expect(error).toMatchObject({ message: 'Token inválido' });
    expect(reason).toBe('io server disconnect');
  });

  test('is told by connect_error what is wrong with its key, and connects with a right one', async () => {
    const without = await next<Error>(open({}, '/sync'), 'connect_error');
    expect(without.message).toBe('API key required');
    const wrong = await next<Error>(open({ auth: { apiKey: 'wrong' } }, '/sync'), 'connect_error');
    expect(wrong.message).toBe('Invalid API key');
    await next(open({ auth: { apiKey: API_KEY } }, '/sync'), 'connect');
  });

  test('is told that a namespace does not exist', async () => {
    const error = await next<Error>(open({}, '/nowhere'), 'connect_error');
    expect(error.message).toBe('Invalid namespace');
  });
});
