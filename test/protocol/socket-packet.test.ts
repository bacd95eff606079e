import { decodePacket } from 'engine.io-parser';
import fc from 'fast-check';
import { Decoder, Encoder, type Packet } from 'socket.io-parser';
import { describe, expect, test } from 'vitest';
import { ProtocolError } from '../../lambdas/protocol/protocol-error.ts';
import {
  decodeSocketPacket,
  PacketType,
  socketFrames,
  withAttachments,
} from '../../lambdas/protocol/socket-packet.ts';

/** What the stock client makes of frames: Engine.IO's parser, then Socket.IO's. */
function clientReads(frames: readonly string[]): Packet[] {
  const packets: Packet[] = [];
  const decoder = new Decoder();
  decoder.on('decoded', (packet: Packet) => packets.push(packet));
  for (const frame of frames) {
    const { type, data } = decodePacket(frame, 'nodebuffer');
    expect(type).toBe('message');
    decoder.add(data);
  }
  return packets;
}

const namespace = fc.oneof(fc.constant('/'), fc.stringMatching(/^\/[a-z0-9:_-]{1,12}$/));
const eventName = fc
  .string()
  .filter((name) => !/^(connect|connect_error|disconnect(ing)?|newListener|removeListener)$/.test(name));
/** JSON as text keeps it, without keys that mean something to the parser or to the language. */
const json = fc
  .jsonValue()
  .map((value) => JSON.stringify(value))
  .filter((text) => !/_placeholder|__proto__/.test(text))
  .map((text) => JSON.parse(text) as unknown);
const bytes = fc.uint8Array({ maxLength: 40 }).map((value) => Buffer.from(value));

describe('a packet the server sends', () => {
  test('is read back by the stock client, whatever its JSON, namespace and id', () => {
    const id = fc.option(fc.nat(), { nil: undefined });
    fc.assert(
      fc.property(namespace, eventName, fc.array(json), id, (nsp, event, args, ackId) => {
        const type = ackId === undefined ? PacketType.EVENT : PacketType.ACK;
        const data = type === PacketType.EVENT ? [event, ...args] : args;
        const frames = socketFrames({
          type,
          namespace: nsp,
          data,
          ...(ackId === undefined ? {} : { id: ackId }),
        });
        expect(frames).toHaveLength(1);
        const [packet] = clientReads(frames);
        expect(packet).toMatchObject({ type, nsp });
        expect(packet!.data).toStrictEqual(data);
        expect(packet!.id).toBe(ackId);
      }),
    );
  });

  test('carries binary values as text frames after it, and the stock client puts them back', () => {
    const value = fc.oneof(
      json,
      bytes,
      fc.record({ file: bytes, name: fc.string() }, { noNullPrototype: true }),
      fc.array(bytes, { maxLength: 2 }),
    );
    fc.assert(
      fc.property(
        namespace,
        eventName,
        fc.array(value, { maxLength: 4 }),
        bytes,
        (nsp, event, args, last) => {
          const data = [event, ...args, last];
          const [head, ...attachments] = socketFrames({ type: PacketType.EVENT, namespace: nsp, data });
          expect(head).toMatch(/^45\d+-/);
          for (const frame of attachments) expect(frame).toMatch(/^b[A-Za-z0-9+/]*=*$/);
          const packets = clientReads([head!, ...attachments]);
          expect(packets).toHaveLength(1);
          expect(packets[0]).toMatchObject({ nsp });
          expect(packets[0]!.data).toStrictEqual(data);
        },
      ),
    );
  });

  test('takes only its own bytes from a view into a larger buffer', () => {
    const view = new Uint8Array([1, 2, 3, 4, 5]).subarray(1, 4);
    const frames = socketFrames({ type: PacketType.EVENT, namespace: '/', data: ['e', view] });
    expect(frames[1]).toBe('bAgME');
  });

  test.each([
    [{ type: PacketType.CONNECT, namespace: '/', data: { sid: 'x' } }, '40{"sid":"x"}'],
    [{ type: PacketType.CONNECT, namespace: '/sync', data: { sid: 'x' } }, '40/sync,{"sid":"x"}'],
    [{ type: PacketType.DISCONNECT, namespace: '/' }, '41'],
    [{ type: PacketType.DISCONNECT, namespace: '/sync' }, '41/sync,'],
    [
      { type: PacketType.CONNECT_ERROR, namespace: '/sync', data: { message: 'no' } },
      '44/sync,{"message":"no"}',
    ],
    [{ type: PacketType.ACK, namespace: '/', id: 0, data: [] }, '430[]'],
  ])('%o is the frame %s', (packet, frame) => {
    expect(socketFrames(packet)).toEqual([frame]);
  });
});

