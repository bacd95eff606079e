/** Time and chance, as the runtime gives them. */
import { randomBytes } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import type { Clock, Random } from '../bus/ports.ts';

export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: async (ms) => {
    await setTimeout(ms);
  },
};

export const systemRandom: Random = {
  bytes: (length) => randomBytes(length),
  float: () => Math.random(),
};
