import { describe, expect, test } from 'vitest';
import { systemClock } from '../../../local/gateway/clock.ts';
import { CredentialStore, LOCAL_CREDENTIALS, sessionArn } from '../../../local/host/credentials.ts';
import type { LogEntry } from '../../../local/host/invocation.ts';
import { AccessControl, type AuthorizedUse } from '../../../local/iam/access-control.ts';
import { readAssembly } from '../../../local/template/assembly.ts';
import type { Deployment } from '../../../local/template/deployment.ts';
import { readDeployment } from '../../../local/template/deployment-reader.ts';
import { fixtureAssembly, fixturePolicy, fixtureTemplate, slot } from '../stack/fixture-assembly.ts';

const PLACE = { callbackOrigin: 'http://127.0.0.1:3000', httpOrigin: 'http://localhost:3000' };
const SWEEP = 'arn:aws:iam::123456789012:role/Fixture-sweepRole';
const TABLE = 'arn:aws:dynamodb:us-east-1:123456789012:table/Fixture-Bus';
const BUS = { 'Fn::GetAtt': ['Bus', 'Arn'] };

type Changes = NonNullable<Parameters<typeof fixtureTemplate>[0]>;

async function deploymentOf(changes: Changes): Promise<Deployment> {
  await using assembly = await fixtureAssembly(fixtureTemplate({ Policy: fixturePolicy([]), ...changes }));
  return readDeployment(await readAssembly(assembly.directory), PLACE);
}

const document = (...statements: object[]) => ({ Version: '2012-10-17', Statement: statements });
const get = { Effect: 'Allow', Action: 'dynamodb:GetItem', Resource: BUS };
const policy = (properties: object) => ({
  Type: 'AWS::IAM::Policy',
  Properties: {
    PolicyName: 'P',
    PolicyDocument: document(get),
    Roles: [{ Ref: 'sweepRole' }],
    ...properties,
  },
});
const role = (properties: object) => ({ Type: 'AWS::IAM::Role', Properties: properties });
const managed = (properties: object = {}) => ({
  Type: 'AWS::IAM::ManagedPolicy',
  Properties: { PolicyDocument: document(get), ...properties },
});

describe('the policies of a role', () => {
  test.each<[string, Changes]>([
    ['a policy', { Extra: policy({}) }],
    ['a policy of one statement', { Extra: policy({ PolicyDocument: { Statement: get } }) }],
    [
      'one of its own',
      { sweepRole: role({ Policies: [{ PolicyName: 'P', PolicyDocument: document(get) }] }) },
    ],
    ['a managed policy', { Extra: managed(), sweepRole: role({ ManagedPolicyArns: [{ Ref: 'Extra' }] }) }],
    ['a managed policy that names it', { Extra: managed({ Roles: [{ Ref: 'sweepRole' }] }) }],
  ])('are read from %s, with their references resolved', async (_where, changes) => {
    const { policies } = await deploymentOf(changes);
    expect(policies.get(SWEEP)).toEqual([
      { effect: 'Allow', actions: ['dynamodb:GetItem'], resources: [TABLE] },
    ]);
    expect(policies.get(SWEEP.replace('sweep', 'open'))).toEqual([]);
  });

  test.each<[string, Changes, string]>([
    [
      'a condition',
      { Extra: policy({ PolicyDocument: document({ ...get, Condition: {} }) }) },
      'unsupported_property',
    ],
    [
      'NotAction',
      { Extra: policy({ PolicyDocument: document({ Effect: 'Allow', NotAction: 'a:B', Resource: '*' }) }) },
      'invalid_property',
    ],
    [
      'NotResource beside Resource',
      { Extra: policy({ PolicyDocument: document({ ...get, NotResource: '*' }) }) },
      'unsupported_property',
    ],
    [
      'a policy variable',
      {
        Extra: policy({
          PolicyDocument: document({ ...get, Resource: `arn:aws:s3:::${slot('aws:userid')}` }),
        }),
      },
      'unsupported_property',
    ],
    [
      'a permissions boundary',
      { sweepRole: role({ PermissionsBoundary: 'arn:aws:iam::aws:policy/X' }) },
      'invalid_property',
    ],
    [
      'a policy that AWS manages',
      { sweepRole: role({ ManagedPolicyArns: ['arn:aws:iam::aws:policy/AdministratorAccess'] }) },
      'unknown_reference',
    ],
    ['a role of elsewhere', { Extra: policy({ Roles: ['somebody'] }) }, 'unknown_reference'],
    ['users', { Extra: policy({ Users: ['somebody'] }) }, 'unsupported_property'],
  ])('are refused with %s', async (_what, changes, code) => {
    await expect(deploymentOf(changes)).rejects.toMatchObject({ name: 'TemplateError', code });
  });
});

