/** Names and texts that somebody would choose to do harm. */
import fc from 'fast-check';

/** Separators of other systems, what keys are made of here, and what every object has. */
const PIECES = [
  '#',
  '/',
  ':',
  ',',
  '\0',
  '\\',
  '"',
  '*',
  '%23',
  '..',
  '\u2028',
  '\u202e',
  '\ufeff',
  'é',
  'e\u0301',
  '😀',
  '\ud800',
  '1:',
  '4:room',
  'room',
  'slot',
  'namespace',
  'whole namespace',
  'presence',
  '$grants#',
  '__proto__',
  'constructor',
  'toString',
];

/** Up to a little more than the 2 KB that a name may have. */
export const hostileName: fc.Arbitrary<string> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.array(fc.constantFrom(...PIECES), { maxLength: 6 }).map((parts) => parts.join('')),
  },
  { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength: 40 }) },
  { weight: 1, arbitrary: fc.stringMatching(/^[\w-]{20}$/) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom('a', '#', 'é', '😀'), fc.integer({ min: 400, max: 2_100 }))
      .map(([letter, count]) => letter.repeat(count)),
  },
);
