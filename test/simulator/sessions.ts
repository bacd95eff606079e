/** What clients take for their sessions, and who was in which room when, as far as its client can know. */
import type { Offset } from '../../lambdas/contract/offsets.ts';

/** A function's clock is right within this. */
export const CLOCK_MS = 2_000;
/** A replay may begin so long before a room was joined: the two clocks, and what the server allows them. */
const BEFORE_JOIN_MS = 2 * CLOCK_MS + 4_000;

/** A client may wait so long for an answer that is lost. */
const LOST_MS = 30_000;

export interface Operation {
  readonly kind: 'join' | 'leave';
  readonly room: string;
  readonly sentAt: number;
  /** When the acknowledgement arrived, whatever it said; or when it was too late for any. */
  endedAt?: number;
  ok?: boolean;
}

/** How an event came: over a WebSocket from the start, in the answer to a poll, or after the change to a WebSocket. */
export type Via = 'websocket' | 'polling' | 'upgraded';

/** An event that reached a client. */
export interface Receipt {
  readonly publish: number;
  /** The connection that brought it. */
  readonly session: Session;
  readonly via: Via;
  /** Before that connection's CONNECT reply: live, or sent again. */
  readonly isEarly: boolean;
  readonly offset: Offset | undefined;
}

interface Note {
  readonly value: number;
  isKept: boolean;
}

/** A session, over all connections on which it was recovered. */
export interface Line {
  readonly namespace: string;
  sid?: string;
  readonly sessions: Session[];
  readonly operations: Operation[];
  readonly heard: Receipt[];
  /** What was asked to be kept in the socket's data. */
  readonly notes: Note[];
  /** Its client left it on a connection that went on, or was told of its end. */
  isOver?: boolean;
  /** Its client left it as the connection ended: that may have been handled, before it comes back or after that, or not at all. */
  mayBeOver?: boolean;
}

/** What a client shows of the session it had. */
interface Shown {
  readonly line: Line;
  readonly offset: Offset | undefined;
  /** The server has written down that it may not be recovered any more. */
  readonly isRefused: boolean;
}

/** A client in a namespace, on one connection. */
export interface Session {
  readonly label: string;
  readonly namespace: string;
  readonly connectionId: string;
  /** When it asked to connect to the namespace. */
  readonly askedAt: number;
  readonly shown: Shown | undefined;
  /** A new one, until it is known to be recovered. */
  line: Line;
  connectedAt?: number;
  endedAt?: number;
  /** Something was done for which its connection may be closed. */
  expectsCut?: boolean;
}

/** What membership depends on of a publish. */
export interface Span {
  readonly namespace: string;
  /** Empty: the whole namespace. */
  readonly rooms: readonly string[];
  readonly except: readonly string[];
  /** The socket that is not told. */
  readonly exceptSid: string | undefined;
  readonly begunAt: number;
  endedAt?: number;
}

export function newLine(namespace: string): Line {
  return { namespace, sessions: [], operations: [], heard: [], notes: [] };
}

export function isMember({ line }: Pick<Session, 'line'>, room: string): boolean {
  const last = line.operations.findLast((each) => each.room === room);
  return last?.kind === 'join' && last.ok === true;
}

/** Those of the line's connection that came to an end. */
export function lineEnd({ sessions }: Line): number {
  return sessions.at(-1)?.endedAt ?? Number.POSITIVE_INFINITY;
}

/** Whether the socket was in the room, beyond doubt, when the publish began and until it ended. */
function isIn(line: Line, room: string, publish: Span): boolean {
  if (room === line.sid) return true;
  const joined = line.operations.some(
    ({ kind, room: of, ok, endedAt = Number.POSITIVE_INFINITY }) =>
      kind === 'join' && of === room && ok === true && endedAt <= publish.begunAt,
  );
  return joined && !line.operations.some((each) => isLeaveNear(each, line, room, publish));
}

/** A leave counts against a member unless a join that was acknowledged in time came after it. */
function isLeaveNear(leave: Operation, line: Line, room: string, publish: Span): boolean {
  if (leave.kind !== 'leave' || leave.room !== room) return false;
  // What was on its way in an answer that got lost is not sent again to who had left before he came back.
  const slack = leave.ok === undefined ? LOST_MS : 0;
  if (leave.sentAt > (publish.endedAt ?? Number.POSITIVE_INFINITY) + slack) return false;
  return !line.operations.some(
    (join) =>
      join.kind === 'join' &&
      join.room === room &&
      join.ok === true &&
      leave.endedAt !== undefined &&
      join.sentAt >= leave.endedAt &&
      (join.endedAt ?? Number.POSITIVE_INFINITY) <= publish.begunAt,
  );
}

/** Whether the socket can be in the room, as far as its client can know; for a moment before it joined as well. */
function maybeIn(line: Line, room: string, publish: Span): boolean {
  if (room === line.sid) return true;
  const until = (publish.endedAt ?? Number.POSITIVE_INFINITY) + BEFORE_JOIN_MS;
  const operations = line.operations.filter((each) => each.room === room);
  if (!operations.some(({ kind, sentAt }) => kind === 'join' && sentAt <= until)) return false;
  return !operations.some(
    (leave) =>
      leave.kind === 'leave' &&
      leave.ok === true &&
      (leave.endedAt ?? Number.POSITIVE_INFINITY) <= publish.begunAt &&
      operations.every(
        (join) =>
          join.kind === 'leave' ||
          join.sentAt > until ||
          (join.endedAt ?? Number.POSITIVE_INFINITY) <= leave.sentAt,
      ),
  );
}

export function mustHear(line: Line, publish: Span): boolean {
  const { begunAt, except, exceptSid, namespace, rooms } = publish;
  const connectedAt = line.sessions[0]?.connectedAt;
  if (line.namespace !== namespace || connectedAt === undefined) return false;
  if (connectedAt > begunAt || lineEnd(line) <= begunAt) return false;
  if (exceptSid === line.sid || except.some((room) => maybeIn(line, room, publish))) return false;
  return rooms.length === 0 || rooms.some((room) => isIn(line, room, publish));
}

/**
 * @param isReplay it is not for who is in an excepted room when he comes back; who has left it meanwhile gets it, and who
 *   had joined it so shortly before that two clocks may tell it otherwise
 */
export function mayHear(line: Line, publish: Span, isReplay: boolean): boolean {
  const { begunAt, except, exceptSid, rooms } = publish;
  if (exceptSid !== undefined && exceptSid === line.sid) return false;
  const isMoved = (room: string) =>
    line.operations.some(
      ({ kind, room: of, sentAt, endedAt = Number.POSITIVE_INFINITY }) =>
        of === room && (kind === 'leave' ? sentAt >= begunAt : endedAt > begunAt - BEFORE_JOIN_MS),
    );
  if (except.some((room) => isIn(line, room, publish) && !(isReplay && isMoved(room)))) return false;
  return rooms.length === 0 || rooms.some((room) => maybeIn(line, room, publish));
}

/** Whether a publish was under way while the client was taken back: it may come live and again, in either order. */
export function isDuringRecovery(
  { askedAt, connectedAt = Number.POSITIVE_INFINITY, shown }: Session,
  { begunAt, endedAt = Number.POSITIVE_INFINITY }: Span,
): boolean {
  return shown !== undefined && endedAt >= askedAt && begunAt <= connectedAt;
}
