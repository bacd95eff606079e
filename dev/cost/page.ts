/** What docs/cost.md says: its tables are the one source of prices and of what a step uses, for that page, the benches and here. */
import { readFile } from 'node:fs/promises';
import * as z from 'zod/mini';

const PAGE = new URL('../../docs/cost.md', import.meta.url);
/** Columns of prices by their headers, and of how many units that is the price. */
const PER: Readonly<Record<string, number>> = {
  'US$ per million': 1e6,
  'US$ a month': 1,
  'US$ each': 1,
};

const amount = z.coerce.number().check(z.gte(0));
/** What one of something uses. All but the time, an assumption, is held by test/dev/cost-steps.test.ts. */
const stepSchema = z.object({
  writeUnits: amount,
  readUnits: amount,
  lambdaRequests: amount,
  /** Of the WebSocket API, either way. */
  messages: amount,
  httpRequests: amount,
  gigabyteSeconds: amount,
});
const STEP_COLUMNS = [
  'write units',
  'read units',
  'Lambda requests',
  'messages',
  'HTTP requests',
  'GB-seconds',
] as const;

export type Step = z.output<typeof stepSchema>;

export interface CostPage {
  /** US$ of one unit, by how the row of its table begins. @throws {Error} where no row with a price begins so */
  price(begin: string): number;
  /** By how the row of its table begins. @throws {Error} where no row of steps begins so */
  step(begin: string): Step;
}

/** A row of a table by the headers of its columns. */
type Row = ReadonlyMap<string, string>;

export async function readCostPage(): Promise<CostPage> {
  const rows = rowsOf(await readFile(PAGE, 'utf8'));
  const called = (begin: string, header: string) =>
    rows.find((row) => row.has(header) && [...row.values()][0]?.startsWith(begin));
  return {
    price(begin) {
      for (const [header, units] of Object.entries(PER)) {
        const price = Number(called(begin, header)?.get(header));
        if (price > 0) return price / units;
      }
      throw new Error(`docs/cost.md has no price of ${begin}`);
    },
    step(begin) {
      const row = called(begin, STEP_COLUMNS[0]);
      if (row === undefined) throw new Error(`docs/cost.md has no step ${begin}`);
      const [writeUnits, readUnits, lambdaRequests, messages, httpRequests, gigabyteSeconds] =
        STEP_COLUMNS.map((column) => row.get(column));
      return stepSchema.parse({
        writeUnits,
        readUnits,
        lambdaRequests,
        messages,
        httpRequests,
        gigabyteSeconds,
      });
    },
  };
}

function rowsOf(page: string): Row[] {
  const tables = page.split('\n\n').filter((block) => block.startsWith('|'));
  return tables.flatMap((table) => {
    const [header = [], _line, ...body] = table.trim().split('\n').map(cellsOf);
    return body.map((cells) => new Map(header.map((name, n) => [name, cells[n] ?? ''])));
  });
}

function cellsOf(line: string): string[] {
  return line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.replaceAll('*', '').trim());
}
