import type { Pacer } from './pacing.ts';
import type { FrameWire, PostOutcome } from './ports.ts';

/** A wire whose posts wait for their turn, and tell the pacer how they ended. */
export class PacedWire implements FrameWire {
  readonly #wire: FrameWire;
  readonly #pacer: Pacer;

  constructor(wire: FrameWire, pacer: Pacer) {
    this.#wire = wire;
    this.#pacer = pacer;
  }

  async post(connectionId: string, frame: string): Promise<PostOutcome> {
    await this.#pacer.take();
    const outcome = await this.#wire.post(connectionId, frame);
    this.#pacer.settled(outcome);
    return outcome;
  }

  close(connectionId: string): Promise<boolean> {
    return this.#wire.close(connectionId);
  }
}
