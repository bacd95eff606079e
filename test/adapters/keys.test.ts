import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  ackKey,
  checkpointKey,
  connectionBytes,
  connectionKey,
  connectionText,
  DUE_SHARDS,
  directoryKey,
  dueKey,
  duePartition,
  groupKey,
  HOT_SHARDS,
  idBytes,
  idText,
  logKey,
  memberKey,
  pollKey,
  presenceKey,
  publicationKey,
  type RowKey,
  SWEEP_KEY,
  slotMemberId,
  socketKey,
} from '../../lambdas/adapters/keys.ts';
import { membershipRow } from '../../lambdas/adapters/rows.ts';
import type { Due, Group } from '../../lambdas/bus/ports.ts';
import { hostileName } from '../support/hostile.ts';
import { canonicalConnectionId, socketId } from './arbitraries.ts';

const hex = (value: Uint8Array) => Buffer.from(value).toString('hex');
const place = ({ p, s }: RowKey) => `${hex(p)}/${hex(s)}`;

/** Names that try to be two names: separators, lengths, digits and the words of the hash itself. */
const trickyName = fc
  .array(fc.constantFrom('\0', ':', '/', '1', '2', 'a', 'room', 'slot', 'namespace', 'é', '😀', ','), {
    maxLength: 5,
  })
  .map((parts) => parts.join(''));
const name = fc.oneof(trickyName, fc.string({ unit: 'grapheme' }));

describe('the partition of a group', () => {
  test('is never shared by two different pairs of namespace and room', () => {
    fc.assert(
      fc.property(name, name, name, name, (ns1, room1, ns2, room2) => {
        const one = groupKey({ kind: 'room', namespace: ns1, room: room1 }, 0);
        const other = groupKey({ kind: 'room', namespace: ns2, room: room2 }, 0);
        expect(hex(one) === hex(other)).toBe(ns1 === ns2 && room1 === room2);
      }),
      { numRuns: 2_000 },
    );
  });

  test.each([
    [
      ['/a', 'b'],
      ['/', 'ab'],
    ],
    [
      ['/a', '\0b'],
      ['/a\0', 'b'],
    ],
    [
      ['/a:', 'b'],
      ['/a', ':b'],
    ],
    [
      ['/', '4:room1:/'],
      ['/4:room1:', '/'],
    ],
    // Composed and decomposed forms are different names to a Socket.IO server too.
    [
      ['/', '\u00e9'],
      ['/', 'e\u0301'],
    ],
  ])('differs between %j and %j', (one, other) => {
    const key = ([namespace, room]: string[]) =>
      hex(groupKey({ kind: 'room', namespace: namespace!, room: room! }, 0));
    expect(key(one)).not.toBe(key(other));
  });

  test('of a room is never that of a namespace or of a slot', () => {
    fc.assert(
      fc.property(name, name, fc.nat(480), (namespace, room, slot) => {
        const groups: Group[] = [
          { kind: 'room', namespace, room },
          { kind: 'namespace', namespace },
          { kind: 'slot', slot },
        ];
        expect(new Set(groups.map((group) => hex(groupKey(group, 0)))).size).toBe(3);
      }),
    );
  });

  test('differs by shard, and the shard of a member is one that the group has', () => {
    const group: Group = { kind: 'namespace', namespace: '/' };
    const shards = Array.from({ length: HOT_SHARDS }, (_, shard) => hex(groupKey(group, shard)));
    expect(new Set(shards).size).toBe(HOT_SHARDS);
    fc.assert(
      fc.property(socketId, (id) => {
        expect(shards).toContain(hex(memberKey(group, idBytes(id), HOT_SHARDS).p));
        expect(hex(memberKey(group, idBytes(id), 1).p)).toBe(shards[0]);
      }),
    );
  });

  test('spreads the members of a hot group evenly over its shards', () => {
    const counts = new Map<string, number>();
    for (let i = 0; i < 1_600; i += 1) {
      const { p } = memberKey({ kind: 'slot', slot: 0 }, slotMemberId(`connection ${i}`), HOT_SHARDS);
      counts.set(hex(p), (counts.get(hex(p)) ?? 0) + 1);
    }
    expect(counts.size).toBe(HOT_SHARDS);
    for (const count of counts.values()) expect(count).toBeGreaterThan(50);
  });
});

