/**
 * Which service may invoke a function, for which route or rule.
 * Source ARNs: Lambda guide, "Invoking a Lambda function using an Amazon API Gateway endpoint" and "…with EventBridge".
 */
import type { LogSink } from '../host/invocation.ts';
import type { Deployment, ScheduleDefinition } from '../template/deployment.ts';
import type { InvokingService } from './permission.ts';
import { executeApiArn } from './service-needs.ts';
import { matchesArn } from './wildcard.ts';

type Permitted = Pick<Deployment, 'region' | 'accountId' | 'permissions'>;

/** A function does not let a service invoke it. */
export class InvokeDeniedError extends Error {
  override readonly name = 'InvokeDeniedError';
  readonly code = 'access_denied';
  readonly retryable = false;

  constructor(functionName: string) {
    super(`not authorized to invoke the function ${functionName}`);
  }
}

/** Tells whether a service may invoke a function, and writes down when it may not. */
export class InvokePermissions {
  readonly #deployment: Permitted;
  readonly #log: LogSink;

  constructor(deployment: Permitted, log: LogSink) {
    this.#deployment = deployment;
    this.#log = log;
  }

  ofRoute(
    { apiId, stage }: { readonly apiId: string; readonly stage: string },
    routeKey: string,
    functionName: string,
  ): boolean {
    const source = executeApiArn(this.#deployment, apiId, `${stage}/${routeSource(routeKey)}`);
    return this.#holds('apigateway.amazonaws.com', source, functionName);
  }

  ofRule(ruleArn: string, functionName: string): boolean {
    return this.#holds('events.amazonaws.com', ruleArn, functionName);
  }

  /** Schedules with those targets only that may be invoked. */
  permitted(schedules: readonly ScheduleDefinition[]): ScheduleDefinition[] {
    return schedules.map((schedule) => ({
      ...schedule,
      targets: schedule.targets.filter(({ functionName }) => this.ofRule(schedule.ruleArn, functionName)),
    }));
  }

  #holds(service: InvokingService, source: string, functionName: string): boolean {
    const permitted = this.#deployment.permissions.some(
      (permission) =>
        permission.service === service &&
        permission.functionName === functionName &&
        (permission.sourceArn === undefined || matchesArn(permission.sourceArn, source)),
    );
    if (permitted) return true;
    const line = `not invoked: no permission of the function lets ${service} invoke it for ${source}`;
    this.#log({ function: functionName, requestId: undefined, stream: 'platform', line });
    return false;
  }
}

/** `$connect`, `POST/publish`; a route of any method is `*`. */
function routeSource(routeKey: string): string {
  const [method = '', path] = routeKey.split(' ');
  if (path === undefined) return routeKey;
  return `${method === 'ANY' ? '*' : method}${path}`;
}
