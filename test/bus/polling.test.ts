import { beforeEach, describe, expect, test, vi } from 'vitest';
import * as z from 'zod/mini';
import { defineApp } from '../../lambdas/apps/define-app.ts';
import { deliver } from '../../lambdas/bus/delivery.ts';
import { Messages } from '../../lambdas/bus/messages.ts';
import { pollingId } from '../../lambdas/bus/names.ts';
import type { PollAnswer } from '../../lambdas/bus/polling.ts';
import { MOST_EARLY_FRAMES, Upgrades } from '../../lambdas/bus/upgrade.ts';
import { connectionId, plainFrame, type World, world } from '../support/world.ts';

const chat = defineApp({
  name: 'chat',
  namespace: '/',
  origins: () => ['https://app.example'],
  clientEvents: {
    join: {
      payload: z.object({ room: z.string() }),
      handle: async (socket, { room }) => {
        await socket.join(`room:${room}`);
        return { ok: true };
      },
    },
    say: {
      payload: z.object({ room: z.string(), text: z.string() }),
      handle: async (socket, { room, text }) => {
        await socket.to(`room:${room}`).emit('said', { text });
        return { ok: true };
      },
    },
    'wait for': {
      payload: z.string(),
      handle: async (socket, room) => ({
        ok: await socket.eventually(() => socket.rooms.has(`room:${room}`)),
      }),
    },
    'wait thrice': {
      payload: z.string(),
      handle: async (socket, room) => {
        const isIn = () => socket.rooms.has(`room:${room}`);
        for (let n = 0; n < 3; n += 1) if (await socket.eventually(isIn)) return { ok: true };
        return { ok: false };
      },
    },
    'take long': { payload: z.number(), handle: async (_socket, ms) => at.clock.sleep(ms) },
    bytes: {
      payload: z.instanceof(Uint8Array),
      handle: async (socket, bytes) => {
        await socket.emit('echo', bytes as never);
        return { ok: true };
      },
    },
  },
  serverEvents: { said: z.object({ text: z.string() }), echo: z.any() },
  rooms: { 'room:': { canJoin: () => true } },
});

let at: World;
let marks = 0;
beforeEach(async () => {
  at = await world({ applications: [chat] });
});

const SEPARATOR = '\x1e';

class Poller {
  sid = '';

  get(more: Record<string, string> = {}): Promise<PollAnswer> {
    marks += 1;
    return this.#request('GET', undefined, { t: `m${marks}`, ...more });
  }

  post(...frames: string[]): Promise<PollAnswer> {
    return this.#request('POST', frames.join(SEPARATOR), {});
  }

  async open(): Promise<this> {
    const answer = await this.get();
    this.sid = JSON.parse(answer.body.slice(1)).sid;
    return this;
  }

  /** Frames of the next answer. */
  async frames(): Promise<string[]> {
    return (await this.get()).body.split(SEPARATOR).map(plainFrame);
  }

  #request(method: string, body: string | undefined, more: Record<string, string>): Promise<PollAnswer> {
    const query = { EIO: '4', transport: 'polling', ...(this.sid === '' ? {} : { sid: this.sid }), ...more };
    return at.polling.handle({
      method,
      query,
      headers: {},
      address: '192.0.2.1',
      at: at.clock.now(),
      body,
    });
  }
}

