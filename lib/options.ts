/** What the construct takes beside the settings of a deployment; checked here, before AWS finds it in a deployment. */
import { Token } from 'aws-cdk-lib';
import { FUNCTION_NAMES } from '../lambdas/contract/environment.ts';
import type { ConfigurationIssue } from './errors.ts';
import type { FrontDoorOptions } from './front-door.ts';
import { type ConcurrencyCaps, isCapped } from './functions.ts';
import type { MonitoringOptions } from './monitoring.ts';

interface Options {
  readonly frontDoor?: boolean | FrontDoorOptions | undefined;
  readonly concurrency?: ConcurrencyCaps | undefined;
  readonly monitoring?: false | MonitoringOptions | undefined;
}

/** The least of which four fifths are still one. */
const LEAST_CONCURRENCY = 2;

/** Every wrong value, by its prop. Values that only a deployment knows (tokens of CDK) are not looked at. */
export function optionIssues({ frontDoor, concurrency, monitoring }: Options): readonly ConfigurationIssue[] {
  return [
    ...certificateIssues(frontDoor),
    ...Object.entries(concurrency ?? {}).flatMap(([name, cap]) => capIssues(name, cap)),
    ...limitIssues(monitoring),
  ];
}

function certificateIssues(frontDoor: Options['frontDoor']): ConfigurationIssue[] {
  if (typeof frontDoor !== 'object' || !frontDoor.domainName || frontDoor.certificate) return [];
  const message = `is required with domainName: CloudFront answers for ${frontDoor.domainName} with no other`;
  return [{ name: 'frontDoor.certificate', message }];
}

function capIssues(name: string, cap: number | undefined): ConfigurationIssue[] {
  const known = FUNCTION_NAMES.filter(isCapped);
  if (!known.some((each) => each === name)) {
    return [{ name: `concurrency.${name}`, message: `is no function that can be held: ${known.join(', ')}` }];
  }
  if (cap === undefined || Token.isUnresolved(cap) || (Number.isSafeInteger(cap) && cap >= 0)) return [];
  return [{ name: `concurrency.${name}`, message: `must be a whole number from 0 on, not ${cap}` }];
}

function limitIssues(monitoring: Options['monitoring']): ConfigurationIssue[] {
  const limit = monitoring ? monitoring.concurrencyLimit : undefined;
  if (limit === undefined || (Number.isSafeInteger(limit) && limit >= LEAST_CONCURRENCY)) return [];
  const message = `must be a whole number from ${LEAST_CONCURRENCY} on, not ${limit}`;
  return [{ name: 'monitoring.concurrencyLimit', message }];
}
