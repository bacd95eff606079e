import { Stack } from 'aws-cdk-lib';
import { type ThrottleSettings, WebSocketApi, WebSocketStage } from 'aws-cdk-lib/aws-apigatewayv2';
import { WebSocketLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations';
import type { IFunction } from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';

/**
 * The account's own quota, shared by messages and callbacks of all APIs (API Gateway quotas page). Written out
 * because a stage whose settings are left at 0 answers every upgrade with 429.
 */
const ACCOUNT_QUOTA: ThrottleSettings = { rateLimit: 10_000, burstLimit: 5_000 };

export interface GatewayProps {
  /** Name of the stage, the last part of the URL. @default 'prod' */
  readonly stageName?: string;
  /** Limit of each route. @default - the account's quota, 10,000 per second and 5,000 at once */
  readonly throttle?: ThrottleSettings;
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
  /** `https://{apiId}.execute-api.{region}.{suffix}/{stage}`: where `@connections` is. */
  readonly callbackUrl: string;
  /** `wss://…/{stage}`: what clients dial. */
  readonly url: string;

  constructor(scope: Construct, id: string, props: GatewayProps = {}) {
    super(scope, id);
    const stageName = props.stageName ?? 'prod';
    this.api = new WebSocketApi(this, 'Api', {
      apiName: `${Stack.of(this).stackName}-websocket`,
      // Static: no client text selects a route. With `$request.body.action` a frame could name any key it likes.
      routeSelectionExpression: '\\$default',
    });
    this.stage = new WebSocketStage(this, 'Stage', {
      webSocketApi: this.api,
      stageName,
      autoDeploy: true,
      throttle: props.throttle ?? ACCOUNT_QUOTA,
    });
    const { region, urlSuffix } = Stack.of(this);
    // Not the stage's own attribute, so that no function depends on the stage, which depends on the routes.
    const host = `${this.api.apiId}.execute-api.${region}.${urlSuffix}`;
    this.callbackUrl = `https://${host}/${stageName}`;
    this.url = `wss://${host}/${stageName}`;
  }

  /** All routes are one-way: what a function returns is not sent, so that each reply has one path and one format. */
  addRoutes(handlers: GatewayHandlers): void {
    this.api.addRoute('$connect', {
      integration: new WebSocketLambdaIntegration('Connect', handlers.connect),
    });
    this.api.addRoute('$default', {
      integration: new WebSocketLambdaIntegration('Message', handlers.message),
    });
    this.api.addRoute('$disconnect', {
      integration: new WebSocketLambdaIntegration('Disconnect', handlers.disconnect),
    });
  }

  /** ARN of one method of `@connections`, for every connection of this stage and no other API. */
  connectionsArn(method: 'POST' | 'DELETE'): string {
    return Stack.of(this).formatArn({
      service: 'execute-api',
      resource: this.api.apiId,
      resourceName: `${this.stage.stageName}/${method}/@connections/*`,
    });
  }
}