describe('rows of different kinds', () => {
  test('never share a key, whatever the names in them are', () => {
    fc.assert(
      fc.property(
        canonicalConnectionId,
        socketId,
        name,
        fc.nat(4_000_000),
        (connectionId, id, text, minute) => {
          const keys = [
            connectionKey(connectionId),
            connectionKey(text),
            socketKey({ namespace: text, id }),
            memberKey({ kind: 'room', namespace: '/', room: text }, idBytes(id), 1),
            dueKey({ kind: 'recycle', at: minute * 60_000, connectionId }),
            SWEEP_KEY,
          ];
          expect(new Set(keys.map(place)).size).toBe(keys.length);
        },
      ),
    );
  });

  test('of one socket id in two namespaces are two rows', () => {
    fc.assert(
      fc.property(socketId, name, name, (id, one, other) => {
        fc.pre(one !== other);
        expect(place(socketKey({ namespace: one, id }))).not.toBe(place(socketKey({ namespace: other, id })));
      }),
    );
  });
});

describe('a name that a client or an application chose', () => {
  /** Every key that a name goes into, as it is made of two of them. */
  const KEYS: Readonly<Record<string, (one: string, other: string) => RowKey>> = {
    room: (namespace, room) => memberKey({ kind: 'room', namespace, room }, idBytes('A'.repeat(20)), 1),
    namespace: (namespace) => memberKey({ kind: 'namespace', namespace }, idBytes('A'.repeat(20)), 1),
    slot: () => memberKey({ kind: 'slot', slot: 1 }, idBytes('A'.repeat(20)), 1),
    socket: (namespace) => socketKey({ namespace, id: 'A'.repeat(20) }),
    directory: directoryKey,
    presence: (namespace, room) => presenceKey({ namespace, room, who: 'ana' }, 1),
    who: (namespace, who) => presenceKey({ namespace, room: 'room', who }, 1),
    log: (namespace, room) => logKey({ kind: 'room', namespace, room }, 1, 'A'.repeat(20)),
    'log of all': (namespace) => logKey({ kind: 'namespace', namespace }, 1, 'A'.repeat(20)),
    publication: publicationKey,
    ack: (namespace) => ackKey({ namespace, id: 1 }),
    checkpoint: (one, other) => checkpointKey(one + other),
    connection: connectionKey,
    poll: pollKey,
  };
  const BOTH = ['room', 'directory', 'presence', 'log', 'publication'];
  const pair = fc.tuple(hostileName, hostileName);

  test.each(BOTH)('makes another %s key than any other two names', (kind) => {
    fc.assert(
      fc.property(pair, pair, ([one, other], [third, fourth]) => {
        fc.pre([one, other, third, fourth].every((text) => text.isWellFormed()));
        const made = [KEYS[kind]!(one, other), KEYS[kind]!(third, fourth)].map(place);
        expect(made[0] === made[1]).toBe(one === third && other === fourth);
        // What is cut elsewhere is another pair of names.
        const moved = [one + other.slice(0, 1), other.slice(1)] as const;
        if (moved[0] !== one) expect(place(KEYS[kind]!(...moved))).not.toBe(made[0]);
      }),
      { numRuns: 500 },
    );
  });

  test('never reaches a row of another kind, nor the one row of the sweep', () => {
    fc.assert(
      fc.property(hostileName, hostileName, (one, other) => {
        const keys = [...Object.values(KEYS).map((make) => place(make(one, other))), place(SWEEP_KEY)];
        expect(new Set(keys).size).toBe(keys.length);
      }),
      { numRuns: 500 },
    );
  });

  test('makes a key of a few bytes, however long it is', () => {
    fc.assert(
      fc.property(hostileName, hostileName, (one, other) => {
        for (const kind of [...BOTH, 'namespace', 'socket', 'who', 'ack', 'checkpoint']) {
          const { p, s } = KEYS[kind]!(one, other);
          expect(p.length).toBeLessThanOrEqual(40);
          expect(s.length).toBeLessThanOrEqual(40);
        }
      }),
    );
  });
});

