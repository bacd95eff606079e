/** What clients asked for, what they were told and what they heard; and which of it breaks a promise. */
import type { Ground } from './ground.ts';
import type { FaultedPosts, Parts } from './watched-outbox.ts';

interface Operation {
  readonly kind: 'join' | 'leave';
  readonly room: string;
  readonly sentAt: number;
  /** When the acknowledgement arrived, whatever it said. */
  endedAt?: number;
  ok?: boolean;
}

/** How an event came: over a WebSocket from the start, in the answer to a poll, or after the change to a WebSocket. */
export type Via = 'websocket' | 'polling' | 'upgraded';

/** A client in a namespace, on one connection. */
export interface Session {
  readonly label: string;
  readonly namespace: string;
  readonly connectionId: string;
  /** When it asked to connect to the namespace. */
  readonly askedAt: number;
  connectedAt?: number;
  sid?: string;
  endedAt?: number;
  readonly operations: Operation[];
  /** Something was done for which its connection may be closed. */
  expectsCut?: boolean;
  readonly heard: { readonly publish: number; readonly at: number; readonly via: Via }[];
}

interface Publish {
  readonly id: number;
  readonly namespace: string;
  /** Empty: the whole namespace. */
  readonly rooms: readonly string[];
  readonly except: readonly string[];
  /** The socket that is not told. */
  readonly exceptSid: string | undefined;
  readonly begunAt: number;
  endedAt?: number;
  /** The caller was told that it went out. */
  ok?: boolean;
  /** Parts that others have to post. */
  parts: number;
  /** Tries of a part that were cut off: each may be repeated by the next. */
  cutOff: number;
  /** Connection → what went wrong with posts of this one. */
  readonly lost: Set<string>;
  readonly repeated: Map<string, number>;
}

/** How long an ended connection may take to reach its client. */
const NOTICE_MS = 10_000;

export class Ledger implements FaultedPosts, Parts {
  readonly sessions: Session[] = [];
  readonly #ground: Ground;
  /** A client that the server has forgotten notices by the missing ping: at the latest after this. */
  readonly #patienceMs: number;
  readonly #publishes = new Map<number, Publish>();
  /** Closes that did not go through. */
  readonly #unclosed = new Set<string>();

  constructor(ground: Ground, patienceMs: number) {
    this.#ground = ground;
    this.#patienceMs = patienceMs;
  }

  begin(publish: {
    readonly namespace: string;
    readonly rooms: readonly string[];
    readonly except?: readonly string[];
    readonly exceptSid?: string | undefined;
    readonly id: number;
  }): void {
    if (this.#publishes.has(publish.id)) {
      this.#ground.violation(`publish ${publish.id} ran twice`);
      return;
    }
    const { except = [], exceptSid, ...rest } = publish;
    const begunAt = this.#ground.scheduler.now();
    this.#publishes.set(publish.id, {
      ...rest,
      except,
      exceptSid,
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

  handedOver(frame: string): void {
    const publish = this.#publishes.get(publishIn(frame) ?? -1);
    if (publish !== undefined) publish.parts += 1;
  }

  tried(frame: string, whole: boolean): void {
    const publish = this.#publishes.get(publishIn(frame) ?? -1);
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
    const publish = this.#publishes.get(publishIn(frame) ?? -1);
    if (publish === undefined) return;
    if (kind === 'lost') publish.lost.add(connectionId);
    else publish.repeated.set(connectionId, (publish.repeated.get(connectionId) ?? 0) + 1);
  }

  close(connectionId: string): void {
    this.#unclosed.add(connectionId);
  }

  hear(session: Session, id: number, via: Via): void {
    const publish = this.#publishes.get(id);
    const at = this.#ground.scheduler.now();
    if (publish === undefined || publish.namespace !== session.namespace) {
      this.#ground.violation(`${session.label} heard ${id}, which nobody said there`);
      return;
    }
    if (!mayHear(session, publish))
      this.#ground.violation(`${session.label} heard ${id}, which is not for it`);
    const before = session.heard.filter((each) => each.publish === id).length;
    if (before > (publish.repeated.get(session.connectionId) ?? 0) + publish.cutOff)
      this.#ground.violation(`${session.label} heard ${id} once more without a reason`);
    if (before === 0) this.#checkOrder(session, publish);
    session.heard.push({ publish: id, at, via });
  }

  /** What was told one after the other is heard in that order. */
  #checkOrder(session: Session, publish: Publish): void {
    for (const { publish: id } of session.heard) {
      const earlier = this.#publishes.get(id);
      if (publish.endedAt !== undefined && earlier !== undefined && earlier.begunAt > publish.endedAt)
        this.#ground.violation(`${session.label} heard ${id} before ${publish.id}`);
    }
  }

