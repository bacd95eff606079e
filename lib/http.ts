import { RemovalPolicy, Stack } from 'aws-cdk-lib';
import { AccessLogFormat } from 'aws-cdk-lib/aws-apigateway';
import {
  HttpApi,
  HttpMethod,
  HttpRoute,
  HttpRouteKey,
  HttpStage,
  IpAddressType,
  LogGroupLogDestination,
  type ThrottleSettings,
} from 'aws-cdk-lib/aws-apigatewayv2';
import { HttpIamAuthorizer } from 'aws-cdk-lib/aws-apigatewayv2-authorizers';
import { HttpLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations';
import type { IFunction } from 'aws-cdk-lib/aws-lambda';
import { LogGroup, type RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { HISTORY_PATH, PUBLISH_PATH } from './paths.ts';
import { wholeThrottle } from './throttle.ts';

/** A tenth of the account's quota, so that HTTP traffic cannot starve the posts, which draw on the same bucket. */
const SHARE_OF_QUOTA: Required<ThrottleSettings> = { rateLimit: 1_000, burstLimit: 500 };

/** Variables of HTTP APIs (their developer guide, "Customize access logs"); CDK's own choice is that of REST APIs. */
const ACCESS_LOG = {
  requestId: '$context.requestId',
  ip: '$context.identity.sourceIp',
  requestTime: '$context.requestTime',
  httpMethod: '$context.httpMethod',
  routeKey: '$context.routeKey',
  path: '$context.path',
  status: '$context.status',
  protocol: '$context.protocol',
  responseLength: '$context.responseLength',
  integrationErrorMessage: '$context.integrationErrorMessage',
};

export interface HttpProps {
  /** Days to keep the access log. @default 30 */
  readonly logRetention?: RetentionDays;
  /** Limit of each route. @default - 1,000 per second and 500 at once */
  readonly throttle?: ThrottleSettings;
  /** Whether the API answers over IPv6 as well. @default true */
  readonly ipv6?: boolean;
}

export interface HttpHandlers {
  readonly http: IFunction;
  readonly publish: IFunction;
  readonly poll: IFunction;
}

/** The HTTP API: the applications' routes for everybody, `POST /publish` for signed callers. */
export class Http extends Construct {
  readonly api: HttpApi;
  readonly stage: HttpStage;
  readonly accessLogs: LogGroup;
  /** Origin of the API, without a slash at the end. */
  readonly url: string;
  /** Where to send a publish request signed for `execute-api`. */
  readonly publishUrl: string;
  /** The routes that ask nobody who they are; empty until the routes are added. */
  readonly openRoutes: HttpRoute[] = [];

  constructor(scope: Construct, id: string, props: HttpProps = {}) {
    super(scope, id);
    this.accessLogs = new LogGroup(this, 'AccessLogs', {
      retention: props.logRetention ?? 30,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    this.api = new HttpApi(this, 'Api', {
      apiName: `${Stack.of(this).stackName}-http`,
      createDefaultStage: false,
      ipAddressType: (props.ipv6 ?? true) ? IpAddressType.DUAL_STACK : IpAddressType.IPV4,
    });
    this.stage = new HttpStage(this, 'Stage', {
      httpApi: this.api,
      stageName: '$default',
      autoDeploy: true,
      throttle: wholeThrottle(props.throttle, SHARE_OF_QUOTA),
      accessLogSettings: {
        destination: new LogGroupLogDestination(this.accessLogs),
        format: AccessLogFormat.custom(JSON.stringify(ACCESS_LOG)),
      },
    });
    this.url = this.api.apiEndpoint;
    this.publishUrl = `${this.url}${PUBLISH_PATH}`;
  }

  /** Routes `POST /publish` to signed callers only, the path of Engine.IO to `poll`, all else to the applications. */
  addRoutes(handlers: HttpHandlers, wsPath: string): void {
    this.api.addRoutes({
      path: PUBLISH_PATH,
      methods: [HttpMethod.POST],
      integration: new HttpLambdaIntegration('Publish', handlers.publish),
      authorizer: new HttpIamAuthorizer(),
    });
    const poll = new HttpLambdaIntegration('Poll', handlers.poll);
    // A deployment fails on a route key that ends with a slash, which clients send. The front door takes it away; without
    // one the greedy variable takes the empty rest (others have seen that: storacha/w3infra#166).
    for (const path of [wsPath, `${wsPath}/{proxy+}`]) {
      this.openRoutes.push(...this.api.addRoutes({ path, methods: [HttpMethod.ANY], integration: poll }));
    }
    // The applications' own routes check their own callers, and so does the history of their rooms: a browser signs nothing.
    const http = new HttpLambdaIntegration('Http', handlers.http);
    this.openRoutes.push(
      ...this.api.addRoutes({ path: HISTORY_PATH, methods: [HttpMethod.GET], integration: http }),
      new HttpRoute(this, 'Rest', {
        httpApi: this.api,
        routeKey: HttpRouteKey.DEFAULT,
        integration: http,
      }),
    );
  }
}
