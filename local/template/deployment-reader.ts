/** From a template to a `Deployment`: names first, because resources refer to each other, then each resource. */
import { randomBytes } from 'node:crypto';
import { statSync } from 'node:fs';
import { basename } from 'node:path';
import * as z from 'zod/mini';
import { readAccess } from './access-reader.ts';
import type { Assembly, TemplateResource } from './assembly.ts';
import type {
  AsynchronousDefinition,
  Deployment,
  EventRuleDefinition,
  FunctionDefinition,
  HttpApiDefinition,
  HttpRoute,
  QueueDefinition,
  RuleTarget,
  ScheduleDefinition,
  StageThrottling,
  TableDefinition,
  Throttle,
  WebSocketApiDefinition,
} from './deployment.ts';
import { TemplateError } from './errors.ts';
import { parseEventPattern } from './event-pattern.ts';
import { type FrontDoorSource, readApiKeys, readFrontDoor } from './front-door-reader.ts';
import { IDENTITIES, type Locale, type Named } from './identities.ts';
import { parseInputTransformer } from './input-transformer.ts';
import { IntrinsicResolver, type References } from './intrinsics.ts';
import {
  apiSchema,
  eventInvokeConfigSchema,
  functionSchema,
  IGNORED_RESOURCES,
  integrationSchema,
  queueSchema,
  type RouteSettings,
  routeSchema,
  ruleSchema,
  stageSchema,
  tableSchema,
} from './resource-schemas.ts';

/** Where a stack is that leaves it open: AWS's own example account, and the Region of most examples. */
const LOCAL_ACCOUNT_ID = '123456789012';
const LOCAL_REGION = 'us-east-1';

export interface DeploymentPlace {
  /** Origin that stands for the WebSocket API's `https://{api}.execute-api…`, for example `http://127.0.0.1:3000`. */
  readonly callbackOrigin: string;
  /** Origin that stands for the HTTP API's endpoint. */
  readonly httpOrigin: string;
  /**
   * Whether resources that do not run here are left out instead of refused: for stacks in which a deployment is one part
   * of many. What refers to them gets a text that names them. The part that has to be there is a WebSocket API.
   * @default false
   */
  readonly leaveOut?: boolean;
}

/**
 * The deployment that an assembly describes, with deployed URLs turned into local ones.
 *
 * @throws TemplateError for a type, property, intrinsic function or reference that has no local meaning.
 */
export function readDeployment(assembly: Assembly, place: DeploymentPlace): Deployment {
  return new DeploymentReader(assembly, place).read();
}

const LAMBDA_ARN = /arn:[^:]+:lambda:[^:]*:[^:]*:function:([^:/]+)/;
const EVENT_BUS_ARN = /^arn:[^:]+:events:[^:]*:\d*:event-bus\//;
/** Lambda quotas page: 4 KB for all variables together. What it measures is their JSON, as its error message shows. */
const MAX_ENVIRONMENT_BYTES = 4_096;
const RATE = /^rate\((\d+) (minute|hour|day)s?\)$/;
const SECRET_BYTES = 20;
const aliasesSchema = z.looseObject({
  DistributionConfig: z.looseObject({ Aliases: z.optional(z.array(z.string())) }),
});
const UNIT_MS: Readonly<Record<string, number>> = { minute: 60_000, hour: 3_600_000, day: 86_400_000 };

class DeploymentReader {
  readonly #assembly: Assembly;
  readonly #locale: Locale;
  readonly #place: DeploymentPlace;
  readonly #resolver: IntrinsicResolver;
  readonly #named = new Map<string, Named>();
  readonly #urls: [string, string][] = [];
  readonly #leftOut: string[] = [];
  /** Dynamic references to secrets that the template has made. */
  readonly #secrets: [string, string][] = [];
  /** Resolves to what AWS would: a front door tells its origins apart by their deployed hosts. */
  readonly #deployed: IntrinsicResolver;

  constructor(assembly: Assembly, place: DeploymentPlace) {
    this.#assembly = assembly;
    this.#place = place;
    this.#locale = {
      stackName: assembly.stackName,
      region: assembly.region ?? LOCAL_REGION,
      accountId: assembly.accountId ?? LOCAL_ACCOUNT_ID,
      partition: 'aws',
      urlSuffix: 'amazonaws.com',
    };
    const references: References = {
      ref: (name) => this.#ref(name),
      attribute: (logicalId, attribute) => this.#attribute(logicalId, attribute),
      condition: (name) => assembly.template.Conditions?.[name],
      mapping: (map, first, second) => assembly.template.Mappings?.[map]?.[first]?.[second],
      finish: (text) => replaced(text, this.#secrets),
    };
    this.#deployed = new IntrinsicResolver(references);
    this.#resolver = new IntrinsicResolver({
      ...references,
      finish: (text) => replaced(replaced(text, this.#secrets), this.#urls),
    });
  }

