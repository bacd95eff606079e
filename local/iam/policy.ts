/**
 * The decision of identity-based policies (IAM guide, "Policy evaluation logic"): an explicit deny beats an allow, and
 * what nothing allows is denied.
 */
import { matchesAction, matchesArn } from './wildcard.ts';

/** One statement of a policy document, with every reference resolved. */
export interface Statement {
  readonly effect: 'Allow' | 'Deny';
  /** `dynamodb:PutItem`, `dynamodb:*`, `*`. */
  readonly actions: readonly string[];
  /** ARNs with wildcards, or `*`. */
  readonly resources: readonly string[];
}

/** What a call needs to be allowed. */
export interface Need {
  readonly action: string;
  /** An ARN; `*` for an action that knows no resources. */
  readonly resource: string;
}

export type Decision = 'allowed' | 'explicitly-denied' | 'not-allowed';

/** What the statements of all policies of a principal together say of one action on one resource. */
export function decide(statements: readonly Statement[], { action, resource }: Need): Decision {
  let decision: Decision = 'not-allowed';
  for (const { effect, actions, resources } of statements) {
    if (effect === 'Allow' && decision === 'allowed') continue;
    if (!actions.some((pattern) => matchesAction(pattern, action))) continue;
    if (!resources.some((pattern) => matchesArn(pattern, resource))) continue;
    if (effect === 'Deny') return 'explicitly-denied';
    decision = 'allowed';
  }
  return decision;
}
