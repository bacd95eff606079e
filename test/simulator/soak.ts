/**
 * Many seeds at once, in two processes, then many hostile inputs; or one seed again, with its trace.
 *   npm run soak -- --seeds 1000 --from 1 [--steps 200] [--inputs 10000]
 *   npm run soak -- --seed 17 --trace
 */
import { fork } from 'node:child_process';
import { parseArgs } from 'node:util';
import { PROPERTIES } from '../fuzz/properties.ts';
import { failure } from './failure.ts';
import { simulate } from './simulation.ts';

const PROCESSES = 2;

/** What its seeds came to, as a process tells the one that shares them out. */
interface Sum {
  heard: number;
  repeats: number;
  recovered: number;
}

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    from: { type: 'string', default: '1' },
    steps: { type: 'string', default: '200' },
    /** Of each property of `test/fuzz`. */
    inputs: { type: 'string', default: '10000' },
    seed: { type: 'string' },
    trace: { type: 'boolean', default: false },
    /** Every which seed is this process's own; set by the process that shares them out. */
    every: { type: 'string' },
  },
});
/** A number of the command line, or an end that says which one is none. */
function whole(name: 'seeds' | 'seed' | 'from' | 'steps' | 'inputs' | 'every', text: string): number {
  const number = Number(text);
  if (Number.isInteger(number) && number > 0) return number;
  console.error(`--${name} must be a whole number from 1 on, not "${text}"`);
  process.exit(2);
}

const steps = whole('steps', values.steps);
const inputs = whole('inputs', values.inputs);

if (values.seed !== undefined) await one(whole('seed', values.seed));
else if (values.every !== undefined)
  await range(whole('from', values.from), whole('seeds', values.seeds), whole('every', values.every));
else share(whole('from', values.from), whole('seeds', values.seeds));

async function one(seed: number): Promise<void> {
  const { trace, violations } = await simulate({ seed, steps, traced: values.trace });
  for (const line of trace) console.log(line);
  report(seed, violations);
}

async function range(from: number, count: number, every: number): Promise<void> {
  const sum: Sum = { heard: 0, repeats: 0, recovered: 0 };
  for (let seed = from; seed < from + count; seed += every) {
    const { heard, recovered, repeats, violations } = await simulate({ seed, steps });
    report(seed, violations);
    sum.heard += heard.websocket + heard.polling + heard.upgraded;
    sum.repeats += repeats;
    sum.recovered += recovered;
  }
  process.send?.(sum);
}

function report(seed: number, violations: readonly string[]): void {
  if (violations.length === 0) return;
  console.error(failure(seed, steps, violations));
  process.exitCode = 1;
}

function share(from: number, count: number): void {
  const begun = Date.now();
  const all: Sum = { heard: 0, repeats: 0, recovered: 0 };
  let running = PROCESSES;
  for (let index = 0; index < PROCESSES; index += 1) {
    const own = { from: from + index, seeds: count - index, steps, every: PROCESSES };
    const args = Object.entries(own).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const child = fork(import.meta.filename, args);
    child.on('message', (sum: Sum) => {
      for (const key of ['heard', 'repeats', 'recovered'] as const) all[key] += sum[key];
    });
    child.on('exit', (code) => {
      if (code !== 0) process.exitCode = 1;
      running -= 1;
      if (running > 0) return;
      const seconds = ((Date.now() - begun) / 1_000).toFixed(0);
      console.log(`${count} seeds of ${steps} steps from ${from} in ${seconds} s`);
      const { heard, recovered, repeats } = all;
      const percent = ((100 * repeats) / Math.max(heard, 1)).toFixed(2);
      console.log(`${heard} events heard, ${percent} % of them again; ${recovered} sessions recovered`);
      void fuzz();
    });
  }
}

async function fuzz(): Promise<void> {
  for (const [name, holds] of Object.entries(PROPERTIES)) {
    const begun = Date.now();
    try {
      await holds(inputs);
      console.log(`${inputs} inputs in ${((Date.now() - begun) / 1_000).toFixed(0)} s: ${name}`);
    } catch (error) {
      console.error(`NOT KEPT: ${name}\n`, error);
      process.exitCode = 1;
    }
  }
}
