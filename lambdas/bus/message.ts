/**
 * An event as it is posted: its frames, its offset and, where its namespace is recovered, its place in the log, which it
 * has before anybody's membership is read (design D9).
 */
import { type Offset, offsetText } from '../contract/offsets.ts';
import type { Target } from './audience.ts';
import type { Bus } from './context.ts';
import { DELIVERY_DEADLINE_MS } from './delivery.ts';
import { invalidPayload, UnavailableError } from './errors.ts';
import { exceptionToken, newId } from './names.ts';
import { checkSize } from './packets.ts';
import type { LogEntry, LoggedGroup, Millis, SocketKey } from './ports.ts';

/** What is handed over is the payload of an asynchronous invocation, 1 MB (Lambda quotas page). */
const MOST_WORK_BYTES = 990_000;
/** One transaction writes the log, and holds 100 rows (DynamoDB quotas page). */
const MOST_ROOMS = 90;
/** A log write that takes longer has a position that is too old: who read the log meanwhile has missed it. */
const SLOW_WRITE_MS = 1_000;
const WRITE_TRIES = 3;

export interface Publication {
  readonly event: string;
  /** Without an offset. */
  readonly frames: readonly string[];
  readonly volatile?: boolean;
  /** The message's id, 20 characters. @default a new one */
  readonly id?: string;
  /** What its publisher calls it; the logs do as well. */
  readonly name?: string;
}

/** An event that may be posted. */
export interface Message {
  readonly id: string;
  readonly name?: string;
  readonly frames: readonly string[];
  readonly volatile: boolean;
  readonly publishedAt: Millis;
  /** Milliseconds since the epoch. */
  readonly deadline: Millis;
  readonly offset: Offset | undefined;
  /** The logs it is in; empty where it is in none. */
  readonly logs: readonly LoggedGroup[];
}

/** Everybody has been tried: who comes back and had a later event has had this one. Throws nothing. */
export async function markDone(
  bus: Pick<Bus, 'eventLog' | 'clock' | 'log'>,
  message: Message,
): Promise<void> {
  const { offset, logs } = message;
  if (offset === undefined || logs.length === 0) return;
  try {
    await bus.eventLog.markDone(logs, offset, bus.clock.now());
  } catch (error) {
    bus.log.warn('a message could not be marked as done; it may be repeated', {
      messageId: message.id,
      error,
    });
  }
}

/**
 * Who could neither be posted to nor be cut would hear what is published later, and then nobody would know what it has
 * missed: it is written down, and the sweep cuts it.
 */
export async function noteUncut(
  bus: Pick<Bus, 'store' | 'clock'>,
  { offset, logs }: Pick<Message, 'offset' | 'logs'>,
  sockets: readonly (SocketKey & { readonly connectionId: string })[],
): Promise<void> {
  const at = bus.clock.now();
  for (const socket of sockets) {
    if (offset !== undefined && logs.length > 0)
      await bus.store.noteGap({ ...socket, connectedAt: at }, offset.position);
    await bus.store.addDue({ kind: 'recycle', at, connectionId: socket.connectionId });
  }
}

/** The logs that hold what a target is sent. */
export function logsOf({ namespace, rooms }: Pick<Target, 'namespace' | 'rooms'>): LoggedGroup[] {
  if (rooms.length === 0) return [{ kind: 'namespace', namespace }];
  return [...new Set(rooms)].map((room) => ({ kind: 'room', namespace, room }));
}

/** Writes it to the log again, at a position of now. @returns the frames with the new offset */
export async function placedAnew(
  bus: Pick<Bus, 'eventLog' | 'clock' | 'stamp'>,
  logs: readonly LoggedGroup[],
  entry: Omit<LogEntry, 'position'>,
): Promise<{ readonly frames: readonly string[]; readonly position: Millis }> {
  return appended(bus, logs, (position) => ({
    ...entry,
    frames: withOffset(entry.frames, { position, id: entry.id }),
  }));
}

/** The frames of a message with its offset, whatever offset of the message they had. */
export function withOffset(frames: readonly string[], offset: Offset): readonly string[] {
  const [first = '', ...attachments] = frames;
  // The last argument of the packet: the id in it is this message's, so nothing else is taken for it.
  const end = `${offset.id}"]`;
  if (!first.endsWith(end)) return frames;
  return [`${first.slice(0, -(offsetText(offset).length + 2))}${offsetText(offset)}"]`, ...attachments];
}