  /** After the run: who should have heard what and did not, though nobody closed the connection. */
  checkDeafness(): void {
    for (const publish of this.#publishes.values()) {
      if (publish.ok !== true || publish.endedAt === undefined) continue;
      for (const session of this.sessions) {
        if (!mustHear(session, publish) || session.heard.some((each) => each.publish === publish.id))
          continue;
        if (this.#isExcused(session, publish, publish.endedAt)) continue;
        this.#ground.violation(
          `${session.label} never heard ${publish.id}, and nobody told it that it is deaf`,
        );
      }
    }
  }

  #isExcused(session: Session, publish: Publish, endedAt: number): boolean {
    const { connectionId } = session;
    if (publish.lost.has(connectionId) && this.#unclosed.has(connectionId)) return true;
    // Closed while it changes over, a client learns it by its ping timeout.
    const isPrompt = this.#ground.isFaultless && session.expectsCut !== true;
    const patience = isPrompt ? NOTICE_MS : this.#patienceMs + NOTICE_MS;
    return (session.endedAt ?? Number.POSITIVE_INFINITY) <= endedAt + patience;
  }
}

/** Every message of the simulation names its publish. */
export function publishIn(frame: string): number | undefined {
  const found = /"publish":(\d+)/.exec(frame)?.[1];
  return found === undefined ? undefined : Number(found);
}

export function isMember(session: Session, room: string): boolean {
  const last = session.operations.findLast((each) => each.room === room);
  return last?.kind === 'join' && last.ok === true;
}

/** Whether the socket was in the room, beyond doubt, when the publish began and until it ended. */
function isIn(session: Session, room: string, publish: Publish): boolean {
  const joined = session.operations.some(
    ({ kind, room: of, ok, endedAt = Number.POSITIVE_INFINITY }) =>
      kind === 'join' && of === room && ok === true && endedAt <= publish.begunAt,
  );
  return joined && !session.operations.some((each) => isLeaveNear(each, session, room, publish));
}

/** A leave counts against a member unless a join that was acknowledged in time came after it. */
function isLeaveNear(leave: Operation, session: Session, room: string, publish: Publish): boolean {
  if (leave.kind !== 'leave' || leave.room !== room) return false;
  if (leave.sentAt > (publish.endedAt ?? Number.POSITIVE_INFINITY)) return false;
  return !session.operations.some(
    (join) =>
      join.kind === 'join' &&
      join.room === room &&
      join.ok === true &&
      leave.endedAt !== undefined &&
      join.sentAt >= leave.endedAt &&
      (join.endedAt ?? Number.POSITIVE_INFINITY) <= publish.begunAt,
  );
}

/** Whether the socket can still be in the room, as far as its client can know. */
function maybeIn(session: Session, room: string, publish: Publish): boolean {
  const operations = session.operations.filter((each) => each.room === room);
  if (!operations.some(({ kind }) => kind === 'join')) return false;
  return !operations.some(
    (leave) =>
      leave.kind === 'leave' &&
      leave.ok === true &&
      (leave.endedAt ?? Number.POSITIVE_INFINITY) <= publish.begunAt &&
      operations.every(
        (join) => join.kind === 'leave' || (join.endedAt ?? Number.POSITIVE_INFINITY) <= leave.sentAt,
      ),
  );
}

function mustHear(session: Session, publish: Publish): boolean {
  const { begunAt, except, exceptSid, namespace, rooms } = publish;
  if (session.namespace !== namespace || session.connectedAt === undefined) return false;
  if (session.connectedAt > begunAt || (session.endedAt ?? Number.POSITIVE_INFINITY) <= begunAt) return false;
  if (exceptSid === session.sid || except.some((room) => maybeIn(session, room, publish))) return false;
  return rooms.length === 0 || rooms.some((room) => isIn(session, room, publish));
}

function mayHear(session: Session, publish: Publish): boolean {
  const { except, exceptSid, rooms } = publish;
  if (exceptSid !== undefined && exceptSid === session.sid) return false;
  if (except.some((room) => isIn(session, room, publish))) return false;
  return rooms.length === 0 || rooms.some((room) => maybeIn(session, room, publish));
}
