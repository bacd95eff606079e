/** What holds for whatever comes in: nothing takes long, and nothing stays. */
import assert from 'node:assert/strict';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Milliseconds of processor that one input may take. */
const MOST_MS = 20;
/** Others share the processor and its caches, and code gets faster with use: the fastest of so many tries is what it takes. */
const TRIES = 12;
const MOST_KEPT_BYTES = 4 * 1_024 * 1_024;

/** @throws AssertionError where it takes longer every time */
export function quick(act: () => void): void {
  let fastest = Number.POSITIVE_INFINITY;
  for (let tries = 0; tries < TRIES && fastest > MOST_MS; tries += 1) {
    const begun = performance.now();
    const before = process.cpuUsage();
    act();
    const wall = performance.now() - begun;
    const { user, system } = process.cpuUsage(before);
    // Of the processor's time the part that was ours: on a busy machine most of the wall's is somebody else's.
    fastest = Math.min(fastest, wall, (user + system) / 1_000);
  }
  assert.ok(fastest <= MOST_MS, `it took ${fastest.toFixed(1)} ms, more than ${MOST_MS}`);
}

/** @throws AssertionError where something has got into what every object inherits */
export function unpolluted(): void {
  for (const prototype of [Object.prototype, Array.prototype, Function.prototype])
    assert.deepEqual(Object.keys(prototype), []);
  assert.equal(({} as { polluted?: unknown }).polluted, undefined);
}

/** @throws AssertionError where memory is kept that was not before */
export function keepsNothing(act: () => void): void {
  const before = heapBytes();
  act();
  const kept = heapBytes() - before;
  assert.ok(kept < MOST_KEPT_BYTES, `${kept} bytes are kept`);
}

function heapBytes(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}
