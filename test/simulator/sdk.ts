/** DynamoDB as the SDK's client shows it: several attempts, some of which are lost or never answered. */
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import type { Ground } from './ground.ts';
import type { Attempt, Instance } from './instance.ts';
import { type Command, cancelled, type ModelTable, type TransactItem } from './table.ts';

/** As the server's client is configured. */
const MAX_ATTEMPTS = 4;
export const CALL_MS = 6;
const WRITES = new Set(['Put', 'Update', 'Delete', 'TransactWrite']);

export interface SdkOptions {
  /** A store that is broken on purpose: transactions fall apart into single writes. @default true */
  readonly atomicTransactions?: boolean;
}

export function simulatedClient(
  ground: Ground,
  instance: Instance,
  table: ModelTable,
  options: SdkOptions,
): DynamoDBDocumentClient {
  const send = (command: Command): Promise<unknown> => {
    const name = command.constructor.name.replace('Command', '');
    const label = (): string => describe(name, command.input);
    if (name === 'TransactWrite' && options.atomicTransactions === false) {
      return instance.port(
        label,
        CALL_MS,
        oneByOne(ground, table, command.input.TransactItems as TransactItem[]),
      );
    }
    return instance.port(label, CALL_MS, attempts(ground, table, name, command.input));
  };
  return { send } as unknown as DynamoDBDocumentClient;
}

function attempts(
  ground: Ground,
  table: ModelTable,
  name: string,
  input: Record<string, unknown>,
): () => Attempt<unknown> {
  const { chance } = ground;
  const isLost = chance.hits(ground.faults.callLost);
  let count = 0;
  // The SDK sends the same token with every attempt, so a transaction is done once however often it is asked for.
  let isCommitted = false;
  const perform = (): Attempt<unknown> => {
    if (isCommitted) return { answer: {} };
    try {
      const answer = table.perform(name, input);
      isCommitted = name === 'TransactWrite';
      return { answer };
    } catch (failure) {
      return { failure };
    }
  };
  return () => {
    const { faults } = ground;
    count += 1;
    if (WRITES.has(name) && chance.hits(faults.conflict)) return { failure: conflict(name) };
    const isUnanswered = isLost ? chance.hits(0.5) : chance.hits(faults.attemptUnanswered);
    if (!isLost && !isUnanswered && !chance.hits(faults.attemptLost)) {
      return name === 'BatchGet' && chance.hits(faults.unprocessed)
        ? someOf(ground, table, input)
        : perform();
    }
    if (isUnanswered) perform();
    if (count >= MAX_ATTEMPTS) return { failure: named('InternalServerError') };
    return { againAfter: chance.latency(CALL_MS) + 50 * 2 ** count * chance.float() };
  };
}

/** BatchGetItem leaves the second half of the keys for another call. */
function someOf(ground: Ground, table: ModelTable, input: Record<string, unknown>): Attempt<unknown> {
  const [[name, { Keys }] = ['', { Keys: [] }]] = Object.entries(
    input.RequestItems as Record<string, { readonly Keys: readonly unknown[] }>,
  );
  const taken = ground.chance.below(Keys.length);
  const answer = table.perform('BatchGet', { RequestItems: { [name]: { Keys: Keys.slice(0, taken) } } });
  return { answer: { ...answer, UnprocessedKeys: { [name]: { Keys: Keys.slice(taken) } } } };
}

function oneByOne(ground: Ground, table: ModelTable, items: readonly TransactItem[]): () => Attempt<unknown> {
  let next = 0;
  return () => {
    const item = items[next];
    if (item !== undefined) {
      try {
        table.perform('TransactWrite', { TransactItems: [item] });
      } catch (failure) {
        return { failure };
      }
    }
    next += 1;
    return next < items.length ? { againAfter: ground.chance.latency(CALL_MS) } : { answer: {} };
  };
}

function conflict(name: string): Error {
  return name === 'TransactWrite'
    ? cancelled([{ Code: 'TransactionConflict' }])
    : named('TransactionConflictException');
}

function named(name: string): Error {
  return Object.assign(new Error(name), { name });
}

/** The first byte of a key tells the kind of row; a few more tell rows apart. */
function describe(name: string, input: Record<string, unknown>): string {
  const items = (input.TransactItems as TransactItem[] | undefined)?.map((item) => Object.entries(item)[0]!);
  const writes = items ?? [[name, input as { Key?: object; Item?: object }] as const];
  return `${name} ${writes
    .map(([kind, write]) => {
      const key = (write?.Key ?? write?.Item) as { readonly p: Uint8Array } | undefined;
      if (key === undefined) return '';
      const { p } = key;
      return `${items === undefined ? '' : kind} ${String.fromCharCode(p[0]!)}:${Buffer.from(p.subarray(1, 5)).toString('hex')}`;
    })
    .join(', ')}${input.UpdateExpression === undefined ? '' : ` ${input.UpdateExpression}`}`;
}
