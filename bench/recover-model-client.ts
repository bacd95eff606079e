/** A stock client of the model: WebSocket only, default options otherwise, one namespace, one room. */
import { dropRepeats } from '../client/index.ts';
import type { Connection } from '../test/simulator/gateway.ts';
import type { Account } from './model-account.ts';

/** `reconnectionDelay`, `reconnectionDelayMax`, `randomizationFactor` and the factor of socket.io-client's `Backoff`. */
const DELAY_MS = 1_000;
const LONGEST_MS = 5_000;
const SPREAD = 0.5;
const FACTOR = 2;

const PACKET = /^4(\d)\/recover,(\d*)(.*)$/s;

export class ModelClient {
  readonly room: string;
  /** When its listener heard each number first. */
  readonly heard = new Map<number, number>();
  /** Events that came again, and those of them that its listener heard in spite of `dropRepeats`. */
  repeats = 0;
  heardAgain = 0;
  isIn = false;
  /** When it connected last, and whether that was to its session. */
  connectedAt = Number.POSITIVE_INFINITY;
  hasRecovered = false;
  /** Since it was cut: what it waited before its attempts, and how many there were. */
  waitedMs = 0;
  attempts = 0;
  readonly #account: Account;
  readonly #came = new Set<number>();
  readonly #socket = {
    io: {},
    onAny: () => {},
    emitEvent: (args: readonly unknown[]) => this.#listen(args),
  };
  #connection: Connection | undefined;
  #failures = 0;
  #pid: string | undefined;
  #offset: string | undefined;
  #isConnected = false;
  /** Events that came before a CONNECT reply are kept back until there is one. */
  readonly #early: unknown[][] = [];

  constructor(account: Account, room: string) {
    this.#account = account;
    this.room = room;
    dropRepeats(this.#socket);
  }

  get #now(): number {
    return this.#account.ground.scheduler.now();
  }

  connect(): void {
    this.attempts += 1;
    const peer = {
      opened: () => {},
      refused: () => this.#dropped(),
      receive: (frame: string) => this.#receive(frame),
      closed: () => this.#dropped(),
    };
    this.#account.dial(peer, (connection) => {
      this.#connection = connection;
    });
  }

  /** What the gateway does to it. */
  cut(): void {
    this.connectedAt = Number.POSITIVE_INFINITY;
    this.waitedMs = 0;
    this.attempts = 0;
    if (this.#connection !== undefined) this.#account.cut(this.#connection);
  }

  #dropped(): void {
    const { chance, scheduler } = this.#account.ground;
    if (this.#connection !== undefined) this.#connection.peer = undefined;
    this.#connection = undefined;
    this.#isConnected = false;
    this.connectedAt = Number.POSITIVE_INFINITY;
    const ms = DELAY_MS * FACTOR ** this.#failures * chance.between(1 - SPREAD, 1 + SPREAD);
    const delay = Math.min(ms, LONGEST_MS);
    this.#failures += 1;
    this.waitedMs += delay;
    scheduler.after(delay, () => this.connect());
  }

  #receive(frame: string): void {
    if (this.#connection === undefined) return;
    if (frame.startsWith('0')) {
      this.#failures = 0;
      const shown = this.#pid === undefined ? '' : JSON.stringify({ pid: this.#pid, offset: this.#offset });
      this.#account.send(this.#connection, `40/recover,${shown}`);
      return;
    }
    const [, type, , rest = ''] = PACKET.exec(frame) ?? [];
    if (type === '0') this.#connected(this.#connection, rest);
    else if (type === '2') this.#event(JSON.parse(rest));
    else if (type === '3') this.isIn = (JSON.parse(rest) as [{ readonly ok: boolean }])[0].ok;
    // What API Gateway sends for a function that failed is no packet.
    else {
      this.#account.leave(this.#connection);
      this.#dropped();
    }
  }

  #connected(connection: Connection, rest: string): void {
    const { pid } = JSON.parse(rest) as { readonly pid: string };
    this.hasRecovered = pid === this.#pid;
    this.#pid = pid;
    this.connectedAt = this.#now;
    this.#isConnected = true;
    for (const args of this.#early.splice(0)) this.#emit(args);
    if (this.hasRecovered) return;
    this.isIn = false;
    this.#account.send(connection, `42/recover,0${JSON.stringify(['enter', { room: this.room }])}`);
  }

  #event(args: unknown[]): void {
    const n = numberOf(args);
    if (this.#came.has(n)) this.repeats += 1;
    this.#came.add(n);
    if (this.#isConnected) this.#emit(args);
    else this.#early.push(args);
  }

  #emit(args: unknown[]): void {
    this.#socket.emitEvent(args);
    const last = args.at(-1);
    if (typeof last === 'string') this.#offset = last;
  }

  #listen(args: readonly unknown[]): void {
    const n = numberOf(args);
    if (this.heard.has(n)) this.heardAgain += 1;
    else this.heard.set(n, this.#now);
  }
}

function numberOf(args: readonly unknown[]): number {
  return (args[1] as { readonly n: number }).n;
}
