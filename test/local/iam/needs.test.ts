import { describe, expect, test } from 'vitest';
import { dynamoDbNeeds } from '../../../local/iam/dynamodb-needs.ts';
import { putEventsNeeds } from '../../../local/iam/service-needs.ts';
import { secretsNeeds } from '../../../local/services/secrets-api.ts';

const HOME = { region: 'eu-west-1', accountId: '123456789012' };
const TABLES = 'arn:aws:dynamodb:eu-west-1:123456789012:table';
const needs = (operation: string, request: Record<string, unknown>) =>
  dynamoDbNeeds(operation, request, HOME).map(({ action, resource }) => `${action} ${resource}`);

describe('a call of DynamoDB needs', () => {
  test.each([
    ['GetItem', {}, [`dynamodb:GetItem ${TABLES}/A`]],
    ['PutItem', { ConditionExpression: 'attribute_exists(p)' }, [`dynamodb:PutItem ${TABLES}/A`]],
    ['Query', {}, [`dynamodb:Query ${TABLES}/A`]],
    ['Query', { IndexName: 'I' }, [`dynamodb:Query ${TABLES}/A/index/I`]],
    ['Scan', {}, [`dynamodb:Scan ${TABLES}/A`]],
    ['UpdateTimeToLive', {}, [`dynamodb:UpdateTimeToLive ${TABLES}/A`]],
    ['DeleteTable', {}, [`dynamodb:DeleteTable ${TABLES}/A`]],
  ])('%s with %j: its own action on its table or index', (operation, request, expected) => {
    expect(needs(operation, { TableName: 'A', ...request })).toEqual(expected);
  });

  test('the table that an ARN names', () => {
    const TableName = 'arn:aws:dynamodb:eu-west-1:999999999999:table/Theirs';
    expect(needs('GetItem', { TableName })).toEqual([`dynamodb:GetItem ${TableName}`]);
    expect(needs('TagResource', { ResourceArn: TableName })).toEqual([`dynamodb:TagResource ${TableName}`]);
  });

  test('for a batch its action on each table', () => {
    const RequestItems = { A: {}, B: {} };
    expect(needs('BatchGetItem', { RequestItems })).toEqual([
      `dynamodb:BatchGetItem ${TABLES}/A`,
      `dynamodb:BatchGetItem ${TABLES}/B`,
    ]);
    expect(needs('BatchWriteItem', { RequestItems })).toHaveLength(2);
  });

  test('for a transaction the actions of its parts, each once on each table', () => {
    const TransactItems = [
      { Put: { TableName: 'A' } },
      { Put: { TableName: 'A' } },
      { Put: { TableName: 'B' } },
      { Update: { TableName: 'A' } },
      { Delete: { TableName: 'A' } },
      { ConditionCheck: { TableName: 'A' } },
    ];
    expect(needs('TransactWriteItems', { TransactItems })).toEqual([
      `dynamodb:PutItem ${TABLES}/A`,
      `dynamodb:PutItem ${TABLES}/B`,
      `dynamodb:UpdateItem ${TABLES}/A`,
      `dynamodb:DeleteItem ${TABLES}/A`,
      `dynamodb:ConditionCheckItem ${TABLES}/A`,
    ]);
    const reads = [{ Get: { TableName: 'A' } }];
    expect(needs('TransactGetItems', { TransactItems: reads })).toEqual([`dynamodb:GetItem ${TABLES}/A`]);
  });

  test('its action on everything where it names no table', () => {
    expect(needs('ListTables', {})).toEqual(['dynamodb:ListTables *']);
    expect(needs('ExecuteStatement', { Statement: 'SELECT * FROM A' })).toEqual([
      'dynamodb:ExecuteStatement *',
    ]);
  });

  test.each([
    ['TransactWriteItems', { TransactItems: 'none' }],
    ['TransactWriteItems', { TransactItems: [null, { Put: 1 }, { Drop: { TableName: 'A' } }] }],
    ['BatchGetItem', { RequestItems: null }],
  ])('nothing for a %s with %j, which is refused as it is', (operation, request) => {
    expect(needs(operation, request)).toEqual([]);
  });
});

test('PutEvents needs each bus once, by name or ARN, and the default one where none is named', () => {
  const theirs = 'arn:aws:events:eu-west-1:999999999999:event-bus/theirs';
  const Entries = [{ EventBusName: 'mine' }, {}, { EventBusName: 'mine' }, { EventBusName: theirs }, 7];
  expect(putEventsNeeds({ Entries }, HOME).map(({ resource }) => resource)).toEqual([
    'arn:aws:events:eu-west-1:123456789012:event-bus/mine',
    'arn:aws:events:eu-west-1:123456789012:event-bus/default',
    theirs,
  ]);
  expect(putEventsNeeds({}, HOME)).toEqual([]);
});

test('GetSecretValue needs the ARN with its suffix, however the secret is named', () => {
  const options = { ...HOME, now: Date.now, settings: { KEY: 'x' } };
  const arn = 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:app/KEY';
  const resources = ['app/KEY', arn, `${arn}-local0`].map(
    (SecretId) => secretsNeeds('GetSecretValue', { SecretId }, options)[0]?.resource,
  );
  expect(resources).toEqual([`${arn}-local0`, `${arn}-local0`, `${arn}-local0`]);
  const absent = secretsNeeds('GetSecretValue', { SecretId: 'app/OTHER' }, options);
  expect(absent[0]?.resource).toMatch(/:secret:app\/OTHER-[A-Za-z0-9]{6}$/);
  expect(secretsNeeds('GetSecretValue', {}, options)).toEqual([]);
});
