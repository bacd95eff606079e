/**
 * Decides what goes wrong. Each kind of occurrence (a type of call, a connection, a `$disconnect`, …) has a sequence of
 * its own, and every occurrence takes the same number of values from it, so the nth one is decided the same for the
 * same seed and rules, whatever happened elsewhere and however the others were decided.
 */
import { type GatewayClock, systemClock } from '../gateway/clock.ts';
import { type Shuffle, seededShuffle } from '../gateway/shuffle.ts';
import { type Random, seededRandom } from '../random.ts';
import { between, type CallFault, type ConnectionFate, type Decision, sampleLatency } from './decision.ts';
import {
  type CallRules,
  type CallType,
  type FaultRules,
  type KillRule,
  NO_FAULTS,
  type ParsedRules,
  parseFaultRules,
} from './rules.ts';

export type FaultKind =
  | CallFault['kind']
  | 'latency'
  | 'half-open'
  | 'slow'
  | 'disconnect-lost'
  | 'disconnect-doubled'
  | 'disconnect-late'
  | 'event-duplicated'
  | 'event-late';

/** One thing that went wrong on purpose. */
export interface InjectedFault {
  readonly kind: FaultKind;
  /** The type of the call, or the function. */
  readonly where: string;
  /** Which one it was of its sequence, from 1. */
  readonly nth: number;
}

/** Faults as a test sees them. */
export interface FaultControl {
  readonly seed: number | string;
  /** Other rules from now on; sequences and counts start anew. @throws FaultRulesError */
  replace(rules: FaultRules): void;
  /** Nothing goes wrong from now on; what has been counted stays. Connections that are half-open stay so. */
  clear(): void;
  /** How many faults of a kind there were since the rules were given, all in all or with one type of call. */
  count(kind: FaultKind, where?: string): number;
}

export interface FaultEngineOptions {
  readonly seed: number | string;
  readonly rules: ParsedRules;
  /** @default the machine's time */
  readonly clock?: GatewayClock;
  /** Told of every fault. */
  readonly injected?: (fault: InjectedFault) => void;
  /** Told of other rules. */
  readonly replaced?: (rules: ParsedRules) => void;
}

/** Single writes and transactions meet conflicts, batches are done in part. */
const APPLIES: Readonly<Partial<Record<CallFault['kind'], RegExp>>> = {
  conflict: /^dynamodb\.(?:PutItem|UpdateItem|DeleteItem|Transact\w+)$/,
  unprocessed: /^dynamodb\.Batch/,
};

/** What `dynamodb.*` stands for; making and describing tables is not meant. */
const DATA_OPERATION = /^dynamodb\.(?:(?:Get|Put|Update|Delete)Item|Query|Scan|(?:Batch|Transact)\w+)$/;

/** One delivery, at once. */
const ONCE: readonly number[] = [0];

export class FaultEngine implements FaultControl {
  readonly seed: number | string;
  readonly #options: FaultEngineOptions;
  readonly #clock: GatewayClock;
  readonly #counts = new Map<string, number>();
  readonly #sequences = new Map<string, { readonly random: Random; nth: number }>();
  #rules: ParsedRules;
  #shuffle: Shuffle | undefined;

  constructor(options: FaultEngineOptions) {
    this.seed = options.seed;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#rules = options.rules;
    this.#shuffle = this.#newShuffle();
  }

  /** How long a connection is not postable after its 101; ms. */
  get postableDelayMs(): number {
    return this.#rules.postableDelayMs;
  }

  /** Whether any function is to be killed at all. */
  get kills(): boolean {
    return this.#rules.kills.length > 0;
  }

  replace(rules: FaultRules): void {
    this.#counts.clear();
    this.#apply(parseFaultRules(rules));
  }

  clear(): void {
    this.#apply(NO_FAULTS);
  }