describe('a packet a client sends', () => {
  const encoder = new Encoder();

  test('is read as it was written by the stock encoder', () => {
    const id = fc.option(fc.nat(), { nil: undefined });
    fc.assert(
      fc.property(namespace, eventName, fc.array(json), id, (nsp, event, args, ackId) => {
        const data = [event, ...args];
        const packet = { type: PacketType.EVENT, nsp, data, ...(ackId === undefined ? {} : { id: ackId }) };
        const [text] = encoder.encode(packet);
        expect(decodeSocketPacket(String(text))).toStrictEqual({
          type: PacketType.EVENT,
          namespace: nsp,
          data,
          ...(ackId === undefined ? {} : { id: ackId }),
        });
      }),
    );
  });

  test.each([
    ['0', { type: PacketType.CONNECT, namespace: '/' }],
    ['0{"token":"t"}', { type: PacketType.CONNECT, namespace: '/', data: { token: 't' } }],
    ['0/sync,', { type: PacketType.CONNECT, namespace: '/sync' }],
    ['1/sync,', { type: PacketType.DISCONNECT, namespace: '/sync' }],
    ['37["a"]', { type: PacketType.ACK, namespace: '/', id: 7, data: ['a'] }],
  ])('%s is read as %o', (text, packet) => {
    expect(decodeSocketPacket(text)).toStrictEqual(packet);
  });

  test.each([
    ['an unknown type', '7["a"]'],
    ['broken JSON', '2["a"'],
    ['an event without an array', '2{"a":1}'],
    ['an event without data', '2'],
    ['an event without data in a namespace, with an id', '2/sync,7'],
    ['an event without a name', '2[]'],
    ['an event named by an object', '2[{}]'],
    ['a reserved event', '2["disconnect"]'],
    ['a DISCONNECT with data', '1{"a":1}'],
    ['a CONNECT with an array', '0["a"]'],
    ['the header of a binary event', '51-["a",{"_placeholder":true,"num":0}]'],
    ['a binary event without attachments', '50-["a"]'],
    ['more attachments than any parser takes', '511-["a"]'],
    ['a binary acknowledgement', '61-0[{"_placeholder":true,"num":0}]'],
  ])('that is %s is a parse error', (_, text) => {
    expect(() => decodeSocketPacket(text)).toThrow(
      expect.objectContaining({ name: 'ProtocolError', reason: 'parse error' }),
    );
  });

  test('whatever it is, throws nothing but a ProtocolError', () => {
    const shaped = fc
      .tuple(
        fc.constantFrom(...'0123456'),
        fc.constantFrom('', '/,', '/sync,', '1-', '99-'),
        fc.constantFrom('', '0', '12345678901234567890'),
        fc.oneof(fc.json(), fc.string({ unit: 'binary' }), fc.constant('[')),
      )
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), shaped), (text) => {
        try {
          decodeSocketPacket(text);
        } catch (error) {
          expect(error).toBeInstanceOf(ProtocolError);
        }
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('attachments beside placeholders', () => {
  test('are put back where the stock encoder took them from', () => {
    const value = fc.oneof(
      json,
      bytes,
      bytes.map((file) => ({ deep: { file } })),
    );
    const values = fc.array(value, { maxLength: 6 });
    fc.assert(
      fc.property(values, bytes, (some, last) => {
        const args = [...some, last];
        const [head, ...buffers] = new Encoder().encode({
          type: PacketType.EVENT,
          nsp: '/',
          data: ['e', ...args],
        });
        const [, ...placeholders] = JSON.parse(String(head).replace(/^5\d+-/, '')) as unknown[];
        expect(withAttachments(placeholders, buffers)).toStrictEqual(args);
      }),
    );
  });

  test('where there are none leave the values alone, also those that look like placeholders', () => {
    const values = [1, { _placeholder: true, num: 0 }];
    expect(withAttachments(values, [])).toStrictEqual(values);
  });

  test.each([
    ['names an attachment that is not there', { _placeholder: true, num: 1 }],
    ['counts backwards', { _placeholder: true, num: -1 }],
    ['has no number', { _placeholder: true }],
    ['has text for a number', { _placeholder: true, num: '0' }],
  ])('are refused where a placeholder %s', (_, placeholder) => {
    expect(() => withAttachments([placeholder], [Buffer.from('x')])).toThrow(ProtocolError);
  });

  test('are refused where there are more than any client takes', () => {
    const many = Array.from({ length: 11 }, () => Buffer.from('x'));
    expect(() => withAttachments([], many)).toThrow(ProtocolError);
  });
});
