import { beforeAll, describe, expect, it } from 'vitest';
import type { FunctionName } from '../../lambdas/contract/environment.ts';
import { secretsOf } from '../../lib/grants.ts';
import { assembly, type TemplateJson, template, watchGroupsOnly } from '../support/assembly.ts';

interface Statement {
  readonly Effect: string;
  readonly Action: string | readonly string[];
  readonly Resource: unknown;
}

const BUS = [
  'dynamodb:BatchGetItem',
  'dynamodb:DeleteItem',
  'dynamodb:GetItem',
  'dynamodb:PutItem',
  'dynamodb:Query',
  'dynamodb:UpdateItem',
];
const APPS = ['dynamodb:DeleteItem', 'dynamodb:GetItem', 'dynamodb:PutItem', 'dynamodb:Query'];
const CONNECTIONS = ['execute-api:ManageConnections'];
const SECRET = ['secretsmanager:GetSecretValue'];
const LOGS = ['logs:CreateLogStream', 'logs:PutLogEvents'];

/** What each role may do, written out: a change to `lib/grants.ts` has to be made here as well. */
const EXPECTED: { readonly [F in FunctionName]: Readonly<Record<string, readonly string[]>> } = {
  connect: {
    'own logs': LOGS,
    bus: ['dynamodb:PutItem', 'dynamodb:UpdateItem'],
    'secret socketbus/JWT_SECRET': SECRET,
    'function open': ['lambda:InvokeFunction'],
  },
  open: {
    'own logs': LOGS,
    bus: ['dynamodb:ConditionCheckItem', 'dynamodb:GetItem', 'dynamodb:PutItem'],
    'POST connections': CONNECTIONS,
    'DELETE connections': CONNECTIONS,
  },
  message: {
    'own logs': LOGS,
    bus: [...BUS, 'dynamodb:ConditionCheckItem'].sort(),
    apps: APPS,
    'POST connections': CONNECTIONS,
    'DELETE connections': CONNECTIONS,
    'function deliver': ['lambda:InvokeFunction'],
    'secret socketbus/JWT_SECRET': SECRET,
    'secret socketbus/CLOUD_API_KEY': SECRET,
    'event bus': ['events:PutEvents'],
  },
  disconnect: {
    'own logs': LOGS,
    bus: BUS,
    apps: APPS,
    'POST connections': CONNECTIONS,
    'DELETE connections': CONNECTIONS,
    'function deliver': ['lambda:InvokeFunction'],
  },
  publish: {
    'own logs': LOGS,
    bus: BUS,
    apps: APPS,
    'POST connections': CONNECTIONS,
    'DELETE connections': CONNECTIONS,
    'function deliver': ['lambda:InvokeFunction'],
    'dead letters': ['sqs:GetQueueAttributes', 'sqs:GetQueueUrl', 'sqs:SendMessage'],
  },
  sweep: {
    'own logs': LOGS,
    bus: BUS,
    apps: APPS,
    'POST connections': CONNECTIONS,
    'DELETE connections': CONNECTIONS,
    'function deliver': ['lambda:InvokeFunction'],
  },
  http: {
    'own logs': LOGS,
    bus: [
      'dynamodb:BatchGetItem',
      'dynamodb:GetItem',
      'dynamodb:PutItem',
      'dynamodb:Query',
      'dynamodb:UpdateItem',
    ],
    apps: APPS,
    'POST connections': CONNECTIONS,
    'DELETE connections': CONNECTIONS,
    'function deliver': ['lambda:InvokeFunction'],
    'secret socketbus/JWT_SECRET': SECRET,
    'secret socketbus/CLOUD_API_KEY': SECRET,
  },
  poll: {
    'own logs': LOGS,
    bus: [...BUS, 'dynamodb:ConditionCheckItem'].sort(),
    apps: APPS,
    'POST connections': CONNECTIONS,
    'DELETE connections': CONNECTIONS,
    'function deliver': ['lambda:InvokeFunction'],
    'secret socketbus/JWT_SECRET': SECRET,
    'secret socketbus/CLOUD_API_KEY': SECRET,
    'event bus': ['events:PutEvents'],
  },
  deliver: {
    'own logs': LOGS,
    bus: BUS,
    apps: APPS,
    'POST connections': CONNECTIONS,
    'DELETE connections': CONNECTIONS,
    'function deliver': ['lambda:InvokeFunction'],
    'dead letters': ['sqs:GetQueueAttributes', 'sqs:GetQueueUrl', 'sqs:SendMessage'],
  },
};

let deployed: TemplateJson;

beforeAll(async () => {
  deployed = await template(assembly());
});

const resources = (type: string) =>
  Object.entries(deployed.Resources).filter(([, { Type }]) => Type === type);

