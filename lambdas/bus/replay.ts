/**
 * What a client that comes back has missed (design D9). Time decides where to look, since the log is ordered by time;
 * ids decide what is the same.
 */
import { type Offset, parseOffset } from '../contract/offsets.ts';
import { DELIVERY_DEADLINE_MS } from './delivery.ts';
import { exceptionToken } from './names.ts';
import { isWithin } from './plan.ts';
import type { Json, LogEntry, LoggedGroup, Millis, Session, SocketRecord } from './ports.ts';

/** Clocks of two functions: each is within 2 s of the time. */
export const SKEW_MS = 4_000;
/** How long a post that was begun at the deadline may be under way (`management-wire.ts`). */
const POST_MS = 2_500;
/** What was published up to so long before an event may have reached the client after it, or not at all. */
export const OVERLAP_MS = DELIVERY_DEADLINE_MS + POST_MS + SKEW_MS;
/** Who closes so long after its session's end was logged may hide that by what it shows: it is looked for no earlier than this. */
export const FOUND_MS = OVERLAP_MS - 2 * SKEW_MS;
/** More is a new session, and never a part of them. */
export const MOST_MISSED = 1_000;
/** They are held in memory until they are posted. */
export const MOST_MISSED_BYTES = 16 * 1_024 * 1_024;

export interface ReplaySource {
  readonly group: LoggedGroup;
  readonly from: Millis;
}

/** What is looked for in the logs of one session. */
export interface ReplayPlan {
  readonly sources: readonly ReplaySource[];
  readonly offset: Offset | undefined;
}

/** @param now a later offset than any clock shows is none */
export function planReplay(
  socket: SocketRecord,
  session: Session,
  offsetText: unknown,
  now: Millis,
): ReplayPlan {
  const parsed = parseOffset(offsetText);
  const offset = parsed !== undefined && parsed.position <= now + SKEW_MS ? parsed : undefined;
  // The client says what its last event was; after its connection ended it had none. What ended its session since then is
  // in the log, and is found whatever it says.
  const end = (session.closedAt ?? Number.POSITIVE_INFINITY) + SKEW_MS;
  const last = Math.min(offset?.position ?? 0, end);
  const received = Math.max(last, session.position);
  const start = Math.min(received, session.gap ?? received) - OVERLAP_MS;
  const { namespace, id, rooms } = socket;
  const source = (group: LoggedGroup, since: Millis): ReplaySource => ({
    group,
    from: Math.max(start, since - SKEW_MS),
  });
  return {
    sources: [
      source({ kind: 'namespace', namespace }, session.position),
      source({ kind: 'room', namespace, room: id }, session.position),
      ...Object.entries(rooms).map(([room, joinedAt]) => source({ kind: 'room', namespace, room }, joinedAt)),
    ],
    offset,
  };
}

export type Missed =
  | { readonly kind: 'missed'; readonly entries: readonly LogEntry[] }
  /** More than is replayed. */
  | { readonly kind: 'tooMany' }
  /** The server has ended the session meanwhile. */
  | { readonly kind: 'ended' };

/**
 * What of the logs' entries the client has to be sent, in order, each message once.
 * @param gap from where on nothing counts as received
 */
export function missedEvents(
  socket: Pick<SocketRecord, 'id' | 'rooms' | 'identities' | 'data'>,
  { offset }: Pick<ReplayPlan, 'offset'>,
  entries: readonly LogEntry[],
  gap?: Millis,
): Missed {
  // Whoever joined an excepted room later was not excepted when the event was published.
  const since = new Map([[exceptionToken(socket.id), 0]]);
  for (const [room, joinedAt] of Object.entries(socket.rooms)) since.set(exceptionToken(room), joinedAt);
  const mine = entries.filter(
    ({ range, except, position }) =>
      (range === undefined || isWithin(range, socket.id)) &&
      !except.some((token) => (since.get(token) ?? Number.POSITIVE_INFINITY) <= position),
  );
  if (mine.some((entry) => entry.frames.length === 0 && endsSession(entry, socket))) return { kind: 'ended' };
  const received = receivedMessages(mine, offset, gap);
  const missed = new Map<string, LogEntry>();
  for (const entry of [...mine].sort(byPosition)) {
    if (entry.frames.length > 0 && !received.has(entry.id) && !missed.has(entry.id))
      missed.set(entry.id, entry);
  }
  const result = [...missed.values()];
  const bytes = sizeOf(result);
  if (result.length > MOST_MISSED || bytes > MOST_MISSED_BYTES) return { kind: 'tooMany' };
  return { kind: 'missed', entries: result };
}

/** The client's last event; and those that had been posted to everybody when that one was published. */
function receivedMessages(
  entries: readonly LogEntry[],
  offset: Offset | undefined,
  gap: Millis | undefined,
): ReadonlySet<string> {
  if (offset === undefined) return new Set();
  const received = entries.flatMap(({ id, range, doneAt, position }) =>
    range === undefined &&
    doneAt !== undefined &&
    doneAt + SKEW_MS < offset.position &&
    (gap === undefined || position < gap - SKEW_MS)
      ? [id]
      : [],
  );
  return new Set([offset.id, ...received]);
}

/** Characters of their frames. */
export function sizeOf(entries: readonly LogEntry[]): number {
  return entries.reduce((sum, { frames }) => frames.reduce((all, { length }) => all + length, sum), 0);
}

function byPosition(one: LogEntry, other: LogEntry): number {
  return one.position - other.position || (one.id < other.id ? -1 : one.id > other.id ? 1 : 0);
}

function endsSession({ identity }: LogEntry, socket: Proofs): boolean {
  return identity === undefined || isProvenBy(socket, identity);
}

type Proofs = Pick<SocketRecord, 'identities' | 'data'>;

/** Whether a socket's client has proven to be this identity. */
export function isProvenBy({ identities, data }: Proofs, identity: string | number): boolean {
  return [...Object.values(identities), ...Object.values(data)].some((each) =>
    provesIdentity(each, identity),
  );
}

/**
 * Whether what is stored of a socket proves this identity; `7` and `"7"` are the same. A proof that came after the
 * handshake is kept in the socket's data by the application that asked for it.
 */
function provesIdentity(stored: Json | undefined, identity: string | number): boolean {
  if (typeof stored !== 'object' || stored === null || Array.isArray(stored)) return false;
  const { id, identity: inner } = stored as { readonly id?: Json; readonly identity?: Json };
  if ((typeof id === 'string' || typeof id === 'number') && String(id) === String(identity)) return true;
  return provesIdentity(inner, identity);
}
