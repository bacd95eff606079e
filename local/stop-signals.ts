const INTERRUPTED = 130;

/** Ctrl-C and SIGTERM: the first one while the stack is up lets it drain, any other one ends the process at once. */
export class StopSignals {
  #stop: () => void = () => process.exit(0);

  constructor() {
    process.on('SIGINT', () => this.#stop());
    process.on('SIGTERM', () => this.#stop());
  }

  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#stop = () => {
        this.#stop = () => process.exit(INTERRUPTED);
        resolve();
      };
    });
  }
}
