/** The log of a room, read as what was published there (design D9). */
import type { EncodedHistory, HistoryQuery } from '../contract/history.ts';
import { offsetText, parseOffset } from '../contract/offsets.ts';
import { type EncodedEvent, readEventFrames } from '../protocol/event-frames.ts';
import type { Bus } from './context.ts';
import { invalidPayload } from './errors.ts';
import { checkRoomName } from './names.ts';
import type { EventLog, LogEntry, LoggedGroup } from './ports.ts';

/** Of all events of one answer; an event has at most 384 KB, so there is always one. */
const MOST_BYTES = 1_024 * 1_024;
/** Entries of one query: it may hold as many of the largest events in memory. */
const MOST_READ = 64;
/** Where the last event of a name is not among so many entries, it is not looked for any further. */
const MOST_LOOKED_AT = 1_000;
/** The first query for an event of a name: others may have been published after it. */
const NAMED_READ = 8;

export interface RoomName {
  readonly namespace: string;
  readonly room: string;
}

type HistoryBus = Pick<Bus, 'eventLog' | 'registry'>;

/**
 * The events of a room, oldest first: those after an offset, or the last ones; at most `limit`, and about 1 MB. What was
 * published longer ago than 2 h 15 min, was volatile or is unlogged is not among them, nor what the whole namespace was
 * sent. Who else an event was not for is not asked.
 * @throws BusError `invalid_payload` where the namespace keeps no log, or no room has that name
 */
export async function roomHistory(
  { eventLog, registry }: HistoryBus,
  { namespace, room }: RoomName,
  { since, limit }: HistoryQuery,
): Promise<EncodedHistory> {
  checkRoomName(room);
  if (registry.recovery(namespace) === undefined)
    throw invalidPayload(`namespace: ${namespace} keeps no log, because its recovery is off`, 'namespace');
  const place = parseOffset(since);
  const events = new Map<string, LogEntry>();
  let bytes = 0;
  let more = false;
  for await (const entry of entriesOf(eventLog, { kind: 'room', namespace, room }, limit + 1, place)) {
    if (!isEvent(entry) || entry.id === place?.id || events.has(entry.id)) continue;
    bytes += entry.frames.reduce((sum, frame) => sum + Buffer.byteLength(frame), 0);
    more = events.size === limit || bytes > MOST_BYTES;
    if (more) break;
    events.set(entry.id, entry);
  }
  const read = [...events.values()].map((entry) => answered(namespace, entry));
  return { events: place === undefined ? read.reverse() : read, more };
}

/**
 * The last event in a room's log, or the last of a name among the last 1,000 entries. One query where nothing else was
 * published after it.
 */
export async function lastEvent(
  { eventLog }: Pick<Bus, 'eventLog'>,
  { namespace, room }: RoomName,
  event?: string,
): Promise<LogEntry | undefined> {
  const group: LoggedGroup = { kind: 'room', namespace, room };
  let count = 0;
  for await (const entry of entriesOf(eventLog, group, event === undefined ? 1 : NAMED_READ)) {
    if (isEvent(entry) && (event === undefined || readEvent(namespace, entry).event === event)) return entry;
    count += 1;
    if (count === MOST_LOOKED_AT) return undefined;
  }
  return undefined;
}

/**
 * No event: what ends sessions, and what was late for a part of its audience and has been written again for that part.
 */
function isEvent({ frames, range }: LogEntry): boolean {
  return frames.length > 0 && range === undefined;
}

/** After a place in their order, or from the last one back. */
async function* entriesOf(
  log: EventLog,
  group: LoggedGroup,
  firstRead: number,
  place?: Pick<LogEntry, 'position' | 'id'>,
): AsyncGenerator<LogEntry> {
  const from = place?.position ?? 0;
  const descending = place === undefined;
  for (let after = place, limit = Math.min(firstRead, MOST_READ); ; limit = Math.min(limit * 4, MOST_READ)) {
    const entries = await log.read(group, { from, limit, descending, ...(after && { after }) });
    yield* entries;
    if (entries.length < limit) return;
    after = entries.at(-1);
  }
}

/** The event as its publisher wrote it: without the offset. */
function readEvent(namespace: string, { frames, id }: LogEntry): EncodedEvent {
  const { args, ...rest } = readEventFrames(namespace, frames);
  const last = args.at(-1);
  const isOffset = typeof last === 'string' && parseOffset(last)?.id === id;
  return { ...rest, args: isOffset ? args.slice(0, -1) : args };
}

function answered(namespace: string, entry: LogEntry): EncodedHistory['events'][number] {
  const { event, args, attachments } = readEvent(namespace, entry);
  return {
    offset: offsetText(entry),
    event,
    args: args as EncodedHistory['events'][number]['args'],
    ...(attachments.length === 0 ? {} : { attachments: [...attachments] }),
    at: entry.position,
  };
}
