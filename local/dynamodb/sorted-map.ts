/** Bounds of a walk over a SortedMap; keys compare by UTF-16 unit. */
export interface Range {
  readonly gt?: string;
  readonly gte?: string;
  readonly lt?: string;
  readonly lte?: string;
  readonly reverse?: boolean;
}

/** Half of a full chunk is moved on a split, so that inserting stays a short copy however large the map is. */
const MAX_CHUNK = 512;

/** A map in key order: constant-time lookups, inserts that copy at most one chunk, walks from any key either way. */
export class SortedMap<V> {
  readonly #values = new Map<string, V>();
  /** Keys in order; no chunk is empty. */
  readonly #chunks: string[][] = [];

  get size(): number {
    return this.#values.size;
  }

  get(key: string): V | undefined {
    return this.#values.get(key);
  }

  set(key: string, value: V): void {
    if (!this.#values.has(key)) this.#insert(key);
    this.#values.set(key, value);
  }

  delete(key: string): void {
    if (!this.#values.delete(key)) return;
    const index = this.#chunkOf(key);
    const chunk = this.#chunks[index];
    if (chunk === undefined) return;
    chunk.splice(lowerBound(chunk, key), 1);
    if (chunk.length === 0) this.#chunks.splice(index, 1);
  }

  /** Keys of a range in order. The map must not change while the walk goes on. */
  *keys(range: Range = {}): Generator<string> {
    if (range.reverse === true) yield* this.#backwards(range);
    else yield* this.#forwards(range);
  }

  /** Values of a range in key order. The map must not change while the walk goes on. */
  *values(range: Range = {}): Generator<V> {
    for (const key of this.keys(range)) {
      const value = this.#values.get(key);
      if (value !== undefined) yield value;
    }
  }

  *#forwards(range: Range): Generator<string> {
    const from = range.gt ?? range.gte ?? '';
    for (let index = this.#chunkOf(from); index < this.#chunks.length; index++) {
      const chunk = this.#chunks[index] ?? [];
      for (let at = lowerBound(chunk, from); at < chunk.length; at++) {
        const key = chunk[at] ?? '';
        if (isAbove(key, range)) return;
        if (!isBelow(key, range)) yield key;
      }
    }
  }

  *#backwards(range: Range): Generator<string> {
    const from = range.lt ?? range.lte;
    const last = this.#chunks.length - 1;
    for (let index = from === undefined ? last : Math.min(last, this.#chunkOf(from)); index >= 0; index--) {
      const chunk = this.#chunks[index] ?? [];
      const start =
        from === undefined ? chunk.length - 1 : Math.min(chunk.length - 1, lowerBound(chunk, from));
      for (let at = start; at >= 0; at--) {
        const key = chunk[at] ?? '';
        if (isBelow(key, range)) return;
        if (!isAbove(key, range)) yield key;
      }
    }
  }

  #insert(key: string): void {
    const index = Math.min(this.#chunkOf(key), Math.max(0, this.#chunks.length - 1));
    const chunk = this.#chunks[index];
    if (chunk === undefined) {
      this.#chunks.push([key]);
      return;
    }
    chunk.splice(lowerBound(chunk, key), 0, key);
    if (chunk.length > MAX_CHUNK) this.#chunks.splice(index + 1, 0, chunk.splice(MAX_CHUNK / 2));
  }

  /** Index of the first chunk whose last key is not before `key`; the number of chunks when there is none. */
  #chunkOf(key: string): number {
    let low = 0;
    let high = this.#chunks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const last = this.#chunks[middle]?.at(-1) ?? '';
      if (last < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function lowerBound(keys: readonly string[], key: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((keys[middle] ?? '') < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

function isBelow(key: string, range: Range): boolean {
  return (range.gt !== undefined && key <= range.gt) || (range.gte !== undefined && key < range.gte);
}

function isAbove(key: string, range: Range): boolean {
  return (range.lt !== undefined && key >= range.lt) || (range.lte !== undefined && key > range.lte);
}
