/** The members of several groups as one list: ordered by id, each once, read block by block (design D6). */
import { orderOf } from './plan.ts';
import type { Group, IdRange, Member, MemberId, Store } from './ports.ts';

/** A recipient and where it was found, so that what is left of a gone one can be removed. */
export interface Found extends Member {
  readonly group: Group;
}

/** A part of a union that was read whole. */
export interface Block {
  readonly members: readonly Found[];
  /** Up to and with this id; absent: to the end of the range. */
  readonly through?: MemberId;
}

/**
 * Rows of one page: a strongly consistent megabyte would hold ten times as many, and be read in vain at the cut. 75 of
 * them are one read unit, also in each of 16 shards.
 */
export const PAGE_ROWS = 1_200;

interface Ordered {
  readonly order: string;
  readonly member: Found;
}

/** One shard of one group. */
interface Stream {
  readonly group: Group;
  readonly shard: number;
  /** Read and not given out yet. */
  buffer: Ordered[];
  /** Up to where it has been read; undefined before the first page. */
  after: MemberId | undefined;
  done: boolean;
}

export interface UnionOptions {
  /** @default the whole line */
  readonly range?: IdRange;
  /** Rows of a page, over all shards of a group. @default 1200 */
  readonly pageRows?: number;
}

export class UnionReader {
  readonly #store: Store;
  readonly #streams: readonly Stream[];
  readonly #range: IdRange;
  readonly #pageRows: number;

  constructor(
    store: Store,
    groups: readonly Group[],
    { range = {}, pageRows = PAGE_ROWS }: UnionOptions = {},
  ) {
    this.#store = store;
    this.#range = range;
    this.#pageRows = pageRows;
    this.#streams = groups.flatMap((group) =>
      Array.from({ length: store.shards(group) }, (_, shard) => ({
        group,
        shard,
        buffer: [],
        after: range.after,
        done: false,
      })),
    );
  }

  /** The next members, up to where every group has been read; empty and without `through` at the end. */
  async next(): Promise<Block> {
    await Promise.all(this.#streams.map((stream) => this.#fill(stream)));
    const ends = this.#streams.flatMap(({ done, after }) => (done || after === undefined ? [] : [after]));
    const [through] = ends.sort(byOrder);
    const bound = through === undefined ? undefined : orderOf(through);
    const taken = this.#streams.map((stream) => take(stream, bound));
    return { members: merged(taken), ...(through === undefined ? {} : { through }) };
  }

  async #fill(stream: Stream): Promise<void> {
    if (stream.done || stream.buffer.length > 0) return;
    const { group, shard, after } = stream;
    const { through } = this.#range;
    const page = await this.#store.members(group, shard, {
      limit: Math.ceil(this.#pageRows / this.#store.shards(group)),
      ...(after === undefined ? {} : { after }),
      ...(through === undefined ? {} : { through }),
    });
    stream.buffer = page.members.map((member) => ({
      order: orderOf(member.id),
      member: { ...member, group },
    }));
    stream.after = page.next;
    stream.done = page.next === undefined;
  }
}

/** Everything of some groups at once, by id. */
export async function readAll(store: Store, groups: readonly Group[]): Promise<Map<MemberId, Found>> {
  const found = new Map<MemberId, Found>();
  const reader = new UnionReader(store, groups);
  for (let more = true; more; ) {
    const { members, through } = await reader.next();
    for (const member of members) found.set(member.id, member);
    more = through !== undefined;
  }
  return found;
}

function take(stream: Stream, bound: string | undefined): Ordered[] {
  const beyond = bound === undefined ? -1 : stream.buffer.findIndex(({ order }) => order > bound);
  const taken = beyond < 0 ? stream.buffer : stream.buffer.slice(0, beyond);
  stream.buffer = beyond < 0 ? [] : stream.buffer.slice(beyond);
  return taken;
}

function merged(lists: readonly Ordered[][]): Found[] {
  const full = lists.filter((list) => list.length > 0);
  if (full.length <= 1) return (full[0] ?? []).map(({ member }) => member);
  const all = full.flat().sort((a, b) => (a.order < b.order ? -1 : a.order > b.order ? 1 : 0));
  return all.flatMap(({ order, member }, n) => (all[n - 1]?.order === order ? [] : [member]));
}

function byOrder(a: MemberId, b: MemberId): number {
  const [one, other] = [orderOf(a), orderOf(b)];
  return one < other ? -1 : one > other ? 1 : 0;
}
