/** What clients asked for, what they were told and what they heard; and which of it breaks a promise. */

import { OVERLAP_MS, SKEW_MS } from '../../lambdas/bus/replay.ts';
import type { Ground } from './ground.ts';
import {
  CLOCK_MS,
  isDuringRecovery,
  type Line,
  lineEnd,
  mayHear,
  mustHear,
  type Receipt,
  type Session,
  type Span,
} from './sessions.ts';
import type { LogWatcher } from './watched-log.ts';
import type { FaultedPosts, Parts } from './watched-outbox.ts';

interface Publish extends Span {
  readonly id: number;
  /** Nobody has to hear it. */
  readonly volatile: boolean;
  /** One publisher, which waits for each of them before the next. */
  readonly series: object | undefined;
  /** What it was named by its publisher. */
  readonly name: string | undefined;
  /** The caller was told that it went out. */
  ok?: boolean;
  /** The caller was told that its name belongs to something else. */
  isRefused?: boolean;
  isHeard?: boolean;
  messageId?: string;
  /** The last place that it was given in a log. */
  position?: number;
  /** When the log was told that everybody has been posted to. */
  doneAt?: number;
  /** Parts that others have to post. */
  parts: number;
  /** Tries of it or of a part that were cut off: each may be repeated by the next. */
  cutOff: number;
  /** Connection → what went wrong with posts of this one. */
  readonly lost: Set<string>;
  readonly repeated: Map<string, number>;
}

/** How long an ended connection may take to reach its client. */
const NOTICE_MS = 10_000;

export class Ledger implements FaultedPosts, Parts, LogWatcher {
  readonly sessions: Session[] = [];
  /** Events that were heard more than once by one session. */
  repeats = 0;
  readonly #ground: Ground;
  /** A client that the server has forgotten notices by the missing ping: at the latest after this. */
  readonly #patienceMs: number;
  /** Namespaces whose clients come back to their sessions. */
  readonly #recovered: ReadonlySet<string>;
  readonly #publishes = new Map<number, Publish>();
  /** Closes that did not go through. */
  readonly #unclosed = new Set<string>();
  /** Connections of whose polls the front door made copies. */
  readonly #askedAgain = new Set<string>();
  /** Sockets of which it was written down that they may have missed something. */
  readonly #gaps = new Set<string>();

  constructor(ground: Ground, patienceMs: number, recovered: ReadonlySet<string>) {
    this.#ground = ground;
    this.#patienceMs = patienceMs;
    this.#recovered = recovered;
  }

  get lines(): Line[] {
    return [...new Set(this.sessions.map(({ line }) => line))];
  }