describe('the permission of a service to invoke', () => {
  const permission = (properties: object) => ({
    Type: 'AWS::Lambda::Permission',
    Properties: {
      Action: 'lambda:InvokeFunction',
      FunctionName: { Ref: 'sweep' },
      Principal: 'events.amazonaws.com',
      ...properties,
    },
  });

  test('is read with the function’s name, and may lack a source', async () => {
    const { permissions } = await deploymentOf({ Extra: permission({}) });
    expect(permissions).toContainEqual({
      functionName: 'sweep',
      service: 'events.amazonaws.com',
      sourceArn: undefined,
    });
  });

  test('is none of ours where it is for another account', async () => {
    const { permissions } = await deploymentOf({ Extra: permission({ Principal: '999999999999' }) });
    expect(permissions).toEqual((await deploymentOf({})).permissions);
  });

  test.each<[string, object, string]>([
    ['another action', { Action: 'lambda:InvokeFunctionUrl' }, 'invalid_property'],
    ['a condition of its own', { PrincipalOrgID: 'o-1' }, 'unsupported_property'],
  ])('is refused for %s', async (_what, properties, code) => {
    await expect(deploymentOf({ Extra: permission(properties) })).rejects.toMatchObject({ code });
  });
});

describe('access control', () => {
  async function control() {
    const logs: LogEntry[] = [];
    const uses: AuthorizedUse[] = [];
    const credentials = new CredentialStore();
    const access = new AccessControl({
      deployment: await deploymentOf({ Extra: policy({}) }),
      credentials,
      clock: systemClock,
      log: (entry) => logs.push(entry),
      allowed: (use) => uses.push(use),
    });
    return { access, credentials, logs, uses };
  }

  test('tells of a role whether it may do one thing, and tells the log when not', async () => {
    const { access, logs, uses } = await control();
    const queue = 'arn:aws:sqs:us-east-1:123456789012:Lost';
    expect(access.isAllowed(SWEEP, 'dynamodb:GetItem', TABLE)).toBe(true);
    expect(access.isAllowed(SWEEP, 'sqs:SendMessage', queue)).toBe(false);
    expect(access.isAllowed('arn:aws:iam::123456789012:role/nobody', 'dynamodb:GetItem', TABLE)).toBe(false);
    expect(uses).toEqual([{ principalArn: SWEEP, action: 'dynamodb:GetItem', resource: TABLE }]);
    expect(logs[0]).toEqual({
      function: 'sweep',
      requestId: undefined,
      stream: 'platform',
      line: `access denied: sqs:SendMessage on ${queue} (no policy of its role allows it)`,
    });
  });

  test('names of several needs the first that is not allowed, and keys that nobody has', async () => {
    const { access, credentials } = await control();
    const { accessKeyId } = credentials.issue({ arn: SWEEP, functionName: 'sweep', instance: undefined });
    const needs = ['GetItem', 'PutItem', 'Query'].map((name) => ({
      action: `dynamodb:${name}`,
      resource: TABLE,
    }));
    expect(access.denial(accessKeyId, needs.slice(0, 1))).toBeUndefined();
    expect(access.denial(accessKeyId, needs)).toContain('not authorized to perform: dynamodb:PutItem on');
    expect(access.denial(LOCAL_CREDENTIALS.accessKeyId, needs)).toBeUndefined();
    expect(access.denial('AKIANOBODY', needs)).toContain('user/AKIANOBODY is not authorized');
    expect(access.denial(accessKeyId, [])).toBeUndefined();
  });
});

test.each([
  ['arn:aws:iam::1:role/Name', 'open', 'arn:aws:sts::1:assumed-role/Name/open'],
  ['arn:aws:iam::1:role/some/path/Name', 'open', 'arn:aws:sts::1:assumed-role/Name/open'],
  ['arn:aws:iam::1:user/developer', undefined, 'arn:aws:iam::1:user/developer'],
])('a caller with %s is named as services name it', (arn, functionName, expected) => {
  expect(sessionArn({ arn, functionName, instance: undefined })).toBe(expected);
});
