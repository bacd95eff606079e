/**
 * Where dynalite 4.0.0 differs from the service, it is corrected here, by replacing what its files export to one
 * another (they always call through the exports). Each correction says what was wrong. What the service does is from
 * its developer guide, and where that is silent from the public paritysuite/dynamodb-conformance suite, whose
 * expectations were recorded against it.
 */
import { type AttributeValue, type Item, isTooDeep, itemBytes } from './attribute-value.ts';
import { readUnits, writeUnits } from './capacity.ts';
import { holds, satisfies } from './condition.ts';
import {
  type CheckedRequest,
  type ConsumedCapacity,
  db,
  type MemberTypes,
  rulesOf,
  type TableDescription,
  type UpdateSection,
  validations,
} from './dynalite.ts';
import { DynamoDbError, validationError } from './errors.ts';
import { parseCached } from './expression-cache.ts';
import { answerPage } from './page.ts';
import type { Range } from './sorted-map.ts';
import { MemoryStore } from './store.ts';

/** Bytes of one expression as sent, names not resolved (ServiceQuotas: 4 KB). */
const MAX_EXPRESSION_BYTES = 4096;

const EXPRESSIONS = [
  'UpdateExpression',
  'ConditionExpression',
  'KeyConditionExpression',
  'FilterExpression',
  'ProjectionExpression',
] as const;

const LEGACY_COMPARISONS: Readonly<Record<string, string>> = {
  EQ: '=',
  NE: '<>',
  LE: '<=',
  LT: '<',
  GE: '>=',
  GT: '>',
  BETWEEN: 'between',
  BEGINS_WITH: 'begins_with',
};

const original = {
  checkConditional: db.checkConditional,
  validateKey: db.validateKey,
  compare: db.compare,
  validateAttributeValue: validations.validateAttributeValue,
  validateExpressions: validations.validateExpressions,
};

let isDone = false;

/** Corrects dynalite for this process; calling it again does nothing. */
export function correctDynalite(): void {
  if (isDone) return;
  isDone = true;
  correctMeasures();
  correctComparisons();
  correctLimits();
  for (const write of ['putItem', 'updateItem', 'deleteItem']) returnsItemOnFailure(rulesOf(write).types);
}

/** Text was measured in UTF-16 units and numbers by another rule; Query charged nothing for finding nothing. */
function correctMeasures(): void {
  db.itemSize = (item) => itemBytes(item);
  db.addConsumedCapacity = capacityOf;
  db.queryTable = (store, table, request, range, isLocal, fetchFromTable, startKeyNames, callback) => {
    if (!(store instanceof MemoryStore)) throw new Error('dynalite was given a store that is not ours');
    const indexType = isLocal === true ? 'local' : 'global';
    callback(
      null,
      answerPage({ store, table, request, range: range as Range, indexType, fetchFromTable, startKeyNames }),
    );
  };
}

function capacityOf(
  request: CheckedRequest,
  isRead: boolean,
  before: Item | undefined,
  after?: Item,
): ConsumedCapacity | undefined {
  const detail = request.ReturnConsumedCapacity;
  if (detail !== 'TOTAL' && detail !== 'INDEXES') return undefined;
  const units = isRead
    ? readUnits(before === undefined ? 0 : itemBytes(before), request.ConsistentRead === true)
    : writeUnits(before, after);
  const total = { TableName: request.TableName, CapacityUnits: units };
  return detail === 'TOTAL' ? total : { ...total, Table: { CapacityUnits: units } };
}

/** See condition.ts for what was wrong; and a failed condition never brought the item with it. */
function correctComparisons(): void {
  db.compare = (operator, value, operands) => {
    const test = LEGACY_COMPARISONS[operator];
    if (test === undefined) return original.compare(operator, value, operands);
    return holds(test, [value, ...(Array.isArray(operands) ? operands : [operands])]);
  };
  db.checkConditional = (request, item) => {
    const isMet =
      request._condition === undefined
        ? original.checkConditional(request, item) == null
        : satisfies(request._condition.expression, item ?? {});
    return isMet ? undefined : conditionFailed(request, item);
  };
}

function conditionFailed(request: CheckedRequest, item: Item | undefined): DynamoDbError {
  const isWanted = request.ReturnValuesOnConditionCheckFailure === 'ALL_OLD' && item !== undefined;
  return new DynamoDbError(
    'ConditionalCheckFailedException',
    'The conditional request failed',
    isWanted ? { Item: item } : {},
  );
}

/** No limit of depth or expression size was kept, and the wording for an empty key was an old one. */
function correctLimits(): void {
  validations.validateAttributeValue = (value) =>
    isTooDeep(value) ? tooDeep : original.validateAttributeValue(value);
  validations.validateExpressions = (request) =>
    oversizedExpression(request) ?? deepValue(request) ?? parseCached(request, parsed);
  db.validateKey = (key, table, schema) =>
    emptyKey(key, table) ??
    (schema === undefined ? original.validateKey(key, table) : original.validateKey(key, table, schema));
}

/** List elements were removed one after the other, so that each removal moved what the next one named. */
function parsed(request: CheckedRequest): string | undefined {
  const message = original.validateExpressions(request);
  const updates = request._updates;
  if (updates !== undefined) {
    const removals = updates.sections.filter(({ type }) => type === 'remove').sort(byLastElementFirst);
    updates.sections = [...updates.sections.filter(({ type }) => type !== 'remove'), ...removals];
  }
  return message;
}

function byLastElementFirst(a: UpdateSection, b: UpdateSection): number {
  for (const [depth, step] of a.path.entries()) {
    const other = b.path[depth];
    if (typeof step === 'number' && typeof other === 'number' && step !== other) return other - step;
    if (step !== other) return String(step) < String(other) ? -1 : 1;
  }
  return 0;
}

const tooDeep =
  'Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit';

function oversizedExpression(request: CheckedRequest): string | undefined {
  for (const name of EXPRESSIONS) {
    const text = request[name];
    if (typeof text !== 'string') continue;
    const bytes = Buffer.byteLength(text);
    if (bytes > MAX_EXPRESSION_BYTES) {
      return `Invalid ${name}: Expression size has exceeded the maximum allowed size; expression size: ${bytes}`;
    }
  }
  return undefined;
}

function deepValue(request: CheckedRequest): string | undefined {
  const values = request.ExpressionAttributeValues as Readonly<Record<string, AttributeValue>> | undefined;
  return Object.values(values ?? {}).some((value) => isTooDeep(value)) ? tooDeep : undefined;
}

/** An empty key is refused; in a transaction this comes before anything else, unlike a key of the wrong type. */
export function emptyKey(key: Item, table: TableDescription): DynamoDbError | undefined {
  for (const { AttributeName: name } of table.KeySchema) {
    const kind = key[name]?.S === '' ? 'string' : key[name]?.B === '' ? 'binary' : undefined;
    if (kind === undefined) continue;
    return validationError(
      'One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty ' +
        `${kind} value. Key: ${name}`,
    );
  }
  return undefined;
}

function returnsItemOnFailure(types: MemberTypes): void {
  types.ReturnValuesOnConditionCheckFailure = { type: 'String', enum: ['ALL_OLD', 'NONE'] };
}
