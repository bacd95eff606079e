import { Duration, RemovalPolicy } from 'aws-cdk-lib';
import type { Table } from 'aws-cdk-lib/aws-dynamodb';
import type { EventBus } from 'aws-cdk-lib/aws-events';
import { Policy, PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import {
  Architecture,
  type Code,
  type FunctionOptions,
  Function as LambdaFunction,
  Runtime,
  Tracing,
} from 'aws-cdk-lib/aws-lambda';
import { LogGroup, type RetentionDays } from 'aws-cdk-lib/aws-logs';
import { type ISecret, Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import {
  type EnvironmentVariables,
  FUNCTION_NAMES,
  type FunctionName,
} from '../lambdas/contract/environment.ts';
import type { Gateway } from './gateway.ts';
import { COUNTING, GRANTS, type SecretName } from './grants.ts';
import type { Store } from './store.ts';

/** Functions that may be throttled without a client being dropped for it (design D3). */
export type ConcurrencyCaps = {
  readonly [F in 'connect' | 'open' | 'publish' | 'http' | 'poll' | 'deliver']?: number;
};

export interface FunctionsProps {
  /** One directory with `{name}.mjs` for every function. */
  readonly code: Code;
  readonly store: Store;
  readonly gateway: Gateway;
  /** Where application events are forwarded to. */
  readonly eventBus: EventBus;
  /** Variables of every function; the construct adds those that only one function has. */
  readonly environment: EnvironmentVariables;
  /** Secrets are named `{secretPrefix}/{NAME}`. @default 'socketbus' */
  readonly secretPrefix?: string;
  /** Those that the applications need. @default - all there are */
  readonly secrets?: readonly SecretName[];
  /** Most concurrent executions of each, reserved. @default - none */
  readonly concurrency?: ConcurrencyCaps;
  /** @default 30 */
  readonly logRetention?: RetentionDays;
  /** Whether X-Ray traces the functions. @default false */
  readonly tracing?: boolean;
}

/**
 * Seconds and megabytes of each function. CPU grows with memory (a whole core at 1,769 MB), and posting is what
 * costs CPU. API Gateway gives an integration 29 s and then sends the client a frame that kills it (quotas page;
 * design D3), so whatever a route runs ends well before, by its own deadline.
 */
const SIZES: { readonly [F in FunctionName]: { readonly seconds: number; readonly megabytes: number } } = {
  /** The stock client gives up on a connection after 20 s; one transaction and one invocation fit in 10. */
  connect: { seconds: 10, megabytes: 512 },
  /** Retries its post for as long as a client waits for the open packet: 20 s. */
  open: { seconds: 20, megabytes: 512 },
  message: { seconds: 25, megabytes: 1024 },
  disconnect: { seconds: 25, megabytes: 512 },
  /** One core for the posts. An HTTP API gives up after 30 s, an acknowledged emit waits up to 25. */
  publish: { seconds: 28, megabytes: 1769 },
  /** Paces its pings over 45 s and is done when the next minute's run starts. */
  sweep: { seconds: 55, megabytes: 1024 },
  http: { seconds: 25, megabytes: 512 },
  /** Holds a request for up to 25 s; an HTTP API gives up after 30. */
  poll: { seconds: 29, megabytes: 512 },
  /** One core for the posts; what it cannot do in this time it hands over. */
  deliver: { seconds: 120, megabytes: 1769 },
};

/** An open packet that comes later than a client waits is of no use; 60 s is the least Lambda accepts. */
const OPEN_EVENT_AGE = Duration.seconds(60);

/** The functions, each with a role and a log group of its own. What a role may do is the table in `grants.ts`. */
export class Functions extends Construct {
  readonly byName: { readonly [F in FunctionName]: LambdaFunction };
  readonly roles: { readonly [F in FunctionName]: Role };
  readonly logGroups: { readonly [F in FunctionName]: LogGroup };
  /** The secrets that functions read, which the operator makes: the stack neither creates nor reads them. */
  readonly secrets: { readonly [S in SecretName]: ISecret };

  constructor(scope: Construct, id: string, props: FunctionsProps) {
    super(scope, id);
    const prefix = props.secretPrefix ?? 'socketbus';
    this.secrets = {
      JWT_SECRET: Secret.fromSecretNameV2(this, 'JwtSecret', `${prefix}/JWT_SECRET`),
      CLOUD_API_KEY: Secret.fromSecretNameV2(this, 'CloudApiKey', `${prefix}/CLOUD_API_KEY`),
    };
    this.logGroups = each((name) => this.#logGroup(name, props.logRetention ?? 30));
    this.roles = each((name) => this.#role(name));
    this.byName = each((name) => this.#function(name, props));
    this.byName.connect.addEnvironment(
      'OPEN_FUNCTION' satisfies keyof EnvironmentVariables,
      this.byName.open.functionName,
    );
    for (const name of FUNCTION_NAMES) {
      // A function cannot refer to itself in a template; Lambda tells it its name.
      if (name !== 'deliver' && GRANTS[name].invokes.includes('deliver')) {
        this.byName[name].addEnvironment(
          'DELIVER_FUNCTION' satisfies keyof EnvironmentVariables,
          this.byName.deliver.functionName,
        );
      }
      if (GRANTS[name].forwards) {
        this.byName[name].addEnvironment(
          'EVENT_BUS' satisfies keyof EnvironmentVariables,
          props.eventBus.eventBusName,
        );
      }
      this.#grant(name, props);
    }
  }

  /** Counting the connections from an address is a query; who counts nothing needs none. */
  letConnectCount(store: Store): void {
    grantTable(this.roles.connect, store.bus, COUNTING);
  }

  #logGroup(name: FunctionName, retention: RetentionDays): LogGroup {
    return new LogGroup(this, `${pascal(name)}Logs`, { retention, removalPolicy: RemovalPolicy.DESTROY });
  }

  /** A role of our own, because the one CDK would make carries a managed policy for every log group of the account. */
  #role(name: FunctionName): Role {
    const role = new Role(this, `${pascal(name)}Role`, {
      assumedBy: new ServicePrincipal('lambda.amazonaws.com'),
      description: `socketbus ${name}`,
    });
    this.logGroups[name].grantWrite(role);
    return role;
  }

  #function(name: FunctionName, props: FunctionsProps): LambdaFunction {
    const { seconds, megabytes } = SIZES[name];
    const cap = isCapped(name) ? props.concurrency?.[name] : undefined;
    return new LambdaFunction(this, pascal(name), {
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.ARM_64,
      code: props.code,
      handler: `${name}.handler`,
      timeout: Duration.seconds(seconds),
      memorySize: megabytes,
      role: this.roles[name],
      logGroup: this.logGroups[name],
      environment: present(props.environment),
      description: `socketbus ${name}`,
      ...(props.tracing && { tracing: Tracing.ACTIVE }),
      ...(cap === undefined ? {} : { reservedConcurrentExecutions: cap }),
      ...(name === 'open' ? ASYNCHRONOUS : {}),
    });
  }

  #grant(name: FunctionName, { store, gateway, eventBus, secrets: needed }: FunctionsProps): void {
    const role = this.roles[name];
    const { bus, apps, connections, secrets, invokes, forwards } = GRANTS[name];
    grantTable(role, store.bus, bus);
    grantTable(role, store.apps, apps);
    if (connections.length > 0) {
      const resources = connections.map((method) => gateway.connectionsArn(method));
      role.addToPolicy(new PolicyStatement({ actions: ['execute-api:ManageConnections'], resources }));
    }
    for (const secret of secrets) {
      if (needed?.includes(secret) !== false) grantSecret(role, this.secrets[secret]);
    }
    if (forwards) {
      role.addToPolicy(
        new PolicyStatement({ actions: ['events:PutEvents'], resources: [eventBus.eventBusArn] }),
      );
    }
    for (const invoked of invokes) {
      const resources = [this.byName[invoked].functionArn];
      const statement = new PolicyStatement({ actions: ['lambda:InvokeFunction'], resources });
      // A function depends on its role's own policy, so what names the function needs another one.
      if (invoked === name)
        new Policy(this, `${pascal(name)}Itself`, { statements: [statement], roles: [role] });
      else role.addToPolicy(statement);
    }
  }
}

const ASYNCHRONOUS: FunctionOptions = { retryAttempts: 2, maxEventAge: OPEN_EVENT_AGE };

export function isCapped(name: FunctionName): name is keyof ConcurrencyCaps {
  return name !== 'message' && name !== 'disconnect' && name !== 'sweep';
}

function grantTable(role: Role, table: Table, actions: readonly string[]): void {
  if (actions.length === 0) return;
  role.addToPolicy(
    new PolicyStatement({
      actions: actions.map((action) => `dynamodb:${action}`),
      resources: [table.tableArn],
    }),
  );
}

/** Reads its value; `grantRead` would let it read the description as well. The ARN ends in six characters of AWS's choice. */
function grantSecret(role: Role, secret: ISecret): void {
  const resources = [`${secret.secretArn}-??????`];
  role.addToPolicy(new PolicyStatement({ actions: ['secretsmanager:GetSecretValue'], resources }));
}

function each<T>(make: (name: FunctionName) => T): { readonly [F in FunctionName]: T } {
  return {
    connect: make('connect'),
    open: make('open'),
    message: make('message'),
    disconnect: make('disconnect'),
    publish: make('publish'),
    sweep: make('sweep'),
    http: make('http'),
    poll: make('poll'),
    deliver: make('deliver'),
  };
}

function pascal(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}

function present(variables: EnvironmentVariables): Record<string, string> {
  return Object.fromEntries(
    Object.entries(variables).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}
