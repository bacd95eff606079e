import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { connectionBytes, idBytes, memberKey } from '../../lambdas/adapters/keys.ts';
import {
  closedEnd,
  connectionRow,
  dueRow,
  expired,
  lifetimeEnd,
  membershipRow,
  readDue,
  readMember,
  socketRow,
} from '../../lambdas/adapters/rows.ts';
import type { Due } from '../../lambdas/bus/ports.ts';
import { canonicalConnectionId, connectionRecord, socketId, socketRecord } from './arbitraries.ts';

describe('a row is read as what it was made of', () => {
  test('for a member of a group, with its last pong where it has one', () => {
    fc.assert(
      fc.property(canonicalConnectionId, socketId, fc.nat(), (connectionId, id, seen) => {
        const key = memberKey({ kind: 'namespace', namespace: '/' }, idBytes(id), 16);
        const row = membershipRow(key, connectionId, 0);
        expect(readMember(row)).toStrictEqual({ id, connectionId });
        expect(readMember({ ...row, seen })).toStrictEqual({ id, connectionId, seen });
      }),
    );
  });

  test.each<Due>([
    { kind: 'namespace', at: 1, connectionId: 'c' },
    { kind: 'recycle', at: 2, connectionId: 'c' },
    { kind: 'pending', at: 3, connectionId: 'c', socket: { namespace: '/', id: 'A'.repeat(20) } },
    { kind: 'expiry', at: 4, connectionId: 'c', socket: { namespace: '/x', id: 'B'.repeat(20) } },
    {
      kind: 'presence',
      at: 5,
      connectionId: 'c',
      socket: { namespace: '/x', id: 'B'.repeat(20) },
      room: 'r',
      who: 7,
    },
  ])('for what is due: $kind', (due) => {
    expect(readDue(dueRow(due))).toStrictEqual(due);
  });

  test('for what is due to a whole socket, of which only the key is kept', () => {
    fc.assert(
      fc.property(socketRecord, (socket) => {
        const row = dueRow({ kind: 'pending', at: 1, connectionId: 'c', socket });
        expect(row.socket).toStrictEqual({ namespace: socket.namespace, id: socket.id });
      }),
    );
  });
});

describe('a row says when it may be deleted', () => {
  test('in whole seconds, and never before the time it was given', () => {
    fc.assert(
      fc.property(fc.nat(4_102_444_800_000), (at) => {
        for (const end of [lifetimeEnd(at), closedEnd(at)]) expect(Number.isInteger(end)).toBe(true);
        expect(lifetimeEnd(at) * 1_000).toBeGreaterThanOrEqual(at + 135 * 60_000);
        expect(closedEnd(at) * 1_000).toBeGreaterThanOrEqual(at + 15 * 60_000);
        // A closed row leads a repeated cleanup to its memberships, however late that comes.
        expect(closedEnd(at)).toBeGreaterThanOrEqual(lifetimeEnd(at));
      }),
    );
  });

  test('and counts as absent from that second on', () => {
    expect(expired({ t: 10 }, 9_999)).toBe(false);
    expect(expired({ t: 10 }, 10_000)).toBe(true);
    expect(expired({}, Number.MAX_SAFE_INTEGER)).toBe(false);
  });
});

describe('every row carries a version', () => {
  test('except memberships, which have no byte to spare', () => {
    const [connection] = fc.sample(connectionRecord, 1);
    const [socket] = fc.sample(socketRecord, 1);
    expect(connectionRow(connection!).v).toBe(1);
    expect(socketRow(socket!).v).toBe(1);
    expect(dueRow({ kind: 'recycle', at: 0, connectionId: 'c' }).v).toBe(1);
    const key = memberKey({ kind: 'slot', slot: 0 }, connectionBytes('c'), 16);
    expect(Object.keys(membershipRow(key, 'c', 0)).sort()).toEqual(['c', 'p', 's', 't']);
  });
});
