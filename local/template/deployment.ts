/** What a template deploys, as far as it has to run locally: plain data with every reference resolved. */
import type { InvokePermission } from '../iam/permission.ts';
import type { Statement } from '../iam/policy.ts';
import type { EventPattern } from './event-pattern.ts';
import type { InputTransformer } from './input-transformer.ts';

export interface Deployment {
  readonly stackName: string;
  readonly region: string;
  readonly accountId: string;
  /** By local name. */
  readonly functions: ReadonlyMap<string, FunctionDefinition>;
  readonly tables: readonly TableDefinition[];
  readonly webSocketApi: WebSocketApiDefinition | undefined;
  readonly httpApi: HttpApiDefinition | undefined;
  readonly frontDoor: FrontDoorDefinition | undefined;
  readonly schedules: readonly ScheduleDefinition[];
  /** Names of the event buses, without `default`. */
  readonly eventBuses: readonly string[];
  readonly eventRules: readonly EventRuleDefinition[];
  /** Statements of all policies of a role, by the role's ARN. */
  readonly policies: ReadonlyMap<string, readonly Statement[]>;
  /** Which services may invoke which functions. */
  readonly permissions: readonly InvokePermission[];
  readonly queues: readonly QueueDefinition[];
  /** Resources that do not run here and were left out because that was asked for: `{type} {logical id}`. */
  readonly leftOut: readonly string[];
  /** Outputs whose value is a text, by logical id. */
  readonly outputs: ReadonlyMap<string, string>;
}

export interface FunctionDefinition {
  /** Deployed names are generated; the local one is the handler's module, `connect` for `connect.handler`. */
  readonly name: string;
  readonly arn: string;
  readonly logicalId: string;
  /** Directory that holds the code. */
  readonly directory: string;
  readonly handler: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly timeoutSeconds: number;
  readonly memoryMb: number;
  /** `ReservedConcurrentExecutions`; undefined where the template sets none. */
  readonly reservedConcurrency: number | undefined;
  /** ARN of the role that the function runs as. */
  readonly role: string;
  readonly asynchronous: AsynchronousDefinition;
}

/** How asynchronous invocations are retried (`AWS::Lambda::EventInvokeConfig`), and where the hopeless ones go. */
export interface AsynchronousDefinition {
  readonly retries: number;
  readonly maxAgeSeconds: number;
  /** ARN of the queue that gets a record of each (`DestinationConfig`). */
  readonly onFailure: string | undefined;
  /** ARN of the queue that gets the event itself (`DeadLetterConfig` of the function). */
  readonly deadLetterQueue: string | undefined;
}

/** A standard queue of SQS. */
export interface QueueDefinition {
  readonly name: string;
  readonly arn: string;
  /** On our own port. */
  readonly url: string;
  readonly visibilityTimeoutSeconds: number;
  readonly retentionSeconds: number;
  readonly delaySeconds: number;
  readonly maxMessageBytes: number;
  /** How long a receiver waits for a message unless it says. */
  readonly waitSeconds: number;
}

interface KeyDefinition {
  readonly name: string;
  readonly type: 'S' | 'N' | 'B';
}

export interface TableDefinition {
  readonly name: string;
  readonly arn: string;
  readonly logicalId: string;
  readonly partitionKey: KeyDefinition;
  readonly sortKey: KeyDefinition | undefined;
  readonly timeToLiveAttribute: string | undefined;
  readonly pointInTimeRecovery: boolean;
  readonly deletionProtection: boolean;
}

export interface WebSocketApiDefinition {
  readonly apiId: string;
  readonly stage: string;
  readonly routeSelectionExpression: string;
  /** Function names by route key. */
  readonly routes: ReadonlyMap<string, string>;
  /** Keys that `$connect` takes; undefined where it wants none. */
  readonly apiKeys: readonly ApiKeyDefinition[] | undefined;
  readonly throttling: StageThrottling;
}

export interface ApiKeyDefinition {
  readonly id: string;
  readonly value: string;
}

/** Throttling settings of a stage; what is undefined is not set. 0 lets nothing through. */
export interface Throttle {
  readonly ratePerSecond?: number;
  readonly burst?: number;
}

export interface StageThrottling {
  /** `DefaultRouteSettings`: of every route, unless its own say otherwise. */
  readonly all: Throttle;
  /** `RouteSettings`, by route key. */
  readonly route: ReadonlyMap<string, Throttle>;
}

export interface HttpRoute {
  /** `$default`, `GET /path/{parameter}`, `ANY /path/{proxy+}`. */
  readonly key: string;
  readonly functionName: string;
  readonly authorization: 'NONE' | 'AWS_IAM';
}

export interface HttpApiDefinition {
  readonly apiId: string;
  readonly stage: string;
  readonly routes: readonly HttpRoute[];
  readonly throttling: StageThrottling;
}

/** A CloudFront distribution before the two APIs. */
export interface FrontDoorDefinition {
  /** By id. */
  readonly origins: ReadonlyMap<string, FrontDoorOrigin>;
  /** In the order in which they are tried; the last fits every path. */
  readonly behaviors: readonly FrontDoorBehavior[];
}

export interface FrontDoorOrigin {
  readonly api: 'HTTP' | 'WEBSOCKET';
  readonly domainName: string;
  /** Goes before every path; empty or with a slash at the beginning. */
  readonly path: string;
  /** Added to every request, in place of what a viewer sent under the same name. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface FrontDoorBehavior {
  readonly pathPattern: string;
  readonly originId: string;
  /** Code of the viewer-request function. */
  readonly viewerRequest: string | undefined;
}

/** A function that a rule invokes. */
export interface RuleTarget {
  readonly functionName: string;
  readonly functionArn: string;
  /** Replaces the event where the target has a constant `Input`. */
  readonly input: unknown;
  /** Makes what replaces it where the target has an `InputTransformer`. */
  readonly transform: InputTransformer | undefined;
  /** How often, and until which age of the event, the rule tries again to hand it over. */
  readonly retries: number;
  readonly maxAgeSeconds: number;
  /** ARN of the queue that gets what could not be handed over. */
  readonly deadLetterQueue: string | undefined;
}

export interface ScheduleDefinition {
  readonly ruleArn: string;
  readonly everyMs: number;
  readonly targets: readonly RuleTarget[];
}

export interface EventRuleDefinition {
  readonly ruleArn: string;
  /** Name of the bus whose events it sees. */
  readonly eventBus: string;
  readonly pattern: EventPattern;
  readonly targets: readonly RuleTarget[];
}
