/**
 * What a template says about the front door: the distribution with its functions, and the API keys that keep clients
 * from getting around it.
 */
import * as z from 'zod/mini';
import type { ApiKeyDefinition, FrontDoorDefinition, FrontDoorOrigin } from './deployment.ts';
import { TemplateError } from './errors.ts';

const text = z.string();

/** Managed policies: CachingDisabled and AllViewerExceptHostHeader. Others would change what reaches an API. */
const NO_CACHE = '4135ea2d-6df8-44a3-9df3-4b5a84be39ad';
const ALL_BUT_HOST = 'b689b0a8-53d0-40ab-baf2-68738e2966ac';

const behaviorSchema = z.looseObject({
  TargetOriginId: text,
  CachePolicyId: z.literal(NO_CACHE),
  OriginRequestPolicyId: z.literal(ALL_BUT_HOST),
  ResponseHeadersPolicyId: z.optional(z.undefined()),
  LambdaFunctionAssociations: z.optional(z.undefined()),
  TrustedKeyGroups: z.optional(z.undefined()),
  AllowedMethods: z.array(text).check(z.minLength(7)),
  FunctionAssociations: z._default(
    z.array(z.looseObject({ EventType: z.literal('viewer-request'), FunctionARN: text })),
    [],
  ),
});

const distributionSchema = z.looseObject({
  DistributionConfig: z.looseObject({
    Enabled: z.literal(true),
    DefaultRootObject: z.optional(z.undefined()),
    CustomErrorResponses: z.optional(z.undefined()),
    OriginGroups: z.optional(z.undefined()),
    DefaultCacheBehavior: behaviorSchema,
    CacheBehaviors: z._default(z.array(z.extend(behaviorSchema, { PathPattern: text })), []),
    Origins: z.array(
      z.looseObject({
        Id: text,
        DomainName: text,
        OriginPath: z._default(text, ''),
        OriginCustomHeaders: z._default(z.array(z.looseObject({ HeaderName: text, HeaderValue: text })), []),
      }),
    ),
  }),
});

const viewerFunctionSchema = z.looseObject({
  FunctionCode: text,
  AutoPublish: z.literal(true),
  FunctionConfig: z.looseObject({
    Runtime: z.literal('cloudfront-js-2.0'),
    KeyValueStoreAssociations: z.optional(z.undefined()),
  }),
});

const apiKeySchema = z.looseObject({ Enabled: z._default(z.boolean(), false), Value: text });
const usagePlanSchema = z.looseObject({
  ApiStages: z._default(z.array(z.looseObject({ ApiId: text, Stage: text })), []),
  // Neither is counted here.
  Quota: z.optional(z.undefined()),
  Throttle: z.optional(z.undefined()),
});
const usagePlanKeySchema = z.looseObject({ KeyId: text, UsagePlanId: text, KeyType: z.literal('API_KEY') });

/** The parts of a reader that this one needs. Names of deployed hosts are as AWS gives them, not local ones. */
export interface FrontDoorSource {
  /** Logical ids of the resources of a type. */
  ids(type: string): string[];
  properties<Schema extends z.ZodMiniType>(logicalId: string, schema: Schema): z.output<Schema>;
  ref(logicalId: string): string;
  attribute(logicalId: string, name: string): string;
}

interface Apis {
  /** Ids of the APIs by protocol. */
  readonly HTTP: string | undefined;
  readonly WEBSOCKET: string | undefined;
}

/** @throws TemplateError for a second distribution and for an origin that is no API of the template */
export function readFrontDoor(source: FrontDoorSource, apis: Apis): FrontDoorDefinition | undefined {
  const [id, second] = source.ids('AWS::CloudFront::Distribution');
  if (id === undefined) return undefined;
  if (second !== undefined) {
    throw new TemplateError(
      'unsupported_resource',
      `Resources/${second}`,
      'a second front door does not fit one port',
    );
  }
  const { DistributionConfig: config } = source.properties(id, distributionSchema);
  const at = `Resources/${id}/Properties/DistributionConfig`;
  const functions = new Map(
    source.ids('AWS::CloudFront::Function').map((one) => {
      const { FunctionCode } = source.properties(one, viewerFunctionSchema);
      return [source.attribute(one, 'FunctionARN'), FunctionCode] as const;
    }),
  );
  const behaviors = [...config.CacheBehaviors, { ...config.DefaultCacheBehavior, PathPattern: '*' }];
  return {
    origins: new Map(
      config.Origins.map(({ Id, DomainName, OriginPath, OriginCustomHeaders }) => {
        const headers = OriginCustomHeaders.map(({ HeaderName, HeaderValue }) => [HeaderName, HeaderValue]);
        const origin: FrontDoorOrigin = {
          api: apiOf(DomainName, apis, `${at}/Origins`),
          domainName: DomainName,
          path: OriginPath,
          headers: Object.fromEntries(headers),
        };
        return [Id, origin];
      }),
    ),
    behaviors: behaviors.map(({ PathPattern, TargetOriginId, FunctionAssociations: [viewerRequest] }) => ({
      pathPattern: PathPattern,
      originId: TargetOriginId,
      viewerRequest: viewerRequest && functions.get(viewerRequest.FunctionARN),
    })),
  };
}

/** The enabled keys of a stage: those with a usage plan that names it. */
export function readApiKeys(source: FrontDoorSource, apiId: string, stage: string): ApiKeyDefinition[] {
  const plans = source.ids('AWS::ApiGateway::UsagePlan').filter((id) => {
    const { ApiStages } = source.properties(id, usagePlanSchema);
    return ApiStages.some((one) => one.ApiId === apiId && one.Stage === stage);
  });
  const planIds = new Set(plans.map((id) => source.ref(id)));
  const planned = new Set(
    source
      .ids('AWS::ApiGateway::UsagePlanKey')
      .map((id) => source.properties(id, usagePlanKeySchema))
      .flatMap(({ KeyId, UsagePlanId }) => (planIds.has(UsagePlanId) ? [KeyId] : [])),
  );
  return source.ids('AWS::ApiGateway::ApiKey').flatMap((logicalId) => {
    const { Enabled, Value } = source.properties(logicalId, apiKeySchema);
    const id = source.ref(logicalId);
    return Enabled && planned.has(id) ? [{ id, value: Value }] : [];
  });
}

function apiOf(domainName: string, apis: Apis, at: string): FrontDoorOrigin['api'] {
  const [api] = domainName.split('.');
  if (api === apis.HTTP) return 'HTTP';
  if (api === apis.WEBSOCKET) return 'WEBSOCKET';
  throw new TemplateError('unsupported_property', at, `${domainName} is no API of this template`);
}
