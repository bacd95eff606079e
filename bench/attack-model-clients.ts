/** Clients of the attack in a model: some that are honest, and places from which hostile connections come again and again. */
import { windowAt } from '../lambdas/bus/limits.ts';
import type { Connection, Peer } from '../test/simulator/gateway.ts';
import { type Malice, MOST_FRAMES, PER_SECOND } from './attack-rows.ts';
import type { Account } from './model-account.ts';

/** Of a stock client that was cut: half a second to one and a half. */
const BACK_MS = 500;
/** A packet with an acknowledgement, of the namespace `/`. */
const ACK = /^43(\d+)(.*)$/s;

/** An event of an honest client. */
export interface Relay {
  readonly sentAt: number;
  /** When its acknowledgement said that it was relayed. */
  answeredAt?: number;
  /** The other of its pair has had it. */
  isHeard: boolean;
}

/** A client in a room of two that relays events to the other, and believes that all is well. */
export class HonestClient {
  isIn = false;
  /** How often it was cut. */
  cuts = 0;
  readonly #account: Account;
  readonly #pair: string;
  /** Of both of the pair, by number. */
  readonly #relays: Map<number, Relay>;
  #connection: Connection | undefined;

  constructor(account: Account, pair: string, relays: Map<number, Relay>) {
    this.#account = account;
    this.#pair = pair;
    this.#relays = relays;
  }

  connect(): void {
    const peer = {
      opened: () => {},
      refused: () => this.#back(),
      receive: (frame: string) => this.#receive(frame),
      closed: () => this.#cut(),
    };
    this.#account.dial(peer, (connection) => {
      this.#connection = connection;
    });
  }

  /** @param n of this event alone, from 1 on; who is not connected loses it */
  relay(n: number): void {
    this.#relays.set(n, { sentAt: this.#account.ground.scheduler.now(), isHeard: false });
    if (this.isIn) this.#send(`42${n}["relay",{"pair":"${this.#pair}","n":${n}}]`);
  }

  #receive(frame: string): void {
    const [, id, answer = ''] = ACK.exec(frame) ?? [];
    if (id !== undefined) this.#answered(Number(id), answer);
    else if (frame.startsWith('42')) this.#heard(frame);
    else if (frame.startsWith('0')) this.#send('40');
    else if (frame.startsWith('40')) this.#send(`420["enter",{"pair":"${this.#pair}"}]`);
    else if (frame === '2') this.#send('3');
    // What API Gateway sends for what it does not let in is no packet: a stock client closes.
    else this.#cut();
  }

  #answered(id: number, answer: string): void {
    const isDone = (JSON.parse(answer) as [{ readonly ok: boolean }])[0].ok;
    const relay = this.#relays.get(id);
    if (relay === undefined) this.isIn = isDone;
    else if (isDone) relay.answeredAt = this.#account.ground.scheduler.now();
  }

  #heard(frame: string): void {
    const [, { n }] = JSON.parse(frame.slice(2)) as [string, { readonly n: number }];
    const relay = this.#relays.get(n);
    if (relay !== undefined) relay.isHeard = true;
  }

  #send(frame: string): void {
    if (this.#connection !== undefined) this.#account.send(this.#connection, frame);
  }

  #cut(): void {
    this.cuts += 1;
    if (this.#connection !== undefined) this.#account.leave(this.#connection);
    this.#back();
  }

  #back(): void {
    const { chance, scheduler } = this.#account.ground;
    this.#connection = undefined;
    this.isIn = false;
    scheduler.after(chance.between(BACK_MS, 3 * BACK_MS), () => this.connect());
  }
}

/** One hostile connection. */
export class HostileConnection implements Peer {
  readonly malice: Malice;
  sent = 0;
  accepted = 0;
  /** Undefined where it was refused. */
  openedAt: number | undefined;
  closedAt: number | undefined;
  /** Which instances had a frame of it. */
  readonly instances = new Set<string>();
  readonly #account: Account;
  readonly #over: () => void;
  #connection: Connection | undefined;
  #firstAt = Number.POSITIVE_INFINITY;

  /** @param over told when it was refused or closed */
  constructor(account: Account, malice: Malice, over: () => void) {
    this.#account = account;
    this.malice = malice;
    this.#over = over;
  }

  /** @param known told of its connection before it is let in */
  begin(known: (id: string) => void): void {
    this.#account.dial(this, (connection) => {
      this.#connection = connection;
      known(connection.id);
    });
  }

  /** The most that may have been accepted of it until its end, or until then (README, "Limits"). */
  mostAccepted(perWindow: number, untold: number, until: number): number {
    const windows = windowAt(this.closedAt ?? until) - windowAt(this.#firstAt) + 1;
    return Math.max(0, windows) * (perWindow + untold * this.instances.size);
  }

  opened(): void {
    this.openedAt = this.#account.ground.scheduler.now();
    if (this.malice === 'garbage') this.#send('no packet');
  }

  refused(): void {
    this.#over();
  }

  receive(frame: string): void {
    if (this.malice !== 'flood') return;
    if (frame.startsWith('43')) this.accepted += frame.includes('rate_limited') ? 0 : 1;
    else if (frame.startsWith('0')) this.#send('40');
    else if (frame.startsWith('40')) this.#flood();
  }

  closed(): void {
    this.closedAt = this.#account.ground.scheduler.now();
    this.#over();
  }

  #flood(): void {
    if (this.closedAt !== undefined || this.sent >= MOST_FRAMES) return;
    const { scheduler } = this.#account.ground;
    this.#firstAt = Math.min(this.#firstAt, scheduler.now());
    this.#send('421["relay",{"pair":"hostile","n":1}]');
    scheduler.after(1_000 / PER_SECOND, () => this.#flood());
  }

  #send(frame: string): void {
    if (this.#connection === undefined) return;
    this.sent += frame.startsWith('40') ? 0 : 1;
    this.#account.send(this.#connection, frame);
  }
}
