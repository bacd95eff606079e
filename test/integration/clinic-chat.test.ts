import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { timeOrderedId } from '../../lambdas/apps/time-ordered-ids.ts';
import { type Shuffle, seededShuffle } from '../../local/gateway/shuffle.ts';
import { synthesise } from '../support/assembly.ts';
import { heard, recorded, startTestStack, type TestStack, token } from '../support/stack.ts';

const ISO = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/;

/** DynamoDB calls on the table of what applications keep. */
const calls: string[] = [];
const seeded = seededShuffle(7);
let shuffle: Shuffle = seeded;
let bus: TestStack;
let apps: string;
beforeAll(async () => {
  const before = async (operation: string, request: Readonly<Record<string, unknown>>) => {
    if (JSON.stringify(request).includes(apps)) calls.push(operation);
    return undefined;
  };
  const gateway = { shuffle: (id: string, start: () => void) => shuffle(id, start) };
  bus = await startTestStack({ gateway, dynamodb: { before } });
  apps = bus.stack.deployment.tables.map(({ name }) => name).find((name) => /apps/i.test(name))!;
});
afterAll(async () => {
  expect(bus.logs.filter((line) => line.includes('"level":"ERROR"'))).toEqual([]);
  await bus.close();
});

async function member(conversacionId: unknown, userId: unknown): Promise<Socket> {
  const socket = bus.client();
  expect(await socket.emitWithAck('chat:join-room', { conversacionId, userId })).toMatchObject({ ok: true });
  return socket;
}

/** Starts what a client sent at once in the opposite order. */
function lastFirst(): Shuffle {
  const windows = new Map<string, (() => void)[]>();
  return (connectionId, start) => {
    const starts = windows.get(connectionId) ?? [];
    windows.set(connectionId, [start, ...starts]);
    if (starts.length > 0) return;
    setTimeout(() => {
      for (const each of windows.get(connectionId) ?? []) each();
      windows.delete(connectionId);
    }, 50);
  };
}

function said(conversacionId: unknown, contenido: string, userId: unknown) {
  return { conversacionId, contenido, userId, rol: 'paciente' };
}

async function page(
  query: string,
): Promise<{ mensajes: { id: string; contenido: string }[]; before: string }> {
  const answer = await fetch(`${bus.stack.origin}/api/chat/mensajes?${query}`);
  expect(answer.status).toBe(200);
  return (await answer.json()) as Awaited<ReturnType<typeof page>>;
}

