/**
 * Copies a request by dynalite's description of its members, refusing what has another JSON type, with AWS's
 * messages. It stands in for dynalite's `checkTypes`, which reads the descriptions anew for every value of every
 * request and loses map entries called `__proto__`.
 */
import type { MemberType, MemberTypes } from './dynalite.ts';
import { DynamoDbError } from './errors.ts';

type Check = (value: unknown) => unknown;

const compiled = new WeakMap<MemberTypes, (request: object) => Record<string, unknown>>();

/** A deep copy of the members there are descriptions for; null is absent. Throws SerializationException. */
export function shaped(
  request: Readonly<Record<string, unknown>>,
  types: MemberTypes,
): Record<string, unknown> {
  const known = compiled.get(types);
  const copy = known ?? structOf(types);
  if (known === undefined) compiled.set(types, copy);
  return copy(request);
}

function structOf(types: MemberTypes): (value: object) => Record<string, unknown> {
  const members = Object.entries(types).map(([name, type]): [string, Check] => [name, checkOf(type)]);
  return (value) => {
    const copy: Record<string, unknown> = {};
    for (const [name, check] of members) {
      const member = check((value as Record<string, unknown>)[name]);
      if (member !== undefined && member !== null) copy[name] = member;
    }
    return copy;
  };
}

function checkOf(described: MemberType): Check {
  const type = typeof described === 'string' ? described : described.type;
  const children = typeof described === 'string' ? undefined : described.children;
  const [, base = type, inner = ''] = /^(.+?)<(.+)>$/.exec(type) ?? [];
  const check = checks[base];
  if (check === undefined) throw new Error(`no check for the type ${type}`);
  const one = check(inner, children);
  return (value) => (value === undefined || value === null ? undefined : one(value));
}

/** By the base of a type's name: how to make its check from what is in its angle brackets and its children. */
const checks: Readonly<Record<string, (inner: string, children: unknown) => Check>> = {
  Boolean: () => boolean,
  Short: () => integer('Short'),
  Integer: () => integer('Integer'),
  Long: () => integer('Long'),
  Double: () => number('Double'),
  String: () => string,
  Blob: () => blob,
  List: (_inner, children) => list(children, 'Unexpected field type'),
  ParameterizedList: (_inner, children) => list(children, PARAMETERIZED),
  Map: (inner, children) => map(children, 'Unexpected field type', mapOf(inner)),
  ParameterizedMap: (_inner, children) => map(children, PARAMETERIZED, mapOf('AttributeValue')),
  ValueStruct: (inner, children) => struct(inner, children, 'Unexpected value type in payload'),
  FieldStruct: (inner, children) => struct(inner, children, 'Unexpected field type'),
  AttrStruct: (inner) => attributeValueOf(inner),
};

const SERVICE = 'com.amazonaws.dynamodb.v20120810.';
const NOT_HERE = 'Start of structure or map found where not expected';
const PARAMETERIZED =
  'class sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl cannot be cast to class java.lang.Class ' +
  '(sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl and java.lang.Class are in module java.base of ' +
  "loader 'bootstrap')";

function mapOf(inner: string): string {
  return `Unrecognized collection type java.util.Map<java.lang.String, ${inner.includes('.') ? inner : SERVICE + inner}>`;
}

function wrongType(message: string): DynamoDbError {
  return new DynamoDbError('SerializationException', message);
}

/** What is said of a scalar of another type; booleans and numbers are named by their token. */
function wrongScalar(value: unknown, type: string, collection: string): DynamoDbError {
  if (Array.isArray(value)) return wrongType(`Unrecognized collection type class ${collection}`);
  if (typeof value === 'object') return wrongType(NOT_HERE);
  return wrongType(`${tokenOf(value)} cannot be converted to ${type}`);
}

function tokenOf(value: unknown): string {
  if (typeof value === 'boolean') return value ? 'TRUE_VALUE' : 'FALSE_VALUE';
  if (typeof value === 'number') return Number.isInteger(value) ? 'NUMBER_VALUE' : 'DECIMAL_VALUE';
  return 'STRING_VALUE';
}

