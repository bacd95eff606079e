import { createHash } from 'node:crypto';
import type { Rows } from './ports.ts';

/** Of a sort key, in UTF-8 (DynamoDB quotas page); a room's name may have twice that. */
const MAX_KEY_BYTES = 1_024;

/** Rooms that a backend has opened to an identity, until it revokes them (the contract's identity rules). */
export class Grants {
  readonly #rows: Rows;
  readonly #namespace: string;

  constructor(rows: Rows, namespace: string) {
    this.#rows = rows;
    this.#namespace = namespace;
  }

  async add(identity: string | number, room: string): Promise<void> {
    await this.#rows.put(this.#partition(identity), sortKey(room), { granted: true });
  }

  async remove(identity: string | number, room: string): Promise<void> {
    await this.#rows.delete(this.#partition(identity), [sortKey(room)]);
  }

  async has(identity: string | number, room: string): Promise<boolean> {
    return (await this.#rows.get(this.#partition(identity), sortKey(room))) !== undefined;
  }

  /** `7` and `"7"` are one identity. No application is named with a `$`. */
  #partition(identity: string | number): string {
    return `$grants#${JSON.stringify([this.#namespace, String(identity)])}`;
  }
}

/** The room's name; of a longer one its hash, made as long as the name of a room that has one of its own never is. */
function sortKey(room: string): string {
  if (Buffer.byteLength(room) < MAX_KEY_BYTES) return room;
  return createHash('sha256').update(room).digest('hex').padEnd(MAX_KEY_BYTES, '-');
}