describe('a connection id', () => {
  test('of API Gateway takes 11 bytes and comes back as it was', () => {
    fc.assert(
      fc.property(canonicalConnectionId, (id) => {
        expect(connectionBytes(id)).toHaveLength(11);
        expect(connectionText(connectionBytes(id))).toBe(id);
      }),
    );
  });

  test('of any other form comes back as it was', () => {
    const almost = canonicalConnectionId.map((id) => id.slice(0, -1));
    const standard = fc
      .uint8Array({ minLength: 11, maxLength: 11 })
      .map((b) => Buffer.from(b).toString('base64'));
    const tenBytes = fc.stringMatching(/^[A-Za-z0-9-]{10}$/);
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'grapheme' }), almost, standard, tenBytes), (id) => {
        expect(connectionText(connectionBytes(id))).toBe(id);
      }),
      { numRuns: 1_000 },
    );
  });

  test('never has the bytes of another', () => {
    const anyId = fc.oneof(
      canonicalConnectionId,
      fc.stringMatching(/^[A-Za-z0-9-]{8,12}$/),
      // What the bytes of a ten character id would be, were they taken for a canonical one.
      fc
        .stringMatching(/^[A-Za-z0-9-]{10}$/)
        .map((text) => `${Buffer.from([0xff, ...Buffer.from(text)]).toString('base64url')}=`),
    );
    fc.assert(
      fc.property(anyId, anyId, (one, other) => {
        expect(hex(connectionBytes(one)) === hex(connectionBytes(other))).toBe(one === other);
      }),
    );
    const ten = 'connection';
    const twin = `${Buffer.from([0xff, ...Buffer.from(ten)]).toString('base64url')}=`;
    expect(hex(connectionBytes(ten))).not.toBe(hex(connectionBytes(twin)));
  });
});

test('a socket id takes 15 bytes and comes back as it was', () => {
  fc.assert(
    fc.property(socketId, (id) => {
      expect(idBytes(id)).toHaveLength(15);
      expect(idText(idBytes(id))).toBe(id);
    }),
  );
});

test('a thousand membership rows cost at most 15 read units', () => {
  fc.assert(
    fc.property(
      canonicalConnectionId,
      socketId,
      name,
      fc.nat(4_102_444_800_000),
      (connectionId, id, room, at) => {
        const key = memberKey({ kind: 'room', namespace: '/', room }, idBytes(id), 1);
        const bytes = rowBytes(membershipRow(key, connectionId, at));
        expect(bytes).toBeLessThanOrEqual(61);
        expect(Math.ceil((1_000 * bytes) / 4_096)).toBeLessThanOrEqual(15);
      },
    ),
  );
});

/** Bytes that DynamoDB counts: names in UTF-8, binary as it is, numbers a byte for two digits and one more. */
function rowBytes(row: Record<string, unknown>): number {
  let sum = 0;
  for (const [attribute, value] of Object.entries(row)) {
    sum += Buffer.byteLength(attribute);
    if (value instanceof Uint8Array) sum += value.length;
    else if (typeof value === 'number') sum += Math.ceil(String(value).length / 2) + 1;
    else throw new Error(`${attribute} is neither binary nor a number`);
  }
  return sum;
}

describe('a due row', () => {
  const due = (at: number): Due => ({ kind: 'namespace', at, connectionId: 'c' });
  const partitionOf = (row: Due) => hex(dueKey(row).p).slice(0, 10);

  test('belongs to the first minute that begins when it is due or later', () => {
    expect(partitionOf(due(60_000))).toBe(hex(duePartition(1, 0)).slice(0, 10));
    expect(partitionOf(due(60_001))).toBe(hex(duePartition(2, 0)).slice(0, 10));
    expect(partitionOf(due(119_999))).toBe(hex(duePartition(2, 0)).slice(0, 10));
  });

  test('lies in a shard that is swept', () => {
    fc.assert(
      fc.property(fc.string(), (connectionId) => {
        const { p } = dueKey({ kind: 'recycle', at: 0, connectionId });
        expect(p.at(-1)).toBeLessThan(DUE_SHARDS);
      }),
    );
  });

  test('has a key of its own for each kind, connection and socket', () => {
    const socket = { namespace: '/', id: 'A'.repeat(20) };
    const rows: Due[] = [
      { kind: 'namespace', at: 0, connectionId: 'c' },
      { kind: 'recycle', at: 0, connectionId: 'c' },
      { kind: 'recycle', at: 0, connectionId: 'd' },
      { kind: 'pending', at: 0, connectionId: 'c', socket },
      { kind: 'expiry', at: 0, connectionId: 'c', socket },
      { kind: 'expiry', at: 0, connectionId: 'c', socket: { ...socket, namespace: '/sync' } },
      { kind: 'expiry', at: 0, connectionId: 'c', socket: { ...socket, id: 'B'.repeat(20) } },
    ];
    expect(new Set(rows.map((row) => place(dueKey(row)))).size).toBe(rows.length);
  });
});
