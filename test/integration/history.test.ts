/** What a late joiner is sent, and the history of its room: by HTTP, as a join, and for backends. */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Emitter } from '../../emitter/index.ts';
import { LOCAL_CREDENTIALS } from '../../local/host/credentials.ts';
import { synthesise } from '../support/assembly.ts';
import { recorded, startTestStack, type TestStack, token } from '../support/stack.ts';
import { SETTINGS } from '../support/synthesis.ts';

const BOARDS = fileURLToPath(new URL('./fixtures/apps/boards.ts', import.meta.url));
const ROOM = 'board:ana/1 %';

let bus: TestStack;
let emitter: Emitter;
const offsets: string[] = [];

beforeAll(async () => {
  bus = await startTestStack({ assembly: await synthesise({ ...SETTINGS, APPS: BOARDS }) });
  const { accessKeyId, secretAccessKey } = LOCAL_CREDENTIALS;
  emitter = new Emitter({
    endpoint: bus.stack.origin,
    region: 'us-east-1',
    credentials: { accessKeyId, secretAccessKey },
  }).of('/boards');
  const room = emitter.to(ROOM);
  for (const [event, payload] of [
    ['board', { step: 1 }],
    ['board', { step: 2 }],
    ['moved', Buffer.from([1, 2, 3])],
  ] as const) {
    const { offset } = await room.emit(event, payload);
    offsets.push(offset ?? '');
  }
});
afterAll(() => bus?.close());

async function joiner(id: string) {
  const socket = bus.client({ auth: { token: await token({ sub: id }) } }, '/boards');
  const ears = recorded(socket);
  return { ears, answer: await socket.emitWithAck('open', { board: 'ana/1 %' }) };
}

async function get(request: { sub?: string; query?: string; origin?: string; room?: string } = {}) {
  const { sub, query = '', origin, room = ROOM } = request;
  const url = `${bus.stack.origin}/rooms/${encodeURIComponent(room)}/history?namespace=/boards${query}`;
  const headers = {
    ...(sub === undefined ? {} : { authorization: `Bearer ${await token({ sub })}` }),
    ...(origin === undefined ? {} : { origin }),
  };
  const response = await fetch(url, { headers });
  return { status: response.status, headers: response.headers, body: await response.json() };
}

test('a late joiner hears how things stand before its join is answered, and who may not join hears nothing', async () => {
  const ana = await joiner('ana');
  expect(ana.answer).toEqual({ ok: true });
  expect(ana.ears).toEqual([{ event: 'board', args: [{ step: 2 }] }]);
  const bea = await joiner('bea');
  expect(bea.answer).toMatchObject({ ok: false, error: { code: 'forbidden' } });
  expect(bea.ears.map(({ event }) => event)).not.toContain('board');
});

describe('the history by HTTP', () => {
  test('is read with the token that a join would need, from an offset on', async () => {
    const { status, body } = await get({ sub: 'ana' });
    expect(status).toBe(200);
    expect(body).toEqual({
      events: [
        { offset: offsets[0], event: 'board', args: [{ step: 1 }], at: expect.any(Number) },
        { offset: offsets[1], event: 'board', args: [{ step: 2 }], at: expect.any(Number) },
        {
          offset: offsets[2],
          event: 'moved',
          args: [{ _placeholder: true, num: 0 }],
          attachments: ['AQID'],
          at: expect.any(Number),
        },
      ],
      more: false,
    });
    const page = await get({ sub: 'ana', query: `&since=${offsets[0]}&limit=1` });
    expect(page.body).toMatchObject({ events: [{ offset: offsets[1] }], more: true });
  });

  test('is nobody else’s, and what there is not looks the same', async () => {
    for (const room of [ROOM, 'board:ana/none']) {
      expect(await get({ room })).toMatchObject({
        status: 401,
        body: { error: { code: 'unauthenticated' } },
      });
      expect(await get({ room, sub: 'bea' })).toMatchObject({
        status: 403,
        body: { error: { code: 'forbidden' } },
      });
    }
    expect(await get({ room: 'other:1', sub: 'ana' })).toMatchObject({ status: 404 });
  });

  test('is read by scripts of the application’s origins alone', async () => {
    const allowed = (answer: Awaited<ReturnType<typeof get>>) =>
      answer.headers.get('access-control-allow-origin');
    expect(allowed(await get({ sub: 'ana', origin: 'https://boards.example' }))).toBe(
      'https://boards.example',
    );
    const foreign = await get({ sub: 'ana', origin: 'https://other.example' });
    expect(foreign).toMatchObject({ status: 403, body: { error: { code: 'forbidden' } } });
    expect(allowed(foreign)).toBeNull();
  });
});

test('a backend reads it with bytes in their places', async () => {
  const { events, more } = await emitter.in(ROOM).history({ since: offsets[1]!, limit: 10 });
  expect([events.map(({ event, args }) => [event, ...args]), more]).toEqual([
    [['moved', Buffer.from([1, 2, 3])]],
    false,
  ]);
  await expect(emitter.of('/nowhere').in(ROOM).history()).rejects.toMatchObject({
    code: 'invalid_payload',
    field: 'namespace',
  });
});
