import type { Pacer } from './pacing.ts';
import type { FrameWire, Metrics, PostOutcome } from './ports.ts';

/** A wire whose posts wait for their turn, and tell the pacer how they ended, and operators which were throttled. */
export class PacedWire implements FrameWire {
  readonly #wire: FrameWire;
  readonly #pacer: Pacer;
  readonly #metrics: Metrics;

  constructor(wire: FrameWire, pacer: Pacer, metrics: Metrics) {
    this.#wire = wire;
    this.#pacer = pacer;
    this.#metrics = metrics;
  }

  async post(connectionId: string, frame: string): Promise<PostOutcome> {
    await this.#pacer.take();
    const outcome = await this.#wire.post(connectionId, frame);
    this.#pacer.settled(outcome);
    if (outcome === 'throttled') this.#metrics.count('Throttled', 1);
    return outcome;
  }

  close(connectionId: string): Promise<boolean> {
    return this.#wire.close(connectionId);
  }
}
