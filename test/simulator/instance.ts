/**
 * One instance of a function: the server with ports of its own, one event at a time, frozen in between. Every call
 * through a port waits its time, and may be the one at which the instance dies.
 */
import type { Ground } from './ground.ts';

/** More calls than any event needs: whoever makes them does not stop by itself. */
const MOST_CALLS = { sweep: 20_000, other: 2_000 };

/** What became of one attempt of a call. */
export type Attempt<T> =
  | { readonly answer: T }
  | { readonly failure: unknown }
  /** The client library tries again by itself. */
  | { readonly againAfter: number };

export interface Invocation {
  readonly label: string;
  calls: number;
  /** The call at which the instance dies, and whether that call still has its effect. */
  readonly fatal: { readonly call: number; readonly effect: boolean } | undefined;
  readonly died: () => void;
}

export class Instance {
  readonly label: string;
  readonly #ground: Ground;
  readonly #mostCalls: number;
  #invocation: Invocation | undefined;
  #isDead = false;
  /** Answers that came while the instance was frozen. */
  readonly #held: (() => void)[] = [];

  constructor(
    ground: Ground,
    name: string,
    number: number,
    mostCalls = name === 'sweep' ? MOST_CALLS.sweep : MOST_CALLS.other,
  ) {
    this.#ground = ground;
    this.label = `${name}.${number}`;
    this.#mostCalls = mostCalls;
  }

  thaw(invocation: Invocation): void {
    this.#invocation = invocation;
    for (const settle of this.#held.splice(0)) settle();
  }

  freeze(): void {
    this.#invocation = undefined;
  }

  die(): void {
    this.#isDead = true;
    this.#invocation?.died();
  }

  /** A call to the world. Its attempts run one after the other, each after its latency. */
  port<T>(label: () => string, usualMs: number, attempt: () => Attempt<T>): Promise<T> {
    const fatal = this.#count();
    if (this.#isDead) return new Promise(() => {});
    return new Promise((resolve, reject) => {
      const run = (): void => {
        if (this.#isDead) return;
        if (fatal?.effect === false) {
          this.#dieAt(label);
          return;
        }
        const outcome = attempt();
        if ('againAfter' in outcome) {
          this.#ground.trace(() => `${this.label} ${label()}: again`);
          this.#ground.scheduler.after(outcome.againAfter, run);
          return;
        }
        if (fatal !== undefined) {
          this.#dieAt(label);
          return;
        }
        this.#ground.trace(() => `${this.label} ${label()}${ending(outcome)}`);
        this.#settle(() => ('answer' in outcome ? resolve(outcome.answer) : reject(outcome.failure)));
      };
      this.#ground.scheduler.after(this.#ground.chance.latency(usualMs), run);
    });
  }

  sleep(ms: number): Promise<void> {
    const fatal = this.#count();
    return new Promise((resolve) => {
      this.#ground.scheduler.after(ms, () => {
        if (fatal === undefined) this.#settle(resolve);
        else this.#dieAt(() => 'sleep');
      });
    });
  }

  #settle(settle: () => void): void {
    if (this.#isDead) return;
    if (this.#invocation === undefined) this.#held.push(settle);
    else settle();
  }

  /** Whether this call is the one that kills. */
  #count(): Invocation['fatal'] {
    const invocation = this.#invocation;
    if (invocation === undefined || this.#isDead) return undefined;
    invocation.calls += 1;
    if (invocation.calls > this.#mostCalls) {
      this.#ground.violation(`${invocation.label} makes call after call`);
      this.die();
    }
    return invocation.calls === invocation.fatal?.call ? invocation.fatal : undefined;
  }

  #dieAt(label: () => string): void {
    this.#ground.trace(() => `${this.label} ${label()}: killed here`);
    this.die();
  }
}

function ending(outcome: { readonly answer: unknown } | { readonly failure: unknown }): string {
  if ('failure' in outcome) return ` !! ${(outcome.failure as Error).name}`;
  return typeof outcome.answer === 'string' ? `: ${outcome.answer}` : '';
}
