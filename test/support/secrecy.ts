/** What no log line and no row may hold: the secrets of a deployment and what clients proved themselves with. */
import type { Socket } from 'socket.io-client';

/** Shorter texts are words that anything may hold. */
const SHORTEST = 16;
/** The head of a JSON Web Token and its claims, whoever's it is. */
const ANY_TOKEN = /eyJ[\w-]{10,}\.eyJ[\w-]{10,}/;

/** What a session is recovered by, and the id of a client that polls. */
const SESSION_LENGTH = 20;
const ID_RUN = /[\w-]{20,}/g;

/** What the worlds of unit tests have logged, to be looked through when the test ends: the secrets may come after the line. */
const written: { readonly line: string; readonly secrecy: Secrecy }[] = [];

/** The log lines of worlds, since it was asked last, that hold a secret of their world or anybody's token. */
export function leakedByWorlds(): string[] {
  return written.splice(0).flatMap(({ line, secrecy }) => secrecy.logged([line]));
}

/** Remembers the secrets that one test stack, or one world, has met. */
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

  /** What is in a frame or a body: what a client shows, and what it is given to come back with. */
  overhear(text: string | undefined): void {
    for (const [, secret] of (text ?? '').matchAll(/"(?:token|apiKey)":"([^"\\]+)"/g)) this.add(secret);
    for (const [, secret = ''] of (text ?? '').matchAll(/"pid":"[\w-]{20}([\w-]{20})"/g))
      this.#sessions.add(secret);
  }

  overhearHeaders({ authorization = '' }: Readonly<Record<string, string>>): void {
    if (/^bearer +/i.test(authorization)) this.add(authorization.replace(/^bearer +/i, ''));
  }

  /** The open packet of a client that polls: its sid is all that its requests show. */
  overhearPolled(body: string): void {
    this.overhear(body);
    const [, sid] = /^0\{"sid":"([\w-]{20})"/.exec(body) ?? [];
    if (sid !== undefined) this.#sessions.add(sid);
  }

  /** Keeps a line that a world has logged. */
  note(line: string): void {
    written.push({ line, secrecy: this });
  }

  /** The log lines that hold one of them. */
  logged(lines: Iterable<string>): string[] {
    const all = [...lines];
    const leaky = new Set([
      ...leaks(all, [...this.#secrets]),
      ...all.filter((line) => this.#holdsSession(line)),
    ]);
    return all.filter((line) => leaky.has(line));
  }

  /** By their length: a test may have thousands of sessions. */
  #holdsSession(line: string): boolean {
    return [...line.matchAll(ID_RUN)].some(([run]) => {
      for (let at = 0; at + SESSION_LENGTH <= run.length; at += 1)
        if (this.#sessions.has(run.slice(at, at + SESSION_LENGTH))) return true;
      return false;
    });
  }

  /** The rows that do. What a client that polls has not fetched yet lies in one, its CONNECT reply too. */
  kept(rows: Iterable<string>): string[] {
    return leaks(rows, [...this.#secrets]);
  }
}

function leaks(lines: Iterable<string>, secrets: readonly string[]): string[] {
  return [...lines].filter((line) => ANY_TOKEN.test(line) || secrets.some((secret) => line.includes(secret)));
}