  begin(publish: {
    readonly namespace: string;
    readonly rooms: readonly string[];
    readonly except?: readonly string[];
    readonly exceptSid?: string | undefined;
    readonly volatile?: boolean;
    readonly series?: object;
    readonly name?: string;
    readonly id: number;
  }): void {
    if (this.#publishes.has(publish.id)) {
      if (publish.name === undefined) this.#ground.violation(`publish ${publish.id} ran twice`);
      return;
    }
    const { except = [], exceptSid, volatile = false, series, name, ...rest } = publish;
    const begunAt = this.#ground.scheduler.now();
    this.#publishes.set(publish.id, {
      ...rest,
      except,
      exceptSid,
      volatile,
      series,
      name,
      begunAt,
      parts: 0,
      cutOff: 0,
      lost: new Set(),
      repeated: new Map(),
    });
  }

  end(id: number, ok: boolean): void {
    const publish = this.#publishes.get(id);
    if (publish === undefined) return;
    publish.ok = ok;
    this.#settle(publish);
    if (!ok && this.#ground.isFaultless) this.#ground.violation(`publish ${id} failed without a fault`);
  }

  /** One of the times that a named one was asked for is over; others may be under way. */
  endNamed(id: number, how: 'ok' | 'other content' | 'under way' | 'failed'): void {
    const publish = this.#publishes.get(id);
    if (publish === undefined) return;
    if (how === 'ok') publish.ok = true;
    if (how === 'other content') publish.isRefused = true;
    if (how === 'failed') publish.cutOff += 1;
    this.#settle(publish);
    this.#checkName(publish);
    if (how === 'failed' && this.#ground.isFaultless)
      this.#ground.violation(`publish ${id} failed without a fault`);
  }

  handedOver(frame: string): void {
    const publish = this.#publishOf(frame);
    if (publish !== undefined) publish.parts += 1;
  }

  tried(frame: string, whole: boolean): void {
    const publish = this.#publishOf(frame);
    if (publish === undefined) return;
    if (whole) publish.parts -= 1;
    else publish.cutOff += 1;
    this.#settle(publish);
  }

  /** It has ended for its caller and for every part of it. */
  #settle(publish: Publish): void {
    if (publish.ok !== undefined && publish.parts === 0) publish.endedAt = this.#ground.scheduler.now();
  }

  post(connectionId: string, frame: string, kind: 'lost' | 'repeated'): void {
    const publish = this.#publishOf(frame);
    if (publish === undefined) return;
    if (kind === 'lost') publish.lost.add(connectionId);
    else publish.repeated.set(connectionId, (publish.repeated.get(connectionId) ?? 0) + 1);
  }

  close(connectionId: string): void {
    this.#unclosed.add(connectionId);
  }

  placed(frame: string, position: number): void {
    const publish = this.#publishOf(frame);
    if (publish !== undefined) publish.position = Math.max(position, publish.position ?? 0);
  }

  done(messageId: string, at: number): void {
    for (const publish of this.#publishes.values()) if (publish.messageId === messageId) publish.doneAt = at;
  }

  /** A copy of a poll that arrives while a WebSocket takes over hides that its answer was read: it is brought again. */
  askedAgain(connectionId: string): void {
    this.#askedAgain.add(connectionId);
  }

  gap(socketId: string): void {
    this.#gaps.add(socketId);
  }

  /** Its client emits an event to its listeners. */
  hear(receipt: Receipt): void {
    const { session, offset } = receipt;
    const publish = this.#publishes.get(receipt.publish);
    if (publish === undefined || publish.namespace !== session.namespace) {
      this.#complain(receipt, 'which nobody said there');
      return;
    }
    // Around the reply it may have been sent to the one that was shown, which is found to be over when it has been moved.
    const isEither = receipt.isEarly || isDuringRecovery(session, publish);
    const { line: own, shown } = session;
    const lines = new Set(isEither && shown !== undefined ? [own, shown.line] : [own]);
    if (![...lines].some((line) => mayHear(line, publish, receipt.isEarly)))
      this.#complain(receipt, 'which is not for it');
    if ((offset !== undefined) !== this.#recovered.has(session.namespace))
      this.#complain(receipt, `with the offset ${JSON.stringify(offset)}`);
    if (offset !== undefined) publish.messageId ??= offset.id;
    publish.isHeard = true;
    if (publish.messageId !== offset?.id) this.#complain(receipt, 'under two ids');
    this.#checkName(publish);
    this.#checkPromptness(receipt, publish);
    for (const line of lines) {
      const before = line.heard.filter((each) => each.publish === receipt.publish);
      if (before.length === 0) this.#checkOrder(receipt, line, publish);
      else this.#checkRepeat(receipt, before, publish);
      line.heard.push(receipt);
    }
  }

  /** One content has a name, and the others are never heard. */
  #checkName({ name }: Publish): void {
    if (name === undefined) return;
    const named = [...this.#publishes.values()].filter((each) => each.name === name);
    const isOut = (each: Publish) => each.ok === true || each.isHeard === true;
    if (named.filter(isOut).length > 1 || named.some((each) => isOut(each) && each.isRefused === true))
      this.#ground.violation(`more than one message was published as ${name}`);
  }

  /** What was missed comes before the reply. */
  #checkPromptness(receipt: Receipt, { cutOff, endedAt = Number.POSITIVE_INFINITY }: Publish): void {
    const { session, isEarly } = receipt;
    if (session.shown?.line === session.line && !isEarly && endedAt < session.askedAt && cutOff === 0)
      this.#complain(receipt, 'which it had missed, after it was said to be recovered');
  }

  /** A message comes again only where it was on its way when something broke (design D9). */
  #checkRepeat(receipt: Receipt, before: readonly Receipt[], publish: Publish): void {
    this.repeats += 1;
    const { session } = receipt;
    const here = before.filter((each) => each.session === session).length;
    const during = isDuringRecovery(session, publish) ? 1 : 0;
    const drained = receipt.via === 'upgraded' && this.#askedAgain.has(session.connectionId) ? 1 : 0;
    const repeated = publish.repeated.get(session.connectionId) ?? 0;
    const allowed = repeated + publish.cutOff + during + drained;
    if (here > allowed || (here === 0 && allowed === 0 && !this.#mayBeReplayed(receipt, publish)))
      this.#complain(receipt, 'once more without a reason');
  }

  /** Though the client had it on an earlier connection. */
  #mayBeReplayed({ session }: Receipt, { doneAt, messageId, position = 0 }: Publish): boolean {
    const { shown, line } = session;
    if (shown === undefined) return false;
    if (line.sid !== undefined && this.#gaps.has(line.sid)) return true;
    const { offset } = shown;
    if (offset === undefined) return true;
    if (offset.id === messageId || position < offset.position - OVERLAP_MS) return false;
    return doneAt === undefined || doneAt + SKEW_MS >= offset.position;
  }

  /** What was told one after the other is heard in that order. */
  #checkOrder(receipt: Receipt, line: Line, publish: Publish): void {
    const { endedAt, cutOff, lost, ok, series } = publish;
    // What could not be posted comes with the replay, wherever that is.
    if (endedAt === undefined || cutOff > 0 || lost.size > 0) return;
    // A replay begins a little before its client was a member, and has what its publisher does not count on.
    if (receipt.isEarly && (ok !== true || !mustHear(line, publish))) return;
    for (const { publish: id, session } of line.heard) {
      const other = this.#publishes.get(id);
      if (other === undefined || isDuringRecovery(session, other)) continue;
      // A replay is in the order of the publishers' clocks; that of one publisher is right.
      const isOne = series !== undefined && series === other.series;
      const slack = receipt.isEarly && !isOne ? 2 * CLOCK_MS : 0;
      if (other.begunAt > endedAt + slack) this.#complain(receipt, `after ${id}`);
    }
  }

  /** After the run: who should have heard what and did not, though nobody closed the connection. */
  checkDeafness(): void {
    const { lines } = this;
    for (const publish of this.#publishes.values()) {
      const { endedAt, id, ok, volatile } = publish;
      if (volatile || ok !== true || endedAt === undefined) continue;
      for (const line of lines) {
        if (!mustHear(line, publish) || line.heard.some((each) => each.publish === id)) continue;
        if (this.#isExcused(line, publish, endedAt)) continue;
        this.#ground.violation(
          `${line.sessions.at(-1)?.label} never heard ${id}, and nobody told it that it is deaf`,
        );
      }
    }
  }

  #isExcused(line: Line, publish: Publish, endedAt: number): boolean {
    const last = line.sessions.at(-1);
    // It was told that it has all that it missed.
    if (last === undefined || (line.sessions.length > 1 && last.askedAt >= endedAt)) return false;
    const { connectionId } = last;
    if (publish.lost.has(connectionId) && this.#unclosed.has(connectionId)) return true;
    // Closed while it changes over, a client learns it by its ping timeout.
    const isPrompt = this.#ground.isFaultless && last.expectsCut !== true;
    const patience = isPrompt ? NOTICE_MS : this.#patienceMs + NOTICE_MS;
    return lineEnd(line) <= endedAt + patience;
  }

  #publishOf(frame: string): Publish | undefined {
    return this.#publishes.get(publishIn(frame) ?? -1);
  }

  #complain({ publish, session }: Receipt, what: string): void {
    this.#ground.violation(`${session.label} heard ${publish}, ${what}`);
  }
}

/** Every message of the simulation names its publish. */
export function publishIn(frame: string): number | undefined {
  const found = /"publish":(\d+)/.exec(frame)?.[1];
  return found === undefined ? undefined : Number(found);
}
