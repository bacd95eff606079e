/** What is allowed, and hardly meant for a deployment: synth warns of it. */
import { Annotations } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import type { Configuration } from './config.ts';

const TRUSTED =
  "identity is 'trusted': anyone on the internet may claim to be anyone. That is for a laptop; IDENTITY=token wants ids proven.";
const TRUSTED_ANYWHERE =
  "identity is 'trusted' and origins has '*': anyone on the internet may claim to be anyone, and so may any page that somebody of " +
  'yours looks at, from within your network. IDENTITY=token wants ids proven, ORIGINS should list the pages.';

/** Warns where settings are dangerous together; by a stable id, which `Annotations.of(bus).acknowledgeWarning` takes. */
export function warnOfDangers(
  scope: Construct,
  { identity, origins }: Pick<Configuration, 'identity' | 'origins'>,
): void {
  if (identity !== 'trusted') return;
  const [id, message] = origins.includes('*')
    ? ['socketbus:trusted-identity-any-origin', TRUSTED_ANYWHERE]
    : ['socketbus:trusted-identity', TRUSTED];
  Annotations.of(scope).addWarningV2(id, message);
}
