/** What an attacker would send: packets that are nearly right, long runs of one thing, and noise. */
import fc from 'fast-check';
import { hostileName } from '../support/hostile.ts';

/** The most that API Gateway hands over or a front door lets through. */
const MAX_BYTES = 131_072;
const MAX_FRAME_BYTES = 32_768;

/** Values that are JSON and nothing good. */
const EVIL_JSON = [
  '{"__proto__":{"polluted":true}}',
  '{"constructor":{"prototype":{"polluted":true}}}',
  '["__proto__",{"__proto__":{"polluted":true}}]',
  '[{"toString":"x","valueOf":1}]',
  '["event",{"_placeholder":true,"num":"__proto__"}]',
  '["event",{"_placeholder":true,"num":-1}]',
  '["event",{"_placeholder":true,"num":1e9}]',
  '["\\ud800","\\udfff"]',
  '["join",{"room":"\\ud800"}]',
  '["join",{"room":"\\u0000"}]',
  '["event",1e999,-0,1e-999]',
  '[',
  '"',
  '{}',
  '[]',
  'null',
];

const json = fc.oneof(
  fc.constantFrom(...EVIL_JSON),
  fc.json(),
  eventOf(fc.constantFrom('join', 'say', 'nothing')),
);
const RUNS = [
  '[',
  '{"a":',
  '[{"a":',
  '{"__proto__":',
  '0',
  '9',
  '-',
  '/',
  ',',
  ' ',
  '"',
  '\\',
  '\x1e',
  '3\x1e',
  '\u00e9',
  '\ud800',
  'a',
  '40/',
  '_placeholder',
];

function eventOf(name: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return fc
    .tuple(name, fc.oneof(fc.jsonValue(), fc.record({ room: hostileName })))
    .map((each) => JSON.stringify(each));
}

/** One thing many times over, between others. */
function runs(most: number): fc.Arbitrary<string> {
  return fc
    .tuple(
      fc.constantFrom('', '4', '42', '42["', '42[', '451-', '40', '43', '0', '2', 'b', '42/'),
      fc.constantFrom(...RUNS),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.constantFrom('', ']', '"]', ',', '[]', '}'),
    )
    .map(([before, piece, share, after]) => {
      const room = most - 3 * (before.length + after.length);
      return `${before}${piece.repeat(Math.floor((share * room) / Buffer.byteLength(piece)))}${after}`;
    });
}

/** JSON that is right and as deep as there is room for. */
function nested(most: number): fc.Arbitrary<string> {
  return fc
    .tuple(
      fc.constantFrom(['[', ']'], ['{"a":', '}'], ['[{"__proto__":', '}]']),
      fc.constantFrom('42["say",', '420["say",', '40{"token":', '430[', '451-["say",'),
      fc.double({ min: 0, max: 1, noNaN: true }),
    )
    .map(([[open = '', close = ''], before, share]) => {
      const depth = Math.floor((share * (most - 40)) / (open.length + close.length));
      return `${before}${open.repeat(depth)}0${close.repeat(depth)}${before.startsWith('40') ? '}' : ']'}`;
    });
}

/** A Socket.IO packet with every part wrong in its own way. */
export const packet: fc.Arbitrary<string> = fc
  .tuple(
    fc.constantFrom(...'01234567x'),
    fc.constantFrom('', '', '', '1-', '0-', '-1-', '1.5-', '10-', '11-', '999999999-', '1e1-', '-', ' -'),
    fc.oneof(
      fc.constantFrom('', '', '/', '/,', '/other,', '/__proto__,'),
      hostileName.map((name) => `/${name},`),
    ),
    fc.constantFrom('', '', '0', '7', '00', '-1', '9007199254740993', '1'.repeat(400), ' ', '1e3'),
    json,
  )
  .map((parts) => parts.join(''));

function texts(most: number): fc.Arbitrary<string> {
  return fc
    .oneof(
      { weight: 20, arbitrary: packet.map((text) => `4${text}`) },
      { weight: 6, arbitrary: fc.string({ unit: 'binary', maxLength: 200 }) },
      {
        weight: 1,
        arbitrary: fc
          .tuple(fc.constantFrom(...'0123456b9'), fc.string({ unit: 'binary' }))
          .map((parts) => parts.join('')),
      },
      { weight: 2, arbitrary: runs(most) },
      { weight: 1, arbitrary: nested(most) },
    )
    .filter((text) => Buffer.byteLength(text) <= most);
}

/** Of at most 128 KB. */
export const anyText = texts(MAX_BYTES);
/** As large as a frame may be: a larger one closes the connection before anybody reads it. */
export const anyFrame = texts(MAX_FRAME_BYTES);
/** A body of long polling. */
export const anyPayload = fc
  .array(
    fc.oneof(
      packet.map((text) => `4${text}`),
      fc.constantFrom('3', '6', 'bAAAA', '1', '2probe', '5', ''),
    ),
    { maxLength: 12 },
  )
  .map((frames) => frames.join('\x1e'))
  .filter((text) => Buffer.byteLength(text) <= MAX_FRAME_BYTES);
