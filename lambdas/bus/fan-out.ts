/**
 * One packet to everybody in a union of rooms (design D6): what the first reads find is posted here, and if the audience
 * goes on, the rest is divided among invocations of `deliver`.
 */
import pMap from 'p-map';
import { ownSockets, type Sources, sourcesOf, type Target, withoutExcepted } from './audience.ts';
import type { Bus } from './context.ts';
import { deliverToAll } from './delivery.ts';
import { Exceptions } from './exceptions.ts';
import { type Message, noteUncut } from './message.ts';
import { newId } from './names.ts';
import { estimateRest, planRanges } from './plan.ts';
import type { DeliverWork, MemberId, Metrics } from './ports.ts';
import { type Block, type Found, UnionReader } from './union-reader.ts';

/** Of the account's request quota, what a fan-out may use: clients' messages and other functions need some. */
export const FAN_OUT_SHARE = 0.9;
/** A rest below this share of what is posted here anyway is posted here as well: an invocation for it would take longer. */
const FEW_SHARE = 0.2;
/** What an invocation may post for, whatever the quota: posts of a message end 5 s after it was published. */
const INLINE_SECONDS = 3;
/** Invocations that are asked for at the same time. */
const CONCURRENCY = 16;

/** @throws BusError where so many posts are too many */
export type Allow = (posts: number) => void;

export interface BroadcastReport {
  readonly id: string;
  /** Recipients; an estimate where `ranges` is not 0. */
  readonly audience: number;
  /** Of those that were posted to here. */
  readonly posted: number;
  readonly failed: number;
  readonly gone: readonly Found[];
  /** Of the failed ones, those whose connection may still be there. */
  readonly uncut: readonly Found[];
  /** Invocations that post to the others. */
  readonly ranges: number;
}

/**
 * Resolves when everybody has been tried, or is in a part that the platform has accepted.
 * @param allow told how many posts it takes, before the first; what it throws keeps it from all of them
 * @throws whatever kept a part from being handed over; others may have got the packet
 */
export async function broadcast(
  bus: Bus,
  target: Target,
  message: Message,
  allow?: Allow,
): Promise<BroadcastReport> {
  const { id, frames, volatile, deadline, publishedAt } = message;
  const sources = sourcesOf(bus, target);
  const [first, own] = await Promise.all([
    readFirst(bus, sources, mostInline(bus, frames.length)),
    ownSockets(bus, target.namespace, sources).then((members) => withoutExcepted(bus, members, sources)),
  ]);
  const here = new Map([...first.members, ...own].map((member) => [member.id, member]));
  allow?.((here.size + first.remaining) * frames.length);
  const works = rangeWorks(bus, target, message, first, own);
  // Both are seen to their end: what was handed over is under way, whatever becomes of the rest.
  const [report, handedOver] = await Promise.allSettled([
    deliverToAll(bus, [...here.values()], frames, { volatile, deadline, messageId: id }),
    pMap(works, (work) => bus.workers.deliver(work), { concurrency: CONCURRENCY }),
  ]);
  if (handedOver.status === 'rejected') throw handedOver.reason;
  if (report.status === 'rejected') throw report.reason;
  const { uncut } = report.value;
  await noteUncut(
    bus,
    message,
    uncut.map(({ id: member, connectionId }) => ({ namespace: target.namespace, id: member, connectionId })),
  );
  countPosts(bus.metrics, { ...report.value, gone: report.value.gone.length });
  bus.metrics.count('Published', 1);
  bus.metrics.count('Ranges', works.length);
  bus.metrics.milliseconds('FanOutTime', Math.max(0, bus.clock.now() - publishedAt));
  return { id, audience: here.size + first.remaining, ...report.value, ranges: works.length };
}

export function countPosts(
  metrics: Metrics,
  { posted, gone, failed }: { readonly posted: number; readonly gone: number; readonly failed: number },
): void {
  metrics.count('Posted', posted);
  metrics.count('Gone', gone);
  metrics.count('Failed', failed);
}

/** What is posted here, and how much lies beyond it. */
interface First {
  readonly members: readonly Found[];
  /** Absent: there is no more. */
  readonly through?: MemberId;
  readonly remaining: number;
}

/** Frames are paced: with a small quota fewer recipients are posted to before the function's time is up. */
function mostInline({ config }: Pick<Bus, 'config'>, frames: number): number {
  const inTime = (INLINE_SECONDS * config.requestsPerSecond * FAN_OUT_SHARE) / frames;
  return Math.max(1, Math.min(config.inlinePosts, Math.floor(inTime)));
}

async function readFirst({ store }: Pick<Bus, 'store'>, sources: Sources, most: number): Promise<First> {
  const reader = new UnionReader(store, sources.groups, { pageRows: most + 1 });
  const exceptions = new Exceptions(store, sources.exceptIds, sources.exceptGroups, {});
  const few = Math.ceil(most * FEW_SHARE);
  const members: Found[] = [];
  for (let read = 0; ; ) {
    const block = await reader.next();
    read += block.members.length;
    const over = Math.max(read - most, 0);
    const beyond = block.through === undefined ? 0 : estimateRest({}, block.through, read);
    const isRest = over + beyond >= few;
    const part = isRest ? cutBlock(block, block.members.length - over) : block;
    members.push(...(await exceptions.without(part)));
    if (part.through === undefined) return { members, remaining: 0 };
    if (isRest) {
      const cutOff = block.members.length - part.members.length;
      // Of the rest as many are excepted as of what was read, more or less.
      const left = members.length / Math.max(read - cutOff, 1);
      return { members, through: part.through, remaining: Math.round((cutOff + beyond) * left) };
    }
  }
}

function cutBlock(block: Block, most: number): Block {
  const members = block.members.slice(0, Math.max(most, 1));
  const last = members.at(-1);
  return members.length === block.members.length || last === undefined
    ? block
    : { members, through: last.id };
}

function rangeWorks(
  { config, random }: Pick<Bus, 'config' | 'random'>,
  { namespace, rooms, except }: Target,
  message: Message,
  { through, remaining }: First,
  own: readonly Found[],
): DeliverWork[] {
  if (through === undefined) return [];
  const { ranges, perSecond } = planRanges(
    { after: through },
    remaining,
    config.requestsPerSecond * FAN_OUT_SHARE,
  );
  const expected = Math.ceil(remaining / ranges.length);
  const broadcast = newId(random);
  return ranges.map((range) => ({
    v: 1,
    kind: 'range',
    id: message.id,
    broadcast,
    target: { namespace, rooms, except: [...except, ...own.map(({ id }) => id)] },
    range,
    frames: message.frames,
    volatile: message.volatile,
    publishedAt: message.publishedAt,
    logged: message.logs.length > 0,
    ...(message.name === undefined ? {} : { name: message.name }),
    perSecond,
    expected,
  }));
}
