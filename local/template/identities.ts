/**
 * What `Ref` and `Fn::GetAtt` give for each resource type ("Return values" of its page in the CloudFormation
 * template reference), with local names: a deployed name is generated, a local one must be predictable.
 */
import { createHash } from 'node:crypto';

/** Where the deployment pretends to be. */
export interface Locale {
  readonly stackName: string;
  readonly region: string;
  readonly accountId: string;
  readonly partition: string;
  readonly urlSuffix: string;
}

export interface Named {
  readonly logicalId: string;
  /** Its own name where the template or its handler gives one. */
  readonly name: string | undefined;
  /** Only for APIs. */
  readonly protocol: 'HTTP' | 'WEBSOCKET';
}

export interface Identity {
  readonly ref: (named: Named, locale: Locale) => string;
  readonly attributes: Readonly<Record<string, (named: Named, locale: Locale) => string>>;
}

const nameOf = ({ name, logicalId }: Named, { stackName }: Locale): string =>
  name ?? `${stackName}-${logicalId}`;

const arn =
  (service: string, path: (name: string) => string, regional = true) =>
  (named: Named, locale: Locale) =>
    [
      'arn',
      locale.partition,
      service,
      regional ? locale.region : '',
      locale.accountId,
      path(nameOf(named, locale)),
    ].join(':');

const plain = (service: string, path: (name: string) => string, regional = true): Identity => ({
  ref: nameOf,
  attributes: { Arn: arn(service, path, regional) },
});

/** Ten lower-case letters and digits, as API Gateway's own ids; the same at every start. */
const apiId = ({ logicalId }: Named): string => {
  const digest = createHash('sha256').update(logicalId).digest();
  return BigInt(`0x${digest.toString('hex')}`)
    .toString(36)
    .slice(0, 10);
};

const table: Identity = {
  ref: nameOf,
  attributes: { Arn: arn('dynamodb', (name) => `table/${name}`), TableId: ({ logicalId }) => logicalId },
};

const managedPolicyArn = arn('iam', (name) => `policy/${name}`, false);

const queue: Identity = {
  ref: (named, locale) =>
    `https://sqs.${locale.region}.${locale.urlSuffix}/${locale.accountId}/${nameOf(named, locale)}`,
  attributes: { Arn: arn('sqs', (name) => name), QueueName: nameOf },
};

export const IDENTITIES: Readonly<Record<string, Identity>> = {
  'AWS::Lambda::Function': plain('lambda', (name) => `function:${name}`),
  'AWS::DynamoDB::Table': table,
  'AWS::DynamoDB::GlobalTable': table,
  'AWS::Lambda::EventInvokeConfig': { ref: ({ logicalId }) => logicalId, attributes: {} },
  'AWS::Events::EventBus': {
    ref: nameOf,
    attributes: { Arn: arn('events', (name) => `event-bus/${name}`), Name: nameOf },
  },
  'AWS::Events::Rule': plain('events', (name) => `rule/${name}`),
  'AWS::IAM::Role': {
    ref: nameOf,
    attributes: { Arn: arn('iam', (name) => `role/${name}`, false), RoleId: ({ logicalId }) => logicalId },
  },
  'AWS::IAM::Policy': { ref: nameOf, attributes: {} },
  'AWS::IAM::ManagedPolicy': { ref: managedPolicyArn, attributes: { PolicyArn: managedPolicyArn } },
  'AWS::Lambda::Permission': { ref: ({ logicalId }) => logicalId, attributes: {} },
  'AWS::Logs::LogGroup': plain('logs', (name) => `log-group:${name}:*`),
  'AWS::SQS::Queue': queue,
  'AWS::ApiGatewayV2::Api': {
    ref: apiId,
    attributes: {
      ApiId: apiId,
      ApiEndpoint: (named, { region, urlSuffix }) =>
        `${named.protocol === 'HTTP' ? 'https' : 'wss'}://${apiId(named)}.execute-api.${region}.${urlSuffix}`,
    },
  },
  'AWS::ApiGateway::ApiKey': { ref: apiId, attributes: { APIKeyId: apiId } },
  'AWS::ApiGateway::UsagePlan': { ref: apiId, attributes: { Id: apiId } },
  'AWS::ApiGateway::UsagePlanKey': { ref: apiId, attributes: { Id: apiId } },
  'AWS::CloudFront::Distribution': {
    ref: (named) => `E${apiId(named).toUpperCase()}`,
    attributes: { DomainName: (named) => `d${apiId(named)}.cloudfront.net` },
  },
  'AWS::CloudFront::Function': {
    ref: arn('cloudfront', (name) => `function/${name}`, false),
    attributes: { FunctionARN: arn('cloudfront', (name) => `function/${name}`, false) },
  },
  'AWS::SecretsManager::Secret': {
    ref: arn('secretsmanager', (name) => `secret:${name}-local1`),
    attributes: { Id: arn('secretsmanager', (name) => `secret:${name}-local1`) },
  },
  'AWS::ApiGatewayV2::Stage': { ref: nameOf, attributes: {} },
  'AWS::ApiGatewayV2::Integration': { ref: ({ logicalId }) => logicalId, attributes: {} },
  'AWS::ApiGatewayV2::Route': { ref: ({ logicalId }) => logicalId, attributes: {} },
};