/** A name that a reader knows for the resource of a statement. */
function nameOf(resource: unknown, name: string): string {
  const text = JSON.stringify(resource);
  const method = /\/prod\/(POST|GET|DELETE)\/@connections\/\*"/.exec(text)?.[1];
  const [socketApi] = resources('AWS::ApiGatewayV2::Api').find(
    ([, it]) => it.Properties.ProtocolType === 'WEBSOCKET',
  )!;
  if (method && text.includes(`{"Ref":"${socketApi}"}`)) return `${method} connections`;
  const secret = /:secret:([\w/]+)-\?{6}"/.exec(text)?.[1];
  if (secret) return `secret ${secret}`;
  const [id] = (resource as { 'Fn::GetAtt'?: string[] })['Fn::GetAtt'] ?? [];
  const target = deployed.Resources[id ?? ''];
  if (target?.Type === 'AWS::Lambda::Function')
    return `function ${String(target.Properties.Handler).split('.')[0]}`;
  if (target?.Type === 'AWS::DynamoDB::Table') return target.DeletionPolicy === 'Retain' ? 'apps' : 'bus';
  if (target?.Type === 'AWS::Events::EventBus') return 'event bus';
  if (target?.Type === 'AWS::SQS::Queue') return 'dead letters';
  if (target?.Type === 'AWS::Logs::LogGroup') return ownsLogs(name, id) ? 'own logs' : 'logs of others';
  return `unknown ${text}`;
}

function functionNamed(name: string) {
  return resources('AWS::Lambda::Function').find(([, it]) => it.Properties.Handler === `${name}.handler`)![1];
}

function ownsLogs(name: string, group: string | undefined): boolean {
  return (
    JSON.stringify(functionNamed(name).Properties.LoggingConfig) ===
    JSON.stringify({ LogGroup: { Ref: group } })
  );
}

/** Every statement of every policy attached to the function's role, by resource. */
function grantsOf(name: string): Record<string, string[]> {
  const [role] = (functionNamed(name).Properties.Role as { 'Fn::GetAtt': string[] })['Fn::GetAtt'];
  const attached = resources('AWS::IAM::Policy').filter(([, { Properties }]) =>
    JSON.stringify(Properties.Roles).includes(`{"Ref":"${role}"}`),
  );
  const documents = attached.map(
    ([, { Properties }]) => Properties.PolicyDocument as { Statement: Statement[] },
  );
  const grants: Record<string, string[]> = {};
  for (const { Effect, Action, Resource } of documents.flatMap(({ Statement }) => Statement)) {
    expect(Effect).toBe('Allow');
    for (const resource of [Resource].flat()) {
      const known = nameOf(resource, name);
      grants[known] = [...(grants[known] ?? []), ...[Action].flat()].sort();
    }
  }
  return grants;
}

describe('the role of each function', () => {
  it.each(Object.keys(EXPECTED))('allows exactly what the function needs: %s', (name) => {
    expect(grantsOf(name)).toEqual(EXPECTED[name as FunctionName]);
  });

  it('is held by that function alone and carries no managed or inline policy', () => {
    const roles = resources('AWS::IAM::Role');
    expect(roles).toHaveLength(Object.keys(EXPECTED).length);
    for (const [, { Properties }] of roles) {
      expect(Properties).not.toHaveProperty('ManagedPolicyArns');
      expect(Properties).not.toHaveProperty('Policies');
    }
    const held = Object.keys(EXPECTED).map((name) => JSON.stringify(functionNamed(name).Properties.Role));
    expect(new Set(held).size).toBe(held.length);
  });

  it('has no wildcard action', () => {
    for (const [, { Properties }] of resources('AWS::IAM::Policy')) {
      const { Statement } = Properties.PolicyDocument as { Statement: Statement[] };
      for (const { Action, Resource } of Statement) {
        expect([Action].flat().join()).not.toContain('*');
        expect([Resource].flat()).not.toContain('*');
      }
    }
  });
});

describe('the secrets of a deployment', () => {
  it.each([
    ['order-sync', ['CLOUD_API_KEY']],
    ['watch-groups', ['JWT_SECRET']],
    ['./mine.ts', ['JWT_SECRET']],
    ['order-sync,clinic-chat', ['JWT_SECRET', 'CLOUD_API_KEY']],
  ])('are those of its applications: %s', (apps, secrets) => {
    expect(secretsOf(apps.split(','))).toEqual(secrets);
  });

  it('have none for tokens where an issuer’s public keys verify them', () => {
    expect(secretsOf(['watch-groups'], true)).toEqual([]);
    expect(secretsOf(['order-sync', 'watch-groups'], true)).toEqual(['CLOUD_API_KEY']);
  });

  it('that no application needs are read by no role', async () => {
    const text = JSON.stringify(await template(watchGroupsOnly()));
    expect(text).toContain(':secret:socketbus/JWT_SECRET-');
    expect(text).not.toContain('CLOUD_API_KEY');
  });
});
