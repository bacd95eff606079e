import { devNull } from 'node:os';
import type { FunctionDefinition } from '../template/deployment.ts';
import type { TemporaryCredentials } from './credentials.ts';

export interface FunctionPlace {
  readonly region: string;
  /** Where every AWS service answers, for example `http://127.0.0.1:3000`. */
  readonly endpoint: string;
}

/**
 * The environment of a function: the template's variables and those that the runtime reserves (Lambda guide, "Defined
 * runtime environment variables"). Nothing of the laptop's own environment gets in.
 */
export function functionEnvironment(
  definition: FunctionDefinition,
  credentials: TemporaryCredentials,
  { region, endpoint }: FunctionPlace,
): Record<string, string> {
  return {
    ...definition.environment,
    _HANDLER: definition.handler,
    AWS_REGION: region,
    AWS_DEFAULT_REGION: region,
    AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs24.x',
    AWS_LAMBDA_FUNCTION_NAME: definition.name,
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(definition.memoryMb),
    AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
    AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand',
    AWS_LAMBDA_LOG_GROUP_NAME: `/aws/lambda/${definition.name}`,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    AWS_SESSION_TOKEN: credentials.sessionToken,
    LAMBDA_TASK_ROOT: definition.directory,
    LANG: 'en_US.UTF-8',
    TZ: ':UTC',
    AWS_ENDPOINT_URL: endpoint,
    // The SDK would otherwise read the profile of whoever owns the laptop.
    AWS_CONFIG_FILE: devNull,
    AWS_SHARED_CREDENTIALS_FILE: devNull,
    AWS_EC2_METADATA_DISABLED: 'true',
    // The bundle runs on nodejs24.x when deployed; the laptop's older Node is no news for every instance's log.
    AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
  };
}