const connected = async () => {
  const poller = await new Poller().open();
  await poller.post('40');
  expect(await poller.frames()).toEqual([expect.stringMatching(/^40\{"sid":"/)]);
  return poller;
};

describe('a client that polls', () => {
  test('is greeted in the answer to its first request, with the upgrade it may try', async () => {
    const answer = await new Poller().get();
    expect(answer.statusCode).toBe(200);
    expect(answer.headers).toMatchObject({
      'content-type': 'text/plain; charset=UTF-8',
      'cache-control': 'no-store',
    });
    expect(JSON.parse(answer.body.slice(1))).toEqual({
      sid: expect.stringMatching(/^[\w-]{20}$/),
      upgrades: ['websocket'],
      pingInterval: 240_000,
      pingTimeout: 120_000,
      maxPayload: 32_768,
    });
  });

  test('has the rest of its request handled where the table fails at a pong', async () => {
    const poller = await connected();
    vi.spyOn(at.bus.store, 'touchSlot').mockRejectedValueOnce(new Error('throttled'));
    expect((await poller.post('3', '420["join",{"room":"a"}]')).body).toBe('ok');
    expect(await poller.frames()).toEqual(['430[{"ok":true}]']);
  });

  test('sends packets in one body, is answered ok, and fetches what came of them', async () => {
    const poller = await connected();
    const answer = await poller.post('420["join",{"room":"a"}]', '421["join",{"room":"b"}]');
    expect(answer).toMatchObject({ statusCode: 200, body: 'ok', headers: { 'content-type': 'text/html' } });
    expect(await poller.frames()).toEqual(['430[{"ok":true}]', '431[{"ok":true}]']);
  });

  test('hears rooms as everybody does, in order', async () => {
    const [ana, bea] = [await connected(), await connected()];
    for (const poller of [ana, bea]) await poller.post('42["join",{"room":"a"}]');
    for (const text of ['1', '2', '3']) await ana.post(`42["say",{"room":"a","text":"${text}"}]`);
    expect(await bea.frames()).toEqual(['1', '2', '3'].map((text) => `42["said",{"text":"${text}"}]`));
  });

  test('is given nothing but a noop after the hold', async () => {
    const poller = await connected();
    const before = at.clock.now();
    expect(await poller.frames()).toEqual(['6']);
    expect(at.clock.now() - before).toBeGreaterThanOrEqual(5_000);
  });

  test('is given the same again where its request is repeated, and never what it has acknowledged', async () => {
    const poller = await connected();
    await poller.post('420["join",{"room":"a"}]');
    const first = await poller.get({ t: 'same' });
    expect(first.body).toBe('430[{"ok":true}]');
    expect((await poller.get({ t: 'same' })).body).toBe(first.body);
    await poller.post('421["join",{"room":"a"}]');
    expect(await poller.frames()).toEqual(['431[{"ok":true}]']);
  });

  test('loses nothing to a copy of an old request that arrives late', async () => {
    const poller = await connected();
    await poller.get({ t: 'first' });
    await poller.post('420["join",{"room":"a"}]');
    expect((await poller.get({ t: 'second' })).body).toBe('430[{"ok":true}]');
    await poller.post('421["join",{"room":"a"}]');
    expect((await poller.get({ t: 'first' })).statusCode).toBe(400);
    expect(await poller.frames()).toEqual(['431[{"ok":true}]']);
  });

  test('is not closed by a late copy of an old request while it waits', async () => {
    const poller = await connected();
    await poller.get({ t: 'first' });
    const session = { lease: 'waiting', mark: 'second', until: at.clock.now() + 1_000 };
    await at.bus.outbox.beginPoll(pollingId(poller.sid), session);
    expect((await poller.get({ t: 'first' })).statusCode).toBe(400);
    expect(await at.store.connection(pollingId(poller.sid))).toMatchObject({ open: true });
  });

  test('sends binary values with their packet and gets them as base64', async () => {
    const poller = await connected();
    await poller.post('451-["bytes",{"_placeholder":true,"num":0}]', 'bAQID');
    expect(await poller.frames()).toEqual(['451-["echo",{"_placeholder":true,"num":0}]', 'bAQID']);
  });

  test('gets every packet whole, however many write to it at once', async () => {
    const poller = await connected();
    const id = pollingId(poller.sid);
    const packets = [1, 2, 3, 4].map((n) => [`452-["echo",${n}]`, `bAQI${n}`, `bAgM${n}`]);
    const written = [...packets, ...packets.map((_, n) => [`42["said",{"text":"${n}"}]`])];
    await Promise.all(written.map((frames) => deliver(at.bus, id, frames)));
    const got = await poller.frames();
    expect([...got].sort()).toEqual(written.flat().sort());
    for (const [first, ...attachments] of packets) {
      const begin = got.indexOf(first!);
      expect(got.slice(begin + 1, begin + 3)).toEqual(attachments);
    }
  });

  test('is not sent a part of a packet for which there is no room, and stays', async () => {
    const poller = await connected();
    const id = pollingId(poller.sid);
    const attachment = `b${'A'.repeat(120_000)}`;
    const packet = ['453-["echo"]', attachment, attachment, attachment];
    expect(await deliver(at.bus, id, packet)).toBe('failed');
    expect(await poller.frames()).toEqual(['6']);
    expect(await at.store.connection(id)).toMatchObject({ open: true });
  });

  test('sends binary values in requests after that of their packet, as the stock client does', async () => {
    const poller = await connected();
    await poller.post('451-["bytes",{"_placeholder":true,"num":0}]');
    await poller.post('3');
    await poller.post('bAQID', '451-["bytes",{"_placeholder":true,"num":0}]');
    await poller.post('bBAUG');
    expect(await poller.frames()).toEqual([
      '451-["echo",{"_placeholder":true,"num":0}]',
      'bAQID',
      '451-["echo",{"_placeholder":true,"num":0}]',
      'bBAUG',
    ]);
  });

  test.each([
    ['text where an attachment is due', ['42["say",{}]']],
    ['more attachments than a frame has room for', [`b${'A'.repeat(20_000)}`, `b${'A'.repeat(20_000)}`]],
  ])('is closed for %s', async (_what, requests) => {
    const poller = await connected();
    await poller.post('453-["bytes",{"_placeholder":true,"num":0}]');
    for (const frame of requests) await poller.post(frame);
    expect(await at.store.connection(pollingId(poller.sid))).toMatchObject({ open: false });
  });

  test('is closed by two requests of one kind at a time; the first is told', async () => {
    const poller = await connected();
    const session = { lease: 'another', mark: 'x', until: at.clock.now() + 1_000 };
    await at.bus.outbox.beginPoll(pollingId(poller.sid), session);
    expect((await poller.get()).statusCode).toBe(400);
    expect(await at.store.connection(pollingId(poller.sid))).toMatchObject({ open: false });
  });

  test('waits once for what does not come, however many events of its request wait', async () => {
    const poller = await connected();
    const before = at.clock.now();
    const waits = Array.from({ length: 25 }, (_, n) => `42${n}["wait for","a"]`);
    await poller.post(...waits, '4225["join",{"room":"a"}]', '4226["wait for","a"]');
    expect(at.clock.now() - before).toBeLessThan(2_000);
    const answers = await poller.frames();
    expect(answers.slice(0, 25)).toEqual(waits.map((_, n) => `43${n}[{"ok":false}]`));
    expect(answers.slice(25)).toEqual(['4325[{"ok":true}]', '4326[{"ok":true}]']);
    const again = at.clock.now();
    await poller.post('421["wait for","b"]');
    expect(at.clock.now() - again).toBeGreaterThanOrEqual(1_500);
  });

  test('waits in one event no longer than once, however often its handler does', async () => {
    const poller = await connected();
    const before = at.clock.now();
    await poller.post('421["wait thrice","a"]');
    expect(at.clock.now() - before).toBeLessThan(2_000);
  });

  test('is closed, and that is logged, where the packets of its request take too long', async () => {
    const poller = await connected();
    const before = at.clock.now();
    const answer = await poller.post(...Array<string>(10).fill('42["take long",5000]'));
    expect([answer.statusCode, at.clock.now() - before]).toEqual([200, 15_000]);
    expect(await at.store.connection(pollingId(poller.sid))).toMatchObject({ open: false });
    expect(at.log.lines).toContainEqual(
      expect.objectContaining({
        level: 'warn',
        fields: expect.objectContaining({ because: 'the packets of its request take too long' }),
      }),
    );
  });

  test('has the last packet of its request handled, however late', async () => {
    const poller = await connected();
    await poller.post('421["take long",20000]');
    expect(await poller.frames()).toEqual(['431[{"ok":true}]']);
  });

  test.each(['GET', 'POST'])('is refused a %s with its sid from a page of another origin', async (method) => {
    const poller = await connected();
    const request = {
      method,
      query: { EIO: '4', transport: 'polling', sid: poller.sid },
      address: '192.0.2.1',
      at: at.clock.now(),
      body: method === 'POST' ? '420["join",{"room":"a"}]' : undefined,
    };
    const foreign = await at.polling.handle({ ...request, headers: { origin: 'https://evil.example' } });
    expect([foreign.statusCode, JSON.parse(foreign.body).code]).toEqual([403, 4]);
    expect(foreign.headers).not.toHaveProperty('access-control-allow-origin');
    const own = await at.polling.handle({ ...request, headers: { origin: 'https://app.example' } });
    expect(own.statusCode).toBe(200);
  });

  test('has one pong of a request written down, however many it brings', async () => {
    const poller = await connected();
    const touches = vi.spyOn(at.bus.store, 'touchSlot');
    await poller.post('3', '3', '420["join",{"room":"a"}]', '3');
    expect(touches).toHaveBeenCalledOnce();
    expect(await poller.frames()).toEqual(['430[{"ok":true}]']);
    await poller.post('3');
    expect(touches).toHaveBeenCalledTimes(2);
  });

  test('says goodbye, and its session is unknown from then on', async () => {
    const poller = await connected();
    await poller.post('1');
    const answer = await poller.get();
    expect(answer.statusCode).toBe(400);
    expect(JSON.parse(answer.body)).toEqual({ code: 1, message: 'Session ID unknown' });
    expect((await poller.post('3')).statusCode).toBe(400);
  });

  test('is told the same however often it asks after its end, also by two requests at a time', async () => {
    const poller = await connected();
    await poller.post('1');
    const requests = [poller.get(), poller.get(), poller.post('3'), poller.post('3')];
    const answers = [...(await Promise.all(requests)), await poller.get(), await poller.get()];
    expect(answers.map(({ body }) => JSON.parse(body).code)).toEqual([1, 1, 1, 1, 1, 1]);
  });

  test('hears the last words of a server that ends it, once', async () => {
    const poller = await connected();
    await at.bus.wire.post(pollingId(poller.sid), '42["bye"]');
    await at.lifecycle.close(pollingId(poller.sid));
    expect(await poller.frames()).toEqual(['42["bye"]', '1']);
    expect((await poller.get()).statusCode).toBe(400);
  });
});

describe('the upgrade', () => {
  const opened = async (poller: Poller, n: number) => {
    const address = connectionId(n);
    expect(await at.upgrades.begin(address, poller.sid)).toBeUndefined();
    await at.messages.handle(address, '2probe');
    return address;
  };

  test('asks over the WebSocket, releases the request that waits, and moves rooms without a gap', async () => {
    const [ana, bea] = [await connected(), await connected()];
    for (const poller of [ana, bea]) await poller.post('42["join",{"room":"a"}]');
    const address = await opened(bea, 1);
    expect(at.wire.to(address)).toEqual(['3probe']);
    const before = at.clock.now();
    expect(await bea.frames()).toEqual(['6']);
    expect(at.clock.now() - before).toBeLessThan(500);
    await ana.post('42["say",{"room":"a","text":"before"}]');
    await at.messages.handle(address, '5');
    await ana.post('42["say",{"room":"a","text":"after"}]');
    expect(at.wire.to(address)).toEqual([
      '3probe',
      '42["said",{"text":"before"}]',
      '42["said",{"text":"after"}]',
    ]);
    await at.messages.handle(address, '427["say",{"room":"a","text":"mine"}]');
    expect(await ana.frames()).toEqual(['42["said",{"text":"mine"}]']);
    expect((await bea.get()).statusCode).toBe(400);
  });

  test('is not undone by polling that does not know of it yet, also by two requests at a time', async () => {
    const poller = await connected();
    const address = await opened(poller, 1);
    await at.messages.handle(address, '5');
    const requests = [poller.get(), poller.get(), poller.post('3'), poller.post('3')];
    const answers = [...(await Promise.all(requests)), await poller.get(), await poller.get()];
    expect(answers.map(({ body }) => JSON.parse(body).code)).toEqual([3, 3, 3, 3, 3, 3]);
    expect(at.wire.closed).toEqual([]);
    expect(await at.store.connection(address)).toMatchObject({ open: true });
  });

  test('is not tried any longer once polling has ended, whoever ends it', async () => {
    const [ana, bea] = [await connected(), await connected()];
    const addresses = [await opened(ana, 1), await opened(bea, 2)];
    await ana.post('1');
    await at.lifecycle.disconnected(pollingId(bea.sid));
    expect(at.wire.closed).toEqual(addresses);
  });

  test('does not repeat over the WebSocket what an answer has carried', async () => {
    const poller = await connected();
    await poller.post('420["join",{"room":"a"}]');
    const address = await opened(poller, 1);
    expect(await poller.frames()).toEqual(['430[{"ok":true}]']);
    await at.messages.handle(address, '5');
    expect(at.wire.to(address)).toEqual(['3probe']);
  });

  test('is not undone by the sweep that looks for connections without a namespace', async () => {
    const poller = await connected();
    const address = await opened(poller, 1);
    await at.messages.handle(address, '5');
    at.clock.advance(2 * 60_000);
    await at.sweeper.sweep();
    expect(at.wire.closed).toEqual([]);
    expect(await at.store.connection(address)).toMatchObject({ open: true });
  });

  test('handles a frame that overtakes it once it is done', async () => {
    const poller = await connected();
    const address = await opened(poller, 1);
    const early = at.messages.handle(address, '420["join",{"room":"a"}]');
    await Promise.all([early, at.messages.handle(address, '5')]);
    expect(at.wire.to(address)).toEqual(['3probe', '430[{"ok":true}]']);
  });

  test('handles as many frames that overtake it as a client may have kept back', async () => {
    const poller = await connected();
    const address = await opened(poller, 1);
    const early = Array.from({ length: MOST_EARLY_FRAMES }, (_, n) => `42${n}["join",{"room":"a"}]`);
    await Promise.all([...early, '5'].map((frame) => at.messages.handle(address, frame)));
    const answers = early.map((_, n) => `43${n}[{"ok":true}]`);
    expect(at.wire.to(address).slice(1).sort()).toEqual(answers.sort());
  });

  test('that is never asked for holds few frames, for seconds, whichever instances they reach', async () => {
    const poller = await connected();
    const address = await opened(poller, 1);
    let [waiting, most] = [0, 0];
    at.clock.sleep = () => {
      waiting += 1;
      most = Math.max(most, waiting);
      return new Promise(() => undefined);
    };
    const instance = () => new Messages(at.bus, at.lifecycle, new Upgrades(at.bus, at.lifecycle));
    for (let n = 0; n < 100; n += 1) void instance().handle(address, '42["join",{}]');
    await expect.poll(() => at.wire.closed).toContain(address);
    expect(most).toBeLessThanOrEqual(MOST_EARLY_FRAMES);
    expect(await at.store.connection(pollingId(poller.sid))).toMatchObject({ open: false });
  });

  test('that fails when it is asked for is cut, for its client polls no more', async () => {
    const address = await opened(await connected(), 1);
    vi.spyOn(at.bus.outbox, 'probedBy').mockRejectedValueOnce(new Error('InternalServerError'));
    await at.messages.handle(address, '5');
    expect(at.wire.closed).toEqual([address]);
  });

  test('that is not asked for within seconds of its first frame ends the connection', async () => {
    const poller = await connected();
    const address = await opened(poller, 1);
    const before = at.clock.now();
    await at.messages.handle(address, '42["join",{}]');
    expect(at.clock.now() - before).toBeLessThanOrEqual(8_050);
    expect(at.wire.closed).toContain(address);
  });

  test('leaves nothing behind when the WebSocket ends', async () => {
    const poller = await connected();
    await poller.post('42["join",{"room":"a"}]');
    const address = await opened(poller, 1);
    await at.messages.handle(address, '5');
    const members = async () => (await at.table.rows()).filter((row) => row.c !== undefined);
    expect(await members()).toHaveLength(3);
    expect(new Set((await members()).map((row) => row.c!.B)).size).toBe(1);
    await at.lifecycle.disconnected(address);
    expect(await members()).toEqual([]);
    expect(await at.store.connection(address)).toMatchObject({ open: false });
  });

  test('outlives the minute after which a connection that nobody pings is closed', async () => {
    const poller = await connected();
    const address = await opened(poller, 1);
    await at.messages.handle(address, '5');
    at.clock.advance(60_000);
    expect(await at.sweeper.sweep()).toMatchObject({ due: 2 });
    expect(at.wire.closed).toEqual([]);
    expect(await at.store.connection(address)).toMatchObject({ open: true });
  });

  test('that the client gives up leaves polling alive, and another one may follow', async () => {
    const poller = await connected();
    const address = await opened(poller, 1);
    await at.lifecycle.disconnected(address);
    await poller.post('420["join",{"room":"a"}]');
    expect(await poller.frames()).toEqual(['430[{"ok":true}]']);
    const second = await opened(poller, 2);
    await at.messages.handle(second, '5');
    expect(at.wire.to(second)).toEqual(['3probe']);
  });

  test('that does not finish in a minute is ended by the next request that waits', async () => {
    const poller = await connected();
    const address = await opened(poller, 1);
    at.clock.advance(60_001);
    expect(await poller.frames()).toEqual(['6']);
    expect(at.wire.closed).toEqual([address]);
  });

  test('that was abandoned is closed before another one may begin, also where answers do not wait', async () => {
    const poller = await connected();
    const address = await opened(poller, 1);
    await poller.post('420["join",{"room":"a"}]');
    at.clock.advance(60_001);
    expect(await at.upgrades.begin(connectionId(2), poller.sid)).toMatchObject({ status: 400, code: 3 });
    expect(await poller.frames()).toEqual(['430[{"ok":true}]']);
    expect(at.wire.closed).toEqual([address]);
    const second = await opened(poller, 2);
    await at.lifecycle.disconnected(address);
    await at.messages.handle(second, '5');
    expect(await at.store.connection(second)).toMatchObject({ open: true });
  });

  test('is refused to a second WebSocket, to an unknown sid and to a closed session', async () => {
    const poller = await connected();
    await opened(poller, 1);
    expect(await at.upgrades.begin(connectionId(2), poller.sid)).toMatchObject({ status: 400, code: 3 });
    expect(await at.upgrades.begin(connectionId(3), 'x'.repeat(20))).toMatchObject({ status: 400, code: 1 });
    await poller.post('1');
    expect(await at.upgrades.begin(connectionId(4), poller.sid)).toMatchObject({ status: 400, code: 1 });
  });

  test('is known to the rooms that are joined after it: what is said there goes to the WebSocket without asking for it', async () => {
    const poller = await connected();
    const address = await opened(poller, 1);
    await at.messages.handle(address, '5');
    await at.messages.handle(address, '42["join",{"room":"a"}]');
    const names = (await at.table.rows()).filter((row) => row.c !== undefined).map((row) => row.c!.B);
    expect(names).toHaveLength(3);
    expect(new Set(names).size).toBe(1);
  });

  test('whose WebSocket cannot be cut leaves its client what it had: it is asked and answered as before', async () => {
    const poller = await connected();
    const address = await opened(poller, 1);
    await at.messages.handle(address, '5');
    at.wire.closes = false;
    expect(await at.bus.wire.close(pollingId(poller.sid))).toBe(false);
    await at.messages.handle(address, '420["join",{"room":"a"}]');
    expect(at.wire.to(address).at(-1)).toBe('430[{"ok":true}]');
    at.wire.closes = true;
    expect(await at.bus.wire.close(pollingId(poller.sid))).toBe(true);
    expect(at.wire.closed).toEqual([address]);
  });

  test('whose session is closed while its WebSocket is open is cut before it is cleaned up after', async () => {
    const poller = await connected();
    const address = await opened(poller, 1);
    await at.messages.handle(address, '5');
    const id = pollingId(poller.sid);
    await at.bus.outbox.close(id);
    at.clock.advance(60_000);
    const group = { kind: 'namespace', namespace: '/' } as const;
    at.wire.closes = false;
    await at.lifecycle.reap([{ id: 'any', connectionId: id, group }]);
    expect(await at.store.connection(id)).toMatchObject({ open: true });
    at.wire.closes = true;
    await at.lifecycle.reap([{ id: 'any', connectionId: id, group }]);
    expect(at.wire.closed).toEqual([address]);
    expect(await at.store.connection(id)).toMatchObject({ open: false });
  });

  test('that was cut off before its rooms moved is finished by the first pong, and heard meanwhile', async () => {
    const [ana, bea] = [await connected(), await connected()];
    for (const poller of [ana, bea]) await poller.post('42["join",{"room":"a"}]');
    const address = await opened(bea, 1);
    const id = pollingId(bea.sid);
    const session = await at.bus.outbox.session(id);
    expect(await at.bus.outbox.upgrade(id, address, session!.appended)).toBe('upgraded');
    await ana.post('42["say",{"room":"a","text":"1"}]');
    expect(at.wire.to(address).at(-1)).toBe('42["said",{"text":"1"}]');
    await at.messages.handle(address, '3');
    const names = (await at.table.rows()).filter((row) => row.c !== undefined).map((row) => row.c!.B);
    expect(names).not.toContain(Buffer.from(id, 'base64url').toString('base64'));
    await at.lifecycle.disconnected(address);
    const left = (await at.table.rows()).filter((row) => row.c !== undefined);
    expect(left).toHaveLength(3);
  });
});

test('nothing that is written down or logged holds a sid', async () => {
  const poller = await connected();
  await poller.post('42["join",{"room":"a"}]');
  const kept = JSON.stringify([await at.table.rows(), at.log.lines]);
  expect(kept).not.toContain(poller.sid);
  expect(kept).not.toContain(Buffer.from(poller.sid, 'base64url').toString('base64'));
});
