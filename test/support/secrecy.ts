/** What no log line and no row may hold: the secrets of a deployment and what clients proved themselves with. */
import type { Socket } from 'socket.io-client';

/** Shorter texts are words that anything may hold. */
const SHORTEST = 16;
/** The head of a JSON Web Token and its claims, whoever's it is. */
const ANY_TOKEN = /eyJ[\w-]{10,}\.eyJ[\w-]{10,}/;

/** Remembers the secrets that one test stack has met. */
export class Secrecy {
  readonly #secrets = new Set<string>();
  readonly #sessions = new Set<string>();

  /** A secret, also one in the parts of a token: its claims, and its signature. */
  add(secret: unknown): void {
    if (typeof secret !== 'string') return;
    for (const part of [secret, ...secret.split('.').slice(1), ...secret.split(',')])
      if (part.trim().length >= SHORTEST) this.#secrets.add(part.trim());
  }

  /** What a client showed, and what it was given to come back with. */
  addClient(socket: Socket): void {
    const { auth } = socket;
    if (typeof auth === 'object') for (const name of ['token', 'apiKey']) this.add(auth[name]);
    const { extraHeaders = {} } = socket.io.opts;
    // Typed as text, and what the transport takes is more.
    for (const value of Object.values(extraHeaders).flat().map(String))
      if (value.startsWith('Bearer ')) this.add(value.slice(7));
    // The stock client keeps it to itself.
    const { _pid: pid } = socket as unknown as { readonly _pid?: string };
    if (pid !== undefined) this.#sessions.add(pid.slice(pid.length / 2));
  }

  /** The log lines that hold one of them. */
  logged(lines: Iterable<string>): string[] {
    return leaks(lines, [...this.#secrets, ...this.#sessions]);
  }

  /** The rows that do. What a client that polls has not fetched yet lies in one, its CONNECT reply too. */
  kept(rows: Iterable<string>): string[] {
    return leaks(rows, [...this.#secrets]);
  }
}

function leaks(lines: Iterable<string>, secrets: readonly string[]): string[] {
  return [...lines].filter((line) => ANY_TOKEN.test(line) || secrets.some((secret) => line.includes(secret)));
}