function boolean(value: unknown): unknown {
  if (typeof value === 'boolean') return value;
  if (typeof value !== 'string') throw wrongScalar(value, 'Boolean', 'java.lang.Boolean');
  const word = value.toUpperCase();
  if (['TRUE', '1', 'YES'].includes(word)) return true;
  if (['FALSE', '0', 'NO'].includes(word)) return false;
  throw wrongType('Unexpected token received from parser');
}

function number(type: string): Check {
  return (value) => {
    if (typeof value === 'number') return value;
    throw wrongScalar(value, type, `java.lang.${type}`);
  };
}

function integer(type: string): Check {
  const check = number(type);
  return (value) => Math.floor(check(value) as number);
}

function string(value: unknown): unknown {
  if (typeof value === 'string') return value;
  throw wrongScalar(value, 'String', 'java.lang.String');
}

function blob(value: unknown): unknown {
  if (typeof value !== 'string') {
    if (typeof value === 'object') throw wrongScalar(value, 'Blob', 'java.nio.ByteBuffer');
    throw wrongType('only base-64-encoded strings are convertible to bytes');
  }
  if (value.length % 4 !== 0) {
    throw wrongType(`Base64 encoded length is expected a multiple of 4 bytes but found: ${value.length}`);
  }
  if (Buffer.from(value, 'base64').toString('base64') !== value) {
    throw wrongType('Invalid last non-pad Base64 character dectected');
  }
  return value;
}

function list(children: unknown, otherwise: string): Check {
  const check = checkOf(children as MemberType);
  return (value) => {
    if (typeof value !== 'object') throw wrongType(otherwise);
    if (!Array.isArray(value)) throw wrongType(NOT_HERE);
    return value.map((member) => check(member) ?? null);
  };
}

function map(children: unknown, otherwise: string, ofLists: string): Check {
  const check = checkOf(children as MemberType);
  return (value) => {
    if (typeof value !== 'object' || value === null) throw wrongType(otherwise);
    if (Array.isArray(value)) throw wrongType(ofLists);
    return copyOf(value, check);
  };
}

function copyOf(value: object, check: Check): Record<string, unknown> {
  const copy: Record<string, unknown> = {};
  for (const [name, member] of Object.entries(value)) set(copy, name, check(member) ?? null);
  return copy;
}

/** Assigning to `__proto__` would change what the object inherits from, and store nothing. */
function set(target: Record<string, unknown>, name: string, value: unknown): void {
  if (name !== '__proto__') target[name] = value;
  else Object.defineProperty(target, name, { value, enumerable: true, configurable: true, writable: true });
}

function struct(inner: string, children: unknown, otherwise: string): Check {
  const copy = structOf(children as MemberTypes);
  return (value) => copy(structure(value, inner, otherwise));
}

function structure(value: unknown, inner: string, otherwise: string): object {
  if (typeof value !== 'object' || value === null) throw wrongType(otherwise);
  if (Array.isArray(value)) throw wrongType(`Unrecognized collection type class ${SERVICE}${inner}`);
  return value;
}

/** In a request a value is either a field or a member; that only changes what its refusal is called. */
function attributeValueOf(kind: string): Check {
  const otherwise = kind === 'FieldStruct' ? 'Unexpected field type' : 'Unexpected value type in payload';
  return (value) => {
    const copy: Record<string, unknown> = {};
    for (const [type, content] of Object.entries(structure(value, 'AttributeValue', otherwise))) {
      const check = valueChecks[type];
      if (check !== undefined && content !== null) copy[type] = check(content);
    }
    return copy;
  };
}

const VALUE = 'AttrStruct<ValueStruct>';

/** Made once, and late: the checks of lists and maps contain those of all values. */
const valueChecks: Record<string, Check> = {
  S: string,
  B: blob,
  N: string,
  BOOL: boolean,
  NULL: boolean,
};
Object.assign(valueChecks, {
  SS: list('String', 'Unexpected field type'),
  NS: list('String', 'Unexpected field type'),
  BS: list('Blob', 'Unexpected field type'),
  L: list(VALUE, 'Unexpected field type'),
  M: map(VALUE, 'Unexpected field type', mapOf('AttributeValue')),
});
