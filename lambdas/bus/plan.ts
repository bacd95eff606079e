/**
 * The arithmetic of a fan-out (design D6). The random ids of sockets are points on a line, ordered by their bytes as
 * DynamoDB orders them; an audience can be cut anywhere on it. Pure.
 */

import type { IdRange, MemberId } from './ports.ts';

const ID_BYTES = 15;
/** The leading bytes that place an id; more would not fit a number exactly. */
const PLACE_BYTES = 6;
const PLACES = 2 ** (8 * PLACE_BYTES);

/** Text that sorts as the id's bytes do; base64url does not. */
export function orderOf(id: MemberId): string {
  return Buffer.from(id, 'base64url').toString('latin1');
}

/** Where an id lies on the line, from 0 to 1. */
export function placeOf(id: MemberId): number {
  return Buffer.from(id, 'base64url').readUIntBE(0, PLACE_BYTES) / PLACES;
}

/** The id at a place. @param place from 0 to 1, 1 excluded */
export function idAt(place: number): MemberId {
  const bytes = Buffer.alloc(ID_BYTES);
  bytes.writeUIntBE(Math.floor(place * PLACES), 0, PLACE_BYTES);
  return bytes.toString('base64url');
}

/** Whether an id lies in a range. */
export function isWithin({ after, through }: IdRange, id: MemberId): boolean {
  const order = orderOf(id);
  if (after !== undefined && order <= orderOf(after)) return false;
  return through === undefined || order <= orderOf(through);
}

function widthOf({ after, through }: IdRange): number {
  return (through === undefined ? 1 : placeOf(through)) - (after === undefined ? 0 : placeOf(after));
}

/**
 * How many members a range has, judged by how close together those lie that were read of it. With `count` read the
 * standard error is about 1/√count of the result.
 *
 * @param count members found up to `through`, the last of them at it
 */
export function estimateRest(range: IdRange, through: MemberId, count: number): number {
  const read = widthOf({ ...range, through });
  const rest = widthOf({
    ...(range.through === undefined ? {} : { through: range.through }),
    after: through,
  });
  if (read <= 0) return count;
  // The last one marks the end of what was read: one less lies within it.
  return Math.round((Math.max(count - 1, 1) * rest) / read);
}

/**
 * Posts per second that one instance reaches for long: at most 64 of its posts are not checkpointed, and one that takes 80 ms
 * holds up those behind it. At 1,000 a broadcast to 100,000 takes 7 % longer than at 750. At 600 one to
 * 3,000 reads 13 % more: each part's last page is rounded up to a read unit (`npm run bench -- quota`).
 */
export const RANGE_PER_SECOND = 750;
/** Fewer recipients are not worth an invocation of their own, nor a query: two read units pay for 150 rows. */
const LEAST_RANGE = 140;
/** Invocations that one broadcast may ask for; Lambda starts 1,000 in ten seconds. */
export const MOST_RANGES = 64;
/** What a range may take whatever the quota; below that an invocation is mostly start-up. */
const LEAST_SECONDS = 0.15;

/** What an audience's rest is divided into, and how fast each part may be posted. */
export interface RangePlan {
  readonly ranges: readonly IdRange[];
  /** Posts per second for each. */
  readonly perSecond: number;
}

/**
 * Divides a range so that its parts, posted at the same time, use the quota up and end together.
 *
 * @param remaining how many members it is thought to have
 * @param perSecond posts that all parts together may make
 */
export function planRanges(rest: IdRange, remaining: number, perSecond: number): RangePlan {
  const seconds = Math.max(remaining / perSecond, LEAST_SECONDS);
  const each = Math.max(RANGE_PER_SECOND * seconds, LEAST_RANGE);
  const count = Math.min(Math.max(Math.ceil(remaining / each), 1), MOST_RANGES);
  return { ranges: cut(rest, count), perSecond: perSecond / count };
}

/** Cuts a range into parts of equal width; fewer where it is too narrow for so many. */
export function cut(range: IdRange, count: number): IdRange[] {
  const begin = range.after === undefined ? 0 : placeOf(range.after);
  const width = widthOf(range);
  const first = range.after === undefined ? '' : orderOf(range.after);
  const last = range.through === undefined ? undefined : orderOf(range.through);
  const parts: IdRange[] = [];
  let after = range.after;
  let order = first;
  for (let part = 1; part < count; part += 1) {
    const through = idAt(begin + (width * part) / count);
    const end = orderOf(through);
    if (end <= order || (last !== undefined && end >= last)) continue;
    parts.push(between(after, through));
    after = through;
    order = end;
  }
  return [...parts, between(after, range.through)];
}

function between(after: MemberId | undefined, through: MemberId | undefined): IdRange {
  return { ...(after === undefined ? {} : { after }), ...(through === undefined ? {} : { through }) };
}

/** Strongly consistent read units of one membership row in a page, and of one that is read by its key (design D5). */
const UNITS_PER_ROW = 0.014;
const UNITS_PER_KEY = 1;

/** Whether to look members up by key instead of reading on through a room. */
export function cheaperByKey(keys: number, rows: number): boolean {
  return keys * UNITS_PER_KEY < rows * UNITS_PER_ROW;
}
