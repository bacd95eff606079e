/** Who a broadcast leaves out: ids are compared, rooms are read after the audience (design D6). */
import { cheaperByKey, estimateRest, orderOf } from './plan.ts';
import type { Group, IdRange, MemberId, Store } from './ports.ts';
import { type Block, type Found, UnionReader } from './union-reader.ts';

export class Exceptions {
  readonly #store: Store;
  readonly #ids: ReadonlySet<MemberId>;
  readonly #groups: readonly Group[];
  readonly #range: IdRange;
  /** Up to where blocks have come. */
  #after: MemberId | undefined;

  /** @param range of the audience */
  constructor(store: Store, ids: Iterable<MemberId>, groups: readonly Group[], range: IdRange) {
    this.#store = store;
    this.#ids = new Set(ids);
    this.#groups = groups;
    this.#range = range;
    this.#after = range.after;
  }

  /**
   * Who of a block is left. Blocks have to come in their order, each once. An excepted room is read once the block has been:
   * read before, or beside it, it would lack who joins both meanwhile, as all do who come back to their rooms, and they
   * would hear what is not for them.
   */
  async without({ members, through = this.#range.through }: Block): Promise<Found[]> {
    const after = this.#after;
    this.#after = through;
    const range = {
      ...(after === undefined ? {} : { after }),
      ...(through === undefined ? {} : { through }),
    };
    let left = members.filter(({ id }) => !this.#ids.has(id));
    for (const group of this.#groups) {
      if (left.length === 0) break;
      const excepted = await this.#membersOf(group, left, range);
      left = left.filter(({ id }) => !excepted.has(id));
    }
    return left;
  }

  /** Those of a room among some members, at least; it may be far larger than the audience, or far smaller. */
  async #membersOf(group: Group, members: readonly Found[], range: IdRange): Promise<ReadonlySet<MemberId>> {
    const reader = new UnionReader(this.#store, [group], { range });
    const found = new Set<MemberId>();
    for (let unknown = members; ; ) {
      const block = await reader.next();
      for (const { id } of block.members) found.add(id);
      const { through } = block;
      if (through === undefined) return found;
      const known = orderOf(through);
      unknown = unknown.filter(({ id }) => orderOf(id) > known);
      if (unknown.length === 0) return found;
      if (cheaperByKey(unknown.length, estimateRest(range, through, found.size))) {
        const ids = unknown.map(({ id }) => id);
        for (const id of await this.#store.membersAmong(group, ids)) found.add(id);
        return found;
      }
    }
  }
}
