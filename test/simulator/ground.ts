/** What all parts of one simulated world share. */
import type { Chance, Faults } from './chance.ts';
import type { Scheduler } from './scheduler.ts';

export class Ground {
  readonly scheduler: Scheduler;
  readonly chance: Chance;
  /** Replaced when the faults stop. */
  faults: Faults;
  /** No fault happens from begin to end: stronger promises hold. */
  readonly isFaultless: boolean;
  readonly violations: string[] = [];
  readonly #lines: string[] | undefined;
  readonly #begun: number;

  constructor(scheduler: Scheduler, chance: Chance, faults: Faults, traced: boolean) {
    this.scheduler = scheduler;
    this.chance = chance;
    this.faults = faults;
    this.isFaultless = Object.values(faults).every((rate) => rate === 0);
    this.#lines = traced ? [] : undefined;
    this.#begun = scheduler.now();
  }

  get lines(): readonly string[] {
    return this.#lines ?? [];
  }

  /** Made only where somebody reads it: lines cost more than what they tell of. */
  trace(line: () => string): void {
    this.#lines?.push(`${this.seconds(this.scheduler.now())} ${line()}`);
  }

  violation(text: string): void {
    this.violations.push(`${this.seconds(this.scheduler.now())} ${text}`);
    this.trace(() => `VIOLATION: ${text}`);
  }

  seconds(time: number): string {
    return `${((time - this.#begun) / 1_000).toFixed(3)}s`;
  }
}
