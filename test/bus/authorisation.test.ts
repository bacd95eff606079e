/** Who may be in a room, and what a name can reach: over hostile names, on the real rows. */
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import * as z from 'zod/mini';
import { defineApp } from '../../lambdas/apps/define-app.ts';
import { Client } from '../apps/client.ts';
import { hostileName } from '../support/hostile.ts';
import { type World, world } from '../support/world.ts';

const ROOMS = {
  'open:': { canJoin: () => true },
  'open:not:': { canJoin: () => false },
  'odd:': { canJoin: () => 'yes' as unknown as boolean },
  'closed:': {},
};
const anything = z.object({ room: z.string() });
/** Does whatever a client asks for, so that nothing but the bus stands in the way. */
const willing = (
  name: string,
  namespace: string,
  rooms: Record<string, { readonly canJoin?: () => boolean }> = OTHERS,
) =>
  defineApp({
    name,
    namespace,
    rooms,
    serverEvents: { said: z.string() },
    clientEvents: {
      join: { payload: anything, handle: (socket, { room }) => socket.join(room) },
      leave: { payload: anything, handle: (socket, { room }) => socket.leave(room) },
      say: { payload: anything, handle: (socket, { room }) => socket.to(room).emit('said', room) },
    },
  });
const OTHERS = { 'theirs:': { canJoin: () => true } };
const neighbour = defineApp({ name: 'neighbour', rooms: OTHERS });

let at: World;
let mallory: Client;
let victim: Client;
beforeEach(async () => {
  const applications = [willing('willing', '/', ROOMS), neighbour, willing('other', '/other')];
  at = await world({ applications });
  mallory = await Client.connect(at, 1);
  victim = await Client.connect(at, 2);
});

const ask = async (event: string, room: string) =>
  ((await mallory.ask(event, { room })) as { ok: boolean; error?: { code: string } }) ?? { ok: false };
const audience = async (target: { rooms?: string[]; namespace?: string }) => {
  const answer = await at.publisher.handle({ op: 'emit', event: 'any', ...target });
  return (answer as { audience?: number }).audience;
};
const roomsOf = async (client: Client) =>
  Object.keys((await at.store.socket({ namespace: '/', id: client.id }))?.rooms ?? {});

describe('a room', () => {
  test('is joined by name only where its application says so, whatever the name', {
    timeout: 60_000,
  }, async () => {
    const prefix = fc.constantFrom(
      '',
      'open:',
      'open:not:',
      'closed:',
      'odd:',
      'theirs:',
      'OPEN:',
      ' open:',
      'open',
    );
    const name = fc.tuple(prefix, hostileName).map((parts) => parts.join(''));
    await fc.assert(
      fc.asyncProperty(name, async (room) => {
        const isOpen = room.startsWith('open:') && !room.startsWith('open:not:');
        const isName = room.isWellFormed() && Buffer.byteLength(room) <= 2_048;
        // Nobody is limited who asks once in ten seconds.
        at.clock.advance(10_000);
        const { ok, error } = await ask('join', room);
        expect(ok).toBe(isOpen && isName);
        if (!ok) expect(error?.code).toBe(isName && room !== '' ? 'forbidden' : 'invalid_payload');
        expect(await roomsOf(mallory)).toEqual(ok ? [room] : []);
        if (!isName || room === '') return;
        expect(await audience({ rooms: [room] })).toBe(ok ? 1 : 0);
        if (ok) expect(await ask('leave', room)).toMatchObject({ ok: true });
      }),
      { numRuns: 200 },
    );
  });

  test('of another socket’s own id is neither joined nor left', async () => {
    expect(await ask('join', victim.id)).toMatchObject({ error: { code: 'forbidden' } });
    expect(await ask('leave', victim.id)).toMatchObject({ error: { code: 'forbidden' } });
    expect(await audience({ rooms: [victim.id] })).toBe(1);
    await at.publisher.handle({ op: 'emit', rooms: [victim.id], event: 'private' });
    expect(mallory.heard('private')).toEqual([]);
    expect(victim.events().map(({ event }) => event)).toContain('private');
  });

  test('of another application is neither joined, nor left, nor written to', async () => {
    for (const event of ['join', 'leave', 'say'])
      expect(await ask(event, 'theirs:1')).toMatchObject({ error: { code: 'forbidden' } });
  });

  test('that holds everybody of a namespace, or a slot of the heartbeat, has no name', async () => {
    const before = (await at.table.rows()).length;
    for (const room of [
      '/',
      '',
      'namespace',
      'whole namespace',
      'slot',
      'slot:0',
      '0',
      '\u0000',
      '*',
      '#',
      '/#',
    ])
      expect((await ask('join', room)).ok).toBe(false);
    expect(await audience({})).toBe(2);
    expect((await at.table.rows()).filter(({ p }) => isMembership(p)).length).toBeLessThanOrEqual(before);
    expect(await roomsOf(mallory)).toEqual([]);
  });
});

describe('a namespace', () => {
  test('hears nothing of another, though their rooms and socket ids have the same names', async () => {
    const other = await Client.connect(at, 3, { namespace: '/other' });
    await ask('join', 'open:1');
    await other.emit('join', { room: 'theirs:1' });
    expect(await audience({ namespace: '/other', rooms: ['open:1'] })).toBe(0);
    expect(await audience({ namespace: '/', rooms: ['theirs:1'] })).toBe(0);
    expect(await audience({ namespace: '/other', rooms: [mallory.id, victim.id] })).toBe(0);
    expect(await audience({ namespace: '/other' })).toBe(1);
    expect(mallory.events().length + victim.events().length).toBe(0);
  });

  test('that nobody serves is refused, whatever its name', async () => {
    await fc.assert(
      fc.asyncProperty(hostileName, async (name) => {
        const text = name.replaceAll(',', '');
        fc.pre(text !== '' && text !== 'other');
        // A CONNECT counts as ten packets.
        at.clock.advance(1_000);
        const sent = at.wire.framesTo(mallory.connectionId).length;
        await at.messages.handle(mallory.connectionId, `40/${text},{}`);
        const [reply = ''] = at.wire.framesTo(mallory.connectionId).slice(sent);
        expect(reply).toBe(`44/${text},{"message":"Invalid namespace"}`);
      }),
      { numRuns: 50 },
    );
    expect((await at.store.connection(mallory.connectionId))?.namespaces).toEqual({ '/': mallory.id });
  });

  test('does not take events of a client that has not joined it', async () => {
    await at.messages.handle(mallory.connectionId, '42/other,["join",{"room":"theirs:1"}]');
    expect(mallory.cut).toBe(true);
    expect(await audience({ namespace: '/other', rooms: ['theirs:1'] })).toBe(0);
  });
});

function isMembership(p: Record<string, unknown> | undefined): boolean {
  return Buffer.from(String(p?.B), 'base64')[0] === 'm'.charCodeAt(0);
}
