import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { Stack, Stage } from 'aws-cdk-lib';
import type { ThrottleSettings } from 'aws-cdk-lib/aws-apigatewayv2';
import type { Metric, MetricOptions } from 'aws-cdk-lib/aws-cloudwatch';
import type { EventPattern, Rule } from 'aws-cdk-lib/aws-events';
import { Grant, type IGrantable } from 'aws-cdk-lib/aws-iam';
import { Code, Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { Construct } from 'constructs';
import type { EnvironmentVariables } from '../lambdas/contract/environment.ts';
import { limitVariables } from '../lambdas/contract/limits.ts';
import { METRICS_NAMESPACE, type MetricName } from '../lambdas/contract/metrics.ts';
import { acknowledgeFindings, type Deployment } from './acknowledgements.ts';
import type { Bundles } from './bundles.ts';
import { codeOf } from './code.ts';
import { type Configuration, completeConfiguration } from './config.ts';
import { warnOfDangers } from './dangers.ts';
import { Events } from './events.ts';
import { FrontDoor, type FrontDoorOptions } from './front-door.ts';
import { type ConcurrencyCaps, Functions } from './functions.ts';
import { Gateway } from './gateway.ts';
import { secretsOf } from './grants.ts';
import { Heartbeat } from './heartbeat.ts';
import { Http } from './http.ts';
import { Monitoring, type MonitoringOptions } from './monitoring.ts';
import { optionIssues } from './options.ts';
import { tellPublishName } from './publish-name.ts';
import type { PublishMapping, PublishRuleOptions } from './publish-rule.ts';
import { metricsOf, serviceName } from './service-metrics.ts';
import { Store } from './store.ts';

export interface SocketBusProps {
  /**
   * Applications to run, in order: names of built-in ones, or paths of modules from the working directory, whose default
   * export is an application or an array of them. Paths are bundled while the app is synthesised, with the esbuild that
   * is installed beside this package.
   * @default - all built-in ones
   */
  readonly apps?: readonly string[];
  /** Code that was bundled before, with its applications; `apps` is not read then. @default - that of `apps` */
  readonly bundles?: Pick<Bundles, 'directory' | 'apps'>;
  /** Stage of the WebSocket API, the last part of its URL. @default 'prod' */
  readonly stage?: string;
  /** Minutes between two pings of a connection, 1 to 8; pings are what idle sockets cost. @default 4 */
  readonly pingIntervalMinutes?: number;
  /**
   * Minutes a client waits beyond the interval, 2 to 8: the schedule ticks once a minute, and a tick that comes a little
   * late must not cost anybody the connection.
   * @default 2
   */
  readonly pingTimeoutMinutes?: number;
  /** Whether pongs are written down; off saves a write each and reaps by failed posts only. @default true */
  readonly trackPongs?: boolean;
  /**
   * Transports that clients may use. A held poll costs about 400 times an idle WebSocket; `['websocket']` refuses it,
   * and then every client has to set `transports: ['websocket']`.
   * @default ['polling', 'websocket']
   */
  readonly transports?: readonly ('polling' | 'websocket')[];
  /** Seconds a long-polling request waits for something to say, 1 to 25. @default 5 */
  readonly pollHoldSeconds?: number;
  /**
   * API Gateway's request quota of the account in this Region, which clients' messages and the posts to them share.
   * Broadcasts use at most nine tenths of it, pings a quarter. @default 10000
   */
  readonly requestsPerSecond?: number;
  /**
   * How many recipients a broadcast posts to in the invocation that asked for it, 1 to 5,000; what goes beyond is
   * divided among invocations of `deliver`. @default 500
   */
  readonly inlinePosts?: number;
  /** Packets that a connection may send in a second, 1 to 10,000. Counted by each instance for itself. @default 50 */
  readonly eventsPerSecond?: number;
  /** Packets that it may send at once after a quiet time, 1 to 10,000. @default 100 */
  readonly eventBurst?: number;
  /** Rooms that a socket may be in, 1 to 90. @default 90 */
  readonly roomsPerSocket?: number;
  /** Rooms that the events of a connection may join in a second; at once as many as a socket may be in. @default 10 */
  readonly joinsPerSecond?: number;
  /** Connections of one identity to one namespace, up to 1,000; 0 counts nothing. @default 20 */
  readonly connectionsPerUser?: number;
  /**
   * Connections from one address, up to 10,000; 0 counts nothing. Counted where the address is the client's: without a
   * front door, and for WebSockets with one that has an `apiKey`.
   * @default 100
   */
  readonly connectionsPerAddress?: number;
  /** Bytes of a frame from a client, 1,024 to 32,768, which API Gateway takes at most. @default 32768 */
  readonly payloadBytes?: number;
  /** Posts that one event of a client may cause in all emits of its handler, up to 10,000,000. @default 1000 */
  readonly postsPerEvent?: number;
  /** Browser origins allowed beside those the applications declare and the HTTP API's own; `*` for any. @default [] */
  readonly origins?: readonly string[];
  /** `token` wants a claimed id proven by a verified token, `trusted` believes it. @default 'token' */
  readonly identity?: 'token' | 'trusted';
  /** Secrets are read from Secrets Manager as `{secretPrefix}/{NAME}`. @default 'socketbus' */
  readonly secretPrefix?: string;
  /** Claim of a token that holds the user's id. @default 'sub' */
  readonly jwtIdClaim?: string;
  /**
   * URL of the JSON Web Key Set of whoever issues the tokens, such as
   * `https://cognito-idp.{region}.amazonaws.com/{pool}/.well-known/jwks.json`. Tokens are then verified with its public
   * keys alone (RS, PS, ES and EdDSA): HS256 is refused, and no function may read the secret JWT_SECRET. An `https` URL.
   * @default - the secret JWT_SECRET, HS256
   */
  readonly jwksUrl?: string | undefined;
  /**
   * Audiences, one of which a token's `aud` must name. Set it wherever the issuer signs for others as well.
   * @default - any
   */
  readonly jwtAudience?: readonly string[] | undefined;
  /** What a token's `iss` must be, exactly. @default - anybody */
  readonly jwtIssuer?: string | undefined;
  /** URL of the frontend of `watch-groups`. @default - none */
  readonly frontendUrl?: string | undefined;
  /** Browser origins of `storefront-chat`. @default - none */
  readonly storeCors?: readonly string[] | undefined;
  /** Browser origins of `marketplace`, required where it is among the applications. @default - none */
  readonly clientOrigin?: readonly string[] | undefined;
  /**
   * One origin for everything, with which the default options of a client work: a CloudFront distribution. `false`
   * leaves it out; clients then dial the two APIs by their own names.
   * @default true
   */
  readonly frontDoor?: boolean | FrontDoorOptions;
  /** Path of the front door; neither `/` and the stage nor one that HTTP routes are at or below. @default '/socket.io' */
  readonly wsPath?: string;
  /** Log at level DEBUG. @default false */
  readonly debug?: boolean;
  /** Days that logs are kept, one of CloudWatch's choices. @default 30 */
  readonly logRetentionDays?: number;
  /** ARN of the SNS topic that alarms tell. @default - none */
  readonly alarmTopic?: string | undefined;
  /** Alarms, a dashboard and saved log queries; `false` leaves them out. @default - all of them */
  readonly monitoring?: false | MonitoringOptions;
  /**
   * Limit of each WebSocket route; of this and the two below, what is left out of the pair is the default's.
   * @default - the account's quota, 10,000 per second and 5,000 at once
   */
  readonly throttle?: ThrottleSettings;
  /** Whether the two APIs and the front door answer over IPv6 as well as IPv4. @default true */
  readonly ipv6?: boolean;
  /** Whether X-Ray traces the functions; a trace for each frame costs more than handling it. @default false */
  readonly tracing?: boolean;
  /**
   * Limit of `$connect`, which is what an attacker's connections have to come through.
   * @default - 500 per second and 500 at once, the account's own quota of new connections
   */
  readonly connectThrottle?: ThrottleSettings;
  /** Limit of each route of the HTTP API, that of long polling included. @default - 1,000 per second and 500 at once */
  readonly httpThrottle?: ThrottleSettings;
  /**
   * Most concurrent executions of a function, which are reserved for it: what it may cost at most. An account needs as many,
   * and 100 that are not reserved. `message` and `disconnect` cannot be held: a client whose message is throttled is sent
   * what it cannot decode, and drops the connection.
   * @default - none; an account with a low limit can deploy
   */
  readonly concurrency?: ConcurrencyCaps;
}

/**
 * A Socket.IO server without a server: one of these is a whole deployment.
 *
 * @throws {ConfigurationError} with every wrong value of the props
 */
export class SocketBus extends Construct implements Deployment {
  /** The props with their defaults. */
  readonly configuration: Configuration;
  /** What the functions' logs and metrics have as `service`: of one deployment, though others share the account. */
  readonly serviceName: string;
  readonly store: Store;
  readonly gateway: Gateway;
  readonly http: Http;
  /** Undefined where there is none. */
  readonly frontDoor: FrontDoor | undefined;
  readonly events: Events;
  readonly functions: Functions;
  readonly heartbeat: Heartbeat;
  /** Undefined where it was left out. */
  readonly monitoring: Monitoring | undefined;

  constructor(scope: Construct, id: string, props: SocketBusProps = {}) {
    super(scope, id);
    const {
      bundles,
      apps,
      throttle,
      connectThrottle,
      httpThrottle,
      concurrency,
      frontDoor,
      monitoring,
      ipv6 = true,
      tracing = false,
      ...settings
    } = props;
    const door = typeof frontDoor === 'object' ? frontDoor : {};
    this.configuration = completeConfiguration(
      {
        ...settings,
        frontDoor: frontDoor !== false,
        apps: bundles?.apps ?? apps,
      },
      optionIssues({
        throttle,
        connectThrottle,
        httpThrottle,
        concurrency,
        frontDoor,
        monitoring,
        tracing,
        ipv6,
      }),
    );
    this.serviceName = serviceName(this);
    const { stage, secretPrefix, logRetentionDays: logRetention, wsPath } = this.configuration;
    this.store = new Store(this, 'Store');
    this.gateway = new Gateway(this, 'Gateway', {
      stageName: stage,
      apiKeyRequired: door.apiKey ?? false,
      ipv6,
      ...(throttle && { throttle }),
      ...(connectThrottle && { connectThrottle }),
    });
    this.http = new Http(this, 'Http', {
      logRetention,
      ipv6,
      ...(httpThrottle && { throttle: httpThrottle }),
    });
    if (this.configuration.frontDoor) {
      const { gateway, http } = this;
      this.frontDoor = new FrontDoor(this, 'FrontDoor', { ...door, gateway, http, wsPath, ipv6 });
    }
    this.events = new Events(this, 'Events');
    this.functions = new Functions(this, 'Functions', {
      code: Code.fromAsset(bundles?.directory ?? this.#code()),
      store: this.store,
      gateway: this.gateway,
      eventBus: this.events.bus,
      environment: this.#environment(),
      secretPrefix,
      secrets: secretsOf(this.configuration.apps, this.configuration.jwksUrl !== undefined),
      logRetention,
      tracing,
      ...(concurrency && { concurrency }),
    });
    this.gateway.addRoutes(this.functions.byName);
    this.http.addRoutes(this.functions.byName, wsPath);
    this.events.addRules(this.functions.byName);
    this.heartbeat = new Heartbeat(this, 'Heartbeat', { sweep: this.functions.byName.sweep });
    if (this.frontDoor?.key) {
      // Of the functions only `connect` is behind the key: an HTTP API knows none, so `poll` can be reached around it.
      const name = 'TRUST_FORWARDED' satisfies keyof EnvironmentVariables;
      this.functions.byName.connect.addEnvironment(name, 'true');
    }
    this.#countAddresses();
    if (monitoring !== false) this.monitoring = this.#monitored(monitoring ?? {});
    acknowledgeFindings(this);
    warnOfDangers(this, this.configuration);
  }

  /**
   * What clients dial: the front door, and `io(url)` is all they need. Where there is none, the WebSocket API by its own
   * name; its path is the stage.
   */
  get url(): string {
    return this.frontDoor?.url ?? this.gateway.url;
  }

  /**
   * Lets somebody publish by Lambda invoke, which is all that `Emitter` does. A function that is granted it in CDK finds
   * the name in its environment (`SOCKETBUS_PUBLISH_FUNCTION`), where `new Emitter()` looks for it. Granted several buses it finds
   * the first one's, and synth warns.
   */
  grantPublish(grantee: IGrantable): Grant {
    const { publish } = this.functions.byName;
    if (grantee instanceof LambdaFunction) tellPublishName(grantee, publish);
    return Grant.addToPrincipal({
      grantee,
      actions: ['lambda:InvokeFunction'],
      resourceArns: [publish.functionArn],
    });
  }

  /**
   * Publishes what other systems tell on an event bus, without a line of code between:
   * `bus.addPublishRule({ source: ['shop.orders'] }, { rooms: ['user:' + EventField.fromPath('$.detail.userId')], event: 'order' })`.
   *
   * @throws {ConfigurationError} for a mapping that is no publish request, and for a rule that is added twice
   */
  addPublishRule(pattern: EventPattern, mapping: PublishMapping, options: PublishRuleOptions = {}): Rule {
    const { eventBus } = options;
    // Resolved, since an unresolved token is numbered by the order in which constructs are made.
    const content = JSON.stringify(
      Stack.of(this).resolve([pattern, mapping, eventBus?.eventBusRef.eventBusArn]),
    );
    const id = options.id ?? `Publish${createHash('sha256').update(content).digest('hex').slice(0, 8)}`;
    return this.events.publishOn(id, pattern, mapping, eventBus);
  }

  /**
   * A metric that the functions of this deployment write, such as `Posted` or `FanOutTime` (milliseconds).
   *
   * @param options those of CDK; of five minutes unless they say otherwise, numbers as their sum, `FanOutTime` as p99,
   * `SweepLag` as maximum
   * @throws ConfigurationError for a name that no function writes, with those there are
   */
  metric(name: MetricName, options: MetricOptions = {}): Metric {
    return metricsOf(this)(name, options);
  }

  #code(): string {
    const { outdir } = Stage.of(this) ?? {};
    return codeOf(this.configuration.apps, join(outdir ?? 'cdk.out', `bundles-${this.node.addr}`));
  }

  #monitored(options: MonitoringOptions): Monitoring {
    const { alarmTopic, pingIntervalMinutes, pingTimeoutMinutes } = this.configuration;
    return new Monitoring(this, 'Monitoring', {
      ...(alarmTopic && { topic: Topic.fromTopicArn(this, 'AlarmTopic', alarmTopic) }),
      ...options,
      deployment: this,
      pingIntervalMinutes,
      pingTimeoutMinutes,
    });
  }

  /** Where the address of a client is proven. Behind the door it is CloudFront's, which many share. */
  #countAddresses(): void {
    const { connectionsPerAddress } = this.configuration;
    const { connect, poll } = this.functions.byName;
    if (connectionsPerAddress === 0 || (this.frontDoor && !this.frontDoor.key)) return;
    const name = 'CONNECTIONS_PER_ADDRESS' satisfies keyof EnvironmentVariables;
    connect.addEnvironment(name, String(connectionsPerAddress));
    if (!this.frontDoor) poll.addEnvironment(name, String(connectionsPerAddress));
    this.functions.letConnectCount(this.store);
  }

  #environment(): EnvironmentVariables {
    const settings = this.configuration;
    return {
      BUS_TABLE: this.store.bus.tableName,
      APPS_TABLE: this.store.apps.tableName,
      CALLBACK_URL: this.gateway.callbackUrl,
      APPS: settings.apps.join(','),
      // A page served by the HTTP API itself is at home; on a laptop that is the local stack's own page.
      ORIGINS: [...settings.origins, this.http.url, ...(this.frontDoor ? [this.frontDoor.url] : [])].join(
        ',',
      ),
      PING_INTERVAL_MINUTES: String(settings.pingIntervalMinutes),
      PING_TIMEOUT_MINUTES: String(settings.pingTimeoutMinutes),
      TRACK_PONGS: String(settings.trackPongs),
      TRANSPORTS: settings.transports.join(','),
      POLL_HOLD_SECONDS: String(settings.pollHoldSeconds),
      ...limitVariables({ ...settings, connectionsPerAddress: 0 }),
      REQUESTS_PER_SECOND: String(settings.requestsPerSecond),
      INLINE_POSTS: String(settings.inlinePosts),
      SECRET_PREFIX: settings.secretPrefix,
      IDENTITY: settings.identity,
      JWT_ID_CLAIM: settings.jwtIdClaim,
      ...(settings.jwksUrl && { JWKS_URL: settings.jwksUrl }),
      ...(settings.jwtAudience && { JWT_AUDIENCE: settings.jwtAudience.join(',') }),
      ...(settings.jwtIssuer && { JWT_ISSUER: settings.jwtIssuer }),
      ...(settings.frontendUrl && { FRONTEND_URL: settings.frontendUrl }),
      ...(settings.storeCors && { STORE_CORS: settings.storeCors.join(',') }),
      ...(settings.clientOrigin && { CLIENT_ORIGIN: settings.clientOrigin.join(',') }),
      WS_PATH: settings.wsPath,
      POWERTOOLS_LOG_LEVEL: settings.debug ? 'DEBUG' : 'INFO',
      POWERTOOLS_SERVICE_NAME: this.serviceName,
      POWERTOOLS_METRICS_NAMESPACE: METRICS_NAMESPACE,
    };
  }
}
