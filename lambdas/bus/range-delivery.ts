/**
 * Posts a packet to one range of an audience (design D6). What it has done is written down at least every 64 posts, so
 * that a retried or doubled invocation repeats no more than those; what it cannot do in time it hands over.
 */
import { sourcesOf } from './audience.ts';
import type { Bus } from './context.ts';
import { DELIVERY_DEADLINE_MS, deliver } from './delivery.ts';
import { UnavailableError } from './errors.ts';
import { Exceptions } from './exceptions.ts';
import { countPosts } from './fan-out.ts';
import { logsOf, noteUncut, placedAnew } from './message.ts';
import { exceptionToken, newId } from './names.ts';
import { Pacer } from './pacing.ts';
import { estimateRest, planRanges } from './plan.ts';
import type {
  DeliverWork,
  IdRange,
  MemberId,
  Millis,
  PostOutcome,
  Progress,
  SocketKey,
  Wire,
} from './ports.ts';
import { reapLater } from './reaping.ts';
import { type Block, type Found, UnionReader } from './union-reader.ts';

/** Posts that a crash may repeat: those under way, and those done and not written down. */
export const MOST_OPEN = 64;
/** So many done in a row are written down. */
const SAVE_EVERY = 32;
/**
 * A recipient that takes longer must not hold up those behind it: it is noted as late and tried on beside them. What
 * one in a hundred takes: with 250 ms a broadcast to 10,000 takes 5 % longer, with 60 a fifth more is written down
 * (`npm run bench -- quota`).
 */
const LATE_MS = 80;
/** How long work is somebody's without a sign of life: longer than a post is tried, shorter than Lambda's first retry. */
const LEASE_MS = 20_000;
/** How often somebody else's work is looked at. */
const BUSY_STEP_MS = 1_000;
/** Before its time is up an invocation begins no more posts: the last ones may take 5 s, and then it hands over. */
const MARGIN_MS = 10_000;
/** How long after it was published posts of a message are begun: the last ones are tried until its deadline, 5 s. */
const LEG_MS = 3_000;
/** A range that turns out this many times larger than it was thought is divided. */
const MISJUDGED = 2;

export interface RangeReport {
  readonly posted: number;
  readonly gone: number;
  readonly failed: number;
  /** Parts that were handed over. */
  readonly parts: number;
  /** Somebody else has done it, or does it. */
  readonly superseded: boolean;
}

export class RangeDelivery {
  readonly #bus: Bus;

  constructor(bus: Bus) {
    this.#bus = bus;
  }

  /**
   * @param remainingMs how long this invocation may still run
   * @throws UnavailableError where somebody else has the work all that time, for the platform to try again later
   */
  async run(work: DeliverWork, remainingMs: () => number): Promise<RangeReport> {
    const owner = newId(this.#bus.random);
    const progress = await this.#claimed(work, owner, remainingMs);
    const run = new Run(this.#bus, work, owner, progress, () => remainingMs() > MARGIN_MS);
    const report = await run.finish();
    const { metrics, clock } = this.#bus;
    if (report.superseded) return report;
    // With what those have done who were cut off before it, and could not say so.
    countPosts(metrics, report);
    metrics.count('Ranges', report.parts);
    metrics.milliseconds('FanOutTime', clock.now() - work.publishedAt);
    return report;
  }

  /** A doubled invocation waits: should the other one be lost, its lease runs out. */
  async #claimed(work: DeliverWork, owner: string, remainingMs: () => number): Promise<Progress> {
    const { checkpoints, clock } = this.#bus;
    for (;;) {
      const progress = await checkpoints.claim(workName(work), owner, clock.now() + LEASE_MS);
      if (progress !== 'busy') return progress;
      if (remainingMs() < MARGIN_MS) throw new UnavailableError('a range is being posted by somebody else');
      await clock.sleep(BUSY_STEP_MS);
    }
  }
}

function workName({ broadcast, range }: DeliverWork): string {
  return `${broadcast}:${range.after ?? ''}:${range.through ?? ''}`;
}

/** What is posted under one position: until its time is over, and to members that were read after it was in the log. */
interface Leg {
  readonly frames: readonly string[];
  readonly position: Millis;
}

interface Attempt {
  readonly id: MemberId;
  readonly connectionId: string;
  state: 'under way' | 'late' | 'settled';
}

/** One invocation's work on a range. */
class Run {
  readonly #bus: Bus;
  readonly #work: DeliverWork;
  readonly #owner: string;
  readonly #hasTime: () => boolean;
  readonly #pacer: Pacer;
  readonly #changes = new Changes();
  /** Begun since what was last written down, in their order. */
  readonly #open: Attempt[] = [];
  /** Those before them that have no result yet. */
  readonly #late = new Set<Attempt>();
  readonly #gone: Found[] = [];
  readonly #counts: Record<'posted' | 'gone' | 'failed', number>;
  #leg: Leg;
  #progress: Progress;
  #saving: Promise<void> | undefined;
  #isLost = false;
  #failure: unknown;