  read(): Deployment {
    this.#nameEverything();
    if (this.#place.leaveOut === true) this.#checkDeployment();
    const { stackName, region, accountId } = this.#locale;
    return {
      stackName,
      region,
      accountId,
      functions: this.#functions(),
      tables: this.#tables(),
      webSocketApi: this.#webSocketApi(),
      httpApi: this.#httpApi(),
      frontDoor: readFrontDoor(this.#frontDoorSource(), {
        HTTP: this.#api('HTTP')?.apiId,
        WEBSOCKET: this.#api('WEBSOCKET')?.apiId,
      }),
      schedules: this.#schedules(),
      eventBuses: this.#resources('AWS::Events::EventBus').map(([logicalId]) => this.#ref(logicalId) ?? ''),
      eventRules: this.#eventRules(),
      ...readAccess({
        ids: (...types) => this.#resources(...types).map(([logicalId]) => logicalId),
        properties: (logicalId, schema) => this.#properties(logicalId, schema),
        ref: (logicalId) => this.#ref(logicalId) ?? '',
        arn: (logicalId) => this.#attribute(logicalId, 'Arn') ?? '',
      }),
      queues: this.#queues(),
      leftOut: this.#leftOut,
      outputs: this.#outputs(),
    };
  }

  /** Every resource that exists, or an error for one that cannot exist here. */
  #resources(...types: readonly string[]): [string, TemplateResource][] {
    return Object.entries(this.#assembly.template.Resources).filter(
      ([id, { Type, Condition }]) =>
        (types.length === 0 || types.includes(Type)) &&
        (Condition === undefined || this.#resolver.holds({ Condition }, `Resources/${id}/Condition`)),
    );
  }

