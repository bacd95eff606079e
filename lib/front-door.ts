import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CfnResource, Duration, Fn } from 'aws-cdk-lib';
import { CfnApiKey, CfnUsagePlan, CfnUsagePlanKey } from 'aws-cdk-lib/aws-apigateway';
import type { ICertificate } from 'aws-cdk-lib/aws-certificatemanager';
import {
  AllowedMethods,
  type BehaviorOptions,
  CachePolicy,
  Distribution,
  FunctionCode,
  FunctionEventType,
  FunctionRuntime,
  HttpVersion,
  OriginProtocolPolicy,
  OriginRequestPolicy,
  OriginSslPolicy,
  SecurityPolicyProtocol,
  Function as ViewerFunction,
  ViewerProtocolPolicy,
} from 'aws-cdk-lib/aws-cloudfront';
import { HttpOrigin, type HttpOriginProps } from 'aws-cdk-lib/aws-cloudfront-origins';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import type { Gateway } from './gateway.ts';
import type { Http } from './http.ts';
import { physicalName } from './names.ts';
import { PACKAGE_ROOT } from './package-root.ts';
import { PUBLISH_PATH } from './paths.ts';

/** What an operator may decide about the front door. */
export interface FrontDoorOptions {
  /** Host name that clients dial, such as `chat.example.com`. Its DNS record is the operator's. @default - CloudFront's */
  readonly domainName?: string;
  /** For that name, in us-east-1, where CloudFront looks for certificates; required with it. */
  readonly certificate?: ICertificate;
  /**
   * Whether the WebSocket API wants a key that only the distribution has, so that nobody gets around it (and around a
   * web ACL on it). An HTTP API knows no keys and stays reachable.
   * @default false
   */
  readonly apiKey?: boolean;
}

export interface FrontDoorProps extends FrontDoorOptions {
  readonly gateway: Gateway;
  readonly http: Http;
  /** Path of Engine.IO, without a slash at the end. */
  readonly wsPath: string;
  /** Whether viewers may come over IPv6. @default true */
  readonly ipv6?: boolean;
}

const WEB_SOCKET_ORIGIN = 'websocket-api';
const HTTP_ORIGIN = 'http-api';
/** Longer than any poll is held (25 s) and all that CloudFront offers without asking, as long as an HTTP API waits. */
const READ_TIMEOUT = Duration.seconds(30);
/** A key is 20 to 128 letters and digits (API Gateway developer guide, "API key file format"). */
const KEY_LENGTH = 40;

/** One origin for everything (design D14): a distribution before the HTTP API and the WebSocket API. */
export class FrontDoor extends Construct {
  readonly distribution: Distribution;
  readonly viewerRequest: ViewerFunction;
  /** What clients dial, without a slash at the end. */
  readonly url: string;
  /** The key of the WebSocket API; undefined where it wants none. */
  readonly key: Secret | undefined;

