/** Time as the gateway sees it: injectable, so that two hours pass in a test without waiting for them. */
export interface GatewayClock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Runs `task` once, `delayMs` from now, unless the returned handle is cleared before. */
  setTimeout(task: () => void, delayMs: number): unknown;
  clearTimeout(handle: unknown): void;
}

/** The machine's own time. Its timers never keep the process alive: the listening server does that. */
export const systemClock: GatewayClock = {
  now: () => Date.now(),
  setTimeout: (task, delayMs) => setTimeout(task, delayMs).unref(),
  clearTimeout: (handle) => clearTimeout(handle as NodeJS.Timeout | undefined),
};