  #nameEverything(): void {
    const { region, urlSuffix } = this.#locale;
    this.#urls.push([`https://sqs.${region}.${urlSuffix}`, this.#place.callbackOrigin]);
    for (const [logicalId, resource] of this.#resources()) {
      const { Type } = resource;
      if (IDENTITIES[Type] === undefined && !IGNORED_RESOURCES.has(Type)) {
        if (this.#place.leaveOut === true) {
          this.#leftOut.push(`${Type} ${logicalId}`);
          continue;
        }
        throw new TemplateError(
          'unsupported_resource',
          `Resources/${logicalId}`,
          `${Type} does not run locally`,
        );
      }
      const protocol = resource.Properties?.ProtocolType === 'HTTP' ? 'HTTP' : 'WEBSOCKET';
      this.#named.set(logicalId, { logicalId, name: this.#ownName(logicalId, resource), protocol });
      if (Type === 'AWS::ApiGatewayV2::Api') this.#localiseUrls(logicalId, protocol);
      if (Type === 'AWS::CloudFront::Distribution') this.#localiseFrontDoor(logicalId, resource);
      if (Type === 'AWS::SecretsManager::Secret') {
        const reference = `{{resolve:secretsmanager:${this.#ref(logicalId)}:SecretString:::}}`;
        this.#secrets.push([reference, randomBytes(SECRET_BYTES).toString('hex')]);
      }
    }
  }

  /** What is left of a stack without a deployment would start, and answer nothing. */
  #checkDeployment(): void {
    if (this.#api('WEBSOCKET') !== undefined) return;
    const nested = this.#resources('AWS::CloudFormation::Stack').map(([logicalId]) => logicalId);
    const reason =
      nested.length === 0
        ? '--stack <name> chooses another'
        : `nested stacks do not run here (${nested.join(', ')}); move it into a Stack of its own`;
    const { stackName } = this.#locale;
    throw new TemplateError('unsupported_resource', `the stack ${stackName}`, `has no SocketBus: ${reason}`);
  }

  #ownName(logicalId: string, { Type, Properties = {} }: TemplateResource): string | undefined {
    const property = NAME_PROPERTIES[Type];
    if (property === undefined || Properties[property] === undefined) return undefined;
    const value = this.#resolver.resolve(
      Properties[property],
      `Resources/${logicalId}/Properties/${property}`,
    );
    if (typeof value !== 'string') return undefined;
    return Type === 'AWS::Lambda::Function' ? this.#functionNameOf(handlerModule(value), logicalId) : value;
  }

  /** Of functions with equal names (`index.handler` is what tools write) all but the first are named by their logical ids. */
  #functionNameOf(module: string, logicalId: string): string {
    const taken = [...this.#named.values()].some(({ name }) => name === module);
    return taken ? logicalId : module;
  }

  #localiseUrls(logicalId: string, protocol: Named['protocol']): void {
    const { region, urlSuffix } = this.#locale;
    const host = `${this.#ref(logicalId)}.execute-api.${region}.${urlSuffix}`;
    const { callbackOrigin, httpOrigin } = this.#place;
    if (protocol === 'HTTP') this.#urls.push([`https://${host}`, httpOrigin]);
    else this.#urls.push([`https://${host}`, callbackOrigin], [`wss://${host}`, webSocketOrigin(httpOrigin)]);
  }

  #localiseFrontDoor(logicalId: string, { Properties }: TemplateResource): void {
    const { Aliases = [] } = z.parse(aliasesSchema, Properties).DistributionConfig;
    for (const host of [this.#attribute(logicalId, 'DomainName') ?? '', ...Aliases]) {
      this.#urls.push([`https://${host}`, this.#place.httpOrigin]);
    }
  }

  #ref(name: string): string | undefined {
    const { region, accountId, partition, urlSuffix, stackName } = this.#locale;
    const pseudo: Record<string, string> = {
      'AWS::Region': region,
      'AWS::AccountId': accountId,
      'AWS::Partition': partition,
      'AWS::URLSuffix': urlSuffix,
      'AWS::StackName': stackName,
      'AWS::StackId': `arn:${partition}:cloudformation:${region}:${accountId}:stack/${stackName}/local`,
    };
    const parameter = this.#assembly.template.Parameters?.[name]?.Default;
    if (parameter !== undefined) return String(parameter);
    const identity = this.#identity(name);
    return pseudo[name] ?? identity?.ref() ?? this.#standIn(name);
  }

  #attribute(logicalId: string, attribute: string): string | undefined {
    return this.#identity(logicalId)?.attribute(attribute) ?? this.#standIn(logicalId, attribute);
  }

  /** For what is left out. It is no address of anything, and says in every message whose it would be. */
  #standIn(logicalId: string, attribute?: string): string | undefined {
    if (!this.#leftOut.some((each) => each.endsWith(` ${logicalId}`))) return undefined;
    return attribute === undefined ? `left-out:${logicalId}` : `left-out:${logicalId}.${attribute}`;
  }

  #identity(logicalId: string) {
    const resource = this.#assembly.template.Resources[logicalId];
    const named = this.#named.get(logicalId);
    const identity = resource === undefined ? undefined : IDENTITIES[resource.Type];
    if (named === undefined || identity === undefined) return undefined;
    return {
      ref: () => identity.ref(named, this.#locale),
      attribute: (name: string) => identity.attributes[name]?.(named, this.#locale),
    };
  }

  #properties<Schema extends z.ZodMiniType>(
    logicalId: string,
    schema: Schema,
    resolver = this.#resolver,
  ): z.output<Schema> {
    const at = `Resources/${logicalId}/Properties`;
    const properties = this.#assembly.template.Resources[logicalId]?.Properties ?? {};
    const result = z.safeParse(schema, resolver.resolve(properties, at));
    if (result.success) return result.data;
    const [issue] = result.error.issues;
    const place = [at, ...(issue?.path ?? []).map(String)].join('/');
    throw new TemplateError(
      issue?.code === 'unrecognized_keys' ? 'unsupported_property' : 'invalid_property',
      place,
      issue?.message ?? 'invalid',
    );
  }

  #functions(): Map<string, FunctionDefinition> {
    const configs = this.#eventInvokeConfigs();
    const functions = this.#resources('AWS::Lambda::Function').map(([logicalId]) => {
      const definition = this.#function(logicalId, configs);
      return [definition.name, definition] as const;
    });
    return new Map(functions);
  }

  #function(
    logicalId: string,
    configs: ReadonlyMap<string, Omit<AsynchronousDefinition, 'deadLetterQueue'>>,
  ): FunctionDefinition {
    const properties = this.#properties(logicalId, functionSchema);
    const name = this.#ref(logicalId) ?? logicalId;
    // Lambda guide, "Asynchronous invocation": two retries and six hours unless configured.
    const config = configs.get(name) ?? { retries: 2, maxAgeSeconds: 21_600, onFailure: undefined };
    return {
      name,
      arn: this.#attribute(logicalId, 'Arn') ?? '',
      logicalId,
      directory: this.#assetDirectory(logicalId, properties.Code.S3Key),
      handler: properties.Handler,
      environment: checkedEnvironment(logicalId, properties.Environment?.Variables ?? {}),
      timeoutSeconds: properties.Timeout,
      memoryMb: properties.MemorySize,
      reservedConcurrency: properties.ReservedConcurrentExecutions,
      role: properties.Role,
      asynchronous: { ...config, deadLetterQueue: properties.DeadLetterConfig?.TargetArn },
    };
  }

  #assetDirectory(logicalId: string, key: string): string {
    const directory = this.#assembly.assets.get(key);
    if (directory !== undefined && statSync(directory, { throwIfNoEntry: false })?.isDirectory())
      return directory;
    const at = `Resources/${logicalId}/Properties/Code`;
    throw new TemplateError('asset_not_found', at, `the assembly has no directory for ${key}`);
  }

  #eventInvokeConfigs(): Map<string, Omit<AsynchronousDefinition, 'deadLetterQueue'>> {
    const configs = this.#resources('AWS::Lambda::EventInvokeConfig').map(([logicalId]) => {
      const config = this.#properties(logicalId, eventInvokeConfigSchema);
      const { MaximumRetryAttempts: retries, MaximumEventAgeInSeconds: maxAgeSeconds } = config;
      const onFailure = config.DestinationConfig?.OnFailure?.Destination;
      return [config.FunctionName, { retries, maxAgeSeconds, onFailure }] as const;
    });
    return new Map(configs);
  }

  #tables(): TableDefinition[] {
    return this.#resources('AWS::DynamoDB::Table', 'AWS::DynamoDB::GlobalTable').map(([logicalId]) =>
      this.#table(logicalId),
    );
  }

  #table(logicalId: string): TableDefinition {
    const properties = this.#properties(logicalId, tableSchema);
    const key = (kind: 'HASH' | 'RANGE') => {
      const name = properties.KeySchema.find(({ KeyType }) => KeyType === kind)?.AttributeName;
      const type = properties.AttributeDefinitions.find((one) => one.AttributeName === name)?.AttributeType;
      return name === undefined || type === undefined ? undefined : { name, type };
    };
    const partitionKey = key('HASH');
    if (partitionKey === undefined) {
      throw new TemplateError(
        'invalid_property',
        `Resources/${logicalId}/Properties/KeySchema`,
        'has no HASH key',
      );
    }
    const ttl = properties.TimeToLiveSpecification;
    const [replica] = properties.Replicas ?? [];
    const recovery = properties.PointInTimeRecoverySpecification ?? replica?.PointInTimeRecoverySpecification;
    return {
      name: this.#ref(logicalId) ?? logicalId,
      arn: this.#attribute(logicalId, 'Arn') ?? '',
      logicalId,
      partitionKey,
      sortKey: key('RANGE'),
      timeToLiveAttribute: ttl?.Enabled === true ? ttl.AttributeName : undefined,
      pointInTimeRecovery: recovery?.PointInTimeRecoveryEnabled ?? false,
      deletionProtection: properties.DeletionProtectionEnabled ?? replica?.DeletionProtectionEnabled ?? false,
    };
  }

  #webSocketApi(): WebSocketApiDefinition | undefined {
    const api = this.#api('WEBSOCKET');
    if (api === undefined) return undefined;
    const { apiId, stage, expression, throttling } = api;
    const found = this.#routes(apiId);
    const routes = found.map(({ key, functionName, authorization, at }) => {
      if (authorization === 'NONE') return [key, functionName] as const;
      throw new TemplateError(
        'unsupported_property',
        at,
        'WebSocket routes run without an authorizer locally',
      );
    });
    const wantsKey = found.some(({ key, apiKeyRequired }) => key === '$connect' && apiKeyRequired);
    const apiKeys = wantsKey ? readApiKeys(this.#frontDoorSource(), apiId, stage) : undefined;
    return {
      apiId,
      stage,
      routeSelectionExpression: expression,
      routes: new Map(routes),
      apiKeys,
      throttling,
    };
  }

  #httpApi(): HttpApiDefinition | undefined {
    const api = this.#api('HTTP');
    if (api === undefined) return undefined;
    const routes = this.#routes(api.apiId).map(({ key, functionName, authorization }) => ({
      key,
      functionName,
      authorization,
    }));
    return { apiId: api.apiId, stage: api.stage, routes, throttling: api.throttling };
  }

  #api(protocol: 'HTTP' | 'WEBSOCKET'): ApiWithStage | undefined {
    const apis = this.#resources('AWS::ApiGatewayV2::Api').filter(
      ([logicalId]) => this.#properties(logicalId, apiSchema).ProtocolType === protocol,
    );
    const [api, second] = apis;
    if (api === undefined) return undefined;
    const at = `Resources/${(second ?? api)[0]}`;
    if (second !== undefined) {
      throw new TemplateError('unsupported_resource', at, `a second ${protocol} API does not fit one port`);
    }
    const apiId = this.#ref(api[0]) ?? '';
    const stage = this.#resources('AWS::ApiGatewayV2::Stage')
      .map(([logicalId]) => this.#properties(logicalId, stageSchema))
      .find(({ ApiId }) => ApiId === apiId);
    if (stage === undefined) throw new TemplateError('invalid_property', at, 'the API has no stage');
    const { RouteSelectionExpression: expression } = this.#properties(api[0], apiSchema);
    const throttling = throttlingOf(stage.DefaultRouteSettings, stage.RouteSettings);
    return { apiId, stage: stage.StageName, expression: expression ?? '$request.body.action', throttling };
  }

  #frontDoorSource(): FrontDoorSource {
    return {
      ids: (type) => this.#resources(type).map(([logicalId]) => logicalId),
      properties: (logicalId, schema) => this.#properties(logicalId, schema, this.#deployed),
      ref: (logicalId) => this.#ref(logicalId) ?? '',
      attribute: (logicalId, name) => this.#attribute(logicalId, name) ?? '',
    };
  }

  #routes(apiId: string): (HttpRoute & { readonly at: string; readonly apiKeyRequired: boolean })[] {
    return this.#resources('AWS::ApiGatewayV2::Route').flatMap(([logicalId]) => {
      const route = this.#properties(logicalId, routeSchema);
      if (route.ApiId !== apiId) return [];
      const at = `Resources/${logicalId}/Properties`;
      const integration = route.Target.replace(/^integrations\//, '');
      const functionName = this.#integrated(integration, at);
      const { RouteKey: key, AuthorizationType: authorization, ApiKeyRequired: apiKeyRequired } = route;
      return [{ key, functionName, authorization, apiKeyRequired, at }];
    });
  }

  #integrated(integration: string, at: string): string {
    const { IntegrationUri } = this.#properties(integration, integrationSchema);
    return this.#functionName(IntegrationUri, at);
  }

  #functionName(text: string, at: string): string {
    const name = LAMBDA_ARN.exec(text)?.[1];
    if (name !== undefined) return name;
    throw new TemplateError('unknown_reference', at, `"${text}" does not name a function`);
  }

  #schedules(): ScheduleDefinition[] {
    return this.#rules().flatMap(({ rule, ruleArn, targets, at }) => {
      if (rule.ScheduleExpression === undefined) return [];
      const [, amount, unit] = RATE.exec(rule.ScheduleExpression) ?? [];
      const everyMs = Number(amount) * (UNIT_MS[unit ?? ''] ?? Number.NaN);
      if (!(everyMs > 0)) {
        throw new TemplateError(
          'unsupported_property',
          `${at}/ScheduleExpression`,
          'only rate(…) runs locally',
        );
      }
      return rule.State === 'DISABLED' ? [] : [{ ruleArn, everyMs, targets }];
    });
  }

  #eventRules(): EventRuleDefinition[] {
    return this.#rules().flatMap(({ rule, ruleArn, targets, at }) => {
      if (rule.EventPattern === undefined) return [];
      const pattern = parseEventPattern(rule.EventPattern, `${at}/EventPattern`);
      const eventBus = rule.EventBusName.replace(EVENT_BUS_ARN, '');
      return rule.State === 'DISABLED' ? [] : [{ ruleArn, eventBus, pattern, targets }];
    });
  }

  #rules() {
    return this.#resources('AWS::Events::Rule').map(([logicalId]) => {
      const rule = this.#properties(logicalId, ruleSchema);
      const at = `Resources/${logicalId}/Properties`;
      if (rule.ScheduleExpression === undefined && rule.EventPattern === undefined)
        throw new TemplateError('invalid_property', at, 'has neither a schedule nor an event pattern');
      const targets = rule.Targets.map(
        ({ Arn, Input, InputTransformer, RetryPolicy, DeadLetterConfig }): RuleTarget => ({
          functionName: this.#functionName(Arn, `${at}/Targets`),
          functionArn: Arn,
          input: Input === undefined ? undefined : parseInput(Input, `${at}/Targets`),
          transform: InputTransformer && parseInputTransformer(InputTransformer, `${at}/Targets`),
          retries: RetryPolicy.MaximumRetryAttempts,
          maxAgeSeconds: RetryPolicy.MaximumEventAgeInSeconds,
          deadLetterQueue: DeadLetterConfig?.Arn,
        }),
      );
      return { rule, ruleArn: this.#attribute(logicalId, 'Arn') ?? '', targets, at };
    });
  }

  #queues(): QueueDefinition[] {
    return this.#resources('AWS::SQS::Queue').map(([logicalId]) => {
      const properties = this.#properties(logicalId, queueSchema);
      return {
        name: this.#attribute(logicalId, 'QueueName') ?? '',
        arn: this.#attribute(logicalId, 'Arn') ?? '',
        url: String(this.#resolver.resolve({ Ref: logicalId }, `Resources/${logicalId}`)),
        visibilityTimeoutSeconds: properties.VisibilityTimeout,
        retentionSeconds: properties.MessageRetentionPeriod,
        delaySeconds: properties.DelaySeconds,
        maxMessageBytes: properties.MaximumMessageSize,
        waitSeconds: properties.ReceiveMessageWaitTimeSeconds,
      };
    });
  }

  #outputs(): Map<string, string> {
    const outputs = Object.entries(this.#assembly.template.Outputs ?? {}).flatMap(([name, output]) => {
      const at = `Outputs/${name}`;
      if (output.Condition !== undefined && !this.#resolver.holds({ Condition: output.Condition }, at))
        return [];
      const value = this.#resolver.resolve(output.Value, at);
      return typeof value === 'string' ? [[name, value] as const] : [];
    });
    return new Map(outputs);
  }
}

