/**
 * Evaluates the conditions and filters that dynalite's parser reads. dynalite's own evaluator is not used: it
 * compares binary as text (so different bytes can be equal), calls maps and lists unequal to themselves, and takes
 * `false` and the empty string for absent.
 */
import { type AttributeValue, type Item, typeOf } from './attribute-value.ts';
import { db } from './dynalite.ts';
import type { Expression, Operand, Path, SizeOf } from './expression.ts';

/** Whether an item (the empty one, if there is none) satisfies a parsed expression. */
export function satisfies(expression: Expression, item: Item): boolean {
  switch (expression.type) {
    case 'and':
      return satisfies(expression.args[0], item) && satisfies(expression.args[1], item);
    case 'or':
      return satisfies(expression.args[0], item) || satisfies(expression.args[1], item);
    case 'not':
      return !satisfies(expression.args[0], item);
    case 'function':
      return holds(expression.name, valuesOf(expression.args, item));
    default:
      return holds(expression.type, valuesOf(expression.args, item));
  }
}

/** Whether a comparison or function holds for a value and its operands; an absent one is undefined. */
export function holds(test: string, [value, ...operands]: readonly (AttributeValue | undefined)[]): boolean {
  const [operand, upper] = operands;
  switch (test) {
    case 'attribute_exists':
      return value !== undefined;
    case 'attribute_not_exists':
      return value === undefined;
    case '<>':
      return !isEqual(value, operand);
    case 'between':
      return isOrdered(value, operand, atLeast) && isOrdered(value, upper, atMost);
    case 'in':
      return operands.some((candidate) => isEqual(value, candidate));
    case 'attribute_type':
      return value !== undefined && operand !== undefined && typeOf(value) === operand.S;
    case 'begins_with':
      return beginsWith(value, operand);
    case 'contains':
      return contains(value, operand);
    default:
      return isCompared(test, value, operand);
  }
}

function isCompared(
  test: string,
  value: AttributeValue | undefined,
  operand: AttributeValue | undefined,
): boolean {
  switch (test) {
    case '=':
      return isEqual(value, operand);
    case '<':
      return isOrdered(value, operand, (order) => order < 0);
    case '<=':
      return isOrdered(value, operand, atMost);
    case '>':
      return isOrdered(value, operand, (order) => order > 0);
    case '>=':
      return isOrdered(value, operand, atLeast);
    default:
      throw new Error(`unknown comparison ${test}`);
  }
}

const atMost = (order: number): boolean => order <= 0;
const atLeast = (order: number): boolean => order >= 0;

function valuesOf(operands: readonly Operand[], item: Item): (AttributeValue | undefined)[] {
  return operands.map((operand) => resolved(operand, item));
}

function resolved(operand: Operand, item: Item): AttributeValue | undefined {
  if (isPath(operand)) return valueAt(operand, item);
  return isSizeOf(operand) ? sizeOf(resolved(operand.args[0], item)) : operand;
}

function isPath(operand: Operand): operand is Path {
  return Array.isArray(operand);
}

function isSizeOf(operand: AttributeValue | SizeOf): operand is SizeOf {
  return 'type' in operand;
}

function valueAt(path: Path, item: Item): AttributeValue | undefined {
  let value: AttributeValue | undefined = { M: item };
  for (const step of path) {
    if (typeof step === 'number') value = value?.L?.[step];
    else value = value?.M !== undefined && Object.hasOwn(value.M, step) ? value.M[step] : undefined;
  }
  return value;
}

/** Length of a string, bytes of a binary, members of a set, list or map; other types have no size. */
function sizeOf(value: AttributeValue | undefined): AttributeValue | undefined {
  const size = value === undefined ? undefined : countOf(value);
  return size === undefined ? undefined : { N: String(size) };
}

function countOf(value: AttributeValue): number | undefined {
  if (value.B !== undefined) return Buffer.byteLength(value.B, 'base64');
  if (value.M !== undefined) return Object.keys(value.M).length;
  return (value.S ?? value.L ?? value.SS ?? value.NS ?? value.BS)?.length;
}

/** Absent equals nothing. Numbers and binaries were normalised when the request was checked. */
function isEqual(a: AttributeValue | undefined, b: AttributeValue | undefined): boolean {
  if (a === undefined || b === undefined) return false;
  const type = typeOf(a);
  if (type === undefined || type !== typeOf(b)) return false;
  if (a.M !== undefined && b.M !== undefined) return isEqualMap(a.M, b.M);
  if (a.L !== undefined && b.L !== undefined) return isEqualList(a.L, b.L);
  const left = a[type];
  const right = b[type];
  return Array.isArray(left) && Array.isArray(right) ? isEqualSet(left, right) : left === right;
}

function isEqualMap(a: Item, b: Item): boolean {
  const names = Object.keys(a);
  if (names.length !== Object.keys(b).length) return false;
  return names.every((name) => Object.hasOwn(b, name) && isEqual(a[name], b[name]));
}

function isEqualList(a: readonly AttributeValue[], b: readonly AttributeValue[]): boolean {
  return a.length === b.length && a.every((value, index) => isEqual(value, b[index]));
}

function isEqualSet(a: readonly unknown[], b: readonly unknown[]): boolean {
  const members = new Set(b);
  return a.length === b.length && a.every((member) => members.has(member));
}

/** Only strings, numbers and binaries have an order, and only among themselves. */
function isOrdered(
  a: AttributeValue | undefined,
  b: AttributeValue | undefined,
  accepts: (order: number) => boolean,
): boolean {
  const order = a === undefined || b === undefined ? undefined : orderOf(a, b);
  return order !== undefined && accepts(order);
}

function orderOf(a: AttributeValue, b: AttributeValue): number | undefined {
  if (a.S !== undefined && b.S !== undefined) return Buffer.compare(Buffer.from(a.S), Buffer.from(b.S));
  if (a.B !== undefined && b.B !== undefined) return Buffer.compare(bytesOf(a.B), bytesOf(b.B));
  if (a.N === undefined || b.N === undefined) return undefined;
  const [left, right] = [db.toLexiStr(a.N, 'N'), db.toLexiStr(b.N, 'N')];
  return left < right ? -1 : left > right ? 1 : 0;
}

function bytesOf(base64: string): Buffer {
  return Buffer.from(base64, 'base64');
}

function beginsWith(value: AttributeValue | undefined, prefix: AttributeValue | undefined): boolean {
  if (value?.S !== undefined && prefix?.S !== undefined) return value.S.startsWith(prefix.S);
  if (value?.B === undefined || prefix?.B === undefined) return false;
  const start = bytesOf(prefix.B);
  return bytesOf(value.B).subarray(0, start.length).equals(start);
}

function contains(value: AttributeValue | undefined, sought: AttributeValue | undefined): boolean {
  if (value === undefined || sought === undefined) return false;
  if (value.S !== undefined) return sought.S !== undefined && value.S.includes(sought.S);
  if (value.B !== undefined) return sought.B !== undefined && bytesOf(value.B).includes(bytesOf(sought.B));
  if (value.L !== undefined) return value.L.some((member) => isEqual(member, sought));
  return hasMember(value.SS, sought.S) || hasMember(value.NS, sought.N) || hasMember(value.BS, sought.B);
}

function hasMember(set: readonly string[] | undefined, member: string | undefined): boolean {
  return set !== undefined && member !== undefined && set.includes(member);
}
