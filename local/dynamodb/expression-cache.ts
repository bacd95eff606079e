/**
 * Parsing is most of what a write costs, and an application sends the same few expressions again and again with other
 * names and values. So the parsed form is kept with slots where names and values were, and filled for each request.
 *
 * Everything the parser checks depends on the text, on the types of the values, and on which names are the same;
 * expressions where it looks at values themselves are not kept, nor any that were refused.
 */
import { type AttributeValue, typeOf } from './attribute-value.ts';
import { type CheckedRequest, validations } from './dynalite.ts';

/** Texts, names and types seen; an application has some dozens. */
const MAX_KEPT = 1000;

const EXPRESSIONS = [
  'UpdateExpression',
  'ConditionExpression',
  'KeyConditionExpression',
  'FilterExpression',
  'ProjectionExpression',
] as const;

const PARSED = ['_updates', '_condition', '_keyCondition', '_filter', '_projection'] as const;

/** The bounds of BETWEEN and the type in attribute_type are checked when parsing. */
const LOOKS_AT_VALUES = /between|attribute_type/i;

/** No names or values were sent; sending an empty object is refused. */
const NONE = {};

type Names = Readonly<Record<string, string>>;
type Values = Readonly<Record<string, AttributeValue>>;

class NameSlot {
  readonly alias: string;
  constructor(alias: string) {
    this.alias = alias;
  }
}

class ValueSlot {
  readonly alias: string;
  constructor(alias: string) {
    this.alias = alias;
  }
}

/** An object whose keys are attribute names. */
class KeyedByName {
  readonly keys: readonly unknown[];
  constructor(keys: readonly unknown[]) {
    this.keys = keys;
  }
}

/** A word that is no alias. */
const WORD = /(?<![#:\w])[A-Za-z_]\w*/g;

const texts = new Map<string, ReadonlySet<string> | undefined>();
const kept = new Map<string, Readonly<Record<string, unknown>>>();

/** Does what `parse` does to a request, faster when something like it was parsed before. */
export function parseCached(
  request: CheckedRequest,
  parse: (request: CheckedRequest) => string | undefined,
): string | undefined {
  const names = (request.ExpressionAttributeNames ?? NONE) as Names;
  const values = (request.ExpressionAttributeValues ?? NONE) as Values;
  const key = keyOf(request, names, values);
  const template = key === undefined ? undefined : kept.get(key);
  if (template !== undefined && Object.values(values).every(isValid)) {
    for (const member in template)
      (request as Record<string, unknown>)[member] = filled(template[member], names, values);
    return undefined;
  }
  const message = parse(request);
  if (key !== undefined && (message === undefined || message === null))
    keep(key, templateOf(request, names, values));
  return message;
}

/** Also brings numbers into their one form, as parsing does. */
function isValid(value: AttributeValue): boolean {
  const message = validations.validateAttributeValue(value);
  return message === undefined || message === null;
}

function keyOf(request: CheckedRequest, names: Names, values: Values): string | undefined {
  if (isEmpty(names) || isEmpty(values)) return undefined;
  const sent = EXPRESSIONS.map((name) => request[name]);
  const words = wordsOf(sent.join('\n'));
  const resolved = Object.values(names);
  if (words === undefined || new Set(resolved).size < resolved.length) return undefined;
  if (resolved.some((name) => words.has(name))) return undefined;
  const types = Object.entries(values).map(([alias, value]) => alias + (typeOf(value) ?? ''));
  return JSON.stringify([sent, Object.keys(names), types]);
}

/** What a text spells out, names among it; undefined if it is not to be kept. */
function wordsOf(text: string): ReadonlySet<string> | undefined {
  if (texts.has(text)) return texts.get(text);
  const words = LOOKS_AT_VALUES.test(text) ? undefined : new Set(text.match(WORD));
  limit(texts);
  texts.set(text, words);
  return words;
}

function limit(map: Map<string, unknown>): void {
  const [oldest] = map.keys();
  if (map.size >= MAX_KEPT && oldest !== undefined) map.delete(oldest);
}

function isEmpty(sent: object): boolean {
  return sent !== NONE && Object.keys(sent).length === 0;
}

function keep(key: string, template: Readonly<Record<string, unknown>>): void {
  limit(kept);
  kept.set(key, template);
}

function templateOf(request: CheckedRequest, names: Names, values: Values): Record<string, unknown> {
  const nameSlots = new Map(Object.entries(names).map(([alias, name]) => [name, new NameSlot(alias)]));
  const valueSlots = new Map<unknown, ValueSlot>(
    Object.entries(values).map(([alias, value]) => [value, new ValueSlot(alias)]),
  );
  const slotted = (node: unknown, member?: string): unknown => {
    const slot = valueSlots.get(node);
    if (slot !== undefined) return slot;
    // Only the steps of a path are strings in an array; other strings are words of the parser.
    if (Array.isArray(node)) return node.map((step) => nameSlots.get(step) ?? slotted(step));
    if (typeof node !== 'object' || node === null) return node;
    if (member === 'nestedPaths' || member === 'pathHeads') {
      return new KeyedByName(Object.keys(node).map((name) => nameSlots.get(name) ?? name));
    }
    return Object.fromEntries(Object.entries(node).map(([name, child]) => [name, slotted(child, name)]));
  };
  const parsed = PARSED.filter((member) => request[member] !== undefined);
  return Object.fromEntries(parsed.map((member) => [member, slotted(request[member])]));
}

function filled(node: unknown, names: Names, values: Values): unknown {
  if (typeof node !== 'object' || node === null) return node;
  if (node instanceof NameSlot) return names[node.alias];
  if (node instanceof ValueSlot) return values[node.alias];
  if (Array.isArray(node)) return node.map((member) => filled(member, names, values));
  const copy: Record<string, unknown> = node instanceof KeyedByName ? Object.create(null) : {};
  if (node instanceof KeyedByName)
    for (const key of node.keys) copy[String(filled(key, names, values))] = true;
  else for (const name in node) copy[name] = filled((node as Record<string, unknown>)[name], names, values);
  return copy;
}
