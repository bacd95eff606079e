/** What shall go wrong and how often: the form of a file of faults. docs/faults.md explains every member. */
import * as z from 'zod/mini';
import { quotasSchema } from '../quotas/quotas.ts';

const probability = z.number().check(z.gte(0), z.lte(1));
const share = z._default(probability, 0);
const ms = z.number().check(z.gte(0));
const range = z
  .tuple([ms, ms])
  .check(z.refine(([least, most]) => least <= most, 'the first number must not be above the second'));

const latency = z.union([
  z.strictObject({ fixed: ms }),
  z.strictObject({ uniform: range }),
  z
    .strictObject({ p50: z.number().check(z.gt(0)), p99: z.number().check(z.gt(0)) })
    .check(z.refine(({ p50, p99 }) => p50 <= p99, 'p50 must not be above p99')),
]);

const timeout = z._default(
  z.strictObject({
    probability,
    ms: z.optional(ms),
    effect: z._default(z.enum(['before', 'after', 'either']), 'either'),
  }),
  { probability: 0, effect: 'either' },
);

/** What any call can meet. */
const anyCall = { throttled: share, error: share, lost: share, timeout, latency: z.optional(latency) };

/** 0.1 + 0.2 + 0.7 shall be one. */
const ROUNDING = 1e-9;

function atMostOne<Shape extends z.core.$ZodShape>(shape: Shape) {
  const sum = (rules: object) => probabilitiesOf(rules).reduce((total, one) => total + one, 0);
  return z
    .strictObject(shape)
    .check(z.refine((rules) => sum(rules) <= 1 + ROUNDING, 'the probabilities add up to more than 1'));
}

function probabilitiesOf(rules: object): number[] {
  return Object.values(rules).flatMap((rule: unknown) => {
    if (typeof rule === 'number') return [rule];
    const nested = typeof rule === 'object' && rule !== null && 'probability' in rule ? rule.probability : 0;
    return typeof nested === 'number' ? [nested] : [];
  });
}

const serviceCall = atMostOne(anyCall);
const connectionCall = z.optional(atMostOne({ gone: share, ...anyCall }));
const readCall = z.optional(atMostOne(anyCall));
const writeCall = z.optional(atMostOne({ ...anyCall, conflict: share }));
const batchCall = z.optional(atMostOne({ ...anyCall, unprocessed: share }));
const databaseCall = z.optional(atMostOne({ ...anyCall, conflict: share, unprocessed: share }));

const callsSchema = z.strictObject({
  'connections.POST': connectionCall,
  'connections.GET': connectionCall,
  'connections.DELETE': connectionCall,
  'lambda.Invoke': z.optional(serviceCall),
  'events.PutEvents': z.optional(serviceCall),
  'secrets.GetSecretValue': z.optional(serviceCall),
  'sqs.SendMessage': z.optional(serviceCall),
  'dynamodb.*': databaseCall,
  'dynamodb.GetItem': readCall,
  'dynamodb.PutItem': writeCall,
  'dynamodb.UpdateItem': writeCall,
  'dynamodb.DeleteItem': writeCall,
  'dynamodb.Query': readCall,
  'dynamodb.Scan': readCall,
  'dynamodb.BatchGetItem': batchCall,
  'dynamodb.BatchWriteItem': batchCall,
  'dynamodb.TransactGetItems': writeCall,
  'dynamodb.TransactWriteItems': writeCall,
});

const late = z._default(z.strictObject({ probability, ms: range }), { probability: 0, ms: [0, 0] });

const rulesSchema = z.strictObject({
  calls: z._default(callsSchema, {}),
  connections: z._default(
    z.strictObject({
      halfOpen: share,
      halfOpenAfterMs: z._default(range, [0, 60_000]),
      slow: share,
      slowAfterMs: z._default(range, [0, 60_000]),
    }),
    { halfOpen: 0, halfOpenAfterMs: [0, 60_000], slow: 0, slowAfterMs: [0, 60_000] },
  ),
  disconnect: z._default(z.strictObject({ lost: share, doubled: share, late }), {
    lost: 0,
    doubled: 0,
    late: { probability: 0, ms: [0, 0] },
  }),
  asynchronous: z._default(z.strictObject({ duplicated: share, late }), {
    duplicated: 0,
    late: { probability: 0, ms: [0, 0] },
  }),
  kills: z._default(
    z.array(
      z.strictObject({
        function: z.string(),
        probability,
        calls: z
          .tuple([z.int().check(z.gte(1)), z.int().check(z.gte(1))])
          .check(z.refine(([least, most]) => least <= most, 'the first number must not be above the second')),
        effect: z._default(z.enum(['before', 'after', 'either']), 'either'),
      }),
    ),
    [],
  ),
  shuffle: z.optional(z.strictObject({ windowMs: z._default(ms, 10), gapMs: z._default(ms, 40) })),
  postableDelayMs: z._default(ms, 0),
  quotas: z.optional(quotasSchema),
});

/** As written; what is left out does not go wrong. */
export type FaultRules = z.input<typeof rulesSchema>;
export type ParsedRules = z.output<typeof rulesSchema>;
export type CallType = keyof z.output<typeof callsSchema>;
/** What can go wrong with one type of call. */
export type CallRules = z.output<typeof serviceCall> & {
  readonly gone?: number;
  readonly conflict?: number;
  readonly unprocessed?: number;
};
export type Latency = z.output<typeof latency>;
export type KillRule = ParsedRules['kills'][number];

/** The rules under which nothing goes wrong. */
export const NO_FAULTS: ParsedRules = z.parse(rulesSchema, {});

/** A file or an object of faults is none. */
export class FaultRulesError extends Error {
  override readonly name = 'FaultRulesError';
  readonly code = 'fault_rules';
  readonly retryable = false;
}

/**
 * The rules in a value.
 *
 * @param source what the message calls it
 * @throws FaultRulesError naming the first member that is wrong
 */
export function parseFaultRules(value: unknown, source = 'faults'): ParsedRules {
  const parsed = z.safeParse(rulesSchema, value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const unknown = issue?.code === 'unrecognized_keys' ? issue.keys : [];
  const member = [...(issue?.path ?? []), ...unknown.slice(0, 1)].map(String).join('/');
  const problem = unknown.length > 0 ? 'there is no such member' : (issue?.message ?? 'invalid');
  throw new FaultRulesError(`${source}: ${member === '' ? 'the whole' : member}: ${problem}`);
}

/**
 * The rules in a JSON text.
 *
 * @throws FaultRulesError also where it is no JSON
 */
export function parseFaultFile(text: string, source: string): ParsedRules {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new FaultRulesError(`${source}: ${error instanceof Error ? error.message : String(error)}`);
  }
  return parseFaultRules(value, source);
}
