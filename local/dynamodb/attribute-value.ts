/**
 * Items as they travel in DynamoDB's JSON (binary is base64), and what they measure.
 */

/** Exactly one member is set; the request types are checked before anything in here sees a value. */
export interface AttributeValue {
  readonly S?: string;
  readonly N?: string;
  readonly B?: string;
  readonly BOOL?: boolean;
  readonly NULL?: boolean;
  readonly L?: readonly AttributeValue[];
  readonly M?: Item;
  readonly SS?: readonly string[];
  readonly NS?: readonly string[];
  readonly BS?: readonly string[];
}

export type Item = Readonly<Record<string, AttributeValue>>;

export type AttributeType = keyof AttributeValue;

/** The one type a value has. */
export function typeOf(value: AttributeValue): AttributeType | undefined {
  for (const type in value) return type as AttributeType;
  return undefined;
}

/** The largest item, names included (ServiceQuotas: 400 KB). */
export const MAX_ITEM_BYTES = 409_600;

/** Levels of maps and lists under one attribute, the attribute itself being the first (ServiceQuotas: 32). */
const MAX_NESTING_LEVELS = 32;

/**
 * Bytes an item counts for in quotas and capacity: UTF-8 names and values.
 * https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
 */
export function itemBytes(item: Item): number {
  let bytes = 0;
  for (const name in item) {
    const value = item[name];
    if (value !== undefined) bytes += Buffer.byteLength(name) + valueBytes(value);
  }
  return bytes;
}

function valueBytes(value: AttributeValue): number {
  if (value.S !== undefined) return Buffer.byteLength(value.S);
  if (value.B !== undefined) return base64Bytes(value.B);
  if (value.N !== undefined) return numberBytes(value.N);
  if (value.M !== undefined) return documentBytes(Object.keys(value.M).length, itemBytes(value.M));
  if (value.L !== undefined) return documentBytes(value.L.length, sum(value.L, valueBytes));
  if (value.SS !== undefined) return sum(value.SS, Buffer.byteLength);
  if (value.NS !== undefined) return sum(value.NS, numberBytes);
  if (value.BS !== undefined) return sum(value.BS, base64Bytes);
  return 1;
}

/** A list or map costs 3 bytes and 1 for each element or pair. */
function documentBytes(members: number, content: number): number {
  return 3 + members + content;
}

function sum<T>(values: readonly T[], measure: (value: T) => number): number {
  let total = 0;
  for (const value of values) total += measure(value);
  return total;
}

function base64Bytes(text: string): number {
  if (text === '') return 0;
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  return (text.length / 4) * 3 - padding;
}

/**
 * One byte, one for every two significant digits on each side of the decimal point (rounded up on each side), and
 * one for a minus sign. The developer guide says "approximately"; the two-sided rounding is what the service was
 * measured to do.
 */
function numberBytes(text: string): number {
  const negative = text.startsWith('-');
  const [whole = '', fraction = ''] = text.slice(negative ? 1 : 0).split('.');
  const wholeDigits = whole.replace(/^0+/, '');
  const fractionDigits = fraction.replace(/0+$/, '');
  const integer = fractionDigits === '' ? wholeDigits.replace(/0+$/, '') : wholeDigits;
  const decimals = wholeDigits === '' ? fractionDigits.replace(/^0+/, '') : fractionDigits;
  return 1 + Math.ceil(integer.length / 2) + Math.ceil(decimals.length / 2) + (negative ? 1 : 0);
}

/** Whether a value goes deeper than DynamoDB stores. */
export function isTooDeep(value: AttributeValue, level = 1): boolean {
  if (value.M === undefined && value.L === undefined) return level > MAX_NESTING_LEVELS;
  if (level >= MAX_NESTING_LEVELS + 1) return true;
  const members = value.L ?? Object.values(value.M ?? {});
  return members.some((member) => isTooDeep(member, level + 1));
}
