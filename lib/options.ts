/** What the construct takes beside the settings of a deployment; checked here, before AWS finds it in a deployment. */
import { Token } from 'aws-cdk-lib';
import * as z from 'zod/mini';
import { FUNCTION_NAMES } from '../lambdas/contract/environment.ts';
import { type ConfigurationIssue, shown } from './errors.ts';
import { isCapped } from './functions.ts';

/** The least of which four fifths are still one. */
const LEAST_CONCURRENCY = 2;

/** What a value must be; one that only a deployment knows (a token of CDK) is not looked at. */
function option(isRight: (value: unknown) => boolean, meaning: string) {
  return z.optional(
    z.unknown().check(
      z.refine((value) => Token.isUnresolved(value) || isRight(value), {
        error: () => `must be ${meaning}`,
      }),
    ),
  );
}

function wholeNumber(least: number) {
  return option(
    (value) => Number.isSafeInteger(value) && Number(value) >= least,
    `a whole number from ${least} on`,
  );
}

/** A token is none: the template is made by it. */
const flag = z.optional(z.boolean({ error: () => 'must be true or false' }));

/** Something that the CDK app has made; a text is a common mistake, and its name or ARN. */
const made = (meaning: string) => option((value) => typeof value === 'object' && value !== null, meaning);

function options<S extends Record<string, z.ZodMiniType>>(shape: S, usual = '') {
  return z.strictObject(shape, {
    error: ({ code }) =>
      code === 'unrecognized_keys'
        ? `is no option; there are ${Object.keys(shape).join(', ')}`
        : `must be ${usual}an object of ${Object.keys(shape).join(', ')}`,
  });
}

/** Zero is refused: it answers everybody with 429. */
const throttle = options({
  rateLimit: option(
    (value) => typeof value === 'number' && Number.isFinite(value) && value > 0,
    'a number above 0, of requests per second',
  ),
  burstLimit: wholeNumber(1),
});

const concurrency = z.strictObject(
  Object.fromEntries(FUNCTION_NAMES.filter(isCapped).map((name) => [name, wholeNumber(0)])),
  {
    error: ({ code }) => {
      const known = FUNCTION_NAMES.filter(isCapped).join(', ');
      return code === 'unrecognized_keys'
        ? `is no function that can be held: ${known}`
        : `must be an object of caps, one for each function that is held, of ${known}`;
    },
  },
);

const frontDoor = options(
  {
    domainName: option(
      (value) => typeof value === 'string' && value !== '',
      'a host name such as chat.example.com',
    ),
    certificate: made('a certificate of CDK, such as Certificate.fromCertificateArn makes of an ARN'),
    apiKey: flag,
  },
  'true, false or ',
).check((context) => {
  const { domainName, certificate } = context.value;
  if (!domainName || certificate) return;
  const message = `is required with domainName: CloudFront answers for ${domainName} with no other`;
  context.issues.push({ code: 'custom', input: certificate, message, path: ['certificate'] });
});

const monitoring = options(
  {
    topic: made(
      'a topic of CDK, such as Topic.fromTopicArn makes of an ARN; the prop alarmTopic takes the ARN itself',
    ),
    actions: option(Array.isArray, 'an array of alarm actions'),
    concurrencyLimit: wholeNumber(LEAST_CONCURRENCY),
    dashboard: flag,
  },
  'false or ',
);

const SCHEMAS = {
  throttle,
  connectThrottle: throttle,
  httpThrottle: throttle,
  concurrency,
  frontDoor,
  monitoring,
  tracing: flag,
  ipv6: flag,
};
const OPTIONS = Object.keys(SCHEMAS) as (keyof typeof SCHEMAS)[];

type Options = { readonly [O in keyof typeof SCHEMAS]?: unknown };

/** Every wrong value, by its prop. Values that only a deployment knows (tokens of CDK) are not looked at. */
export function optionIssues(given: Options): readonly ConfigurationIssue[] {
  return OPTIONS.flatMap((name) => {
    const value = given[name];
    const isSwitch =
      name === 'frontDoor' ? typeof value === 'boolean' : name === 'monitoring' && value === false;
    if (value === undefined || isSwitch) return [];
    return issuesOf(name, value, SCHEMAS[name].safeParse(value).error?.issues ?? []);
  });
}

function issuesOf(prop: string, value: unknown, issues: readonly z.core.$ZodIssue[]): ConfigurationIssue[] {
  return issues.flatMap((issue) => {
    const { code, path, message } = issue;
    const name = [prop, ...path].join('.');
    if (code === 'unrecognized_keys') return issue.keys.map((key) => ({ name: `${name}.${key}`, message }));
    // All options are at most one level deep.
    const wrong = path[0] === undefined ? value : Object(value)[path[0]];
    return wrong === undefined ? { name, message } : { name, message: `${message}, not ${shown(wrong)}` };
  });
}