function post(body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${bus.stack.origin}/api/chat/mensajes`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
}

describe('the documented client', () => {
  test('joins, sends, types, reads and leaves, and only its conversation hears', async () => {
    const ana = await member(1, 'ana');
    const beto = bus.client();
    const joined = await beto.emitWithAck('chat:join-room', { conversacionId: 1, userId: 'beto' });
    const usuarios = (joined as { usuarios: { userId: string }[] }).usuarios;
    expect(usuarios.map(({ userId }) => userId).sort()).toEqual(['ana', 'beto']);
    const other = await member(11, 'otro');
    const ears = recorded(other);

    const received = [ana, beto].map((each) => heard(each, 'chat:message-received'));
    const { mensaje } = await ana.emitWithAck('chat:send-message', said(1, '¿Qué tal?', 'ana'));
    expect(mensaje).toEqual({
      ...said(1, '¿Qué tal?', 'ana'),
      id: expect.any(String),
      timestamp: expect.stringMatching(ISO),
    });
    expect(await Promise.all(received)).toEqual([mensaje, mensaje]);

    const typing = { conversacionId: 1, userId: 'beto' };
    const [types, stops] = [heard(ana, 'chat:user-typing'), heard(ana, 'chat:user-stop-typing')];
    await beto.emitWithAck('chat:typing', typing);
    await beto.emitWithAck('chat:stop-typing', typing);
    expect([await types, await stops]).toEqual([typing, typing]);

    const reads = [ana, beto].map((each) => heard(each, 'chat:message-read'));
    await beto.emitWithAck('chat:mark-read', { ...typing, mensajeId: mensaje.id });
    const read = { ...typing, mensajeId: mensaje.id, timestamp: expect.stringMatching(ISO) };
    expect(await Promise.all(reads)).toEqual([read, read]);

    expect(await beto.emitWithAck('chat:leave-room', typing)).toEqual({ ok: true });
    const beforeLast = recorded(beto);
    await ana.emitWithAck('chat:send-message', said(1, 'adiós', 'ana'));
    await beto.emitWithAck('chat:leave-room', typing);
    await other.emitWithAck('chat:leave-room', { conversacionId: 11, userId: 'otro' });
    expect([ears, beforeLast]).toEqual([[], []]);
  });

  test('joins, sends and types in one breath, also where the join is handled last', async () => {
    const ana = await member('breath', 'ana');
    const ears = recorded(ana);
    shuffle = lastFirst();
    // A handler waits 500 ms for its prerequisite: on a machine that is busy enough, one breath may be too short.
    await expect.poll(breath, { timeout: 15_000 }).toEqual([true, true, true, true]);
    shuffle = seeded;
    const heardEvents = new Set(ears.map(({ event }) => event));
    expect([...heardEvents].sort()).toEqual([
      'chat:message-received',
      'chat:user-stop-typing',
      'chat:user-typing',
    ]);
  });

  /** What a new client is answered that says everything at once. */
  async function breath(): Promise<boolean[]> {
    const beto = bus.client();
    const speaker = { conversacionId: 'breath', userId: 'beto' };
    const answers = [
      beto.emitWithAck('chat:join-room', speaker),
      beto.emitWithAck('chat:typing', speaker),
      beto.emitWithAck('chat:send-message', said('breath', 'hola', 'beto')),
      beto.emitWithAck('chat:stop-typing', speaker),
    ] as Promise<{ ok: boolean }>[];
    return (await Promise.all(answers)).map(({ ok }) => ok);
  }

  test('joins and leaves in one breath, and is not left in the room', async () => {
    for (let time = 0; time < 5; time += 1) {
      const beto = bus.client();
      await new Promise<void>((resolve) => beto.once('connect', resolve));
      const speaker = { conversacionId: 'gone', userId: 'beto' };
      const answers = [beto.emitWithAck('chat:join-room', speaker)];
      answers.push(beto.emitWithAck('chat:leave-room', speaker));
      expect(await Promise.all(answers)).toMatchObject([{ ok: true }, { ok: true }]);
    }
    const ana = bus.client();
    const present = await ana.emitWithAck('chat:join-room', { conversacionId: 'gone', userId: 'ana' });
    expect(present).toEqual({ ok: true, usuarios: [{ userId: 'ana' }] });
  });

  test('is told by chat:error and in the acknowledgement what it may not do', async () => {
    const ana = await member('private', 'ana');
    const ears = recorded(ana);
    const stranger = bus.client();
    const told = heard(stranger, 'chat:error');
    const answer = await stranger.emitWithAck('chat:send-message', said('private', 'hola', 'x'));
    expect(answer).toMatchObject({ ok: false, error: { code: 'forbidden' } });
    expect(await told).toEqual({
      message: expect.any(String),
      code: 'forbidden',
      event: 'chat:send-message',
    });
    await ana.emitWithAck('chat:typing', { conversacionId: 'private', userId: 'ana' });
    expect(ears).toEqual([]);
    expect((await page('conversacionId=private')).mensajes).toEqual([]);
  });

  test('whose socket failed posts, and the room hears it as from a socket', async () => {
    const ana = await member(2, 'ana');
    const received = heard(ana, 'chat:message-received');
    const answer = await post(said('2', 'por HTTP', 5));
    expect(answer.status).toBe(201);
    const mensaje = await answer.json();
    expect(mensaje).toEqual({
      ...said('2', 'por HTTP', 5),
      id: expect.any(String),
      timestamp: expect.stringMatching(ISO),
    });
    expect(await received).toEqual(mensaje);
    expect((await page('conversacionId=2')).mensajes).toEqual([mensaje]);
    expect((await post({ conversacionId: 2 })).status).toBe(400);
  });

  test('comes back after its connection broke, and finds what was said meanwhile', async () => {
    const ana = bus.client({ reconnection: true, reconnectionDelay: 10 });
    await ana.emitWithAck('chat:join-room', { conversacionId: 3, userId: 'ana' });
    const back = new Promise<void>((resolve) => ana.once('connect', resolve));
    ana.io.engine.close();
    await post(said(3, 'mientras tanto', 'beto'));
    await back;
    const joined = await ana.emitWithAck('chat:join-room', { conversacionId: 3, userId: 'ana' });
    expect(joined).toEqual({ ok: true, usuarios: [{ userId: 'ana' }] });
    expect((await page('conversacionId=3')).mensajes).toMatchObject([{ contenido: 'mientras tanto' }]);
  });
});

describe('ten thousand messages of one conversation', () => {
  const COUNT = 10_000;
  beforeAll(async () => {
    // People write them over hours; here they come in a second, which is more than one key takes.
    bus.stack.faults.replace({ quotas: { partition: { writeUnits: 1_000_000 } } });
    for (let begin = 0; begin < COUNT; begin += 25) {
      const rows = Array.from({ length: 25 }, (_, n) => row(begin + n));
      const reply = await bus.stack.dynamodb!.handle('BatchWriteItem', { RequestItems: { [apps]: rows } });
      expect(reply).toMatchObject({ status: 200, body: { UnprocessedItems: {} } });
    }
    bus.stack.faults.replace({});
  });

  /** As the application keeps a message, a second after the one before it. */
  function row(n: number) {
    const at = Date.UTC(2026, 0, 1) + n * 1_000;
    const sort = timeOrderedId({ now: () => at, newId: () => 'x'.repeat(20) });
    const message = { ...said('long', String(n), n), id: sort, timestamp: new Date(at).toISOString() };
    const value = { S: JSON.stringify(message) };
    const item = { p: { S: 'clinic-chat#messages#long' }, s: { S: sort }, v: { N: '1' }, value };
    return { PutRequest: { Item: item } };
  }

  test.each([
    ['the default page', '', 50],
    ['the longest page', '&limit=100', 100],
  ])('%s costs one call of DynamoDB, wherever it is', async (_what, limit, length) => {
    let before = '';
    for (let last = COUNT, pages = 0; pages < 3; last -= length, pages += 1) {
      calls.length = 0;
      const { mensajes, before: next } = await page(`conversacionId=long${limit}&before=${before}`);
      expect(calls).toEqual(['Query']);
      const contents = Array.from({ length }, (_, n) => String(last - length + n));
      expect(mensajes.map(({ contenido }) => contenido)).toEqual(contents);
      before = next;
    }
  });
});

describe('where identities must be proven', () => {
  let strict: TestStack;
  beforeAll(async () => {
    strict = await startTestStack({
      assembly: await synthesise({ APPS: 'clinic-chat', IDENTITY: 'token' }),
    });
  });
  afterAll(() => strict.close());

  const join = (socket: Socket, userId: string) =>
    socket.emitWithAck('chat:join-room', { conversacionId: 4, userId }) as Promise<unknown>;

  test('a token or a grant opens a conversation and nothing else does', async () => {
    const claims = { sub: 'ana', rol: 'paciente', conversations: [4] };
    const ana = strict.client({ auth: { token: await token(claims) } });
    const beto = strict.client({ auth: { token: await token({ sub: 'beto' }) } });
    const nobody = strict.client();
    expect(await join(ana, 'ana')).toMatchObject({ ok: true });
    expect(await join(nobody, 'ana')).toMatchObject({ ok: false, error: { code: 'unauthenticated' } });
    expect(await join(beto, 'ana')).toMatchObject({ ok: false, error: { code: 'forbidden' } });
    expect(await join(beto, 'beto')).toMatchObject({ ok: false, error: { code: 'forbidden' } });
    await strict.stack.invoke('publish', { op: 'grant', identity: 'beto', room: 'chat:4' });
    expect(await join(beto, 'beto')).toMatchObject({ ok: true });
  });

  test('the same holds over HTTP', async () => {
    await strict.stack.invoke('publish', { op: 'grant', identity: 'beto', room: 'chat:4' });
    const ana = strict.client({ auth: { token: await token({ sub: 'ana', conversations: ['4'] }) } });
    await join(ana, 'ana');
    const ask = async (method: 'GET' | 'POST', sub?: string) => {
      const headers = sub === undefined ? {} : { authorization: `Bearer ${await token({ sub })}` };
      const url = `${strict.stack.origin}/api/chat/mensajes`;
      if (method === 'GET') return (await fetch(`${url}?conversacionId=4`, { headers })).status;
      return (await fetch(url, { method, headers, body: JSON.stringify(said(4, 'hola', 'beto')) })).status;
    };
    expect([await ask('GET'), await ask('GET', 'carla'), await ask('GET', 'beto')]).toEqual([401, 403, 200]);
    expect([await ask('POST'), await ask('POST', 'carla')]).toEqual([401, 403]);
    const received = heard(ana, 'chat:message-received');
    expect(await ask('POST', 'beto')).toBe(201);
    expect(await received).toMatchObject({ contenido: 'hola', userId: 'beto' });
  });
});
