import fc from 'fast-check';
import { expect, it } from 'vitest';
import { FrameGauge } from '../../../local/gateway/frame-gauge.ts';

const LIMIT = 300;

/** A masked frame of the given opcode and payload length, with the shortest length field. */
function frame(opcode: number, length: number): Buffer {
  const head = length < 126 ? Buffer.from([opcode, 0x80 | length]) : Buffer.alloc(length < 65_536 ? 4 : 10);
  if (length >= 126) head.set([opcode, 0x80 | (length < 65_536 ? 126 : 127)]);
  if (length >= 126 && length < 65_536) head.writeUInt16BE(length, 2);
  if (length >= 65_536) head.writeBigUInt64BE(BigInt(length), 2);
  // A payload that would be misread as headers if the walk lost its place.
  return Buffer.concat([head, Buffer.alloc(4 + length, 0xff)]);
}

const lengths = fc.oneof(
  fc.integer({ min: 0, max: 400 }),
  fc.constantFrom(125, 126, 299, 300, 301, 65_535, 65_536),
);
const opcodes = fc.constantFrom(0x0, 0x1, 0x2, 0x81, 0x80, 0x82);
const frames = fc.array(fc.tuple(opcodes, lengths), { maxLength: 8 });

it('says that a stream exceeds exactly when one of its data frames does, however the stream is cut', () => {
  fc.assert(
    fc.property(frames, fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1 }), (list, cuts) => {
      const stream = Buffer.concat(list.map(([opcode, length]) => frame(opcode, length)));
      const gauge = new FrameGauge(LIMIT);
      let found = false;
      for (let at = 0, turn = 0; at < stream.length && !found; turn++) {
        const step = cuts[turn % cuts.length]!;
        found = gauge.exceeds(stream.subarray(at, at + step));
        at += step;
      }
      expect(found).toBe(list.some(([, length]) => length > LIMIT));
    }),
  );
});

it('does not count control frames between the fragments of a message', () => {
  const gauge = new FrameGauge(4);
  const stream = [frame(0x01, 4), frame(0x89, 125), frame(0x80, 4)];
  expect(gauge.exceeds(Buffer.concat(stream))).toBe(false);
});

it('decides on the header alone', () => {
  const gauge = new FrameGauge(LIMIT);
  expect(gauge.exceeds(frame(0x81, 301).subarray(0, 4))).toBe(true);
});
