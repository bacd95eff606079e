import { decodePacket, encodePacket, type Packet } from 'engine.io-parser';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeEnginePacket, openFrame, PING_FRAME } from '../../lambdas/protocol/engine-packet.ts';
import { ProtocolError } from '../../lambdas/protocol/protocol-error.ts';

const OPEN = {
  sid: 'AAAAAAAAAAAAAAAAAAAA',
  upgrades: [],
  pingInterval: 240_000,
  pingTimeout: 120_000,
  maxPayload: 32_768,
};

/** A frame as the stock client writes it. */
function clientFrame(packet: Packet): string {
  let frame = '';
  encodePacket(packet, true, (encoded) => {
    frame = String(encoded);
  });
  return frame;
}

describe('the open packet', () => {
  test('is read by the stock parser and has exactly the five keys of the handshake', () => {
    const packet = decodePacket(openFrame(OPEN), 'nodebuffer');
    expect(packet.type).toBe('open');
    expect(JSON.parse(packet.data)).toStrictEqual(OPEN);
  });

  test('leaves out whatever else its maker carried along', () => {
    const carried = { ...OPEN, secret: 'no business of the client' };
    expect(Object.keys(JSON.parse(openFrame(carried).slice(1)))).toEqual([
      'sid',
      'upgrades',
      'pingInterval',
      'pingTimeout',
      'maxPayload',
    ]);
  });
});

test('the ping frame is a ping to the stock parser', () => {
  expect(decodePacket(PING_FRAME, 'nodebuffer')).toEqual({ type: 'ping' });
});

describe('a frame of a client', () => {
  test('that carries a message comes out as it went in', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (data) => {
        expect(decodeEnginePacket(clientFrame({ type: 'message', data }))).toEqual({ type: 'message', data });
      }),
    );
  });

  test('that carries binary data comes out with the same bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        const frame = `b${Buffer.from(bytes).toString('base64')}`;
        const packet = decodeEnginePacket(frame);
        expect(packet.type).toBe('binary');
        expect(Buffer.from(packet.data).equals(bytes)).toBe(true);
      }),
    );
  });

  test.each(['ping', 'pong', 'close', 'upgrade', 'noop'] as const)('of type %s keeps its type', (type) => {
    expect(decodeEnginePacket(clientFrame({ type }))).toEqual({ type, data: '' });
    expect(decodeEnginePacket(clientFrame({ type, data: 'probe' }))).toEqual({ type, data: 'probe' });
  });

  test('that is an empty message is a message', () => {
    expect(decodeEnginePacket('4')).toEqual({ type: 'message', data: '' });
  });

  test.each([
    ['nothing', ''],
    ['an unknown type', '9'],
    ['a letter', 'x'],
    ['an open packet, which only a server sends', '0{}'],
    ["API Gateway's own error frame", '{"message": "Internal server error"}'],
  ])('that is %s is a parse error', (_, frame) => {
    expect(() => decodeEnginePacket(frame)).toThrow(
      expect.objectContaining({ name: 'ProtocolError', reason: 'parse error' }),
    );
  });

  test('whatever it is, throws nothing but a ProtocolError', () => {
    const prefixed = fc.tuple(fc.constantFrom(...'0123456789b'), fc.string({ unit: 'binary' }));
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: 'binary' }),
          prefixed.map(([p, s]) => p + s),
        ),
        (frame) => {
          try {
            decodeEnginePacket(frame);
          } catch (error) {
            expect(error).toBeInstanceOf(ProtocolError);
          }
        },
      ),
      { numRuns: 1_000 },
    );
  });
});