interface ApiWithStage {
  readonly apiId: string;
  readonly stage: string;
  readonly expression: string;
  readonly throttling: StageThrottling;
}

function throttlingOf(all: RouteSettings, routes: Readonly<Record<string, RouteSettings>>): StageThrottling {
  const own = Object.entries(routes).map(([key, settings]) => [key, throttleOf(settings)] as const);
  return { all: throttleOf(all), route: new Map(own) };
}

function throttleOf({ ThrottlingRateLimit: rate, ThrottlingBurstLimit: burst }: RouteSettings): Throttle {
  return {
    ...(rate === undefined ? {} : { ratePerSecond: rate }),
    ...(burst === undefined ? {} : { burst }),
  };
}

const NAME_PROPERTIES: Readonly<Record<string, string>> = {
  'AWS::Lambda::Function': 'Handler',
  'AWS::DynamoDB::Table': 'TableName',
  'AWS::DynamoDB::GlobalTable': 'TableName',
  'AWS::Events::EventBus': 'Name',
  'AWS::Events::Rule': 'Name',
  'AWS::IAM::Role': 'RoleName',
  'AWS::IAM::ManagedPolicy': 'ManagedPolicyName',
  'AWS::SQS::Queue': 'QueueName',
  'AWS::Logs::LogGroup': 'LogGroupName',
  'AWS::ApiGatewayV2::Stage': 'StageName',
};

/** `connect` for `connect.handler`, also under a folder. */
function handlerModule(handler: string): string {
  return basename(handler.slice(0, handler.lastIndexOf('.')));
}

function replaced(text: string, pairs: readonly (readonly [from: string, to: string])[]): string {
  return pairs.reduce((result, [from, to]) => result.replaceAll(from, to), text);
}

function webSocketOrigin(httpOrigin: string): string {
  return httpOrigin.replace(/^http/, 'ws');
}

function checkedEnvironment(
  logicalId: string,
  variables: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const bytes = Buffer.byteLength(JSON.stringify(variables));
  if (bytes <= MAX_ENVIRONMENT_BYTES) return variables;
  throw new TemplateError(
    'invalid_property',
    `Resources/${logicalId}/Properties/Environment`,
    `the variables have ${bytes} bytes; Lambda takes ${MAX_ENVIRONMENT_BYTES}`,
  );
}

function parseInput(input: string, at: string): unknown {
  try {
    return JSON.parse(input);
  } catch {
    throw new TemplateError('invalid_property', at, 'Input is not JSON');
  }
}