  count(kind: FaultKind, where?: string): number {
    if (where !== undefined) return this.#counts.get(`${kind} ${where}`) ?? 0;
    const all = [...this.#counts].filter(([name]) => name.startsWith(`${kind} `));
    return all.reduce((sum, [, count]) => sum + count, 0);
  }

  /** What is to go wrong with the next call of a type; undefined where nothing can. */
  call(where: string): Decision | undefined {
    const rules = this.#rulesOf(where);
    if (rules === undefined) return undefined;
    const { draw, nth } = this.#next(where, 5);
    const [which = 0, variant = 0, extent = 0, one = 0, other = 0] = draw;
    const fault = chosenFault(rules, which, variant, extent);
    const applies = fault === undefined || (APPLIES[fault.kind]?.test(where) ?? true);
    const delayMs = rules.latency === undefined ? 0 : sampleLatency(rules.latency, one, other);
    if (delayMs > 0) this.#count({ kind: 'latency', where, nth });
    if (fault === undefined || !applies) return delayMs > 0 ? { delayMs, fault: undefined } : undefined;
    this.#count({ kind: fault.kind, where, nth });
    return { delayMs, fault };
  }

  /** The fate of the next connection. */
  connection(): ConnectionFate {
    const { halfOpen, halfOpenAfterMs, slow, slowAfterMs } = this.#rules.connections;
    if (halfOpen === 0 && slow === 0) return {};
    const { draw, nth } = this.#next('connection', 4);
    const [a = 0, b = 0, c = 0, d = 0] = draw;
    if (a < halfOpen) this.#count({ kind: 'half-open', where: 'connection', nth });
    if (c < slow) this.#count({ kind: 'slow', where: 'connection', nth });
    return {
      ...(a < halfOpen ? { halfOpenAfterMs: between(halfOpenAfterMs, b) } : {}),
      ...(c < slow ? { slowAfterMs: between(slowAfterMs, d) } : {}),
    };
  }

  /** When the next `$disconnect` is delivered, one delay in ms for each time. */
  disconnect(): readonly number[] {
    const { lost, doubled, late } = this.#rules.disconnect;
    if (lost === 0 && doubled === 0 && late.probability === 0) return ONCE;
    const { draw, nth } = this.#next('$disconnect', 5);
    const [a = 0, b = 0, c = 0, d = 0, e = 0] = draw;
    const where = '$disconnect';
    if (a < lost) {
      this.#count({ kind: 'disconnect-lost', where, nth });
      return [];
    }
    const isLate = c < late.probability;
    if (isLate) this.#count({ kind: 'disconnect-late', where, nth });
    const delays = [isLate ? between(late.ms, d) : 0];
    if (b < doubled) {
      this.#count({ kind: 'disconnect-doubled', where, nth });
      delays.push(isLate ? between(late.ms, e) : 0);
    }
    return delays;
  }

  /** When the next asynchronous event of a function is delivered, one delay in ms for each copy. */
  event(where: string): readonly number[] {
    const { duplicated, late } = this.#rules.asynchronous;
    if (duplicated === 0 && late.probability === 0) return ONCE;
    const { draw, nth } = this.#next(`event ${where}`, 5);
    const [a = 0, b = 0, c = 0, d = 0, e = 0] = draw;
    const delayOf = (which: number, amount: number) =>
      which < late.probability ? between(late.ms, amount) : 0;
    const delays = a < duplicated ? [delayOf(b, c), delayOf(d, e)] : [delayOf(b, c)];
    if (delays.length > 1) this.#count({ kind: 'event-duplicated', where, nth });
    if (delays.some((delay) => delay > 0)) this.#count({ kind: 'event-late', where, nth });
    return delays;
  }

  /** At which of its calls the next invocation of a function is killed; undefined where it lives. */
  kill(functionName: string): { readonly call: number; readonly effect: 'before' | 'after' } | undefined {
    const rule = this.#rules.kills.find((one) => one.function === functionName);
    if (rule === undefined) return undefined;
    const { draw } = this.#next(`kill ${functionName}`, 3);
    const [which = 0, amount = 0, variant = 0] = draw;
    return which < rule.probability ? killAt(rule, amount, variant) : undefined;
  }

  /** Notes a kill: it is planned with an invocation, and happens only if that comes so far. */
  killed(functionName: string): void {
    this.#count({ kind: 'killed', where: functionName, nth: this.count('killed', functionName) + 1 });
  }

  /** Starts a message of a connection, out of order where the rules say so. */
  shuffle(connectionId: string, start: () => void): void {
    if (this.#shuffle === undefined) start();
    else this.#shuffle(connectionId, start);
  }

  #apply(rules: ParsedRules): void {
    this.#rules = rules;
    this.#sequences.clear();
    this.#shuffle = this.#newShuffle();
    this.#options.replaced?.(rules);
  }

  #newShuffle(): Shuffle | undefined {
    const { shuffle } = this.#rules;
    return shuffle && seededShuffle(this.seed, { ...shuffle, clock: this.#clock });
  }

  #rulesOf(where: string): CallRules | undefined {
    const { calls } = this.#rules;
    const own: CallRules | undefined = calls[where as CallType];
    return own ?? (DATA_OPERATION.test(where) ? calls['dynamodb.*'] : undefined);
  }

  #next(name: string, values: number): { readonly draw: readonly number[]; readonly nth: number } {
    const sequence = this.#sequences.get(name) ?? { random: seededRandom(this.seed, name), nth: 0 };
    this.#sequences.set(name, sequence);
    sequence.nth += 1;
    return { draw: Array.from({ length: values }, () => sequence.random()), nth: sequence.nth };
  }

  #count(fault: InjectedFault): void {
    const name = `${fault.kind} ${fault.where}`;
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
    this.#options.injected?.(fault);
  }
}

/** The one fault into whose share of [0, 1) a number falls. */
function chosenFault(
  { timeout, ...rules }: CallRules,
  which: number,
  variant: number,
  extent: number,
): CallFault | undefined {
  const shares: readonly (readonly [number, CallFault])[] = [
    [rules.gone ?? 0, { kind: 'gone' }],
    [rules.throttled, { kind: 'throttled' }],
    [rules.error, { kind: 'error' }],
    [rules.lost, { kind: 'lost', answer: variant < 0.5 ? 'error' : 'cut' }],
    [timeout.probability, { kind: 'timeout', ms: timeout.ms, effect: sideOf(timeout.effect, variant) }],
    [rules.conflict ?? 0, { kind: 'conflict' }],
    [rules.unprocessed ?? 0, { kind: 'unprocessed', from: extent }],
  ];
  let upTo = 0;
  return shares.find(([share]) => {
    upTo += share;
    return which < upTo;
  })?.[1];
}

function sideOf(effect: 'before' | 'after' | 'either', variant: number): 'before' | 'after' {
  if (effect !== 'either') return effect;
  return variant < 0.5 ? 'before' : 'after';
}

function killAt({ calls: [least, most], effect }: KillRule, amount: number, variant: number) {
  return { call: least + Math.floor(amount * (most - least + 1)), effect: sideOf(effect, variant) };
}
