/** What a bench finds out, how it is shown and where it is kept. */
import { mkdir, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus } from 'node:os';
import { fileURLToPath } from 'node:url';

/** By column; the unit is in its name. */
export type Row = Readonly<Record<string, string | number>>;

export interface BenchResult {
  readonly rows: readonly Row[];
  /** What a bound is about: found in one run, they hold on other machines too. */
  readonly ratios: Readonly<Record<string, number>>;
}

/** @param args of the command line, after the bench's name */
export type Bench = (args: readonly string[]) => Promise<BenchResult>;

const RESULTS = new URL('results/', import.meta.url);

/** Writes `bench/results/{name}.json` and gives its path. */
export async function keep(name: string, args: readonly string[], result: BenchResult): Promise<string> {
  const file = new URL(`${name}.json`, RESULTS);
  const machine = { cpu: cpus()[0]?.model ?? '', cores: availableParallelism(), node: process.version };
  const kept = { name, args, machine, date: new Date().toISOString(), ...result };
  await mkdir(RESULTS, { recursive: true });
  await writeFile(file, `${JSON.stringify(kept, undefined, 2)}\n`);
  return fileURLToPath(file);
}

/** Rows under their columns' names, then a line for each ratio. */
export function table({ rows, ratios }: BenchResult): string {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const cells = [columns, ...rows.map((row) => columns.map((column) => shown(row[column])))];
  const widths = columns.map((_, n) => Math.max(...cells.map((line) => line[n]?.length ?? 0)));
  const lines = cells.map((line) =>
    line.map((cell, n) => (n === 0 ? cell.padEnd(widths[n] ?? 0) : cell.padStart(widths[n] ?? 0))).join('  '),
  );
  const named = Object.entries(ratios).map(([name, ratio]) => `${name}: ${ratio.toFixed(2)} ×`);
  return [...lines, '', ...named].join('\n').trimEnd();
}

/** A line for each figure, a column for each of what they are about. */
export function byFigure(found: Readonly<Record<string, Row>>): readonly Row[] {
  const names = new Set(Object.values(found).flatMap((row) => Object.keys(row)));
  const cells = (name: string) => Object.entries(found).map(([what, row]) => [what, row[name] ?? '']);
  return [...names].map((name) => ({ what: name, ...Object.fromEntries(cells(name)) }));
}

/** The middle one, or the lower of the two in the middle; NaN of nothing. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) / 2)] ?? Number.NaN;
}

/** The value that so large a share of all does not exceed; NaN of nothing. @param share above 0, up to 1 */
export function percentile(values: readonly number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.ceil(share * values.length) - 1] ?? Number.NaN;
}

function shown(cell: string | number | undefined): string {
  if (typeof cell !== 'number') return cell ?? '';
  return String(Math.abs(cell) < 100 ? Number(cell.toFixed(1)) : Math.round(cell));
}
