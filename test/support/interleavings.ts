/**
 * Runs small pieces of work in every order that their DynamoDB calls can interleave: each call is one atomic step,
 * and after each step any of the waiting ones may be next.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';

export interface Exploration {
  /** Orders that were run to their end; orders that meet a state seen before are not followed again. */
  readonly runs: number;
  /** Violated promise → the order of calls that broke it first. */
  readonly violations: ReadonlyMap<string, string>;
}

interface Waiting {
  readonly worker: number;
  readonly name: string;
  readonly go: () => void;
}

/** One for all gates: each storage that was ever used costs every promise a little. */
const currentWorker = new AsyncLocalStorage<number>();

/** Holds every call back until the explorer lets it go, and remembers what each worker was answered. */
export class Gate {
  readonly #waiting: Waiting[] = [];
  /** For each worker what it asked and was answered; what it asked at the same time, in any order. */
  readonly #history: string[][] = [];
  #closed = false;
  #inFlight = 0;

  /** A client whose calls pass through the gate. */
  client(inner: DynamoDBDocumentClient): DynamoDBDocumentClient {
    const send = async (command: { constructor: { name: string }; input: unknown }): Promise<unknown> => {
      const worker = currentWorker.getStore();
      if (worker === undefined) return inner.send(command as never);
      const name = command.constructor.name.replace('Command', '');
      await this.#pass(worker, `${worker}.${name}`);
      this.#inFlight += 1;
      try {
        const answer: object = await inner.send(command as never);
        this.#note(worker, [command.input, { ...answer, $metadata: undefined }]);
        return answer;
      } catch (error) {
        this.#note(worker, [command.input, String(error)]);
        throw error;
      } finally {
        this.#inFlight -= 1;
      }
    };
    return { send } as unknown as DynamoDBDocumentClient;
  }

  run(worker: number, work: () => Promise<unknown>): Promise<unknown> {
    this.#history[worker] = [];
    this.#closed = true;
    return currentWorker.run(worker, work);
  }

  open(): void {
    this.#closed = false;
    for (const { go } of this.#waiting.splice(0)) go();
  }

  get waiting(): readonly Waiting[] {
    return this.#waiting;
  }

  get busy(): boolean {
    return this.#inFlight > 0;
  }

  /** Where every worker is: decided by what it asked and was answered. */
  get progress(): string {
    return JSON.stringify([this.#history, this.#waiting.map(({ name }) => name).sort()]);
  }

  release(chosen: Waiting): string {
    this.#waiting.splice(this.#waiting.indexOf(chosen), 1);
    chosen.go();
    return chosen.name;
  }

  async #pass(worker: number, name: string): Promise<void> {
    if (!this.#closed) return;
    await new Promise<void>((go) => {
      this.#waiting.push({ worker, name, go });
    });
  }

  #note(worker: number, what: unknown): void {
    const hash = createHash('sha1').update(JSON.stringify(what)).digest('hex');
    this.#history[worker]?.push(hash);
    this.#history[worker]?.sort();
  }
}

export interface Scenario<W> {
  /** A fresh world, whose calls pass the gate, in the state before the race. */
  readonly prepare: (gate: Gate) => Promise<W>;
  readonly work: readonly ((world: W) => Promise<unknown>)[];
  /** The whole shared state, as text. */
  readonly state: (world: W) => Promise<string>;
  /** What is wrong when everything has ended; undefined where nothing is. */
  readonly check: (world: W) => Promise<string | undefined>;
  /**
   * How often another goes on in the place of one that could. Few of them show nearly every race (Musuvathi and Qadeer,
   * "Iterative context bounding", PLDI 2007), in a fraction of the orders. @default any number
   */
  readonly mostSwitches?: number;
}

/** Depth-first over all orders, each run from a fresh world. */
export async function explore<W>(scenario: Scenario<W>): Promise<Exploration> {
  const violations = new Map<string, string>();
  const seen = new Set<string>();
  let runs = 0;
  let choices: number[] | undefined = [];
  while (choices !== undefined) {
    const run: Run = await runOnce(scenario, choices, seen);
    if (!run.cut) runs += 1;
    if (run.violation !== undefined && !violations.has(run.violation)) {
      violations.set(run.violation, run.trace.join(' > '));
    }
    choices = nextChoices(run.taken, run.alternatives);
  }
  return { runs, violations };
}

interface Run {
  readonly taken: readonly number[];
  readonly alternatives: readonly number[];
  readonly trace: readonly string[];
  readonly violation: string | undefined;
  /** The run met a state that another order had led to. */
  readonly cut: boolean;
}

async function runOnce<W>(
  scenario: Scenario<W>,
  choices: readonly number[],
  seen: Set<string>,
): Promise<Run> {
  const gate = new Gate();
  const world = await scenario.prepare(gate);
  let running = scenario.work.length;
  const errors: unknown[] = [];
  const ended = scenario.work.map(async (work, worker) => {
    try {
      await gate.run(worker, () => work(world));
    } catch (error) {
      errors.push(error);
    }
    running -= 1;
  });
  const taken: number[] = [];
  const alternatives: number[] = [];
  const trace: string[] = [];
  const switches = new Switches(scenario.mostSwitches);
  let cut = false;
  for (;;) {
    await quiet(gate, () => running === 0);
    if (running === 0) break;
    const open = switches.allowed(gate.waiting);
    if (taken.length >= choices.length) {
      const state = `${switches.state}${gate.progress}${await scenario.state(world)}`;
      cut = seen.has(state);
      if (cut) break;
      seen.add(state);
    }
    const choice = choices[taken.length] ?? 0;
    taken.push(choice);
    alternatives.push(open.length);
    const next = open[choice];
    if (next === undefined) throw new Error('nobody waits there');
    switches.to(next, gate.waiting);
    trace.push(gate.release(next));
  }
  gate.open();
  await Promise.all(ended);
  if (errors.length > 0) throw errors[0];
  return { taken, alternatives, trace, cut, violation: cut ? undefined : await scenario.check(world) };
}

/** Who may be next, where it may not be switched as often as one likes. */
class Switches {
  #left: number;
  #last: number | undefined;

  constructor(most = Number.POSITIVE_INFINITY) {
    this.#left = most;
  }

  allowed(waiting: readonly Waiting[]): readonly Waiting[] {
    const own = waiting.filter(({ worker }) => worker === this.#last);
    return this.#left === 0 && own.length > 0 ? own : waiting;
  }

  to({ worker }: Waiting, waiting: readonly Waiting[]): void {
    if (worker !== this.#last && waiting.some((each) => each.worker === this.#last)) this.#left -= 1;
    this.#last = worker;
  }

  /** What else decides who may be next. */
  get state(): string {
    return Number.isFinite(this.#left) ? `${this.#left} ${this.#last} ` : '';
  }
}

/** Until everybody waits at the gate or has ended. */
async function quiet(gate: Gate, ended: () => boolean): Promise<void> {
  do {
    await setImmediate();
    await setImmediate();
    if (ended()) return;
  } while (gate.busy || gate.waiting.length === 0);
}

function nextChoices(taken: readonly number[], alternatives: readonly number[]): number[] | undefined {
  for (let depth = taken.length - 1; depth >= 0; depth -= 1) {
    const choice = taken[depth] ?? 0;
    if (choice + 1 < (alternatives[depth] ?? 0)) return [...taken.slice(0, depth), choice + 1];
  }
  return undefined;
}
