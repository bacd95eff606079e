/** Sessions that must end: of a token that is over, of a user that a backend throws out, of an identity that changed. */
import { beforeEach, describe, expect, test, vi } from 'vitest';
import * as z from 'zod/mini';
import { defineApp } from '../../lambdas/apps/define-app.ts';
import { watchGroups } from '../../lambdas/apps/watch-groups.ts';
import { pollingId } from '../../lambdas/bus/names.ts';
import { offsetText } from '../../lambdas/contract/offsets.ts';
import { Client } from '../apps/client.ts';
import { JWT_SECRET, seconds, token } from '../apps/tokens.ts';
import { pollRequest, type World, world } from '../support/world.ts';

const MINUTE = 60_000;

let at: World;
let ana: string;
let bob: string;
beforeEach(async () => {
  at = await world({ applications: [watchGroups], secrets: { JWT_SECRET } });
  [ana, bob] = await Promise.all([token({ sub: '1' }), token({ sub: '2' })]);
});

const connect = (n: number, text: string, more: Record<string, unknown> = {}) =>
  Client.connect(at, n, { auth: { token: text, ...more } });
/** What the stock client shows when it comes back. */
const pidOf = (client: Client) => {
  const reply = at.wire.framesTo(client.connectionId).findLast((frame) => frame.startsWith('40{')) ?? '';
  return (JSON.parse(reply.slice(2)) as { pid: string }).pid;
};
const isOpen = async (id: string) => (await at.store.connection(id))?.open === true;
const heardBy = async (room: string) => {
  const answer = await at.publisher.handle({ op: 'emit', rooms: [room], event: 'any' });
  return (answer as { audience: number }).audience;
};

/** A client that polls, in its namespace. */
async function polling(text: string) {
  const { sid } = JSON.parse((await pollRequest(at, 'GET')).body.slice(1)) as { sid: string };
  await pollRequest(at, 'POST', sid, `40${JSON.stringify({ token: text })}`);
  return { id: pollingId(sid), poll: () => pollRequest(at, 'GET', sid) };
}

describe('a backend that throws a user out', () => {
  test.each([false, true])(
    'ends every socket of theirs, wherever it is, and nobody else’s: close %s',
    async (close) => {
      const [tab, phone] = [await connect(1, ana), await connect(2, ana)];
      const polls = await polling(ana);
      const other = await connect(3, bob);
      expect(await heardBy('member:1')).toBe(3);
      const answer = await at.publisher.handle({ op: 'disconnectSockets', rooms: ['member:1'], close });
      expect(answer).toMatchObject({ ok: true, result: { sockets: 3 } });
      expect([tab.dismissed, phone.dismissed, other.dismissed]).toEqual([true, true, false]);
      expect([tab.cut, phone.cut, other.cut]).toEqual([close, close, false]);
      expect((await at.store.connection(polls.id))?.namespaces).toEqual({});
      expect([await heardBy('member:1'), await heardBy('member:2')]).toEqual([0, 1]);
    },
  );

  test('ends the sessions they could have come back to, also those that were away', async () => {
    const there = await connect(1, ana);
    const away = await connect(2, ana);
    const other = await connect(3, bob);
    const pids = [there, away, other].map(pidOf);
    await at.lifecycle.disconnected(away.connectionId);
    await at.lifecycle.disconnected(other.connectionId);
    at.clock.advance(1_000);
    await at.publisher.handle({ op: 'disconnectSockets', rooms: ['member:1'] });
    at.clock.advance(1_000);
    const back = [
      await connect(11, ana, { pid: pids[0] }),
      await connect(12, ana, { pid: pids[1] }),
      await connect(13, bob, { pid: pids[2] }),
    ];
    expect(back.map(pidOf).map((pid, index) => pid === pids[index])).toEqual([false, false, true]);
  });

  test('finds those, too, who come back while it takes long, whatever they say that they have heard', async () => {
    const [first, second] = [await connect(1, ana), await connect(2, ana)];
    const pid = pidOf(second);
    const post = at.bus.wire.post.bind(at.bus.wire);
    let back: Client | undefined;
    vi.spyOn(at.bus.wire, 'post').mockImplementation(async (id, frame) => {
      if (frame === '41' && id === second.connectionId && back === undefined) {
        at.clock.advance(20_000);
        await at.lifecycle.disconnected(second.connectionId);
        const offset = offsetText({ position: at.clock.now(), id: 'x'.repeat(20) });
        back = await connect(3, ana, { pid, offset });
        expect(pidOf(back)).toBe(pid);
      }
      return post(id, frame);
    });
    await at.publisher.handle({ op: 'disconnectSockets', rooms: ['member:1'] });
    expect([first.dismissed, back?.dismissed]).toEqual([true, true]);
    expect(await heardBy('member:1')).toBe(0);
  });

  test('leaves them no way back where their token is not valid any more', async () => {
    const there = await connect(1, ana);
    const pid = pidOf(there);
    await at.publisher.handle({ op: 'disconnectSockets', rooms: ['member:1'], close: true });
    const revoked = await token(
      { sub: '1' },
      { secret: 'the secret was changed, so that no old token is good' },
    );
    const back = await connect(2, revoked, { pid });
    expect(back.dismissed).toBe(true);
    expect(await heardBy('member:1')).toBe(0);
  });
});

