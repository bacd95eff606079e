/**
 * The properties that mean something locally, per resource type. What changes behaviour and is not run here is
 * refused by a strict schema or a literal; what only concerns the cloud (tags, encryption, log groups) passes.
 */
import * as z from 'zod/mini';

const text = z.string();
const flag = z.boolean();
const whole = z.coerce.number().check(z.int());

/** Where messages go: of all the kinds of targets that AWS has, only queues run here. */
const queueArn = text.check(z.regex(/^arn:[^:]+:sqs:/, 'only an SQS queue runs locally'));

/** They configure the cloud around the functions; leaving them out changes nothing that a client could see. */
export const IGNORED_RESOURCES: ReadonlySet<string> = new Set([
  'AWS::ApiGateway::Account',
  'AWS::ApiGatewayV2::Deployment',
  'AWS::CDK::Metadata',
  'AWS::CloudFront::CachePolicy',
  'AWS::CloudFront::OriginRequestPolicy',
  'AWS::CloudWatch::Alarm',
  'AWS::CloudWatch::CompositeAlarm',
  'AWS::CloudWatch::Dashboard',
  'AWS::Logs::MetricFilter',
  'AWS::Logs::QueryDefinition',
  'AWS::Logs::ResourcePolicy',
  'AWS::SQS::QueuePolicy',
]);

export const functionSchema = z.looseObject({
  Handler: text.check(z.regex(/^[^.].*\.[^.]+$/)),
  Code: z.looseObject({ S3Key: text }),
  Role: text,
  PackageType: z.optional(z.literal('Zip')),
  Layers: z.optional(z.undefined()),
  DeadLetterConfig: z.optional(z.looseObject({ TargetArn: z.optional(queueArn) })),
  Environment: z.optional(z.looseObject({ Variables: z.optional(z.record(text, z.coerce.string())) })),
  // Lambda API, CreateFunction: 3 s and 128 MB unless given.
  Timeout: z._default(whole.check(z.gte(1), z.lte(900)), 3),
  MemorySize: z._default(whole.check(z.gte(128), z.lte(10_240)), 128),
  // The default account has 1,000 and keeps 100 for functions that reserve nothing (Lambda quotas page).
  ReservedConcurrentExecutions: z.optional(whole.check(z.gte(0), z.lte(900))),
  Runtime: z.optional(text.check(z.regex(/^nodejs/, { error: () => 'only Node.js runs locally' }))),
});

export const eventInvokeConfigSchema = z.strictObject({
  FunctionName: text,
  Qualifier: z.optional(z.literal('$LATEST')),
  MaximumRetryAttempts: z._default(whole.check(z.gte(0), z.lte(2)), 2),
  MaximumEventAgeInSeconds: z._default(whole.check(z.gte(60), z.lte(21_600)), 21_600),
  DestinationConfig: z.optional(
    z.strictObject({ OnFailure: z.optional(z.looseObject({ Destination: queueArn })) }),
  ),
});

/** CloudFormation template reference, "AWS::SQS::Queue"; the ranges and defaults are those of SetQueueAttributes. */
export const queueSchema = z.looseObject({
  FifoQueue: z.optional(z.literal(false)),
  RedrivePolicy: z.optional(z.undefined()),
  VisibilityTimeout: z._default(whole.check(z.gte(0), z.lte(43_200)), 30),
  MessageRetentionPeriod: z._default(whole.check(z.gte(60), z.lte(1_209_600)), 345_600),
  DelaySeconds: z._default(whole.check(z.gte(0), z.lte(900)), 0),
  MaximumMessageSize: z._default(whole.check(z.gte(1_024), z.lte(1_048_576)), 1_048_576),
  ReceiveMessageWaitTimeSeconds: z._default(whole.check(z.gte(0), z.lte(20)), 0),
});

const timeToLive = z.looseObject({ AttributeName: z.optional(text), Enabled: flag });
const recovery = z.looseObject({ PointInTimeRecoveryEnabled: z.optional(flag) });

export const tableSchema = z.looseObject({
  KeySchema: z.array(z.looseObject({ AttributeName: text, KeyType: z.enum(['HASH', 'RANGE']) })),
  AttributeDefinitions: z.array(
    z.looseObject({ AttributeName: text, AttributeType: z.enum(['S', 'N', 'B']) }),
  ),
  // Design D5: on demand, no secondary indexes, no streams.
  BillingMode: z.literal('PAY_PER_REQUEST'),
  GlobalSecondaryIndexes: z.optional(z.undefined()),
  LocalSecondaryIndexes: z.optional(z.undefined()),
  StreamSpecification: z.optional(z.undefined()),
  ResourcePolicy: z.optional(z.undefined()),
  TimeToLiveSpecification: z.optional(timeToLive),
  PointInTimeRecoverySpecification: z.optional(recovery),
  DeletionProtectionEnabled: z.optional(flag),
  Replicas: z.optional(
    z.array(
      z.looseObject({
        PointInTimeRecoverySpecification: z.optional(recovery),
        DeletionProtectionEnabled: z.optional(flag),
      }),
    ),
  ),
});

