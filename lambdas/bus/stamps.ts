import type { Clock, Millis } from './ports.ts';

/** The time, and never the same twice: what one instance publishes keeps its order in the log. */
export function stamps(clock: Pick<Clock, 'now'>): () => Millis {
  let last = 0;
  return () => {
    last = Math.max(clock.now(), last + 1);
    return last;
  };
}