describe('a session', () => {
  test('is not had by whoever shows its pid and proves to be somebody else, or nobody', async () => {
    const mine = await connect(1, ana);
    const pid = pidOf(mine);
    await at.lifecycle.disconnected(mine.connectionId);
    const other = await connect(2, bob, { pid });
    expect(pidOf(other)).not.toBe(pid);
    const nobody = await Client.connect(at, 3, { auth: { pid } });
    expect(nobody.dismissed).toBe(true);
    expect([await heardBy('member:1'), await heardBy('member:2')]).toEqual([0, 1]);
    // Their trying took nothing away.
    expect(pidOf(await connect(4, ana, { pid }))).toBe(pid);
  });

  test('ends with the first sweep after its token, on a connection that polls as well', async () => {
    const short = await token({ sub: '1', exp: seconds(90) });
    const socket = await connect(1, short);
    const polls = await polling(short);
    const lasting = await connect(3, ana);
    at.clock.advance(40_000);
    await polls.poll();
    at.clock.advance(20_000);
    await at.sweeper.sweep();
    expect([await isOpen(socket.connectionId), await isOpen(polls.id)]).toEqual([true, true]);
    at.clock.advance(MINUTE);
    await at.sweeper.sweep();
    expect([await isOpen(socket.connectionId), await isOpen(polls.id)]).toEqual([false, false]);
    expect(await isOpen(lasting.connectionId)).toBe(true);
    expect(await heardBy('member:1')).toBe(1);
  });

  test('is had back with a newer token, and ends with that one', async () => {
    const socket = await connect(1, await token({ sub: '1', exp: seconds(90) }));
    const pid = pidOf(socket);
    at.clock.advance(30_000);
    await at.lifecycle.disconnected(socket.connectionId);
    const back = await connect(2, await token({ sub: '1', exp: seconds(200) }), { pid });
    expect(pidOf(back)).toBe(pid);
    at.clock.advance(120_000);
    await at.sweeper.sweep();
    expect(await isOpen(back.connectionId)).toBe(true);
    at.clock.advance(2 * MINUTE);
    await at.sweeper.sweep();
    expect(await isOpen(back.connectionId)).toBe(false);
  });

  test.each([
    ['a right less', { groups: [5] }, { groups: [] }, false],
    ['a right more', { groups: [5] }, { groups: [5, 6] }, false],
    ['the same rights', { groups: [5], jti: 'a' }, { groups: [5], jti: 'b', iat: seconds(0) }, true],
  ])('is had back with %s only where that is the same', async (_, before, after, isBack) => {
    const socket = await connect(1, await token({ sub: '1', ...before }));
    expect(await socket.ask('join-group', { groupId: 5 })).toMatchObject({ ok: true });
    await at.lifecycle.disconnected(socket.connectionId);
    const pid = pidOf(socket);
    const back = await connect(2, await token({ sub: '1', ...after }), { pid });
    expect(pidOf(back) === pid).toBe(isBack);
    expect(await heardBy('group:5')).toBe(isBack ? 1 : 0);
  });

  test.each(['ok', 'throttled', 'failed', 'refused'] as const)(
    'that its own server ended is not had back, though its DISCONNECT was %s',
    async (outcome) => {
      const socket = await connect(1, ana);
      at.wire.outcome = (_, frame) => (frame.startsWith('41') ? outcome : 'ok');
      const record = await at.store.socket({ namespace: '/', id: socket.id });
      await at.lifecycle.disconnectSocket({ ...record!, namespace: '/', id: socket.id }, false);
      const pid = pidOf(socket);
      expect(pidOf(await connect(2, ana, { pid }))).not.toBe(pid);
    },
  );

  test('is not had back with a token that has ended', async () => {
    const short = await token({ sub: '1', exp: seconds(90) });
    const socket = await connect(1, short);
    await at.lifecycle.disconnected(socket.connectionId);
    at.clock.advance(2 * MINUTE);
    const back = await connect(2, short, { pid: pidOf(socket) });
    expect(back.dismissed).toBe(true);
    expect(await heardBy('member:1')).toBe(0);
  });
});

