/** Who may use a queue. */
import type { QueueCall } from '../services/sqs.ts';
import type { AccessControl } from './access-control.ts';

/**
 * Whether a call on a queue is allowed: keys and roles by their policies. A service sends for a resource of the same
 * stack, which the queue's own policy lets it; queue policies are not read.
 */
export function mayUseQueue(access: AccessControl, { caller, action, resource }: QueueCall): boolean {
  if (caller.kind === 'service') return true;
  if (caller.kind === 'role') return access.isAllowed(caller.arn, action, resource);
  return access.denial(caller.accessKeyId ?? '', [{ action, resource }]) === undefined;
}
