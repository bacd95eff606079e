/** Who a broadcast leaves out: ids are compared, rooms are read along with the audience (design D6). */
import { cheaperByKey, estimateRest, orderOf } from './plan.ts';
import type { Group, IdRange, MemberId, Store } from './ports.ts';
import { type Block, type Found, UnionReader } from './union-reader.ts';

export class Exceptions {
  readonly #ids: ReadonlySet<MemberId>;
  readonly #rooms: readonly ExceptedRoom[];

  constructor(store: Store, ids: Iterable<MemberId>, groups: readonly Group[], range: IdRange) {
    this.#ids = new Set(ids);
    this.#rooms = groups.map((group) => new ExceptedRoom(store, group, range));
  }

  /** Who of a block is left. Blocks have to come in their order, each once. */
  async without({ members, through }: Block): Promise<Found[]> {
    let left = members.filter(({ id }) => !this.#ids.has(id));
    for (const room of this.#rooms) left = await room.without(left, through);
    return left;
  }
}

/** One excepted room; it may be far larger than the audience, or far smaller. */
class ExceptedRoom {
  readonly #store: Store;
  readonly #group: Group;
  readonly #range: IdRange;
  #reader: UnionReader;
  /** Where the reader began, and how much it has read since. */
  #begin: IdRange;
  #count = 0;
  readonly #members = new Set<MemberId>();
  /** Up to where the room is known: an id, its whole, or nothing yet. */
  #through: MemberId | 'end' | undefined;
  /** Begun at once: most often the room's first page is all of it, and is read beside the audience's. */
  #first: Promise<Block> | undefined;

  constructor(store: Store, group: Group, range: IdRange) {
    this.#store = store;
    this.#group = group;
    this.#range = range;
    this.#begin = range;
    this.#reader = new UnionReader(store, [group], { range });
    this.#first = this.#reader.next();
    // Whoever asks for the members is told; until then it is nobody's unhandled rejection.
    this.#first.catch(() => {});
  }

  async without(members: readonly Found[], through: MemberId | undefined): Promise<Found[]> {
    let unknown = this.#unknown(members);
    while (unknown.length > 0) {
      if (this.#cheaperByKey(unknown.length)) {
        const among = await this.#store.membersAmong(
          this.#group,
          unknown.map(({ id }) => id),
        );
        for (const id of among) this.#members.add(id);
        this.#skipTo(through);
        break;
      }
      await this.#read();
      unknown = this.#unknown(members);
    }
    const left = members.filter(({ id }) => !this.#members.has(id));
    return left;
  }

  #unknown(members: readonly Found[]): readonly Found[] {
    if (this.#through === 'end') return [];
    if (this.#through === undefined) return members;
    const known = orderOf(this.#through);
    return members.filter(({ id }) => orderOf(id) > known);
  }

  #cheaperByKey(keys: number): boolean {
    if (this.#through === undefined || this.#through === 'end' || this.#count === 0) return false;
    return cheaperByKey(keys, estimateRest(this.#begin, this.#through, this.#count));
  }

  async #read(): Promise<void> {
    const block = await (this.#first ?? this.#reader.next());
    this.#first = undefined;
    this.#count += block.members.length;
    for (const { id } of block.members) this.#members.add(id);
    this.#through = block.through ?? 'end';
  }

  /** What was looked up by key need not be read: the room is read on from behind it, if at all. */
  #skipTo(through: MemberId | undefined): void {
    if (through === undefined) {
      this.#through = 'end';
      return;
    }
    const { through: end } = this.#range;
    this.#begin = { after: through, ...(end === undefined ? {} : { through: end }) };
    this.#reader = new UnionReader(this.#store, [this.#group], { range: this.#begin });
    this.#count = 0;
    this.#through = through;
  }
}
