import { Stack } from 'aws-cdk-lib';
import {
  type CfnStage,
  IpAddressType,
  type ThrottleSettings,
  WebSocketApi,
  WebSocketRoute,
  WebSocketStage,
} from 'aws-cdk-lib/aws-apigatewayv2';
import { WebSocketLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations';
import type { IFunction } from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';
import { wholeThrottle } from './throttle.ts';

/**
 * The account's own quota, shared by messages and callbacks of all APIs (API Gateway quotas page). Written out
 * because a stage whose settings are left at 0 answers every upgrade with 429.
 */
const ACCOUNT_QUOTA: Required<ThrottleSettings> = { rateLimit: 10_000, burstLimit: 5_000 };

/** The account's quota of new connections, of all APIs (API Gateway quotas page). */
const CONNECTION_QUOTA: Required<ThrottleSettings> = { rateLimit: 500, burstLimit: 500 };

export interface GatewayProps {
  /** Name of the stage, the last part of the URL. @default 'prod' */
  readonly stageName?: string;
  /** Limit of each route. @default - the account's quota, 10,000 per second and 5,000 at once */
  readonly throttle?: ThrottleSettings;
  /** Limit of `$connect`. @default - 500 per second and 500 at once */
  readonly connectThrottle?: ThrottleSettings;
  /** Whether an upgrade needs an API key. @default false */
  readonly apiKeyRequired?: boolean;
  /** Whether the API answers over IPv6 as well. @default true */
  readonly ipv6?: boolean;
}

export interface GatewayHandlers {
  readonly connect: IFunction;
  readonly message: IFunction;
  readonly disconnect: IFunction;
}

/** The WebSocket API. Functions need its address, so its routes are added once they exist. */
export class Gateway extends Construct {
  readonly api: WebSocketApi;
  readonly stage: WebSocketStage;
  readonly stageName: string;
  /** `https://{apiId}.execute-api.{region}.{suffix}/{stage}`: where `@connections` is. */
  readonly callbackUrl: string;
  /** `wss://…/{stage}`: what clients dial. */
  readonly url: string;
  readonly #apiKeyRequired: boolean;
  readonly #connectThrottle: Required<ThrottleSettings>;

  constructor(scope: Construct, id: string, props: GatewayProps = {}) {
    super(scope, id);
    const stageName = props.stageName ?? 'prod';
    this.stageName = stageName;
    this.#connectThrottle = wholeThrottle(props.connectThrottle, CONNECTION_QUOTA);
    this.#apiKeyRequired = props.apiKeyRequired ?? false;
    this.api = new WebSocketApi(this, 'Api', {
      apiName: `${Stack.of(this).stackName}-websocket`,
      ipAddressType: (props.ipv6 ?? true) ? IpAddressType.DUAL_STACK : IpAddressType.IPV4,
      // Static: no client text selects a route. With `$request.body.action` a frame could name any key it likes.
      routeSelectionExpression: '\\$default',
    });
    this.stage = new WebSocketStage(this, 'Stage', {
      webSocketApi: this.api,
      stageName,
      autoDeploy: true,
      throttle: wholeThrottle(props.throttle, ACCOUNT_QUOTA),
    });
    const { region, urlSuffix } = Stack.of(this);
    // Not the stage's own attribute, so that no function depends on the stage, which depends on the routes.
    const host = `${this.api.apiId}.execute-api.${region}.${urlSuffix}`;
    this.callbackUrl = `https://${host}/${stageName}`;
    this.url = `wss://${host}/${stageName}`;
  }

  /** All routes are one-way: what a function returns is not sent, so that each reply has one path and one format. */
  addRoutes(handlers: GatewayHandlers): void {
    // Not `addRoute`, which cannot ask for a key.
    const connect = new WebSocketRoute(this.api, '$connect-Route', {
      webSocketApi: this.api,
      routeKey: '$connect',
      apiKeyRequired: this.#apiKeyRequired,
      integration: new WebSocketLambdaIntegration('Connect', handlers.connect),
    });
    this.#limit(connect);
    this.api.addRoute('$default', {
      integration: new WebSocketLambdaIntegration('Message', handlers.message),
    });
    this.api.addRoute('$disconnect', {
      integration: new WebSocketLambdaIntegration('Disconnect', handlers.disconnect),
    });
  }

  /** A stage whose settings name a route that is not there yet cannot be made. */
  #limit(route: WebSocketRoute): void {
    const { rateLimit, burstLimit } = this.#connectThrottle;
    const stage = this.stage.node.defaultChild as CfnStage;
    stage.routeSettings = {
      $connect: { ThrottlingRateLimit: rateLimit, ThrottlingBurstLimit: burstLimit },
    };
    this.stage.node.addDependency(route);
  }

  /** ARN of one method of `@connections`, for every connection of this stage and no other API. */
  connectionsArn(method: 'POST' | 'DELETE'): string {
    return Stack.of(this).formatArn({
      service: 'execute-api',
      resource: this.api.apiId,
      resourceName: `${this.stageName}/${method}/@connections/*`,
    });
  }
}