/** One that nobody is sent again. */
export function plainMessage(
  frames: readonly string[],
  id: string,
  publishedAt: Millis,
  volatile = false,
): Message {
  const deadline = publishedAt + DELIVERY_DEADLINE_MS;
  return { id, frames, volatile, publishedAt, deadline, offset: undefined, logs: [] };
}

/** An event's packet ends with its arguments. @throws BusError `invalid_payload` where it becomes too large */
function plusOffset([first = '', ...attachments]: readonly string[], offset: Offset): readonly string[] {
  const frames = [`${first.slice(0, -1)},"${offsetText(offset)}"]`, ...attachments];
  checkSize(frames);
  return frames;
}

/** @throws BusError `invalid_payload` where it cannot be posted to everybody, whoever that is: nothing is written then */
export async function placed(
  bus: Bus,
  { namespace, rooms, except }: Target,
  publication: Publication,
): Promise<Message> {
  const { event, volatile = false, id = newId(bus.random), name } = publication;
  const named = name === undefined ? {} : { name };
  const recovery = bus.registry.recovery(namespace);
  checkWork({ namespace, rooms, except }, publication.frames);
  if (recovery === undefined)
    return { ...plainMessage(publication.frames, id, bus.clock.now(), volatile), ...named };
  const isLogged = !volatile && recovery.isLogged(event);
  if (isLogged && rooms.length > MOST_ROOMS)
    throw invalidPayload(`an event goes to at most ${MOST_ROOMS} rooms`, 'rooms');
  const framesAt = (position: Millis) => plusOffset(publication.frames, { position, id });
  const messageAt = (position: Millis, frames: readonly string[], logs: readonly LoggedGroup[]): Message => ({
    id,
    ...named,
    frames,
    volatile,
    publishedAt: position,
    deadline: position + DELIVERY_DEADLINE_MS,
    offset: { position, id },
    logs,
  });
  const now = bus.stamp();
  if (!isLogged) return messageAt(now, framesAt(now), []);
  const logs = logsOf({ namespace, rooms });
  const { position, frames } = await appended(bus, logs, (at) => ({
    id,
    frames: framesAt(at),
    except: [...new Set(except)].map(exceptionToken),
  }));
  return messageAt(position, frames, logs);
}

/**
 * Ends the sessions of those who would hear a target's events but are not there now: whoever comes back finds it in the
 * log. Who is there has to be told besides.
 * @param identity only sessions of that one
 */
export async function endSessions(
  bus: Pick<Bus, 'eventLog' | 'clock' | 'stamp' | 'registry' | 'random'>,
  { namespace, rooms, except }: Target,
  identity?: string,
): Promise<void> {
  if (bus.registry.recovery(namespace) === undefined) return;
  const entry = { id: newId(bus.random), frames: [], except: except.map(exceptionToken) };
  await appended(bus, logsOf({ namespace, rooms }), () =>
    identity === undefined ? entry : { ...entry, identity },
  );
}

/** Writes to the log at a position of now; where that took too long, again. */
async function appended(
  bus: Pick<Bus, 'eventLog' | 'clock' | 'stamp'>,
  logs: readonly LoggedGroup[],
  entryAt: (position: Millis) => Omit<LogEntry, 'position'>,
): Promise<Pick<LogEntry, 'position' | 'frames'>> {
  for (let tries = 1; ; tries += 1) {
    const position = bus.stamp();
    const entry = entryAt(position);
    await bus.eventLog.append(logs, { ...entry, position });
    if (bus.clock.now() - position <= SLOW_WRITE_MS) return { position, frames: entry.frames };
    if (tries === WRITE_TRIES) throw new UnavailableError('the log takes too long');
  }
}

/**
 * Characters that take six bytes each in JSON, escaped once more, are found out before anything is written or posted;
 * what is far from the limit however it is written is not counted.
 */
function checkWork(target: Target, frames: readonly string[]): void {
  const characters = [...target.rooms, ...target.except, ...frames].reduce(
    (sum, { length }) => sum + length,
    0,
  );
  if (characters * 6 < MOST_WORK_BYTES) return;
  const bytes = Buffer.byteLength(JSON.stringify({ target, frames }));
  if (bytes > MOST_WORK_BYTES)
    throw invalidPayload(
      `the packet and the names of its rooms are ${bytes} bytes, too many to hand over`,
      'rooms',
    );
}
