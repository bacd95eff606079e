/**
 * The clock of a function: the machine's plus the offset that the host keeps in shared memory. A test that moves the
 * stack's time is seen at once, in the middle of an event too, and the function's code knows nothing of it.
 *
 * Moved are `Date` and `performance`. Timers (`setTimeout`) and `process.hrtime` stay real: a function that sleeps
 * sleeps in real time, whatever hour it is.
 */

/** Replaces the global `Date` and the time of `performance` in this thread. `offset` holds one BigInt64 of ms. */
export function moveClock(offset: SharedArrayBuffer): void {
  const shared = new BigInt64Array(offset);
  const shiftMs = () => Number(Atomics.load(shared, 0));
  moveDate(shiftMs);
  movePerformance(shiftMs);
}

/** `Date` itself stays what it is, behind a proxy: its prototype, `UTC`, `parse`, `instanceof` and subclasses work. */
function moveDate(shiftMs: () => number): void {
  const RealDate = Date;
  const realNow = RealDate.now;
  const now = () => realNow() + shiftMs();
  RealDate.now = now;
  const moved = new Proxy(RealDate, {
    construct: (target, args, newTarget) =>
      Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget),
    apply: () => new RealDate(now()).toString(),
  });
  RealDate.prototype.constructor = moved;
  globalThis.Date = moved;
}

/** `timeOrigin + now()` stays the time of day; `now()` of a fresh instance begins near zero. */
function movePerformance(shiftMs: () => number): void {
  const realNow = performance.now.bind(performance);
  const atStartMs = shiftMs();
  const timeOrigin = performance.timeOrigin + atStartMs;
  Object.defineProperty(performance, 'now', { value: () => realNow() + shiftMs() - atStartMs });
  Object.defineProperty(performance, 'timeOrigin', { value: timeOrigin });
}
