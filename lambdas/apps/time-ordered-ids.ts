/** Ids that sort by when they were made, as sort keys of what an application keeps. */
import type { AppContext, Millis } from '../bus/public.ts';

/** Base 36; enough until the year 5188. */
const TIME_DIGITS = 9;
/** Base 36; what one instance makes in one millisecond keeps its order. */
const SEQUENCE_DIGITS = 3;
const FORM = /^[0-9a-z]{12}[\w-]{20}$/;

const sequence = { at: Number.NaN, count: 0 };

/** 32 characters that need no escaping in a URL; unique, also among instances. */
export function timeOrderedId(context: Pick<AppContext, 'now' | 'newId'>): string {
  const at = Math.floor(context.now());
  sequence.count = at === sequence.at ? sequence.count + 1 : 0;
  sequence.at = at;
  return timeBound(at) + digits(sequence.count, SEQUENCE_DIGITS) + context.newId();
}

/** A sort key before every id made at this time or later, and after every older one. */
export function timeBound(at: Millis): string {
  return digits(Math.max(0, Math.floor(at)), TIME_DIGITS);
}

export function isTimeOrderedId(text: string): boolean {
  return FORM.test(text);
}

function digits(value: number, length: number): string {
  return value.toString(36).padStart(length, '0');
}
