import type { Rows } from './ports.ts';

/** Rooms that a backend has opened to an identity, until it revokes them (the contract's identity rules). */
export class Grants {
  readonly #rows: Rows;
  readonly #namespace: string;

  constructor(rows: Rows, namespace: string) {
    this.#rows = rows;
    this.#namespace = namespace;
  }

  async add(identity: string | number, room: string): Promise<void> {
    await this.#rows.put(this.#partition(identity), room, { granted: true });
  }

  async remove(identity: string | number, room: string): Promise<void> {
    await this.#rows.delete(this.#partition(identity), [room]);
  }

  async has(identity: string | number, room: string): Promise<boolean> {
    return (await this.#rows.get(this.#partition(identity), room)) !== undefined;
  }

  /** `7` and `"7"` are one identity. No application is named with a `$`. */
  #partition(identity: string | number): string {
    return `$grants#${JSON.stringify([this.#namespace, String(identity)])}`;
  }
}
