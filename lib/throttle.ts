import type { ThrottleSettings } from 'aws-cdk-lib/aws-apigatewayv2';

/** Both limits of a stage or route: what a template leaves out may become 0, which answers everybody with 429. */
export function wholeThrottle(
  given: ThrottleSettings | undefined,
  usual: Required<ThrottleSettings>,
): Required<ThrottleSettings> {
  return {
    rateLimit: given?.rateLimit ?? usual.rateLimit,
    burstLimit: given?.burstLimit ?? usual.burstLimit,
  };
}
