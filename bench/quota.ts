/**
 * How long a broadcast takes against what the account's quota allows, in a model of AWS with virtual time.
 *
 *     npm run bench -- quota [most recipients] [seeds]
 *
 * The planner, fan-out, range delivery and pacers are the real ones; the model (`quota-model.ts`) has a gateway with a token
 * bucket (10,000/s, 5,000 at once; over it 429) whose answers take 8 ms at p50 and 80 ms at p99, queries of 6 ms, writes
 * of 5 ms, and invocations that begin 20–50 ms after they are asked for. CPU time is nobody's. Every case runs with
 * several seeds; times are the median and the worst of them, everything else is of all. Bounds: the median time at most
 * 1.2 × recipients / quota + 250 ms; from 1,000 recipients on at most 15 read units per 1,000; everybody exactly once.
 */

import { Account, type Outcome, QUOTA, type Weather } from './quota-model.ts';
import { type Bench, median, type Row } from './result.ts';

const SIZES = [100, 300, 1_000, 3_000, 10_000, 30_000, 100_000];
const READ_UNITS = 15;

interface Case extends Weather {
  readonly name: string;
  readonly rooms?: number;
  readonly shards?: number;
  readonly least?: number;
}

const CASES: readonly Case[] = [
  { name: 'one room' },
  { name: 'a whole namespace', shards: 16 },
  { name: 'two rooms at once', rooms: 2, least: 1_000 },
  { name: '5 % 429, 1 % gone', throttled: 0.05, gone: 0.01, least: 1_000 },
];

interface Measured {
  readonly row: Row;
  readonly name: string;
  readonly size: number;
  /** By their bounds. */
  readonly time: number;
  readonly worst: number;
  readonly reads: number;
}

export const bench: Bench = async ([most = '100000', seeds = '5']) => {
  const measured: Measured[] = [];
  for (const what of CASES) {
    for (const size of SIZES) {
      if (size > Number(most) || size < (what.least ?? 0)) continue;
      measured.push(await measure(what, size, Number(seeds)));
      console.log(JSON.stringify(measured.at(-1)?.row));
    }
  }
  const highest = (name: string, of: 'time' | 'worst' | 'reads', least = 0) =>
    Math.max(...measured.filter((one) => one.name === name && one.size >= least).map((one) => one[of]));
  const ratios = CASES.flatMap(({ name }) => [
    [`${name}: time / bound`, highest(name, 'time')],
    [`${name}: worst time / bound`, highest(name, 'worst')],
    [`${name}: reads / bound from 1,000 on`, highest(name, 'reads', 1_000)],
  ]);
  return {
    rows: measured.map(({ row }) => row),
    ratios: Object.fromEntries(ratios),
  };
};

async function measure(what: Case, size: number, seeds: number): Promise<Measured> {
  const { name, rooms = 1, shards = 1 } = what;
  const outcomes: Outcome[] = [];
  for (let seed = 1; seed <= seeds; seed += 1) {
    const account = new Account(seed, what);
    const names = Array.from({ length: rooms }, (_, n) => `room:${n}`);
    for (const room of names) account.room(room, size, shards);
    outcomes.push(await account.broadcast(names));
  }
  const sum = (of: (outcome: Outcome) => number) =>
    outcomes.reduce((total, outcome) => total + of(outcome), 0);
  const thousands = (size * rooms * seeds) / 1_000;
  const ideal = ((size * rooms) / QUOTA) * 1_000;
  const bound = 1.2 * ideal + 250;
  const walls = outcomes.map(({ wallMs }) => wallMs);
  const reads = sum(({ readUnits }) => readUnits) / thousands;
  return {
    name,
    size,
    time: median(walls) / bound,
    worst: Math.max(...walls) / bound,
    reads: reads / READ_UNITS,
    row: {
      case: name,
      recipients: rooms === 1 ? size : `${rooms} × ${size}`,
      'N/Q (ms)': ideal,
      'time (ms)': Math.round(median(walls)),
      'worst (ms)': Math.round(Math.max(...walls)),
      'bound (ms)': bound,
      '429 (%)': (100 * sum(({ throttled }) => throttled)) / sum(({ posts }) => posts),
      'reads/1,000': reads,
      'checkpoints/1,000': sum(({ checkpoints }) => checkpoints) / thousands,
      ranges: sum(({ ranges }) => ranges) / seeds,
      repeated: sum(({ repeated }) => repeated),
      missed: sum(({ missed }) => missed),
    },
  };
}
