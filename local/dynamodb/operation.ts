/** Runs one of dynalite's operations on our store, in this turn of the event loop. */
import {
  type Action,
  actionOf,
  type CheckedRequest,
  type RequestRules,
  rulesOf,
  validations,
} from './dynalite.ts';
import { shaped } from './request-shape.ts';
import type { MemoryStore } from './store.ts';

/** The operations dynalite brings. */
export const DYNALITE_OPERATIONS = [
  'BatchWriteItem',
  'CreateTable',
  'DeleteItem',
  'DeleteTable',
  'DescribeTable',
  'GetItem',
  'ListTables',
  'ListTagsOfResource',
  'PutItem',
  'Query',
  'Scan',
  'TagResource',
  'UntagResource',
  'UpdateItem',
  'UpdateTable',
] as const;

export type DynaliteOperation = (typeof DYNALITE_OPERATIONS)[number];

interface Part {
  readonly rules: RequestRules;
  readonly action: Action;
}

const parts = new Map<string, Part>(
  DYNALITE_OPERATIONS.map((name) => {
    const file = name.charAt(0).toLowerCase() + name.slice(1);
    return [name, { rules: rulesOf(file), action: actionOf(file) }];
  }),
);

/** Checks a request against rules; throws what AWS would refuse it with. The request itself stays as it is. */
export function checkRequest(
  request: Readonly<Record<string, unknown>>,
  rules: RequestRules,
  store: MemoryStore,
): CheckedRequest {
  const checked = shaped(request, rules.types) as CheckedRequest;
  validations.checkValidations(checked, rules.types, rules.custom, store);
  return checked;
}

/** Checks and runs an operation. Rejects with a refusal (see errors.ts). */
export function perform(
  name: DynaliteOperation,
  request: Readonly<Record<string, unknown>>,
  store: MemoryStore,
): Promise<unknown> {
  const { rules, action } = partOf(name);
  const checked = checkRequest(request, rules, store);
  return new Promise((resolve, reject) => {
    action(store, checked, (error, answer) => (isError(error) ? reject(error) : resolve(answer)));
  });
}

/** What became of an action on one item. */
export type Outcome = { readonly error: unknown } | { readonly answer: Record<string, unknown> };

/** Runs an action on one item with a request that was checked before; nothing else runs meanwhile. */
export function performNow(
  name: 'PutItem' | 'UpdateItem' | 'DeleteItem' | 'GetItem',
  request: CheckedRequest,
  store: MemoryStore,
): Outcome {
  let outcome: Outcome | undefined;
  partOf(name).action(store, request, (error, answer) => {
    outcome = isError(error) ? { error } : { answer: answer as Record<string, unknown> };
  });
  if (outcome === undefined) throw new Error(`${name} did not finish in one go`);
  return outcome;
}

function partOf(name: DynaliteOperation): Part {
  const part = parts.get(name);
  if (part === undefined) throw new Error(`no operation ${name}`);
  return part;
}

function isError(error: unknown): boolean {
  return error !== null && error !== undefined;
}
