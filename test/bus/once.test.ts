import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { beforeEach, describe, expect, test } from 'vitest';
import { defineApp } from '../../lambdas/apps/define-app.ts';
import { LEASE_MS } from '../../lambdas/bus/once.ts';
import { parseOffset } from '../../lambdas/contract/offsets.ts';
import type { EmitResult } from '../../lambdas/contract/publish.ts';
import { connected, FakeClock, joinedNamespace, type World, world } from '../support/world.ts';

const app = defineApp({ name: 'rooms', rooms: { 'room:': { canJoin: () => true } } });
const bare = defineApp({ name: 'bare', namespace: '/bare', recovery: false, rooms: { 'room:': {} } });
const REQUEST = { op: 'emit', rooms: ['room:a'], event: 'said', args: [{ n: 1 }], id: 'order-7' } as const;

let at: World;
let connection: string;

beforeEach(async () => {
  at = await world({ applications: [app, bare], clock: new FakeClock() });
  connection = await connected(at, 1);
  const id = await joinedNamespace(at, connection);
  const ref = { namespace: '/', id, connectionId: connection, connectedAt: at.clock.now() };
  await at.store.join(ref, ['room:a'], at.clock.now());
});

const publish = (change: object = {}, where = at) => where.publisher.handle({ ...REQUEST, ...change });
const heard = (where = at) =>
  where.wire.framesTo(connection).flatMap((frame) => {
    const offset = /"([0-9a-z]{9}[\w-]{20})"\]$/.exec(frame)?.[1];
    return frame.startsWith('42["said"') ? [parseOffset(offset)?.id] : [];
  });

describe('a message that has a name', () => {
  test('is published once however often it is asked for, and answered the same each time', async () => {
    const first = await publish();
    expect(first).toMatchObject({ ok: true, id: 'order-7', audience: 1, posted: 1 });
    at.clock.advance(60 * 60_000);
    expect(await publish()).toEqual(first);
    expect(heard()).toHaveLength(1);
  });

  test.each([
    ['other arguments', { args: [{ n: 2 }] }],
    ['another event', { event: 'shown' }],
    ['other rooms', { rooms: ['room:b'] }],
    ['other exceptions', { except: ['room:b'] }],
    ['another way', { flags: { volatile: true } }],
  ])('is refused by the field with %s, and nothing is sent', async (_what, change) => {
    await publish();
    expect(await publish(change)).toMatchObject({
      ok: false,
      error: { code: 'invalid_payload', field: 'id', retryable: false },
    });
    expect(heard()).toHaveLength(1);
  });

  test('is another one in another namespace', async () => {
    await publish();
    expect(await publish({ namespace: '/bare' })).toMatchObject({ ok: true, audience: 0, offset: null });
  });

  test('is the same with its rooms in another order', async () => {
    const rooms = ['room:a', 'room:b'];
    await publish({ rooms });
    expect(await publish({ rooms: [...rooms].reverse() })).toMatchObject({ ok: true });
    expect(heard()).toHaveLength(1);
  });

  test('is asked for twice at once: both are told when it is done, and not before', async () => {
    let posted: () => void = () => {};
    const untilPosted = new Promise<void>((resolve) => {
      posted = resolve;
    });
    const { post } = at.wire;
    at.wire.post = async (id, frame) => {
      if (frame.startsWith('42["said"')) await untilPosted;
      return post.call(at.wire, id, frame);
    };
    let second: unknown;
    const one = publish();
    const other = publish().then((result) => {
      second = result;
    });
    const impatient = await publish();
    expect(impatient).toMatchObject({ ok: false, error: { code: 'in_progress', retryable: true } });
    expect(second === undefined || (second as { ok: boolean }).ok === false).toBe(true);
    posted();
    expect(await one).toMatchObject({ ok: true });
    await other;
    expect(heard()).toHaveLength(1);
  });

  test('is forgotten after a day', async () => {
    await publish();
    at.clock.advance(24 * 60 * 60_000 + 1_000);
    await publish({ args: [{ n: 2 }] });
    // Its members have expired by then; that it is published is what counts.
    expect(
      await at.bus.eventLog.read(
        { kind: 'room', namespace: '/', room: 'room:a' },
        { from: at.clock.now() - 1_000, limit: 9 },
      ),
    ).toHaveLength(1);
  });

  test('that failed may be tried again at once', async () => {
    const { eventLog } = at.bus;
    const { append } = eventLog;
    eventLog.append = async () => {
      throw new Error('no log');
    };
    expect(await publish()).toMatchObject({ ok: false, error: { code: 'internal', retryable: true } });
    eventLog.append = append;
    expect(await publish()).toMatchObject({ ok: true, posted: 1 });
    expect(heard()).toHaveLength(1);
  });

  test('is answered only once where the log is off, too', async () => {
    const bareRequest = { namespace: '/bare', rooms: [] };
    const first = await publish(bareRequest);
    expect(first).toMatchObject({ ok: true, offset: null });
    expect(await publish(bareRequest)).toEqual(first);
  });
});

/** Dies at its nth call of the table: that call and all later ones never return. */
function dying(calls: number, effect: 'before' | 'after') {
  let left = calls;
  return (client: DynamoDBDocumentClient) =>
    ({
      send: async (command: never) => {
        left -= 1;
        if (left > 0) return client.send(command);
        if (left === 0 && effect === 'after') await client.send(command);
        died();
        return new Promise(() => {});
      },
    }) as unknown as DynamoDBDocumentClient;
}
let died: () => void = () => {};

describe.each(['before', 'after'] as const)('a publish whose function dies', (effect) => {
  // Claim, log, membership, mark, end.
  test.each([1, 2, 3, 4, 5])(
    `${effect} call %i has its effect is done by the next one, as the same message`,
    async (call) => {
      const dead = new Promise<void>((resolve) => {
        died = resolve;
      });
      const doomed = await world({
        applications: [app, bare],
        clock: at.clock,
        rows: await at.table.rows(),
        client: dying(call, effect),
      });
      void publish({}, doomed);
      await dead;
      const after = await world({
        applications: [app, bare],
        clock: at.clock,
        rows: await doomed.table.rows(),
      });
      at.clock.advance(LEASE_MS + 1);
      const result = (await publish({}, after)) as EmitResult;
      expect(result).toMatchObject({ ok: true, id: 'order-7' });
      const all = [...heard(doomed), ...heard(after)];
      expect(all.length).toBeGreaterThanOrEqual(1);
      expect(all.length).toBeLessThanOrEqual(2);
      expect(new Set(all).size).toBe(1);
      expect(await publish({}, after)).toEqual(result);
      expect([...heard(doomed), ...heard(after)]).toEqual(all);
    },
  );
});
