/** Random numbers that a seed makes again, for everything here that goes wrong on purpose. */
import { createHash } from 'node:crypto';

/** The next number in [0, 1). */
export type Random = () => number;

/** One of any number of independent sequences of a seed. */
export function seededRandom(seed: number | string, sequence: number | string): Random {
  return mulberry32(createHash('sha256').update(`${seed}#${sequence}`).digest().readUInt32LE());
}

/** Numbers in [0, 1) from 32 bits of seed (Tommy Ettinger's mulberry32, public domain). */
export function mulberry32(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), 1 | state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
}
