/** Values of the store's port, as fast-check makes them up. */
import fc from 'fast-check';
import type { Connection, Handshake, Json, SocketRecord } from '../../lambdas/bus/ports.ts';

/** 11 bytes of base64url with padding: what API Gateway gives out. */
export const canonicalConnectionId = fc
  .uint8Array({ minLength: 11, maxLength: 11 })
  .map((bytes) => `${Buffer.from(bytes).toString('base64url')}=`);

export const socketId = fc
  .uint8Array({ minLength: 15, maxLength: 15 })
  .map((bytes) => Buffer.from(bytes).toString('base64url'));

const millis = fc.integer({ min: 0, max: 4_102_444_800_000 });
/** The SDK takes a map with the key `constructor` for an instance of a class. */
const key = fc
  .string({ unit: 'grapheme', minLength: 1 })
  .filter((text) => text !== '__proto__' && text !== 'constructor');
const record = <T>(value: fc.Arbitrary<T>) => fc.dictionary(key, value, { noNullPrototype: true });
/** What JSON text keeps. */
const json = fc
  .jsonValue()
  .map((value) => JSON.stringify(value))
  .filter((text) => !/"(__proto__|constructor)"/.test(text))
  .map((text) => JSON.parse(text) as Json);

const handshake: fc.Arbitrary<Handshake> = fc.record(
  {
    headers: record(fc.string()),
    query: record(fc.string()),
    address: fc.ipV4(),
    secure: fc.boolean(),
    xdomain: fc.boolean(),
    issued: millis,
  },
  { noNullPrototype: true },
);

export const connectionRecord: fc.Arbitrary<Connection> = fc.record(
  {
    id: fc.oneof(canonicalConnectionId, fc.string({ minLength: 1 })),
    open: fc.boolean(),
    connectedAt: millis,
    handshake,
    credentials: record(json),
    namespaces: record(socketId),
    left: record(millis),
  },
  { noNullPrototype: true },
);

export const socketRecord: fc.Arbitrary<SocketRecord> = fc.record(
  {
    namespace: fc.string({ unit: 'grapheme' }).map((text) => `/${text}`),
    id: socketId,
    connectionId: fc.oneof(canonicalConnectionId, fc.string({ unit: 'grapheme', minLength: 1 })),
    state: fc.constantFrom('pending' as const, 'open' as const, 'closed' as const),
    connectedAt: millis,
    rooms: record(millis),
    identities: record(json),
    data: record(json),
    handshake,
    hooksDue: fc.boolean(),
  },
  { noNullPrototype: true },
);
