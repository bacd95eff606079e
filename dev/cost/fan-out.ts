/** What it takes to post an event to so many, by the bench of the quota (bench/results/quota.json). */
import { readFile } from 'node:fs/promises';
import * as z from 'zod/mini';

const RESULTS = new URL('../../bench/results/quota.json', import.meta.url);
/** The bench's case of one broadcast to one room, without faults. */
const CASE = 'one room';

const amount = z.number().check(z.gte(0));
const resultsSchema = z.object({
  rows: z.array(
    z.object({
      case: z.string(),
      recipients: z.union([amount, z.string()]),
      'time (ms)': amount,
      'reads/1,000': amount,
      'checkpoints/1,000': amount,
      ranges: amount,
    }),
  ),
});

/** One broadcast. */
export interface FanOut {
  readonly recipients: number;
  /** Of `publish` and of every `deliver` that posts beside it, together. */
  readonly seconds: number;
  readonly readUnits: number;
  /** Checkpoints of `deliver`. */
  readonly writeUnits: number;
  /** Invocations of `deliver`. */
  readonly ranges: number;
}

/** What was measured, fewest recipients first. */
export async function measuredFanOuts(): Promise<readonly FanOut[]> {
  const { rows } = resultsSchema.parse(JSON.parse(await readFile(RESULTS, 'utf8')));
  return rows.flatMap((row) => {
    if (row.case !== CASE || typeof row.recipients !== 'number') return [];
    const { recipients, ranges, 'time (ms)': ms } = row;
    return {
      recipients,
      seconds: (ms / 1_000) * (1 + ranges),
      readUnits: (row['reads/1,000'] * recipients) / 1_000,
      writeUnits: (row['checkpoints/1,000'] * recipients) / 1_000,
      ranges,
    };
  });
}

/** On the straight line between the two points that were measured around it; beyond all of them on that of the two nearest. */
export function fanOutTo(recipients: number, points: readonly FanOut[]): FanOut {
  const above = points.findIndex((point) => point.recipients >= recipients);
  const at = above === -1 ? points.length - 1 : Math.max(1, above);
  const [from, to] = [points[at - 1], points[at]];
  if (from === undefined || to === undefined) throw new Error('two points are needed for a line');
  const share = (recipients - from.recipients) / (to.recipients - from.recipients);
  const between = (value: (point: FanOut) => number) => value(from) + share * (value(to) - value(from));
  return {
    recipients,
    seconds: between(({ seconds }) => seconds),
    readUnits: between((point) => point.readUnits),
    writeUnits: between((point) => point.writeUnits),
    ranges: between(({ ranges }) => ranges),
  };
}