export const apiSchema = z.looseObject({
  ProtocolType: z.enum(['HTTP', 'WEBSOCKET']),
  RouteSelectionExpression: z.optional(text),
  Body: z.optional(z.undefined()),
  DisableExecuteApiEndpoint: z.optional(z.literal(false)),
  CorsConfiguration: z.optional(z.undefined()),
});

const limit = z.optional(z.coerce.number().check(z.gte(0)));
const routeSettings = z.looseObject({ ThrottlingRateLimit: limit, ThrottlingBurstLimit: limit });
export type RouteSettings = z.output<typeof routeSettings>;

export const stageSchema = z.looseObject({
  ApiId: text,
  StageName: text,
  DefaultRouteSettings: z._default(routeSettings, {}),
  RouteSettings: z._default(z.record(text, routeSettings), {}),
  StageVariables: z.optional(z.undefined()),
});

export const integrationSchema = z.looseObject({
  ApiId: text,
  IntegrationType: z.literal('AWS_PROXY'),
  IntegrationUri: text,
  PayloadFormatVersion: z.optional(z.literal('2.0')),
  // What an integration has unless it is told (WebSocket quotas page; 30 s for an HTTP API).
  TimeoutInMillis: z.optional(z.union([z.literal(29_000), z.literal(30_000)])),
  RequestTemplates: z.optional(z.undefined()),
  TemplateSelectionExpression: z.optional(z.undefined()),
  ContentHandlingStrategy: z.optional(z.undefined()),
  CredentialsArn: z.optional(z.undefined()),
  RequestParameters: z.optional(z.undefined()),
  ResponseParameters: z.optional(z.undefined()),
});

export const routeSchema = z.looseObject({
  ApiId: text,
  RouteKey: text,
  Target: text,
  AuthorizationType: z._default(z.enum(['NONE', 'AWS_IAM']), 'NONE'),
  ApiKeyRequired: z._default(z.boolean(), false),
  RouteResponseSelectionExpression: z.optional(z.undefined()),
  RequestModels: z.optional(z.undefined()),
  ModelSelectionExpression: z.optional(z.undefined()),
});

const oneOrMore = z.pipe(
  z.union([text, z.array(text)]),
  z.transform((value: string | string[]) => [value].flat()),
);

/** Neither conditions nor `NotAction` and `NotResource` are evaluated, so a template that has them does not start. */
const statementSchema = z.strictObject({
  Sid: z.optional(text),
  Effect: z.enum(['Allow', 'Deny']),
  Action: oneOrMore,
  Resource: oneOrMore,
});

const documentSchema = z.strictObject({
  Version: z.optional(text),
  Id: z.optional(text),
  Statement: z.pipe(
    z.union([z.array(statementSchema), statementSchema]),
    z.transform((value) => [value].flat()),
  ),
});

export const policySchema = z.strictObject({
  PolicyName: text,
  PolicyDocument: documentSchema,
  Roles: z._default(z.array(text), []),
});

export const managedPolicySchema = z.strictObject({
  ManagedPolicyName: z.optional(text),
  Description: z.optional(text),
  Path: z.optional(z.literal('/')),
  PolicyDocument: documentSchema,
  Roles: z._default(z.array(text), []),
});

export const roleSchema = z.looseObject({
  Path: z.optional(z.literal('/')),
  PermissionsBoundary: z.optional(
    z.undefined({ error: () => 'permissions boundaries are not evaluated locally' }),
  ),
  Policies: z._default(z.array(z.strictObject({ PolicyName: text, PolicyDocument: documentSchema })), []),
  ManagedPolicyArns: z._default(z.array(text), []),
});

export const permissionSchema = z.strictObject({
  Action: z.literal('lambda:InvokeFunction'),
  FunctionName: text,
  Principal: text,
  SourceArn: z.optional(text),
});

const noTransform = z.optional(
  z.undefined({
    error: () =>
      'does not run locally: a target gets the whole event, a constant Input or that of an InputTransformer',
  }),
);

export const ruleSchema = z.looseObject({
  ScheduleExpression: z.optional(text),
  EventPattern: z.optional(z.record(text, z.unknown())),
  EventBusName: z._default(text, 'default'),
  State: z.optional(z.enum(['ENABLED', 'DISABLED', 'ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS'])),
  Targets: z._default(
    z.array(
      z.looseObject({
        Arn: text,
        Input: z.optional(text),
        InputPath: noTransform,
        InputTransformer: z.optional(
          z.strictObject({ InputPathsMap: z._default(z.record(text, text), {}), InputTemplate: text }),
        ),
        DeadLetterConfig: z.optional(z.looseObject({ Arn: z.optional(queueArn) })),
        // EventBridge user guide, "Retrying event delivery": 24 hours and 185 times unless configured.
        RetryPolicy: z._default(
          z.looseObject({
            MaximumRetryAttempts: z._default(whole.check(z.gte(0), z.lte(185)), 185),
            MaximumEventAgeInSeconds: z._default(whole.check(z.gte(60), z.lte(86_400)), 86_400),
          }),
          { MaximumRetryAttempts: 185, MaximumEventAgeInSeconds: 86_400 },
        ),
      }),
    ),
    [],
  ),
});