  constructor(scope: Construct, id: string, props: FrontDoorProps) {
    super(scope, id);
    const { gateway, http, wsPath, domainName, certificate } = props;
    this.key = props.apiKey ? this.#createKey(gateway) : undefined;
    this.viewerRequest = new ViewerFunction(this, 'ViewerRequest', {
      functionName: physicalName(this, 64),
      runtime: FunctionRuntime.JS_2_0,
      code: FunctionCode.fromInline(frontDoorFunction({ enginePath: wsPath, stage: gateway.stageName })),
      comment: 'Sends Engine.IO to the API of its transport',
    });
    const socketApi = {
      ...COMMON,
      origin: new HttpOrigin(hostOf(gateway.api.apiEndpoint), {
        ...ORIGIN,
        originId: WEB_SOCKET_ORIGIN,
        ...(this.key && { customHeaders: { 'x-api-key': this.key.secretValue.unsafeUnwrap() } }),
      }),
    };
    this.distribution = new Distribution(this, 'Distribution', {
      comment: 'socketbus: the HTTP API and the WebSocket API',
      // The most that viewers may speak, not the least: for a WebSocket browsers fall back to HTTP/1.1, the only
      // version CloudFront serves it on, while polling requests share one connection of HTTP/2.
      httpVersion: HttpVersion.HTTP2,
      enableIpv6: props.ipv6 ?? true,
      ...(domainName && { domainNames: [domainName] }),
      // CloudFront's own certificate allows no choice.
      ...(certificate && { certificate, minimumProtocolVersion: SecurityPolicyProtocol.TLS_V1_2_2021 }),
      defaultBehavior: {
        ...COMMON,
        origin: new HttpOrigin(hostOf(http.url), { ...ORIGIN, originId: HTTP_ORIGIN }),
        functionAssociations: [{ function: this.viewerRequest, eventType: FunctionEventType.VIEWER_REQUEST }],
      },
      // The WebSocket API's own path, for clients that name it; and without a behaviour of its own the origin that the
      // function selects would not be part of the distribution.
      additionalBehaviors: { [`/${gateway.stageName}`]: socketApi, [`/${gateway.stageName}/`]: socketApi },
    });
    this.url = `https://${domainName ?? this.distribution.distributionDomainName}`;
  }

  /** Made by the deployment and read by nobody but CloudFormation, which hands it to both sides. */
  #createKey(gateway: Gateway): Secret {
    const secret = new Secret(this, 'Key', {
      description: 'What the front door shows to the WebSocket API',
      generateSecretString: { excludePunctuation: true, passwordLength: KEY_LENGTH },
    });
    const key = new CfnApiKey(this, 'ApiKey', { enabled: true, value: secret.secretValue.unsafeUnwrap() });
    const plan = new CfnUsagePlan(this, 'UsagePlan', {
      description: 'Which stage the front door may call',
      apiStages: [{ apiId: gateway.api.apiId, stage: gateway.stageName }],
    });
    // A plan names its stage by text, so CloudFormation has to be told that it must exist.
    if (CfnResource.isCfnResource(gateway.stage.node.defaultChild)) {
      plan.addResourceDependency(gateway.stage.node.defaultChild);
    }
    new CfnUsagePlanKey(this, 'UsagePlanKey', {
      keyId: key.ref,
      keyType: 'API_KEY',
      usagePlanId: plan.ref,
    });
    return secret;
  }
}

const ORIGIN: HttpOriginProps = {
  protocolPolicy: OriginProtocolPolicy.HTTPS_ONLY,
  originSslProtocols: [OriginSslPolicy.TLS_V1_2],
  readTimeout: READ_TIMEOUT,
};

const COMMON: Omit<BehaviorOptions, 'origin'> = {
  viewerProtocolPolicy: ViewerProtocolPolicy.REDIRECT_TO_HTTPS,
  allowedMethods: AllowedMethods.ALLOW_ALL,
  cachePolicy: CachePolicy.CACHING_DISABLED,
  // All headers, the WebSocket ones too; an API Gateway host is found by `Host`, so that one is the origin's own.
  originRequestPolicy: OriginRequestPolicy.ALL_VIEWER_EXCEPT_HOST_HEADER,
};

/** The code of the viewer-request function for one deployment. */
function frontDoorFunction({ enginePath, stage }: { enginePath: string; stage: string }): string {
  const values: Record<string, string> = {
    'engine path': enginePath,
    'stage path': `/${stage}`,
    'web socket origin': WEB_SOCKET_ORIGIN,
    'publish path': PUBLISH_PATH,
  };
  const source = readFileSync(join(PACKAGE_ROOT, 'lib', 'front-door-function.js'), 'utf8');
  return source.replace(/'<([\w ]+)>'/g, (text, name: string) => JSON.stringify(values[name] ?? text));
}

/** The host of a URL that is known when it is deployed. */
function hostOf(url: string): string {
  return Fn.select(2, Fn.split('/', url));
}
