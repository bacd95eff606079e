import { createHash } from 'node:crypto';
import { Aws, Stack, Token } from 'aws-cdk-lib';
import type { Construct } from 'constructs';

/** Of the Region, the longest of which have 15 letters, and of the hash, each with a dash. */
const RESERVED = 16 + 9;

/**
 * A name for a resource whose type wants one and is left none by CloudFormation. CDK makes such names of the construct's path,
 * so two stacks of one app's ids and different `stackName`s (a stage beside another in one account) would want the same one;
 * this one is of the stack's name too, and of the Region, because some of these names are global.
 *
 * @param longest that the service allows, in characters
 */
export function physicalName(scope: Construct, longest: number): string {
  const given = Stack.of(scope).stackName;
  // That of a nested stack is made when it is deployed.
  const stackName = Token.isUnresolved(given) ? 'nested' : given;
  const hash = createHash('sha256').update(`${stackName} ${scope.node.path}`).digest('hex').slice(0, 8);
  return `${Aws.REGION}-${stackName.slice(0, longest - RESERVED)}-${hash}`;
}