describe('a session whose client was proven by an event', () => {
  const late = defineApp({
    name: 'late',
    auth: {
      authenticate: async ({ auth }) => {
        const { until } = (auth ?? {}) as { until?: number };
        return until === undefined ? { kind: 'accepted' } : { kind: 'accepted', expiresAt: until };
      },
    },
    rooms: { 'mine:': { canJoin: () => true } },
    clientEvents: {
      prove: {
        payload: z.number(),
        async handle(socket, who) {
          await socket.countAs(who);
          await socket.join(`mine:${who}`);
        },
      },
      'prove until': {
        payload: z.number(),
        async handle(socket, until) {
          await socket.expireAt(until);
          await socket.join('mine:1');
        },
      },
    },
  });
  let connections: number;
  let pid: string;
  let last: Client;
  const begin = async (connectionsPerUser: number) => {
    at = await world({ applications: [late], limits: { connectionsPerUser } });
    connections = 1;
    last = await Client.connect(at, connections);
    pid = pidOf(last);
  };
  /** On another connection, 90 minutes later. */
  const isBack = async () => {
    at.clock.advance(90 * MINUTE);
    await at.lifecycle.disconnected(last.connectionId);
    connections += 1;
    last = await Client.connect(at, connections, { auth: { pid } });
    return pidOf(last) === pid;
  };

  test.each([20, 0])(
    'is had back once by its pid alone, and then is a new one: %i connections of a user',
    async (most) => {
      await begin(most);
      expect(await last.ask('prove', 1)).toEqual({ ok: true });
      expect([await isBack(), await heardBy('mine:1')]).toEqual([true, 1]);
      expect([await isBack(), await heardBy('mine:1')]).toEqual([false, 0]);
    },
  );

  test.each([20, 0])('is had back as often as it is proven anew: %i connections of a user', async (most) => {
    await begin(most);
    for (let times = 0; times < 4; times += 1) {
      for (let n = 0; n < 2; n += 1) expect(await last.ask('prove', 1)).toEqual({ ok: true });
      expect([await isBack(), await heardBy('mine:1')]).toEqual([true, 1]);
    }
    expect(await isBack()).toBe(false);
  });

  test('is had back no further by the proof of one who may not have another connection', async () => {
    await begin(1);
    await last.ask('prove', 1);
    const other = await Client.connect(at, 99);
    await other.ask('prove', 2);
    expect(await isBack()).toBe(true);
    expect(await last.ask('prove', 2)).toMatchObject({ error: { code: 'rate_limited' } });
    expect([await isBack(), await heardBy('mine:1')]).toEqual([false, 0]);
  });

  test('is had back once where all that is known of the proof is when it ends', async () => {
    await begin(20);
    await last.ask('prove until', at.clock.now() + 24 * 60 * MINUTE);
    expect([await isBack(), await isBack(), await heardBy('mine:1')]).toEqual([true, false, 0]);
  });

  test('is a new one where its row, of an earlier version, does not say when it was proven', async () => {
    await begin(20);
    await last.ask('prove', 1);
    const rows = (await at.table.rows()).map(({ provenOn: _, ...row }) => row);
    await at.table.restore(rows);
    expect([await isBack(), await heardBy('mine:1')]).toEqual([false, 0]);
  });

  test.each([
    ['the event', 8, 4],
    ['the handshake', 4, 8],
  ])('ends, once it is had back, with the proof that ends first: that of %s', async (_, handshake, event) => {
    await begin(20);
    const start = at.clock.now();
    expect(await last.ask('prove until', start + event * MINUTE)).toEqual({ ok: true });
    await at.lifecycle.disconnected(last.connectionId);
    last = await Client.connect(at, 2, { auth: { pid, until: start + handshake * MINUTE } });
    expect(pidOf(last)).toBe(pid);
    for (let minute = 1; minute < 4; minute += 1) {
      at.clock.advance(MINUTE);
      await at.sweeper.sweep();
    }
    expect(await isOpen(last.connectionId)).toBe(true);
    at.clock.advance(MINUTE);
    await at.sweeper.sweep();
    expect(await isOpen(last.connectionId)).toBe(false);
  });

  test('that was never proven so is had back any number of times', async () => {
    await begin(20);
    for (let times = 0; times < 4; times += 1) expect(await isBack()).toBe(true);
  });
});
