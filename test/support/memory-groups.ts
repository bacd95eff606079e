/** Groups of any size without a table: what a fan-out reads, ordered and paged as DynamoDB does it. */
import { orderOf } from '../../lambdas/bus/plan.ts';
import type { Group, Member, Page, Store } from '../../lambdas/bus/ports.ts';

export type GroupsStore = Pick<Store, 'members' | 'membersAmong' | 'shards' | 'socket'>;

/**
 * Of a membership row as DynamoDB counts it: names and values (developer guide, "DynamoDB Item sizes and formats"). DynamoDB
 * Local asks two units for a query of 76 of them, and one for 75.
 */
const ROW_BYTES = 54;

/** Strongly consistent read units of one query. */
const unitsOf = (rows: number): number => Math.max(1, Math.ceil((rows * ROW_BYTES) / 4_096));

export class MemoryGroups implements GroupsStore {
  readonly #rooms = new Map<string, readonly Member[][]>();
  /** What reading has cost until now. */
  reads = { queries: 0, rows: 0, keys: 0, units: 0 };

  /** @param ids members of the room, in any order; each is its connection, too */
  set(room: string, ids: Iterable<string>, shards = 1): void {
    const parts: { readonly order: string; readonly member: Member }[][] = Array.from(
      { length: shards },
      () => [],
    );
    for (const id of ids) {
      const order = orderOf(id);
      parts[order.charCodeAt(14) % shards]?.push({ order, member: { id, connectionId: id } });
    }
    this.#rooms.set(
      room,
      parts.map((part) => part.sort((a, b) => (a.order < b.order ? -1 : 1)).map(({ member }) => member)),
    );
  }

  shards(group: Group): number {
    return this.#of(group).length;
  }

  async members(
    group: Group,
    shard: number,
    { after, through, limit = 10_000 }: Parameters<Store['members']>[2],
  ): Promise<Page> {
    const all = this.#of(group)[shard] ?? [];
    const begin = after === undefined ? 0 : firstBeyond(all, after);
    const end = through === undefined ? all.length : firstBeyond(all, through);
    const members = all.slice(begin, Math.max(begin, Math.min(end, begin + limit)));
    this.reads.queries += 1;
    this.reads.rows += members.length;
    this.reads.units += unitsOf(members.length);
    const last = members.at(-1);
    return last === undefined || members.length < limit ? { members } : { members, next: last.id };
  }

  async membersAmong(group: Group, ids: readonly string[]): Promise<Set<string>> {
    this.reads.keys += ids.length;
    this.reads.units += ids.length;
    const all = new Set(this.#of(group).flatMap((part) => part.map(({ id }) => id)));
    return new Set(ids.filter((id) => all.has(id)));
  }

  async socket(): Promise<undefined> {
    return undefined;
  }

  #of(group: Group): readonly Member[][] {
    const name = group.kind === 'room' ? group.room : group.kind === 'namespace' ? '' : String(group.slot);
    return this.#rooms.get(name) ?? [[]];
  }
}

/** Index of the first member behind an id. */
function firstBeyond(members: readonly Member[], id: string): number {
  const order = orderOf(id);
  let [low, high] = [0, members.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const member = members[middle];
    if (member !== undefined && orderOf(member.id) <= order) low = middle + 1;
    else high = middle;
  }
  return low;
}
