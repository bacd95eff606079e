import { QueryDefinition, QueryString } from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';
import type { Functions } from './functions.ts';
import { serviceName } from './service-metrics.ts';

const FIELDS = [
  '@timestamp',
  '@log',
  'level',
  'message',
  'requestId',
  'connectionId',
  'messageId',
  'publishId',
];
const NEWEST = { sort: '@timestamp desc', limit: 200 };

/** What docs/runbook.md sends an operator to look at; saved in CloudWatch Logs Insights, which costs nothing. */
const QUERIES = {
  errors: {
    fields: [...FIELDS, 'error.name', 'error.message', 'error.code', 'error.cause.message'],
    filterStatements: ['level in ["ERROR", "WARN"]'],
    ...NEWEST,
  },
  'kinds-of-errors': {
    filterStatements: ['level in ["ERROR", "WARN"]'],
    statsStatements: ['count(*) as lines by @log, level, message, error.name'],
  },
  'one-id': {
    fields: [...FIELDS, '@message'],
    // Of an invocation, a request at the gateway, a connection, a message or a publish: each is in the lines.
    filterStatements: ['@message like "PUT THE ID HERE"'],
    sort: '@timestamp asc',
    limit: 1_000,
  },
  'failed-posts': {
    filterStatements: ['message like "a post failed"'],
    statsStatements: ['count(*) as lines by bin(5m), message, outcome, status, type'],
  },
  'closed-connections': {
    filterStatements: ['message like /closing/'],
    statsStatements: ['count(*) as connections by bin(5m), message, because, reason, outcome'],
  },
  'refused-handshakes': {
    filterStatements: ['message = "handshake refused"'],
    statsStatements: ['count(*) as handshakes by reason, origin, EIO'],
  },
  'cut-invocations': {
    filterStatements: ['@message like /Task timed out|Runtime exited|"the invocation fails"/'],
    fields: [...FIELDS, '@message'],
    ...NEWEST,
  },
  'refused-clients': {
    filterStatements: ['@message like /over its limit|too many connections/'],
    statsStatements: [
      'count(*) as lines by bin(5m), message, because, connectionId, address, user, namespace',
    ],
  },
  'slow-invocations': {
    filterStatements: ['@type = "REPORT"'],
    statsStatements: [
      'max(@duration) as ms, pct(@duration, 99) as p99, max(@maxMemoryUsed / 1000 / 1000) as mb by @log',
    ],
  },
} as const;

/** The queries over the logs of all functions, named `{deployment}/{query}`. */
export function logQueries(scope: Construct, deployment: Construct, { logGroups }: Functions): void {
  const prefix = serviceName(deployment);
  for (const [name, query] of Object.entries(QUERIES)) {
    const { filterStatements, ...rest } = query;
    new QueryDefinition(scope, `${name}Query`, {
      queryDefinitionName: `${prefix}/${name}`,
      logGroups: Object.values(logGroups),
      queryString: new QueryString({ ...mutable(rest), filterStatements: [...filterStatements] }),
    });
  }
}

type Parts = Omit<ConstructorParameters<typeof QueryString>[0] & object, 'filterStatements'>;

/** The CDK's props have arrays that may be written to. */
function mutable(parts: Readonly<Record<string, unknown>>): Parts {
  return Object.fromEntries(
    Object.entries(parts).map(([name, value]) => [name, Array.isArray(value) ? [...value] : value]),
  );
}
