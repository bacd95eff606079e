/**
 * Event patterns of EventBridge rules (user guide, "Creating Amazon EventBridge event patterns"): the exact values of
 * a list, and the comparisons `prefix`, `suffix`, `anything-but` and `exists`. Any other comparison is refused, so that
 * no rule runs here that would match something else when it is deployed.
 */
import { TemplateError } from './errors.ts';

type Scalar = string | number | boolean | null;

/** What one value of a field may be compared with; a field matches where one of its matchers does. */
type Matcher =
  | { readonly kind: 'equals'; readonly value: Scalar }
  | { readonly kind: 'prefix' | 'suffix'; readonly text: string }
  | { readonly kind: 'anything-but'; readonly none: readonly Matcher[] }
  | { readonly kind: 'exists'; readonly expected: boolean };

/** Every field must match; a field that the pattern does not name may be anything. */
export interface EventPattern {
  readonly fields: Readonly<Record<string, EventPattern | readonly Matcher[]>>;
}

/** @throws TemplateError for what is no pattern, and for a comparison that does not run locally */
export function parseEventPattern(value: unknown, at: string): EventPattern {
  if (!isObject(value) || Object.keys(value).length === 0) {
    throw new TemplateError('invalid_property', at, 'an event pattern is an object with at least one field');
  }
  return { fields: mapValues(value, (part, name) => parseField(part, name, `${at}/${name}`)) };
}

function parseField(value: unknown, name: string, at: string): EventPattern | readonly Matcher[] {
  if (name.startsWith('$')) throw unsupported(name, at);
  if (!Array.isArray(value)) return parseEventPattern(value, at);
  if (value.length === 0) throw new TemplateError('invalid_property', at, 'a list of values is empty');
  return value.map((part, index) => parseMatcher(part, `${at}/${index}`));
}

function parseMatcher(value: unknown, at: string): Matcher {
  if (isScalar(value)) return { kind: 'equals', value };
  const [comparison, second] = isObject(value) ? Object.entries(value) : [];
  if (comparison === undefined || second !== undefined) {
    throw new TemplateError('invalid_property', at, 'must be a value or one comparison');
  }
  const [name, operand] = comparison;
  if ((name === 'prefix' || name === 'suffix') && typeof operand === 'string')
    return { kind: name, text: operand };
  if (name === 'exists' && typeof operand === 'boolean') return { kind: name, expected: operand };
  if (name === 'anything-but') return { kind: name, none: parseExcluded(operand, `${at}/${name}`) };
  throw unsupported(`${name}: ${JSON.stringify(operand)}`, at);
}

/** A value, a list of values, or a `prefix` or `suffix` that is one text. */
function parseExcluded(operand: unknown, at: string): Matcher[] {
  const parts = Array.isArray(operand) ? operand : [operand];
  const matchers = parts.map((part) => parseMatcher(part, at));
  const nested = matchers.find(({ kind }) => kind === 'exists' || kind === 'anything-but');
  if (nested !== undefined) throw unsupported(`anything-but: ${nested.kind}`, at);
  return matchers;
}

function unsupported(what: string, at: string): TemplateError {
  return new TemplateError('unsupported_property', at, `"${what}" does not run locally in an event pattern`);
}

export function matchesPattern({ fields }: EventPattern, event: unknown): boolean {
  return Object.entries(fields).every(([name, wanted]) => {
    const value = isObject(event) && Object.hasOwn(event, name) ? event[name] : undefined;
    return isPattern(wanted) ? matchesPattern(wanted, value) : matchesField(wanted, value);
  });
}

/** Of a field that is a list, one element that matches is enough. */
function matchesField(matchers: readonly Matcher[], value: unknown): boolean {
  const values = Array.isArray(value) ? value : [value];
  return matchers.some((matcher) => values.some((one) => matches(matcher, one)));
}

function matches(matcher: Matcher, value: unknown): boolean {
  switch (matcher.kind) {
    case 'equals':
      return value === matcher.value;
    case 'prefix':
      return typeof value === 'string' && value.startsWith(matcher.text);
    case 'suffix':
      return typeof value === 'string' && value.endsWith(matcher.text);
    // Of leaves only, and null is a value.
    case 'exists':
      return isScalar(value) === matcher.expected;
    case 'anything-but':
      return isScalar(value) && !matcher.none.some((one) => matches(one, value));
  }
}

function isPattern(wanted: EventPattern | readonly Matcher[]): wanted is EventPattern {
  return !Array.isArray(wanted);
}

function isScalar(value: unknown): value is Scalar {
  return value === null || ['string', 'number', 'boolean'].includes(typeof value);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function mapValues<T, U>(object: Readonly<Record<string, T>>, map: (value: T, key: string) => U) {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, map(value, key)]));
}