  constructor(bus: Bus, work: DeliverWork, owner: string, progress: Progress, hasTime: () => boolean) {
    this.#bus = bus;
    this.#work = work;
    this.#owner = owner;
    this.#progress = progress;
    this.#hasTime = hasTime;
    const { posted, gone, failed } = progress;
    this.#counts = { posted, gone, failed };
    this.#leg = { frames: work.frames, position: work.publishedAt };
    this.#pacer = new Pacer({ perSecond: work.perSecond, clock: bus.clock });
  }

  async finish(): Promise<RangeReport> {
    if (this.#progress.done) return this.#report(true);
    try {
      if (this.#progress.parts === undefined) await this.#post();
      await this.#handOver(this.#progress.parts ?? []);
      return this.#report(false);
    } catch (error) {
      if (this.#isLost) return this.#report(true);
      throw error;
    } finally {
      await reapLater(this.#bus, this.#gone);
    }
  }

  async #post(): Promise<void> {
    // Those who were tried before lie anywhere in the range.
    if (this.#progress.late.length > 0) await this.#inTime(this.#work.range);
    for (const late of this.#progress.late) {
      const attempt: Attempt = { ...late, state: 'late' };
      this.#late.add(attempt);
      void this.#try(attempt, {
        ...late,
        group: { kind: 'namespace', namespace: this.#work.target.namespace },
      });
    }
    const parts = await this.#postInOrder();
    // Under its own name nobody would do it: it would be done when this is.
    if (parts.some(({ after }) => after === this.#work.range.after))
      throw new UnavailableError('there was no time to begin with the range');
    while (this.#late.size > 0 || this.#open.some(({ state }) => state !== 'settled'))
      await this.#changes.next();
    await this.#saving;
    await this.#save(this.#open.length, parts);
    this.#throwIfStopped();
  }

  /** @returns what is left to others */
  async #postInOrder(): Promise<readonly IdRange[]> {
    const { range } = this.#work;
    const begin = this.#progress.through;
    let left: IdRange = begin === undefined ? range : { ...range, after: begin };
    for (let isFirst = true; ; isFirst = false) {
      await this.#inTime(left);
      const end = await this.#postLeg(left, isFirst);
      if ('parts' in end) return end.parts;
      left = end.left;
    }
  }

  /** Until the end of the range, or of the leg. @returns what is left to others, or to the next leg */
  async #postLeg(
    range: IdRange,
    isFirst: boolean,
  ): Promise<{ readonly parts: readonly IdRange[] } | { readonly left: IdRange }> {
    const { target } = this.#work;
    const { store } = this.#bus;
    const sources = sourcesOf(this.#bus, target);
    const exceptions = new Exceptions(store, sources.exceptIds, sources.exceptGroups, range);
    const reader = new UnionReader(store, sources.groups, { range });
    let left = range;
    for (
      let block = await reader.next(), parts = isFirst ? this.#misjudged(range, block) : [];
      ;
      block = await reader.next()
    ) {
      for (const member of await exceptions.without(block)) {
        if (!(await this.#hasPlace())) return { parts: [left] };
        if (this.#isOver()) return { left };
        this.#begin(member);
        left = { ...left, after: member.id };
      }
      if (block.through === undefined) return { parts: [] };
      left = { ...left, after: block.through };
      if (parts.length > 1) return { parts };
      parts = [];
    }
  }

  #isOver(): boolean {
    return this.#work.logged && this.#bus.clock.now() - this.#leg.position > LEG_MS;
  }

  /** What is too late for its position gets a new one in the log, and then its members are read again (design D9). */
  async #inTime(range: IdRange): Promise<void> {
    if (!this.#isOver()) return;
    const { target, id } = this.#work;
    const entry = {
      id,
      frames: this.#leg.frames,
      except: target.except.map(exceptionToken),
      ...(range.after === undefined && range.through === undefined ? {} : { range }),
    };
    this.#leg = await placedAnew(this.#bus, logsOf(target), entry);
  }

  /** What lies beyond a block, divided, where that is so much more than was thought that it takes more than one. */
  #misjudged(range: IdRange, { members, through }: Block): readonly IdRange[] {
    if (through === undefined) return [];
    const remaining = estimateRest(range, through, members.length);
    if (members.length + remaining < MISJUDGED * this.#work.expected) return [];
    return planRanges({ ...range, after: through }, remaining, this.#work.perSecond).ranges;
  }

  /** Waits until one more may be begun; false where none may any more. */
  async #hasPlace(): Promise<boolean> {
    // Those written down as late count until that is written anew: after a crash they would be tried again.
    while (this.#open.length + this.#progress.late.length >= MOST_OPEN) {
      this.#throwIfStopped();
      this.#saveSoon();
      await this.#changes.next();
    }
    this.#throwIfStopped();
    return this.#hasTime();
  }

  #begin(member: Found): void {
    const attempt: Attempt = { id: member.id, connectionId: member.connectionId, state: 'under way' };
    this.#open.push(attempt);
    void this.#try(attempt, member);
  }

  async #try(attempt: Attempt, member: Found): Promise<void> {
    const { clock, log, random } = this.#bus;
    const { logged, target, volatile } = this.#work;
    const { frames, position } = this.#leg;
    const { id, connectionId } = attempt;
    const wire = this.#wireFor(attempt);
    const named = { volatile, messageId: this.#work.id };
    const options = logged ? { ...named, deadline: position + DELIVERY_DEADLINE_MS } : named;
    try {
      const outcome = await deliver({ wire, clock, random, log }, connectionId, frames, options);
      this.#counts[outcome === 'uncut' ? 'failed' : outcome] += 1;
      if (outcome === 'gone') this.#gone.push(member);
      if (outcome === 'uncut')
        await this.#noteUncut(position, { namespace: target.namespace, id, connectionId });
    } catch (error) {
      this.#counts.failed += 1;
      log.error('a recipient could not be tried', { connectionId: attempt.connectionId, error });
    }
    attempt.state = 'settled';
    this.#late.delete(attempt);
    this.#changes.tell();
    if (this.#settledInOrder() >= SAVE_EVERY) this.#saveSoon();
  }

  async #noteUncut(position: Millis, socket: SocketKey & { readonly connectionId: string }): Promise<void> {
    const { id, logged, target } = this.#work;
    const message = { offset: { position, id }, logs: logged ? logsOf(target) : [] };
    try {
      await noteUncut(this.#bus, message, [socket]);
    } catch (error) {
      this.#bus.log.error('what a connection has missed could not be noted', { messageId: id, error });
    }
  }

  /** Posts in their turn; once the first has begun, time runs. */
  #wireFor(attempt: Attempt): Wire {
    const { clock, wire } = this.#bus;
    let isTimed = false;
    let hasTurn = false;
    const inTurn = async <Outcome extends PostOutcome | 'singly'>(post: () => Promise<Outcome>) => {
      if (!hasTurn) await this.#pacer.take();
      if (!isTimed) void clock.sleep(LATE_MS).then(() => this.#overtake(attempt));
      isTimed = true;
      const outcome = await post();
      hasTurn = outcome === 'singly';
      if (outcome !== 'singly') this.#pacer.settled(outcome);
      // It will be tried again, after a pause.
      if (outcome === 'throttled' || outcome === 'failed') this.#overtake(attempt);
      return outcome;
    };
    return {
      post: (connectionId, frame) => inTurn(() => wire.post(connectionId, frame)),
      // Where nothing was posted the turn is for the first frame.
      postPacket: (connectionId, frames) => inTurn(() => wire.postPacket(connectionId, frames)),
      close: (connectionId) => wire.close(connectionId),
    };
  }

  #overtake(attempt: Attempt): void {
    if (attempt.state !== 'under way') return;
    attempt.state = 'late';
    this.#changes.tell();
  }

  /** How many, from the first that is not written down, hold nobody up. */
  #settledInOrder(): number {
    const first = this.#open.findIndex(({ state }) => state === 'under way');
    return first < 0 ? this.#open.length : first;
  }

  #saveSoon(): void {
    const count = this.#settledInOrder();
    const isNothingNew = count === 0 && this.#late.size === this.#progress.late.length;
    if (this.#saving !== undefined || isNothingNew) return;
    this.#saving = this.#save(count)
      .catch((error: unknown) => {
        this.#failure ??= error;
      })
      .finally(() => {
        this.#saving = undefined;
        this.#changes.tell();
      });
  }

  /** Writes down the first `count` of those that are open. @param parts what is left, at the end */
  async #save(count: number, parts?: readonly IdRange[]): Promise<void> {
    const { checkpoints, clock } = this.#bus;
    const saved = this.#open.slice(0, count);
    const late = [...this.#late, ...saved.filter(({ state }) => state === 'late')];
    const through = saved.at(-1)?.id ?? this.#progress.through;
    const progress: Progress = {
      ...this.#counts,
      ...(through === undefined ? {} : { through }),
      late: late.map(({ id, connectionId }) => ({ id, connectionId })),
      ...(parts === undefined || parts.length === 0 ? {} : { parts }),
      done: parts?.length === 0,
    };
    const until = clock.now() + LEASE_MS;
    if (!(await checkpoints.save(workName(this.#work), this.#owner, progress, until))) {
      this.#isLost = true;
      return;
    }
    this.#open.splice(0, count);
    for (const attempt of late) if (attempt.state === 'late') this.#late.add(attempt);
    this.#progress = progress;
  }

  /** Written down before it is done, so that whoever comes after a crash hands over the same parts under the same names. */
  async #handOver(parts: readonly IdRange[]): Promise<void> {
    if (parts.length === 0) return;
    const perSecond = this.#work.perSecond / parts.length;
    await Promise.all(parts.map((range) => this.#bus.workers.deliver({ ...this.#work, range, perSecond })));
    const { checkpoints, clock } = this.#bus;
    const done: Progress = { ...this.#progress, ...this.#counts, done: true };
    await checkpoints.save(workName(this.#work), this.#owner, done, clock.now() + LEASE_MS);
  }

  #throwIfStopped(): void {
    if (this.#isLost) throw new UnavailableError('somebody else has taken the range over');
    if (this.#failure !== undefined) throw this.#failure;
  }

  #report(superseded: boolean): RangeReport {
    return { ...this.#counts, parts: this.#progress.parts?.length ?? 0, superseded };
  }
}

/** Wakes those who wait for something to have changed. */
class Changes {
  #waiting: (() => void)[] = [];

  next(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  tell(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}
